/** A tenant's users and workspaces: who uses it, and what that costs. */

import { useMemo } from "react";
import { name, num, type Row, useQuestion } from "@/api/question";
import { Async, Card, Empty, Loading } from "@/design/basics";
import { Behind, Delta, Money } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { count, percent } from "@/lib/numbers";
import { NONE, type Search } from "@/lib/view";
import type { TenantView } from "./scope";

const MOST = 1_000;
const SLOW_MS = 15_000;

export function People({ view }: { view: TenantView }) {
  return (
    <div className="grid">
      <Who view={view} field="user" title="Users" className="span-7" />
      <Who view={view} field="workspace" title="Workspaces" className="span-5" />
    </div>
  );
}

interface WhoProps {
  view: TenantView;
  field: "user" | "workspace";
  title: string;
  className: string;
}

function Who({ view, field, title, className }: WhoProps) {
  const asked = {
    metrics: ["cost", "requests", "calls", "errors"],
    by: [field],
    order: ["-cost"],
    limit: MOST,
  };
  const now = useQuestion(view.question(asked), { every: SLOW_MS });
  const past = { metrics: ["cost"], by: [field], order: ["-cost"], limit: MOST };
  const whole = view.earlier(past);
  const before = useQuestion(whole ?? view.question(past), {
    enabled: whole !== null,
    every: SLOW_MS,
  });
  const columns = useMemo(() => {
    const earlier = new Map((before.data?.rows ?? []).map((row) => [row[field], num(row, "cost")]));
    const total = (now.data?.rows ?? []).reduce((sum, row) => sum + num(row, "cost"), 0);
    return columnsOf(view, field, total, earlier);
  }, [view, field, now.data, before.data]);
  const cut = (now.data?.rows.length ?? 0) >= MOST;
  const key = field === "user" ? "users" : "workspaces";
  return (
    <Card className={className} title={title} note={view.window.label.toLowerCase()} flush>
      <Async
        query={now}
        loading={
          <div style={{ padding: "var(--space-4)" }}>
            <Loading lines={8} height={320} />
          </div>
        }
      >
        {(answer) => (
          <DataTable
            label={`${title} of ${view.tenant}`}
            rows={answer.rows}
            columns={columns}
            keyOf={(row) => String(row[field])}
            order={view.text(key, "-cost")}
            onOrder={(one) => view.set({ [key]: one && one !== "-cost" ? one : undefined })}
            page={20}
            csv={`${key}-${view.tenant}`}
            empty={<Empty title={`No ${field} in this window`}>Choose a longer window.</Empty>}
            {...(cut ? { foot: `the ${count(MOST)} dearest` } : {})}
          />
        )}
      </Async>
    </Card>
  );
}

function columnsOf(
  view: TenantView,
  field: WhoProps["field"],
  total: number,
  earlier: ReadonlyMap<Row[string] | undefined, number>,
): TableColumn<Row>[] {
  const by = (row: Row) => ({
    ...view.own,
    [field]: row[field] === null ? NONE : String(row[field]),
  });
  const header = field === "user" ? "User" : "Workspace";
  return [
    {
      id: field,
      header,
      value: (row) => name(row[field]),
      cell: (row) => (
        <span className={`clip ${row[field] === null ? "faint" : ""}`} title={name(row[field])}>
          {name(row[field], "(not named)")}
        </span>
      ),
    },
    {
      id: "cost",
      header: "Cost",
      end: true,
      unit: "nano-dollars",
      value: (row) => num(row, "cost"),
      cell: (row) => (
        <Behind by={by(row)} label={`Requests of ${name(row[field])}`}>
          <Money nanos={num(row, "cost")} />
        </Behind>
      ),
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
      id: "change",
      header: "Change",
      end: true,
      title: "Against the window before, of equal length",
      value: (row) => num(row, "cost") - (earlier.get(row[field]) ?? 0),
      cell: (row) => <Delta now={num(row, "cost")} before={earlier.get(row[field]) ?? 0} />,
    },
    {
      id: "requests",
      header: "Requests",
      end: true,
      wide: true,
      value: (row) => num(row, "requests"),
      cell: (row) => count(num(row, "requests")),
    },
    ...(field === "user" ? [errorsColumn(by)] : []),
  ];
}

function errorsColumn(by: (row: Row) => Search): TableColumn<Row> {
  return {
    id: "errors",
    header: "Errors",
    end: true,
    wide: true,
    value: (row) => num(row, "errors"),
    cell: (row) =>
      num(row, "errors") ? (
        <Behind by={{ ...by(row), status: ["error", "timeout"] }} label="Failed requests">
          {count(num(row, "errors"))}
        </Behind>
      ) : (
        <span className="faint">–</span>
      ),
  };
}
