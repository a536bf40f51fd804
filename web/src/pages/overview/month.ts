/** The picture of a month. */

import type { Option } from "@/charts/Chart";
import type { Palette } from "@/charts/palette";
import { escaped } from "@/charts/series";
import { type Currency, plotted } from "@/lib/money";
import type { Forecast } from "./api";
import { pace, running } from "./judge";

export interface MonthLook {
  colours: Palette;
  currency: Currency;
  /** Running totals instead of days. */
  total: boolean;
  axis: (value: number) => string;
  full: (value: number) => string;
  time: (at: number) => string;
  tick: (at: number) => string;
}

export interface Split {
  /** Nano-dollars of each day: what is spent, and what is foreseen on top of it. */
  spent: number[];
  foreseen: number[];
}

/** Split days into what is spent and what is foreseen; today has both. */
export function split(found: Pick<Forecast, "days" | "today_nanos">): Split {
  const today = found.days.findIndex((one) => one.forecast);
  const spent = found.days.map((one, at) =>
    !one.forecast ? one.cost_nanos : at === today ? found.today_nanos : 0,
  );
  const foreseen = found.days.map((one, at) =>
    one.forecast ? Math.max(0, one.cost_nanos - (spent[at] ?? 0)) : 0,
  );
  return { spent, foreseen };
}

export function monthOption(found: Forecast, look: MonthLook): Option {
  const { colours } = look;
  return {
    grid: { left: 8, right: 12, top: 16, bottom: 4, containLabel: true },
    tooltip: {
      trigger: "axis",
      axisPointer: { type: look.total ? "line" : "shadow", lineStyle: { color: colours.faint } },
      formatter: (points: { axisValue: string }[]) =>
        tip(found, look, Number(points[0]?.axisValue)),
    },
    xAxis: {
      type: "category",
      data: found.days.map((one) => String(one.day)),
      boundaryGap: !look.total,
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
      // The budget's line is in sight although nothing reaches it.
      max: (range: { max: number }) => roof(found, look, range.max),
      axisLabel: { color: colours.faint, formatter: look.axis },
      splitLine: { lineStyle: { color: colours.line } },
    },
    series: look.total ? totals(found, look) : days(found, look),
  };
}

const STEPS = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10];

/** Return the next round number above an amount, for the top of an axis. */
export function roundUp(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value));
  return (STEPS.find((step) => step * unit > value) ?? 10) * unit;
}

/** Return the top of the axis; `null` leaves it to the chart. */
function roof(found: Forecast, look: MonthLook, most: number): number | null {
  const line = found.budget ? mark(found, look) : 0;
  return line > most ? roundUp(line) : null;
}

/** Return where the budget's line is, in units of the currency. */
function mark(found: Forecast, look: MonthLook): number {
  const amount = found.budget?.amount_nanos ?? 0;
  return plotted(look.total ? amount : pace(amount, found.month), look.currency);
}

function budgetLine(found: Forecast, look: MonthLook): Option {
  if (!found.budget) return {};
  const text = look.total ? "Budget" : "Budget, even pace";
  return {
    markLine: {
      symbol: "none",
      silent: true,
      label: {
        position: "insideStartTop",
        color: look.colours.warn,
        backgroundColor: look.colours.raised,
        borderRadius: 3,
        padding: [2, 5],
        formatter: `${text} ${look.full(mark(found, look))}`,
      },
      lineStyle: { type: "dashed", color: look.colours.warn, width: 1.25 },
      data: [{ yAxis: mark(found, look) }],
    },
  };
}

function days(found: Forecast, look: MonthLook): Option[] {
  const { spent, foreseen } = split(found);
  const { colours } = look;
  const hatched = {
    color: "transparent",
    borderColor: colours.accent,
    borderWidth: 1,
    borderType: "solid",
    opacity: 0.55,
    decal: {
      symbol: "rect",
      color: colours.accent,
      dashArrayX: [1, 0],
      dashArrayY: [1, 4],
      rotation: -Math.PI / 4,
    },
  };
  const shared = { type: "bar", stack: "day", barCategoryGap: "28%", barMaxWidth: 28 };
  const units = (nanos: number) => plotted(nanos, look.currency);
  return [
    {
      ...shared,
      name: "Spent",
      data: spent.map(units),
      itemStyle: { color: colours.accent },
      ...budgetLine(found, look),
    },
    { ...shared, name: "Foreseen", data: foreseen.map(units), itemStyle: hatched },
  ];
}

function totals(found: Forecast, look: MonthLook): Option[] {
  const { colours } = look;
  const units = (nanos: number | null) => (nanos === null ? null : plotted(nanos, look.currency));
  const { spent, foreseen } = split(found);
  const today = found.days.findIndex((one) => one.forecast);
  const until = today < 0 ? found.days.length : today;
  const sums = running(spent);
  const ahead = running(spent.map((one, at) => one + (foreseen[at] ?? 0)));
  const line = { type: "line", symbol: "none", lineStyle: { width: 1.75, color: colours.accent } };
  return [
    {
      ...line,
      name: "Spent",
      data: sums.map((sum, at) => units(at <= until ? sum : null)),
      itemStyle: { color: colours.accent },
      areaStyle: { color: colours.accent, opacity: 0.12 },
      ...budgetLine(found, look),
    },
    {
      ...line,
      name: "Foreseen",
      data: ahead.map((sum, at) => units(at >= until ? sum : null)),
      lineStyle: { width: 1.75, type: [4, 4], color: colours.accent },
      itemStyle: { color: colours.accent },
    },
  ];
}

function tip(found: Forecast, look: MonthLook, day: number): string {
  const at = found.days.findIndex((one) => one.day === day);
  const { spent, foreseen } = split(found);
  const upTo = (values: number[]) => values.slice(0, at + 1).reduce((sum, one) => sum + one, 0);
  const of = (values: number[]) => (look.total ? upTo(values) : (values[at] ?? 0));
  const amount = (nanos: number) => escaped(look.full(plotted(nanos, look.currency)));
  const line = (label: string, nanos: number) =>
    `<div style="display:flex;gap:16px;justify-content:space-between"><span>${label}</span><b style="font-variant-numeric:tabular-nums;font-weight:600">${amount(nanos)}</b></div>`;
  const head = `<div style="color:${look.colours.faint};margin-bottom:4px">${escaped(look.time(day))}</div>`;
  const spentLine = of(spent) ? line("Spent", of(spent)) : "";
  const more = of(foreseen) ? line(spentLine ? "Foreseen on top" : "Foreseen", of(foreseen)) : "";
  return head + spentLine + more;
}
