/** Usage over time by a dimension: its largest values by name, and all others as what is left. */

import { useMemo, useRef } from "react";
import {
  type Answer,
  type Filter,
  name,
  num,
  type Question,
  useQuestion,
  type Value,
} from "@/api/question";
import { DAY, HOUR, localDay, MINUTE, zoned } from "@/lib/time";
import { buckets } from "./axis";
import { SERIES } from "./palette";
import { REST, type Series, type Timeline, timeline } from "./series";

const MAX_ROWS = 10_000;
const MAX_BUCKETS = 2_000;

/** What `timeline` calls a value that is not set. */
const NAMELESS = name(null);

/** Return what a value is called: what is not set says of which dimension. */
export function labelOf(by: string, value: Value | undefined): string {
  return name(value, `(no ${by.replace("_root", "").replaceAll("_", " ")})`);
}

/** Asks over a window and filters: `question` of a view. */
type Ask = (part: Omit<Question, "filters"> & { filters?: Filter[] }) => Question;

export interface Part {
  /** The value of the dimension; `undefined` is what is left. */
  value: Value | undefined;
  amount: number;
}

export interface Stack {
  by: string;
  grain: string;
  timeline: Timeline;
  /** The largest values in the order of their colours, then what is left. */
  parts: Part[];
  /** The sum of everything, by metric. */
  totals: Record<string, number>;
}

/**
 * Return the whole split into named parts and what is left of it.
 *
 * Times are those of the whole. What is left is never below zero: the two answers may be of
 * moments a second apart.
 */
export function withRest(whole: Timeline, parts: Timeline, isAll: boolean): Timeline {
  const place = new Map(parts.times.map((at, index) => [at, index]));
  const series: Series[] = parts.series.map((one) => {
    const values = whole.times.map((at) => one.values[place.get(at) ?? -1] ?? 0);
    return { ...one, values, total: sum(values) };
  });
  if (isAll) return { times: whole.times, series };
  const all = whole.series[0]?.values ?? [];
  const values = whole.times.map((_, at) =>
    Math.max(0, (all[at] ?? 0) - series.reduce((found, one) => found + (one.values[at] ?? 0), 0)),
  );
  const total = sum(values);
  if (!total) return { times: whole.times, series };
  return { times: whole.times, series: [...series, { name: REST, values, total, rest: true }] };
}

/** Return the buckets of a whole window, those without usage too; `times` has one at least. */
export function spanned(times: number[], grain: string, from: number, to: number, zone: string) {
  const first = times[0];
  const last = times.at(-1);
  const step = { minute: MINUTE, hour: HOUR }[grain];
  if (first === undefined || last === undefined || (to - from) / (step ?? DAY) > MAX_BUCKETS)
    return times;
  // Buckets begin at the zone's own minutes and hours, as those do that have usage.
  const at = step
    ? first - Math.ceil((first - from) / step) * step
    : zoned(localDay(Math.min(first, from), zone), zone);
  return buckets(at, Math.max(to, last + 1), grain, zone);
}

/** Return series over other times: values stay at theirs, all else is 0. */
function over(times: number[], found: Timeline): Timeline {
  const place = new Map(found.times.map((at, index) => [at, index]));
  const series = found.series.map((one) => ({
    ...one,
    values: times.map((at) => one.values[place.get(at) ?? -1] ?? 0),
  }));
  return { times, series };
}

/** Return series in the order of some names. */
function ordered(series: Series[], names: string[]): Series[] {
  const place = (one: Series) => names.indexOf(one.name);
  return [...series].sort((a, b) => place(a) - place(b));
}

const sum = (values: number[]) => values.reduce((found, value) => found + value, 0);

/** Return the sum over time of each metric of an answer. */
export function totalsOf(answer: Answer): Record<string, number> {
  const found: Record<string, number> = {};
  for (const column of answer.columns) {
    if (column.kind === "metric") {
      found[column.name] = sum(answer.rows.map((row) => num(row, column.name)));
    }
  }
  return found;
}

interface Asked {
  by: string;
  metric: string;
  grain: NonNullable<Question["grain"]>;
  zone: string;
  /** Metrics to add up beside; only such that can be added up. */
  beside?: string[];
}

/** Ask for usage over time by a dimension. What was there stays until the next one is whole. */
export function useStack(ask: Ask, { by, metric, grain, zone, beside = [] }: Asked) {
  const top = SERIES - 1;
  const keys = useQuestion(
    ask({ metrics: [metric], by: [by], order: [`-${metric}`], limit: SERIES }),
  );
  const values = keys.data?.rows.map((row) => row[by] ?? null) ?? [];
  const isAll = values.length <= SERIES - 1;
  const shown = isAll ? values : values.slice(0, top);
  const parts = useQuestion(
    ask({
      metrics: [metric],
      by: [by],
      grain,
      order: ["time"],
      limit: MAX_ROWS,
      filters: [{ field: by, op: "in", value: shown }],
    }),
    { enabled: shown.length > 0 },
  );
  const whole = useQuestion(
    ask({ metrics: [metric, ...beside], grain, order: ["time"], limit: MAX_ROWS }),
  );
  const last = useRef<Stack | undefined>(undefined);
  const moving = keys.isPlaceholderData || parts.isPlaceholderData || whole.isPlaceholderData;
  const data = useMemo(() => {
    const empty = keys.data && !keys.data.rows.length;
    if (moving || !keys.data || !whole.data || (!parts.data && !empty)) return last.current;
    const { from, to } = whole.data;
    const seen = timeline(whole.data, { metric, grain, zone });
    const range = [Date.parse(from) * 1000, Date.parse(to) * 1000] as const;
    const all = over(spanned(seen.times, grain, ...range, zone), seen);
    const found = parts.data
      ? timeline(parts.data, { metric, by, grain, zone, top: Infinity })
      : null;
    for (const one of found?.series ?? []) if (one.name === NAMELESS) one.name = labelOf(by, null);
    const names = keys.data.rows.map((row) => labelOf(by, row[by]));
    const split = found
      ? withRest(all, { ...found, series: ordered(found.series, names) }, isAll)
      : { times: all.times, series: [] };
    const rows = keys.data.rows.slice(0, shown.length);
    const totals = totalsOf(whole.data);
    const named: Part[] = rows.map((row) => ({ value: row[by] ?? null, amount: num(row, metric) }));
    const left = (totals[metric] ?? 0) - sum(named.map((part) => part.amount));
    if (!isAll && left > 0) named.push({ value: undefined, amount: left });
    last.current = { by, grain, timeline: split, parts: named, totals };
    return last.current;
  }, [moving, keys.data, parts.data, whole.data, metric, by, grain, zone, isAll, shown.length]);
  const error = keys.error ?? parts.error ?? whole.error;
  const refetch = () => {
    for (const one of [keys, parts, whole]) void one.refetch();
  };
  return { data, error, isPending: !data && !error, isPlaceholderData: moving, refetch };
}
