/** What limits did to a tenant lately. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { api, data } from "@/api/client";
import { useCurrency } from "@/api/currencies";
import type { components } from "@/api/schema";
import { Async, Badge, Card, Loading } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { count, percent } from "@/lib/numbers";
import { usePreferences } from "@/lib/preferences";
import { short } from "@/lib/time";
import over from "@/pages/overview/overview.module.css";
import { amountText } from "./amounts";
import { type Limit, useLimits } from "./api";
import css from "./tenants.module.css";

type Notice = components["schemas"]["LimitNotice"];

const SHOWN = 100;

const KINDS: Record<Notice["kind"], [string, "plain" | "warn" | "bad"]> = {
  crossed: ["reached", "warn"],
  denied: ["not entitled", "bad"],
  late: ["counted late", "plain"],
  refused: ["refused", "bad"],
  seeded: ["began counting", "plain"],
  short: ["could not be paid", "bad"],
};

export function Notices({ tenant }: { tenant: string }) {
  const found = useQuery({
    queryKey: ["limits", "notices", tenant],
    queryFn: ({ signal }) =>
      data(api.GET("/v1/limits/notices", { params: { query: { tenant, count: SHOWN } }, signal })),
    meta: { every: 10_000 },
  });
  const limits = useLimits();
  const currency = useCurrency();
  const { zone } = usePreferences();
  const known = new Map((limits.data?.limits ?? []).map((one) => [one.id, one]));
  return (
    <Card title="What limits did" note="newest first" flush>
      <Async
        query={found}
        loading={
          <div style={{ padding: "var(--space-4)" }}>
            <Loading height={120} />
          </div>
        }
        isEmpty={({ notices }) => !notices.length}
        empty={<p className={over.calm}>No limit has warned, slowed or refused this tenant.</p>}
      >
        {({ notices }) => (
          <DataTable
            label="What limits did"
            rows={notices}
            columns={columnsOf(known, zone, currency)}
            keyOf={(row, at) => `${row.counter_id}${row.kind}${row.at_ppm}${at}`}
            page={10}
            csv={`limits-${tenant}`}
          />
        )}
      </Async>
    </Card>
  );
}

function columnsOf(
  known: ReadonlyMap<string, Limit>,
  zone: string,
  currency: ReturnType<typeof useCurrency>,
): TableColumn<Notice>[] {
  const text = (row: Notice, value: number) => {
    const metric = known.get(row.limit_id)?.metric;
    return metric ? amountText(value, metric, currency) : count(value);
  };
  return [
    {
      id: "at",
      header: "When",
      sortable: false,
      value: (row) => new Date(row.at / 1000).toISOString(),
      cell: (row) => <span className={`num ${css.when}`}>{short(row.at, zone)}</span>,
    },
    {
      id: "limit",
      header: "Limit",
      sortable: false,
      value: (row) => row.limit_id,
      cell: (row) => (
        <Link
          className={`behind clip ${css.short}`}
          to="/limits/$limit"
          params={{ limit: row.limit_id }}
        >
          {known.get(row.limit_id)?.name || row.limit_id}
        </Link>
      ),
    },
    {
      id: "kind",
      header: "What",
      sortable: false,
      value: (row) => [row.action, KINDS[row.kind]?.[0] ?? row.kind].filter(Boolean).join(": "),
      cell: (row) => {
        const [words, tone] = KINDS[row.kind] ?? [row.kind, "plain"];
        return (
          <span className={css.when}>
            <Badge tone={row.mode === "shadow" ? "plain" : tone}>{words}</Badge>{" "}
            <span className="faint">
              {[
                row.action,
                row.at_ppm ? `at ${percent(row.at_ppm / 1_000_000, 0)}` : "",
                row.mode === "shadow" && "shadow",
              ]
                .filter(Boolean)
                .join(" ")}
            </span>
          </span>
        );
      },
    },
    {
      id: "used",
      header: "Used",
      end: true,
      wide: true,
      sortable: false,
      value: (row) => row.used,
      cell: (row) => (
        <>
          {text(row, row.used)} <span className="faint">of {text(row, row.amount)}</span>
        </>
      ),
    },
    {
      id: "times",
      header: "Times",
      end: true,
      sortable: false,
      value: (row) => row.times,
      cell: (row) => count(row.times),
    },
  ];
}
