/** Price over time: a step where it changes, per million, as believed now. */

import type { UseQueryResult } from "@tanstack/react-query";
import { useCallback, useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import type { components } from "@/api/schema";
import { Chart, type Option } from "@/charts/Chart";
import type { Palette } from "@/charts/palette";
import { colour, escaped } from "@/charts/series";
import { Empty } from "@/design/basics";
import { plotted } from "@/lib/money";
import { day, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { perOf, priceText, unitLabel } from "./rates";
import { type UnitSteps, unitSteps } from "./steps";

type History = components["schemas"]["PriceHistory"];
const SHOWN = ["input", "input_cache_read", "input_cache_write", "output"];
const MOST = 6;

/** Return the units to draw: tokens first; only what has a price for a million in common. */
function drawn(all: UnitSteps[]): UnitSteps[] {
  const tokens = all.filter((one) => SHOWN.includes(one.unit));
  const chosen = tokens.length ? tokens : all;
  return chosen.sort((a, b) => SHOWN.indexOf(a.unit) - SHOWN.indexOf(b.unit)).slice(0, MOST);
}

export function StepChart({
  name,
  history,
  tenant,
}: {
  name: string;
  history: UseQueryResult<History>;
  tenant: string;
}) {
  const { zone } = useView();
  const currency = useCurrency();
  const units = useMemo(
    () => drawn(unitSteps(history.data?.rates ?? [], nowMicros(), tenant)),
    [history.data, tenant],
  );
  const option = useCallback(
    (colours: Palette): Option => ({
      grid: { left: 8, right: 16, top: 12, bottom: 34, containLabel: true },
      legend: {
        bottom: 0,
        icon: "roundRect",
        itemWidth: 9,
        itemHeight: 9,
        itemGap: 14,
        textStyle: { color: colours.faint, fontSize: 11 },
      },
      tooltip: {
        trigger: "axis",
        axisPointer: { type: "line", lineStyle: { color: colours.faint } },
        formatter: (points: { value: [number, number | null] }[]) => {
          const at = (points[0]?.value[0] ?? 0) * 1000;
          const lines = units.map((one) => {
            const step = one.steps.findLast((each) => each.at <= at);
            const text =
              step?.nanos === null || step?.nanos === undefined
                ? "no price"
                : priceText(step.nanos, perOf(one.unit, step.nanos), currency);
            return `<div style="display:flex;gap:16px;justify-content:space-between"><span>${escaped(unitLabel(one.unit))}</span><b>${escaped(text)}</b></div>`;
          });
          return `<div style="color:${colours.faint}">${escaped(moment(at, zone))}</div>${lines.join("")}`;
        },
      },
      xAxis: {
        type: "time",
        axisLine: { lineStyle: { color: colours.line } },
        axisTick: { show: false },
        axisLabel: {
          color: colours.faint,
          hideOverlap: true,
          formatter: (at: number) => day(at * 1000, zone),
        },
      },
      yAxis: {
        type: "value",
        splitNumber: 3,
        axisLabel: {
          color: colours.faint,
          formatter: (value: number) =>
            new Intl.NumberFormat(undefined, {
              style: "currency",
              currency: currency.code,
              maximumFractionDigits: 2,
              minimumFractionDigits: 0,
            }).format(value),
        },
        splitLine: { lineStyle: { color: colours.line } },
      },
      series: units.map((one, at) => ({
        name: unitLabel(one.unit),
        type: "line",
        step: "end",
        symbol: "circle",
        symbolSize: 5,
        showSymbol: one.steps.length <= 12,
        lineStyle: { width: 1.75 },
        itemStyle: { color: colour(colours, at) },
        data: one.steps.map((step) => [
          step.at / 1000,
          step.nanos === null ? null : plotted(step.nanos, currency),
        ]),
      })),
    }),
    [units, currency, zone],
  );
  return (
    <Chart
      title="Price over time"
      note="for calls without conditions, per million, as believed now"
      name={`price-${name.replaceAll("/", "-")}`}
      label={`Price of ${name} over time`}
      option={option}
      height={236}
      query={history}
      isEmpty={!units.some((one) => one.steps.some((step) => step.nanos !== null))}
      empty={
        <Empty title="No price without conditions" icon="prices">
          Nothing has priced plain calls of this model.
        </Empty>
      }
      sheet={() => ({
        header: ["unit", "from", "nano-dollars per million"],
        rows: units.flatMap((one) =>
          one.steps.map((step) => [one.unit, moment(step.at, zone), step.nanos]),
        ),
      })}
    />
  );
}
