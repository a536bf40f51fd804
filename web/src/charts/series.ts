/** Rows of answers as series over time: the few largest by name, all others as one. */

import { type Answer, name, num, type Row } from "@/api/question";
import { DAY, HOUR, MINUTE } from "@/lib/time";
import { buckets } from "./axis";
import type { Option, Sheet } from "./Chart";
import { type Palette, SERIES } from "./palette";

export interface Series {
  name: string;
  /** One value for each of the times; 0 where there was nothing. */
  values: number[];
  total: number;
  rest?: boolean;
}

export interface Timeline {
  /** Microseconds UTC, ascending and without gaps. */
  times: number[];
  series: Series[];
}

export const REST = "Everything else";
const MAX_POINTS = 2_000;
/** About how long a bucket is, to bound how many there are; local days have 23 to 25 hours. */
const STEP: Record<string, number> = { minute: MINUTE, hour: HOUR, day: DAY };

/** Return an instant of an answer's `time` column, which is RFC 3339 text, in microseconds UTC. */
export function timeOf(row: Row): number {
  const at = row.time;
  return typeof at === "number" ? at : Date.parse(String(at)) * 1000;
}

/** Return the buckets from the first to the last, those without rows too. */
function filled(seen: number[], grain: string, zone: string): number[] {
  const step = STEP[grain];
  const first = seen[0];
  const last = seen.at(-1);
  if (!step || first === undefined || last === undefined || (last - first) / step > MAX_POINTS)
    return seen;
  return buckets(first, last + 1, grain, zone);
}

interface Grouped {
  metric: string;
  by?: string;
  grain: string;
  /** Whose days the answer's days are. */
  zone: string;
  top?: number;
}

/** Group an answer with a `time` column by a dimension; `by` undefined makes one series. */
export function timeline(
  answer: Answer,
  { metric, by, grain, zone, top = SERIES }: Grouped,
): Timeline {
  const seen = [...new Set(answer.rows.map(timeOf))].sort((a, b) => a - b);
  const times = filled(seen, grain, zone);
  const place = new Map(times.map((at, index) => [at, index]));
  const groups = new Map<string, number[]>();
  for (const row of answer.rows) {
    const key = by ? name(row[by]) : metric;
    let values = groups.get(key);
    if (!values) {
      values = new Array<number>(times.length).fill(0);
      groups.set(key, values);
    }
    const at = place.get(timeOf(row));
    if (at !== undefined) values[at] = (values[at] ?? 0) + num(row, metric);
  }
  const all: Series[] = [...groups].map(([key, values]) => ({
    name: key,
    values,
    total: values.reduce((sum, value) => sum + value, 0),
  }));
  all.sort((a, b) => b.total - a.total);
  if (all.length <= top) return { times, series: all };
  const kept = all.slice(0, top - 1);
  const others = all.slice(top - 1);
  const values = times.map((_, at) => others.reduce((sum, one) => sum + (one.values[at] ?? 0), 0));
  const rest = { name: REST, values, total: values.reduce((a, b) => a + b, 0), rest: true };
  return { times, series: [...kept, rest] };
}

export type Shape = "line" | "bar" | "area";

interface Look {
  shape: Shape;
  colours: Palette;
  /** How a value is shown on the axis, and in full. */
  axis: (value: number) => string;
  full: (value: number) => string;
  time: (at: number) => string;
  tick: (at: number) => string;
  stack?: boolean;
  marks?: { name: string; value: number }[];
}

/** Return the colour of a series by its place. */
export function colour(colours: Palette, at: number, rest = false): string {
  return rest ? colours.rest : (colours.series[at % colours.series.length] ?? colours.accent);
}

