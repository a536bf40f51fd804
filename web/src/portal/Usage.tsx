/** What was used, over time and by whom. */

import { useCallback, useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { name, num, type Row } from "@/api/question";
import { Chart } from "@/charts/Chart";
import type { Palette } from "@/charts/palette";
import { overTime, timeline, timelineSheet } from "@/charts/series";
import { Async, Card, Empty, Loading, Segments, Select } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { compact, percent } from "@/lib/numbers";
import { usePreferences } from "@/lib/preferences";
import { day } from "@/lib/time";
import { full, onAxis } from "@/lib/units";
import { heading } from "@/lib/words";
import { go, usePortalState } from "./state";
import {
  METRICS,
  type Me,
  metricsOf,
  type PortalMetric,
  useUsage,
  WINDOWS,
  windowOf,
} from "./usage";

const MAX_ROWS = 200;
const MAX_POINTS = 5_000;

export function Usage({ me }: { me: Me }) {
  const state = usePortalState();
  const { zone } = usePreferences();
  const metrics = metricsOf(me);
  const metric = metrics.find((one) => one === state("metric", "")) ?? metrics[0] ?? "requests";
  const by = me.dimensions.find((one) => one === state("by", "")) ?? me.dimensions[0];
  const when = { ...windowOf(state("window", "30d"), new Date(), zone), timezone: zone };
  return (
    <>
      <Totals me={me} when={when} />
      <Overtime metric={metric} by={by} when={when} metrics={metrics} dimensions={me.dimensions} />
      {by && <Breakdown metrics={metrics} by={by} when={when} main={metric} />}
    </>
  );
}

type When = ReturnType<typeof windowOf> & { timezone: string };

function Totals({ me, when }: { me: Me; when: When }) {
  const currency = useCurrency();
  const metrics: PortalMetric[] = [...metricsOf(me), "users"];
  const found = useUsage({ ...when, metrics });
  const row = found.data?.rows[0];
  return (
    <section className="stats" aria-label="Totals">
      {metrics.map((metric) => {
        const { label, unit } = METRICS[metric];
        const value = num(row, metric);
        const shown = unit === "tokens" ? compact(value) : full(unit, currency)(value);
        return (
          <div className="stat" key={metric}>
            <span className="label">{label}</span>
            <span className="value">
              {found.data ? (
                shown
              ) : (
                <span className="skeleton" style={{ height: "1.6rem", width: "60%" }} />
              )}
            </span>
          </div>
        );
      })}
    </section>
  );
}

interface OvertimeProps {
  metric: PortalMetric;
  by: string | undefined;
  when: When;
  metrics: PortalMetric[];
  dimensions: string[];
}

function Overtime({ metric, by, when, metrics, dimensions }: OvertimeProps) {
  const currency = useCurrency();
  const zone = when.timezone;
  const { unit, label } = METRICS[metric];
  const query = useUsage({
    ...when,
    metrics: [metric],
    by: by ? [by] : [],
    grain: "day",
    limit: MAX_POINTS,
  });
  const found = useMemo(
    () =>
      query.data
        ? timeline(query.data, { metric, grain: "day", zone, ...(by ? { by } : {}) })
        : null,
    [query.data, metric, by, zone],
  );
  const time = useCallback((at: number) => day(at, zone), [zone]);
  const tick = useCallback((at: number) => day(at, zone).replace(/,? \d{4}$/, ""), [zone]);
  const option = useCallback(
    (colours: Palette) =>
      overTime(found ?? { times: [], series: [] }, {
        shape: "bar",
        colours,
        axis: onAxis(unit, currency),
        full: full(unit, currency),
        time,
        tick,
      }),
    [found, unit, currency, time, tick],
  );
  return (
    <Chart
      title={`${label} by day`}
      name={`usage-${metric}`}
      label={`${label} by day${by ? ` and ${by}` : ""}`}
      height={280}
      query={query}
      isEmpty={!found?.series.some((one) => one.total > 0)}
      option={option}
      sheet={() => timelineSheet(found ?? { times: [], series: [] }, time, unit)}
      actions={
        <>
          <Select
            label="Metric"
            value={metric}
            choices={metrics.map((one) => [one, METRICS[one].label] as const)}
            onChange={(one) => go({ metric: one })}
          />
          {by && (
            <Select
              label="By"
              value={by}
              choices={dimensions.map((one) => [one, `by ${one.replaceAll("_", " ")}`] as const)}
              onChange={(one) => go({ by: one })}
            />
          )}
        </>
      }
    />
  );
}

function Breakdown(props: { metrics: PortalMetric[]; by: string; when: When; main: PortalMetric }) {
  const { metrics, by, when, main } = props;
  const currency = useCurrency();
  const query = useUsage({ ...when, metrics, by: [by], order: [`-${main}`], limit: MAX_ROWS });
  const columns = useMemo(() => {
    const total = query.data?.rows.reduce((sum, row) => sum + num(row, main), 0) ?? 0;
    const found: TableColumn<Row>[] = [
      { id: by, header: heading(by), value: (row) => name(row[by]) },
      ...metrics.map((metric) => ({
        id: metric,
        header: METRICS[metric].label,
        end: true,
        wide: metric !== main,
        value: (row: Row) => num(row, metric),
        cell: (row: Row) => full(METRICS[metric].unit, currency)(num(row, metric)),
      })),
      {
        id: "share",
        header: "Share",
        end: true,
        value: (row) => (total ? num(row, main) / total : 0),
        cell: (row) => percent(total ? num(row, main) / total : 0),
      },
    ];
    return found;
  }, [query.data, by, metrics, main, currency]);
  return (
    <Card flush title={`By ${by.replaceAll("_", " ")}`}>
      <Async query={query} loading={<Loading lines={6} height={240} />}>
        {(found) => (
          <DataTable
            label={`Usage by ${by}`}
            rows={found.rows}
            columns={columns}
            keyOf={(row, at) => `${row[by]}-${at}`}
            csv={`usage-by-${by}`}
            empty={<Empty title="No usage in this time">Choose a longer time.</Empty>}
          />
        )}
      </Async>
    </Card>
  );
}

/** The choice of the time that is looked at. */
export function WindowChoice() {
  const state = usePortalState();
  const chosen = state("window", "30d");
  return (
    <Segments
      label="Time"
      value={chosen}
      choices={WINDOWS.map(([id, label]) => [id as string, label] as const)}
      onChange={(window) => go({ window: window === "30d" ? undefined : window })}
    />
  );
}
