/** All tenants: what each costs, how that moved, and how near its limits and credits are. */

import { Link } from "@tanstack/react-router";
import { useDeferredValue, useMemo } from "react";
import { num, type Row, useQuestion } from "@/api/question";
import { Async, Card, Empty, Loading, Page } from "@/design/basics";
import { Money } from "@/design/money";
import { DataTable } from "@/design/table";
import { count } from "@/lib/numbers";
import { useView, type View } from "@/lib/view";
import { useTrends } from "@/pages/overview/Movers";
import { FilterBar, WindowPicker } from "@/shell/Scope";
import { useAccounts } from "../overview/api";
import { useCounters, useLimits, useRegistered } from "./api";
import { type Context, tenantColumns } from "./columns";
import { matching, type TenantRow, tenantRows } from "./rows";
import css from "./tenants.module.css";

/** Tenants that one question returns; others are found by their id. */
const MOST = 1_000;
/** Tenants with a trend: the dearest. */
const TRENDS = 60;
const FOUND = 100;
const SLOW_MS = 15_000;
const METRICS = ["cost", "calls", "attempts", "errors", "sell", "unpriced"];

export default function Tenants() {
  const view = useView();
  const list = useList(view);
  const text = view.text("q");
  const shown = matching(list.rows, text);
  const sort = view.text("sort", "-cost");
  const columns = useMemo(() => tenantColumns(list.context), [list.context]);
  return (
    <Page
      title="Tenants"
      sub={
        list.query.data ? (
          <>
            {count(list.rows.length)}
            {list.cut ? " dearest" : ""} · <Money nanos={list.context.total} look="compact" /> in
            all
          </>
        ) : (
          <>&nbsp;</>
        )
      }
      actions={
        <>
          <input
            className={`input plain ${css.search}`}
            type="search"
            aria-label="Search tenants by id, name or plan"
            placeholder="Search tenants"
            value={text}
            onChange={(event) => view.set({ q: event.target.value || undefined })}
          />
          <FilterBar />
          <WindowPicker />
        </>
      }
    >
      <Card flush>
        <Async
          query={list.query}
          loading={
            <div style={{ padding: "var(--space-4)" }}>
              <Loading lines={10} height={420} />
            </div>
          }
        >
          {() => (
            <DataTable
              label="Tenants"
              rows={shown}
              columns={columns}
              keyOf={(row) => row.id}
              order={sort}
              onOrder={(one) => view.set({ sort: one && one !== "-cost" ? one : undefined })}
              csv="tenants"
              empty={<Nobody text={text} />}
              {...(list.cut ? { foot: `the ${count(MOST)} dearest; search finds others` } : {})}
            />
          )}
        </Async>
      </Card>
    </Page>
  );
}

function Nobody({ text }: { text: string }) {
  if (text) {
    return (
      <Empty title={`No tenant matches “${text}”`}>
        Tenants are found by id, name or plan; by id among all that have usage in this window.
      </Empty>
    );
  }
  return (
    <Empty
      title="There is no tenant yet"
      icon="tenants"
      actions={
        <Link className="button primary" to="/connect">
          Connect your app
        </Link>
      }
    >
      A tenant appears with the first call that names it, or when it is registered.
    </Empty>
  );
}

/** Everything that the list is made of. */
function useList(view: View) {
  const asked = { metrics: METRICS, by: ["tenant"], order: ["-cost"], limit: MOST };
  const usage = useQuestion(view.question(asked), { every: SLOW_MS });
  const past = { metrics: ["cost"], by: ["tenant"], order: ["-cost"], limit: MOST };
  const whole = view.earlier(past);
  const before = useQuestion(whole ?? view.question(past), {
    enabled: whole !== null,
    every: SLOW_MS,
  });
  const totals = useQuestion(view.question({ metrics: ["cost", "sell"] }));
  const cut = (usage.data?.rows.length ?? 0) >= MOST;
  const text = useDeferredValue(view.text("q").trim());
  const searched = useQuestion(
    view.question({
      ...asked,
      limit: FOUND,
      filters: [{ field: "tenant", op: "prefix", value: text }],
    }),
    { enabled: cut && text.length > 0, live: false },
  );
  const registered = useRegistered();
  const counters = useCounters();
  const limits = useLimits();
  const accounts = useAccounts();
  const found = cut && text ? searched.data?.rows : undefined;
  const rows = useMemo(
    () =>
      tenantRows({
        usage: joined(usage.data?.rows ?? [], found ?? []),
        before: before.data?.rows ?? [],
        // Filters narrow what is shown: who is not in the answer was not asked for.
        registered: view.filters.length
          ? (registered.data?.tenants ?? []).filter((one) =>
              usage.data?.rows.some((row) => row.tenant === one.tenant_id),
            )
          : (registered.data?.tenants ?? []),
        counters: counters.data?.counters ?? [],
        limits: limits.data?.limits ?? [],
        accounts: accounts.data?.accounts ?? [],
      }),
    [usage.data, found, before.data, registered.data, counters.data, limits.data, accounts.data, view.filters],
  ); // biome-ignore format: what the rows are made of
  const dearest = rows.filter((row) => row.cost > 0).slice(0, TRENDS);
  const trend = useTrends(
    view,
    dearest.map((row) => row.id),
  );
  const sum = totals.data?.rows[0];
  const context = useMemo(
    (): Context => ({
      total: num(sum, "cost"),
      sell: num(sum, "sell"),
      trend,
      credits: Boolean(accounts.data?.accounts.length),
      totals: sumOf(rows),
    }),
    [sum, trend, accounts.data, rows],
  );
  const query = registered.data === undefined && !registered.error ? registered : usage;
  return { rows, cut, context, query: query as typeof usage };
}

/** Return rows with those added that are not among them. */
function joined(rows: Row[], more: Row[]): Row[] {
  const known = new Set(rows.map((row) => row.tenant));
  return [...rows, ...more.filter((row) => !known.has(row.tenant ?? null))];
}

function sumOf(rows: TenantRow[]) {
  const sum = (of: (row: TenantRow) => number) => rows.reduce((all, row) => all + of(row), 0);
  return {
    calls: sum((row) => row.calls),
    errors: sum((row) => row.errors),
    attempts: sum((row) => row.attempts),
    before: sum((row) => row.before),
  };
}