/** Return a chart over time. */
export function overTime(found: Timeline, look: Look): Option {
  const { colours, shape } = look;
  const stack = look.stack ?? shape !== "line";
  return {
    grid: {
      left: 8,
      right: 12,
      top: 12,
      bottom: found.series.length > 1 ? 34 : 4,
      containLabel: true,
    },
    legend: {
      show: found.series.length > 1,
      bottom: 0,
      type: "scroll",
      icon: "roundRect",
      itemWidth: 9,
      itemHeight: 9,
      itemGap: 14,
      textStyle: { color: colours.faint, fontSize: 11 },
      pageTextStyle: { color: colours.faint },
      pageIconColor: colours.faint,
    },
    tooltip: {
      trigger: "axis",
      axisPointer: {
        type: shape === "bar" ? "shadow" : "line",
        lineStyle: { color: colours.faint },
      },
      formatter: (
        points: { axisValue: string; seriesName: string; value: number; color: string }[],
      ) => tip(points, look, found),
    },
    xAxis: {
      type: "category",
      data: found.times.map(String),
      boundaryGap: shape === "bar",
      axisLine: { lineStyle: { color: colours.line } },
      axisTick: { show: false },
      axisLabel: {
        color: colours.faint,
        hideOverlap: true,
        formatter: (at: string) => look.tick(Number(at)),
      },
    },
    yAxis: {
      type: "value",
      splitNumber: 4,
      axisLabel: { color: colours.faint, formatter: look.axis },
      splitLine: { lineStyle: { color: colours.line } },
    },
    series: found.series.map((one, at) => ({
      name: one.name,
      type: shape === "bar" ? "bar" : "line",
      data: one.values,
      ...(stack ? { stack: "all" } : {}),
      symbol: "none",
      barMaxWidth: 28,
      lineStyle: { width: shape === "area" ? 1 : 1.75 },
      ...(shape === "area" ? { areaStyle: { opacity: 0.75 } } : {}),
      itemStyle: { color: colour(colours, at, one.rest) },
      emphasis: { focus: "series" },
      ...(at === 0 && look.marks?.length ? { markLine: marked(look.marks, look) } : {}),
    })),
  };
}

function marked(marks: { name: string; value: number }[], look: Look): Option {
  return {
    symbol: "none",
    silent: true,
    label: { position: "insideEndTop", color: look.colours.faint, formatter: "{b}" },
    lineStyle: { type: "dashed", color: look.colours.warn, width: 1.25 },
    data: marks.map((mark) => ({ name: mark.name, yAxis: mark.value })),
  };
}

const MAX_TIPS = 10;

/** Escape text for a tooltip's HTML: names come from tenants. */
export function escaped(value: string): string {
  return value.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

function tip(
  points: { axisValue: string; seriesName: string; value: number; color: string }[],
  look: Look,
  found: Timeline,
): string {
  const seen = points.filter((point) => point.value).sort((a, b) => b.value - a.value);
  const total = seen.reduce((sum, point) => sum + point.value, 0);
  const head = `<div style="color:${look.colours.faint};margin-bottom:4px">${escaped(look.time(Number(points[0]?.axisValue)))}</div>`;
  const line = (label: string, value: number, color: string) =>
    `<div style="display:flex;gap:16px;justify-content:space-between"><span>${
      color
        ? `<i style="display:inline-block;width:8px;height:8px;border-radius:2px;margin-right:6px;background:${color}"></i>`
        : ""
    }${escaped(label)}</span><b style="font-variant-numeric:tabular-nums;font-weight:600">${escaped(look.full(value))}</b></div>`;
  const lines = seen
    .slice(0, MAX_TIPS)
    .map((point) => line(point.seriesName, point.value, point.color));
  const sum = found.series.length > 1 && look.shape !== "line" ? line("All", total, "") : "";
  return head + (lines.length ? lines.join("") + sum : "nothing");
}

/** Return a timeline as a table with exact values. */
export function timelineSheet(found: Timeline, time: (at: number) => string, unit: string): Sheet {
  return {
    header: ["time", ...found.series.map((one) => `${one.name} (${unit})`)],
    rows: found.times.map((at, index) => [
      time(at),
      ...found.series.map((one) => one.values[index] ?? 0),
    ]),
  };
}
