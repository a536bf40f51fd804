/** The rows of the list: a request each, every number in its column. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Badge } from "@/design/basics";
import { Copy } from "@/design/code";
import { Money } from "@/design/money";
import { compact, count, micros } from "@/lib/numbers";
import { localDay, moment, short } from "@/lib/time";
import type { RequestRow } from "./api";
import css from "./requests.module.css";
import { brief } from "./search";

interface Column {
  id: string;
  header: string;
  title?: string;
  end?: boolean;
  /** Left out on a phone (`wide`), and on a narrow window (`second`). */
  shown?: "wide" | "wide second";
  cell: (row: RequestRow) => ReactNode;
}

const TONES = { ok: "good", failed: "bad", unpriced: "warn", retried: "plain" } as const;
const MEANINGS = {
  ok: "Every call ended well at its first attempt.",
  failed: "An attempt ended in an error and was not tried again.",
  unpriced: "Part of it has no price: its cost is not known in full.",
  retried: "An attempt failed and another one ended well.",
};

/** How a request went, in a word. */
export function Outcome({ value }: { value: RequestRow["status"] }) {
  return (
    <Badge tone={TONES[value]} title={MEANINGS[value]}>
      {value}
    </Badge>
  );
}

/** Return the clock time today, and the day too before that. */
function begun(at: number, now: number, zone: string): string {
  if (localDay(at, zone) !== localDay(now, zone)) return short(at, zone);
  return new Date(at / 1000).toLocaleTimeString(undefined, { timeZone: zone });
}

const plain = (value: string | null | undefined) =>
  value ? (
    <span className={`clip ${css.name}`} title={value}>
      {value}
    </span>
  ) : (
    <span className="faint">–</span>
  );

function columnsOf(zone: string, now: number): Column[] {
  const open = (row: RequestRow, children: ReactNode, className = "link") => (
    <Link to="/requests/$request" params={{ request: row.request_id }} className={className}>
      {children}
    </Link>
  );
  return [
    {
      id: "time", header: "Time", title: "When its first event began",
      cell: (row) => open(row, <span title={moment(row.started_at, zone)}>{begun(row.started_at, now, zone)}</span>, "behind"),
    },
    {
      id: "request", header: "Request", shown: "wide",
      cell: (row) => (
        <span className={css["id-cell"]}>
          {open(row, <code title={row.request_id}>{brief(row.request_id)}</code>)}
          <Copy text={row.request_id} label={`request id ${row.request_id}`} />
        </span>
      ),
    },
    { id: "tenant", header: "Tenant", cell: (row) => <Tenant row={row} /> },
    { id: "feature", header: "Feature", shown: "wide", cell: (row) => plain(row.feature) },
    { id: "agent", header: "Agent", shown: "wide", cell: (row) => plain(row.agent_root) },
    {
      id: "initiator", header: "By", title: "Who began it: a user or the system", shown: "wide second",
      cell: (row) => <span title={row.user ?? undefined}>{plain(row.initiator)}</span>,
    },
    {
      id: "models", header: "Models", title: "The dearest three, the dearest first", shown: "wide second",
      cell: (row) => <Models row={row} />,
    },
    {
      id: "calls", header: "Calls", title: "Calls, and attempts after the first", end: true, shown: "wide",
      cell: (row) => <Calls row={row} />,
    },
    {
      id: "errors", header: "Errors", title: "Attempts that ended in an error or a timeout", end: true, shown: "wide",
      cell: (row) => (row.errors ? count(row.errors) : <span className="faint">0</span>),
    },
    {
      id: "in", header: "In", title: "Tokens read by models, cached ones included", end: true, shown: "wide second",
      cell: (row) => <span title={`${count(row.input_tokens)} tokens`}>{compact(row.input_tokens)}</span>,
    },
    {
      id: "out", header: "Out", title: "Tokens produced by models, reasoning included", end: true, shown: "wide second",
      cell: (row) => <span title={`${count(row.output_tokens)} tokens`}>{compact(row.output_tokens)}</span>,
    },
    {
      id: "duration", header: "Duration", title: "From the begin of the first event to the end of the last", end: true, shown: "wide",
      cell: (row) => micros(row.duration_us),
    },
    { id: "cost", header: "Cost", end: true, cell: (row) => <Money nanos={row.cost_nanos} /> },
    { id: "status", header: "Status", cell: (row) => <Outcome value={row.status} /> },
  ]; // biome-ignore format: a column each
}

function Tenant({ row }: { row: RequestRow }) {
  if (!row.tenant) return plain(null);
  return (
    <Link
      to="/tenants/$tenant"
      params={{ tenant: row.tenant }}
      className={`behind clip ${css.name}`}
      title={row.tenants > 1 ? `${row.tenant} and ${row.tenants - 1} more` : row.tenant}
    >
      {row.tenant}
      {row.tenants > 1 && <span className={css.more}> +{row.tenants - 1}</span>}
    </Link>
  );
}

function Models({ row }: { row: RequestRow }) {
  const [first, ...others] = row.models;
  if (!first) return plain(null);
  return (
    <span title={row.models.join(", ")} className={`clip ${css.name}`}>
      {first}
      {others.length > 0 && <span className={css.more}> +{others.length}</span>}
    </span>
  );
}

function Calls({ row }: { row: RequestRow }) {
  const title = `${count(row.calls)} calls, ${count(row.attempts)} attempts, ${count(row.retries)} after the first`;
  return (
    <span title={title} className={css.calls}>
      <span>{count(row.calls)}</span>
      <span className={css.more}>{row.retries > 0 && `+${count(row.retries)}`}</span>
    </span>
  );
}

interface TableProps {
  rows: RequestRow[];
  zone: string;
  /** When the list was asked for. */
  now: number;
}

export function RequestTable({ rows, zone, now }: TableProps) {
  const columns = columnsOf(zone, now);
  const look = (column: Column) =>
    [column.end ? "end" : "", ...(column.shown?.split(" ") ?? [])]
      .map((name) => (name === "second" ? css.second : name))
      .filter(Boolean)
      .join(" ");
  return (
    <div className="table-wrap">
      <table className={`table ${css.table}`}>
        <caption className="sr-only">Requests</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.id} scope="col" className={look(column)} title={column.title}>
                {column.header}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={row.request_id}>
              {columns.map((column) => (
                <td key={column.id} className={look(column)}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
