/** The columns of the list of tenants. */

import { Link } from "@tanstack/react-router";
import { Spark } from "@/charts/Spark";
import { Badge, Meter } from "@/design/basics";
import { Behind, Delta, Money } from "@/design/money";
import type { TableColumn } from "@/design/table";
import { change, compact, count, credits, percent } from "@/lib/numbers";
import type { TenantRow } from "./rows";
import { UNATTRIBUTED } from "./rows";
import { TenantName } from "./TenantName";
import css from "./tenants.module.css";

export interface Context {
  /** Cost and charges of all tenants, those not in the list too. */
  total: number;
  sell: number;
  trend: ReadonlyMap<string, number[]>;
  credits: boolean;
  totals: { calls: number; errors: number; attempts: number; before: number };
}

type Columns = TableColumn<TenantRow>[];

const Nothing = () => <span className="faint">–</span>;

/** Return the columns; charges and credits have one only where there are any. */
export function tenantColumns(context: Context): Columns {
  return [
    ...spending(context),
    ...work(context),
    ...(context.sell ? selling(context) : []),
    limitColumn(),
    ...(context.credits ? [creditsColumn()] : []),
  ];
}

function spending({ total, trend, totals }: Context): Columns {
  return [
    {
      id: "tenant",
      header: "Tenant",
      value: (row) => row.id,
      cell: (row) => <TenantName id={row.id} />,
      foot: "All",
    },
    {
      id: "plan",
      header: "Plan",
      wide: true,
      value: (row) => [row.plan, row.tier].filter(Boolean).join(" / "),
      cell: (row) => <Plan row={row} />,
    },
    {
      id: "cost",
      header: "Cost",
      end: true,
      unit: "nano-dollars",
      value: (row) => row.cost,
      cell: (row) => (
        <Behind by={{ tenant: row.id }} label={`Requests of ${row.id}`}>
          <Money nanos={row.cost} look="compact" />
        </Behind>
      ),
      foot: <Money nanos={total} look="compact" />,
    },
    {
      id: "share",
      header: "Share",
      end: true,
      wide: true,
      title: "Share of the cost of all tenants",
      value: (row) => (total ? row.cost / total : 0),
      cell: (row) => (row.cost ? percent(row.cost / total) : <Nothing />),
    },
    {
      id: "change",
      header: "Change",
      end: true,
      title: "Against the window before, of equal length",
      value: (row) => change(row.cost, row.before) ?? (row.cost ? Number.MAX_VALUE : null),
      cell: (row) =>
        row.cost || row.before ? <Delta now={row.cost} before={row.before} /> : <Nothing />,
      foot: <Delta now={total} before={totals.before} />,
    },
    {
      id: "trend",
      header: "Trend",
      wide: true,
      sortable: false,
      title: "Cost over the window; of the 60 dearest tenants",
      unit: "nano-dollars",
      value: (row) => (trend.get(row.id) ?? []).join(" "),
      cell: (row) => (
        <Spark width={64} values={trend.get(row.id) ?? []} label={`Cost of ${row.id} over time`} />
      ),
    },
  ];
}

function Plan({ row }: { row: TenantRow }) {
  if (row.id === UNATTRIBUTED) return <Nothing />;
  if (!row.registered)
    return <Badge title="It has usage but was never registered">not registered</Badge>;
  return (
    <span className={css.plan}>
      {row.plan || <Nothing />}
      {row.tier && row.tier !== "none" && <span className="faint">{row.tier}</span>}
    </span>
  );
}

function work({ totals }: Context): Columns {
  return [
    {
      id: "calls",
      header: "Calls",
      end: true,
      wide: true,
      value: (row) => row.calls,
      cell: (row) => (row.calls ? compact(row.calls) : <Nothing />),
      foot: compact(totals.calls),
    },
    {
      id: "errors",
      header: "Errors",
      end: true,
      wide: true,
      title: "Attempts that failed, and their share of all attempts",
      value: (row) => row.errors,
      cell: (row) =>
        row.errors ? (
          <Behind
            by={{ tenant: row.id, status: ["error", "timeout"] }}
            label={`Failed requests of ${row.id}`}
          >
            {count(row.errors)} <span className="faint">{percent(row.errors / row.attempts)}</span>
          </Behind>
        ) : (
          <Nothing />
        ),
      foot: count(totals.errors),
    },
  ];
}

function selling({ sell, total }: Context): Columns {
  const margin = (charged: number, cost: number) => (charged ? (charged - cost) / charged : null);
  return [
    {
      id: "sell",
      header: "Charges",
      end: true,
      wide: true,
      title: "What the tenant is charged in money for this usage",
      unit: "nano-dollars",
      value: (row) => row.sell,
      cell: (row) => (row.sell ? <Money nanos={row.sell} look="compact" /> : <Nothing />),
      foot: <Money nanos={sell} look="compact" />,
    },
    {
      id: "margin",
      header: "Margin",
      end: true,
      wide: true,
      title: "Share of the charges that is left after the cost",
      value: (row) => margin(row.sell, row.cost),
      cell: (row) => {
        const share = margin(row.sell, row.cost);
        if (share === null) return <Nothing />;
        return (
          <span className={share < 0 ? css.error : ""}>
            {share < 0 ? "−" : ""}
            {percent(Math.abs(share))}
          </span>
        );
      },
      foot: percent(margin(sell, total)),
    },
  ];
}

function limitColumn(): Columns[number] {
  return {
    id: "limit",
    header: "Fullest limit",
    end: true,
    wide: true,
    title: "The limit of this tenant that is used most; limits in shadow are left out",
    value: (row) => row.limit?.share ?? null,
    cell: (row) =>
      row.limit ? (
        <Link
          className={css.use}
          to="/tenants/$tenant"
          params={{ tenant: row.id }}
          search={{ tab: "limits" } as never}
          title={row.limit.name || row.limit.limit}
        >
          <Meter
            share={row.limit.share}
            label={`${row.limit.name || row.limit.limit} of ${row.id}`}
          />
          <span className="num">{percent(row.limit.share, 0)}</span>
        </Link>
      ) : (
        <Nothing />
      ),
  };
}

function creditsColumn(): Columns[number] {
  return {
    id: "credits",
    header: "Credits left",
    end: true,
    wide: true,
    unit: "micro-credits",
    value: (row) => row.balance?.available ?? null,
    cell: (row) =>
      row.balance ? (
        <Link
          className="behind num"
          to="/tenants/$tenant"
          params={{ tenant: row.id }}
          search={{ tab: "credits" } as never}
        >
          <span className={row.balance.available <= 0 ? css.error : ""}>
            {credits(row.balance.available)}
          </span>
        </Link>
      ) : (
        <Nothing />
      ),
  };
}
