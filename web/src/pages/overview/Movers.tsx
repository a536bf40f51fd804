/** Tenants whose cost moved against the window before. */

import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { type Row, useQuestion } from "@/api/question";
import { sparkGrain } from "@/charts/axis";
import { Spark } from "@/charts/Spark";
import { Async, Card, Empty, Loading, Segments } from "@/design/basics";
import { Behind, Delta, Money } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import type { View } from "@/lib/view";
import { trends } from "@/pages/tenants/rows";
import { TenantName } from "@/pages/tenants/TenantName";
import { type Mover, movers } from "./judge";

const SHOWN = 8;
const MOST = 1_000;
const SLOW_MS = 15_000;
const HEIGHT = 320;

export function Movers({ view, className }: { view: View; className: string }) {
  const order = view.text("movers") === "cost" ? "cost" : "moved";
  const asked = { metrics: ["cost"], by: ["tenant"], order: ["-cost"], limit: MOST };
  const now = useQuestion(view.question(asked), { every: SLOW_MS });
  const whole = view.earlier(asked);
  const before = useQuestion(whole ?? view.question(asked), {
    enabled: whole !== null,
    every: SLOW_MS,
  });
  const rows = useMemo(
    () => movers(now.data?.rows ?? [], before.data?.rows ?? [], order).slice(0, SHOWN),
    [now.data, before.data, order],
  );
  const trend = useTrends(
    view,
    rows.map((row) => row.tenant),
  );
  const columns = useMemo(() => columnsOf(trend), [trend]);
  const ready = before.data ? now : before;
  return (
    <Card
      className={className}
      title="Tenants"
      note="against the window before"
      flush
      actions={
        <>
          <Segments
            label="Order of tenants"
            value={order}
            choices={[
              ["moved", "Biggest moves"],
              ["cost", "By cost"],
            ]}
            onChange={(one) => view.set({ movers: one === "cost" ? one : undefined })}
          />
          <Link className="button quiet small" to="/tenants" search={view.carried() as never}>
            All
          </Link>
        </>
      }
    >
      <Async
        query={ready}
        loading={
          <div style={{ padding: "0 var(--space-4)" }}>
            <Loading lines={8} height={HEIGHT} />
          </div>
        }
        isEmpty={() => !rows.length}
        empty={<Empty title="No tenant has usage here">Choose a longer window.</Empty>}
      >
        {() => (
          <DataTable
            key={order}
            label="Tenants by how their cost moved"
            rows={rows}
            columns={columns}
            keyOf={(row) => row.tenant}
          />
        )}
      </Async>
    </Card>
  );
}

function columnsOf(trend: ReadonlyMap<string, number[]>): TableColumn<Mover>[] {
  return [
    {
      id: "tenant",
      header: "Tenant",
      value: (row) => row.tenant,
      cell: (row) => <TenantName id={row.tenant} />,
      sortable: false,
    },
    {
      id: "trend",
      header: "Trend",
      value: () => null,
      cell: (row) => (
        <Spark values={trend.get(row.tenant) ?? []} label={`Cost of ${row.tenant} over time`} />
      ),
      wide: true,
      sortable: false,
    },
    {
      id: "cost",
      header: "Cost",
      end: true,
      sortable: false,
      value: (row) => row.cost,
      cell: (row) => (
        <Behind by={{ tenant: row.tenant }} label={`Requests of ${row.tenant}`}>
          <Money nanos={row.cost} look="compact" />
        </Behind>
      ),
    },
    {
      id: "before",
      header: "Before",
      end: true,
      wide: true,
      sortable: false,
      value: (row) => row.before,
      cell: (row) => (
        <span className="faint">
          <Money nanos={row.before} look="compact" />
        </span>
      ),
    },
    {
      id: "change",
      header: "Change",
      end: true,
      sortable: false,
      value: (row) => row.moved,
      cell: (row) => <Delta now={row.cost} before={row.before} />,
    },
  ];
}

/** Cost over time of some tenants, for small trends. */
export function useTrends(view: View, tenants: string[]): ReadonlyMap<string, number[]> {
  const found = useQuestion(
    view.question({
      metrics: ["cost"],
      by: ["tenant"],
      grain: sparkGrain(view.window.length),
      order: ["time"],
      limit: 10_000,
      filters: [{ field: "tenant", op: "in", value: [...tenants].sort() }],
    }),
    { enabled: tenants.length > 0, every: SLOW_MS },
  );
  return useMemo(() => trends((found.data?.rows ?? []) as Row[]), [found.data]);
}
