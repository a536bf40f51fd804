/** A tenant's cost by up to three dimensions, and by day. */

import { useMemo } from "react";
import { num, type Row, useQuestion } from "@/api/question";
import { bucketEnd } from "@/charts/axis";
import { timeOf } from "@/charts/series";
import { labelOf } from "@/charts/stacked";
import { Async, Button, Card, Empty, Loading, Segments } from "@/design/basics";
import { Behind, Money } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { compact, count, percent } from "@/lib/numbers";
import { day } from "@/lib/time";
import { NONE, type Search } from "@/lib/view";
import { DIMENSIONS, type Dimension, dimensionsOf, toggled, USUAL } from "./breakdown";
import type { TenantView } from "./scope";
import css from "./tenants.module.css";

const MOST = 1_000;
const SLOW_MS = 15_000;
const METRICS = ["cost", "calls", "attempts", "errors", "input_tokens", "output_tokens"];

export function Breakdown({ view }: { view: TenantView }) {
  const chosen = useMemo(() => dimensionsOf(view.list("by")), [view]);
  const daily = view.text("day") === "1";
  const found = useQuestion(
    view.question({
      metrics: METRICS,
      by: chosen,
      order: daily ? ["-time", "-cost"] : ["-cost"],
      limit: MOST,
      ...(daily ? { grain: "day" as const } : {}),
    }),
    { every: SLOW_MS },
  );
  const whole = useQuestion(view.question({ metrics: METRICS }), { every: SLOW_MS });
  const sum = whole.data?.rows[0];
  const columns = useMemo(() => columnsOf(view, chosen, daily, sum), [view, chosen, daily, sum]);
  const cut = (found.data?.rows.length ?? 0) >= MOST;
  const set = (by: Dimension[]) =>
    view.set({ by: by.join() === USUAL.join() ? undefined : by, sort: undefined });
  return (
    <Card
      title="Cost by"
      note={`up to three · ${view.window.label.toLowerCase()}`}
      flush
      actions={
        <Segments
          label="Days"
          value={daily ? "1" : "0"}
          choices={[
            ["0", "Whole window"],
            ["1", "Day by day"],
          ]}
          onChange={(one) => view.set({ day: one === "1" ? one : undefined, sort: undefined })}
        />
      }
    >
      <div className={css.chips} style={{ padding: "0 var(--space-4) var(--space-3)" }}>
        {DIMENSIONS.map(([id, label]) => (
          <Button
            key={id}
            small
            aria-pressed={chosen.includes(id)}
            onClick={() => set(toggled(chosen, id))}
          >
            {chosen.includes(id) && <span className="num">{chosen.indexOf(id) + 1}</span>}
            {label}
          </Button>
        ))}
      </div>
      <Async
        query={found}
        loading={
          <div style={{ padding: "var(--space-4)" }}>
            <Loading lines={10} height={420} />
          </div>
        }
      >
        {(answer) => (
          <DataTable
            label={`Cost of ${view.tenant} by ${chosen.join(", ")}`}
            rows={answer.rows}
            columns={columns}
            keyOf={(row) => JSON.stringify([row.time, ...chosen.map((one) => row[one])])}
            order={view.text("sort", daily ? "-time" : "-cost")}
            onOrder={(one) => view.set({ sort: one || undefined })}
            csv={`breakdown-${view.tenant}`}
            empty={<Empty title="No usage in this window">Choose a longer window.</Empty>}
            {...(cut
              ? { foot: daily ? "the newest; choose a shorter window for all" : "the dearest" }
              : {})}
          />
        )}
      </Async>
    </Card>
  );
}

function columnsOf(
  view: TenantView,
  chosen: Dimension[],
  daily: boolean,
  sum: Row | undefined,
): TableColumn<Row>[] {
  const total = num(sum, "cost");
  const behind = (row: Row): Search => ({
    ...view.own,
    ...filtersOf(row, chosen),
    ...span(row, view),
  });
  const labels = new Map<string, string>(DIMENSIONS);
  return [
    ...(daily
      ? [
          {
            id: "time",
            header: "Day",
            value: (row: Row) => String(row.time),
            cell: (row: Row) => (
              <span className={`num ${css.when}`}>{day(timeOf(row), view.zone)}</span>
            ),
          },
        ]
      : []),
    ...chosen.map((dimension) => ({
      id: dimension,
      header: labels.get(dimension) ?? dimension,
      value: (row: Row) => labelOf(dimension, row[dimension]),
      cell: (row: Row) => (
        <span
          className={`clip ${row[dimension] === null ? "faint" : ""}`}
          title={labelOf(dimension, row[dimension])}
        >
          {labelOf(dimension, row[dimension])}
        </span>
      ),
    })),
    {
      id: "cost",
      header: "Cost",
      end: true,
      unit: "nano-dollars",
      value: (row) => num(row, "cost"),
      cell: (row) => (
        <Behind by={behind(row)} label="Requests behind this cost">
          <Money nanos={num(row, "cost")} />
        </Behind>
      ),
      foot: <Money nanos={total} />,
    },
    {
      id: "share",
      header: "Share",
      end: true,
      wide: true,
      value: (row) => (total ? num(row, "cost") / total : 0),
      cell: (row) => percent(total ? num(row, "cost") / total : 0),
    },
    {
      id: "calls",
      header: "Calls",
      end: true,
      wide: true,
      value: (row) => num(row, "calls"),
      cell: (row) => count(num(row, "calls")),
      foot: count(num(sum, "calls")),
    },
    {
      id: "per",
      header: "Cost per call",
      end: true,
      wide: true,
      unit: "nano-dollars",
      value: (row) => perCall(row),
      cell: (row) => <Money nanos={perCall(row)} />,
    },
    {
      id: "errors",
      header: "Errors",
      end: true,
      wide: true,
      value: (row) => num(row, "errors"),
      cell: (row) =>
        num(row, "errors") ? (
          <Behind by={{ ...behind(row), status: ["error", "timeout"] }} label="Failed requests">
            {count(num(row, "errors"))}
          </Behind>
        ) : (
          <span className="faint">–</span>
        ),
      foot: count(num(sum, "errors")),
    },
    {
      id: "tokens",
      header: "Tokens in / out",
      end: true,
      wide: true,
      value: (row) => num(row, "input_tokens") + num(row, "output_tokens"),
      cell: (row) => `${compact(num(row, "input_tokens"))} / ${compact(num(row, "output_tokens"))}`,
      foot: sum && `${compact(num(sum, "input_tokens"))} / ${compact(num(sum, "output_tokens"))}`,
    },
  ];
}

function perCall(row: Row): number | null {
  const calls = num(row, "calls");
  return calls ? Math.round(num(row, "cost") / calls) : null;
}

function filtersOf(row: Row, chosen: Dimension[]): Search {
  return Object.fromEntries(
    chosen.map((one) => [one, row[one] === null ? NONE : String(row[one])] as const),
  );
}

function span(row: Row, view: TenantView): Search {
  if (row.time === undefined) return {};
  const at = timeOf(row);
  const iso = (time: number) => new Date(time / 1000).toISOString();
  return { last: undefined, from: iso(at), to: iso(bucketEnd(at, "day", view.zone)) };
}
