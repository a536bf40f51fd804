/** An answer as a table; each number leads to the requests behind it. */

import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { type Answer, name, type Row } from "@/api/question";
import { timeOf } from "@/charts/series";
import { Behind } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { day, moment } from "@/lib/time";
import { full } from "@/lib/units";
import { NONE, type Search, useView } from "@/lib/view";
import { heading } from "@/lib/words";
import type { Asked } from "./state";

/** Return the filters that a row stands for. */
export function filtersOfRow(row: Row, by: string[]): Search {
  return Object.fromEntries(
    by.map((field) => [field, row[field] === null ? NONE : String(row[field])]),
  );
}

export function AnswerTable({
  answer,
  asked,
  stale,
}: {
  answer: Answer;
  asked: Asked;
  stale: boolean;
}) {
  const currency = useCurrency();
  const { zone } = useView();
  const columns = useMemo(
    () =>
      columnsOf(
        answer,
        asked,
        (at) =>
          asked.grain === "day" || asked.grain === "month" ? day(at, zone) : moment(at, zone),
        currency,
      ),
    [answer, asked, zone, currency],
  );
  return (
    <div style={stale ? { opacity: 0.65 } : undefined}>
      <DataTable
        label="Answer"
        rows={answer.rows}
        columns={columns}
        keyOf={(_, at) => String(at)}
        csv="outlay-explore"
      />
    </div>
  );
}

function columnsOf(
  answer: Answer,
  asked: Asked,
  time: (at: number) => string,
  currency: Parameters<typeof full>[1],
): TableColumn<Row>[] {
  return answer.columns.map((column) => {
    const id = column.name;
    if (id === "time") {
      return { id, header: "Time", value: (row) => timeOf(row), cell: (row) => time(timeOf(row)) };
    }
    if (asked.by.includes(id)) {
      return {
        id,
        header: heading(id),
        value: (row) => row[id] ?? "",
        cell: (row) => <Named field={id} row={row} />,
      };
    }
    const shown = full(column.unit, currency);
    const header = column.unit === "nanos" ? `${id} (nano-dollars)` : id;
    return {
      id,
      header: heading(id),
      title: header,
      end: true,
      value: (row) => row[id] ?? null,
      cell: (row) => (
        <Behind by={filtersOfRow(row, asked.by)}>{shown(row[id] as number | null)}</Behind>
      ),
    };
  });
}

function Named({ field, row }: { field: string; row: Row }) {
  const value = row[field];
  if (value === null || value === undefined) return <span className="faint">{name(value)}</span>;
  if (field === "tenant") {
    return (
      <Link className="behind" to="/tenants/$tenant" params={{ tenant: String(value) }}>
        {String(value)}
      </Link>
    );
  }
  if (field === "request") {
    return (
      <Link className="behind mono" to="/requests/$request" params={{ request: String(value) }}>
        {String(value)}
      </Link>
    );
  }
  return <span className="clip">{String(value)}</span>;
}
