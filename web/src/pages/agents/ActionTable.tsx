/** The report as a table: what the actions of each row cost, and what of it went wrong. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Badge } from "@/design/basics";
import { Behind, Money } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { count, micros, percent } from "@/lib/numbers";
import { NONE, type Search, type View } from "@/lib/view";
import {
  type Action,
  type ActionsAnswer,
  type By,
  chosenOf,
  MAX_ROWS,
  ONE,
  share,
} from "./actions";
import css from "./agents.module.css";

interface Props {
  answer: ActionsAnswer;
  by: By;
  view: View;
}

export function ActionTable({ answer, by, view }: Props) {
  const { rows } = answer;
  const chosen = chosenOf(rows, view.text("row"));
  const choose = (row: Action) => view.set({ row: row.key || NONE });
  return (
    <div className={css.report}>
      <DataTable
        label={`Actions by ${ONE[by]}`}
        rows={rows}
        columns={columnsOf(by, answer, choose)}
        keyOf={(row) => row.key || NONE}
        isOpen={(row) => row === chosen}
        sort={{ id: "cost" }}
        csv={`actions-by-${by}`}
        foot={rows.length >= MAX_ROWS ? `the dearest ${MAX_ROWS}` : undefined}
      />
    </div>
  );
}

type Column = TableColumn<Action>;

function amount(
  id: string,
  header: string,
  title: string,
  nanos: (row: Action) => number | null,
  more: Partial<Column> = {},
): Column {
  return {
    id,
    header,
    title,
    end: true,
    value: nanos,
    cell: (row) => <Money nanos={nanos(row)} />,
    ...more,
  };
}

function columnsOf(by: By, answer: ActionsAnswer, choose: (row: Action) => void): Column[] {
  // What names none cannot be filtered for by a name: it leads nowhere.
  const behind = (row: Action, children: ReactNode, more: Search = {}) =>
    row.key ? (
      <Behind by={{ [by]: row.key, ...more }} label={`Requests of ${row.key}`}>
        {children}
      </Behind>
    ) : (
      children
    );
  return [
    {
      id: "key",
      header: ONE[by].replace(/^./, (first) => first.toUpperCase()),
      title: "Choose one to see its distribution above",
      value: (row) => row.key || "(none)",
      cell: (row) => (
        <button
          type="button"
          className={css.key}
          title={row.key || undefined}
          onClick={() => choose(row)}
        >
          {row.key || <span className="faint">(none)</span>}
        </button>
      ),
    },
    amount("cost", "Cost", "Cost of all its actions in this window", (row) => row.cost_nanos, {
      cell: (row) => behind(row, <Money nanos={row.cost_nanos} />),
    }),
    {
      id: "actions",
      header: "Actions",
      title: "Requests that did something under it",
      end: true,
      value: (row) => row.requests,
      cell: (row) => behind(row, <span className="num">{count(row.requests)}</span>),
    },
    ...perAction(),
    ...work(answer),
    ...waste(behind),
  ];
}

/** What one action costs. */
function perAction(): Column[] {
  return [
    amount("avg", "Avg", "Average cost of an action", (row) => row.cost_avg, { wide: true }),
    amount("p50", "p50", "Half of its actions cost at most this", (row) => row.cost_p50),
    amount("p95", "p95", "95 % of its actions cost at most this", (row) => row.cost_p95),
    amount("max", "Max", "The dearest action; leads to its request", (row) => row.cost_max, {
      wide: true,
      cell: (row) =>
        row.dearest_request ? (
          <Link
            className="link"
            to="/requests/$request"
            params={{ request: row.dearest_request }}
            title="The dearest request"
          >
            <Money nanos={row.cost_max} />
          </Link>
        ) : (
          <Money nanos={null} />
        ),
    }),
  ];
}

/** How much an action does. */
function work(answer: ActionsAnswer): Column[] {
  const loop = `Actions in which one agent called the same model or tool ${answer.loop_calls} times or more`;
  return [
    {
      id: "steps",
      header: "Steps",
      title: "Calls of an action: p50 / p95 / max",
      end: true,
      wide: true,
      value: (row) => row.steps_p50,
      cell: (row) => (
        <span className={css.three}>
          {count(row.steps_p50)} <i>/</i> {count(row.steps_p95)} <i>/</i> {count(row.steps_max)}
        </span>
      ),
    },
    {
      id: "duration",
      header: "Duration",
      title: "How long an action takes: p50 / p95",
      end: true,
      wide: true,
      value: (row) => row.duration_p50_us,
      cell: (row) => (
        <span className={css.three}>
          {micros(row.duration_p50_us)} <i>/</i> {micros(row.duration_p95_us)}
        </span>
      ),
    },
    {
      id: "loops",
      header: "Loops",
      title: loop,
      end: true,
      wide: true,
      value: (row) => row.loops,
      cell: (row) => <Loops row={row} />,
    },
  ];
}

function Loops({ row }: { row: Action }) {
  if (!row.loops) return <span className="faint">0</span>;
  return (
    <span className={css.three}>
      <Badge tone="warn" title={`${percent(share(row.loops, row.requests))} of its actions`}>
        {count(row.loops)}
      </Badge>{" "}
      <Money nanos={row.loop_cost_nanos} />
    </span>
  );
}

/** What of it was paid for nothing. */
function waste(behind: (row: Action, children: ReactNode, more: Search) => ReactNode): Column[] {
  const part = (nanos: number, row: Action, more: Search) =>
    nanos ? (
      <span className={css.three}>
        <i>{percent(share(nanos, row.cost_nanos))}</i> {behind(row, <Money nanos={nanos} />, more)}
      </span>
    ) : (
      <span className="faint">0</span>
    );
  return [
    amount(
      "errors",
      "Errors",
      "Cost of attempts that ended in an error or a timeout, and its share",
      (row) => row.error_cost_nanos,
      {
        wide: true,
        cell: (row) => part(row.error_cost_nanos, row, { status: ["error", "timeout"] }),
      },
    ),
    amount(
      "retries",
      "Retries",
      "Cost of attempts after the first of their calls, and its share",
      (row) => row.retry_cost_nanos,
      { wide: true, cell: (row) => part(row.retry_cost_nanos, row, { attempt: "1" }) },
    ),
  ];
}
