/** Cost over time, the few largest of a dimension by name. */

import { useCallback, useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { useQuestion } from "@/api/question";
import { axisMoney, plottedMoney, tickOf, timeOfBucket } from "@/charts/axis";
import { Chart } from "@/charts/Chart";
import type { Palette } from "@/charts/palette";
import { overTime, REST, timeline, timelineSheet } from "@/charts/series";
import { plotted } from "@/lib/money";
import { moment } from "@/lib/time";
import { NONE, type View } from "@/lib/view";
import { type By, ONE } from "./actions";

const MAX_ROWS = 5_000;
const TOP = 8;

interface Props {
  view: View;
  by: By;
  height: number;
  className: string;
}

export function CostBy({ view, by, height, className }: Props) {
  const currency = useCurrency();
  const { zone } = view;
  const { grain, length } = view.window;
  const found = useQuestion(view.question({ metrics: ["cost"], by: [by], grain, limit: MAX_ROWS }));
  const exact = useMemo(
    () => found.data && timeline(found.data, { metric: "cost", by, grain, zone, top: TOP }),
    [found.data, by, grain, zone],
  );
  const option = useCallback(
    (colours: Palette) => {
      const line = exact ?? { times: [], series: [] };
      const series = line.series.map((one) => ({
        ...one,
        values: one.values.map((nanos) => plotted(nanos, currency)),
      }));
      return overTime(
        { times: line.times, series },
        {
          shape: "area",
          colours,
          axis: axisMoney(currency),
          full: plottedMoney(currency),
          time: timeOfBucket(grain, zone),
          tick: tickOf(length, zone),
        },
      );
    },
    [exact, currency, zone, grain, length],
  );
  return (
    <Chart
      title={`Cost by ${ONE[by]}`}
      name={`cost-by-${by}`}
      label={`Cost over time by ${ONE[by]}`}
      className={className}
      height={height}
      query={found}
      isEmpty={!exact?.times.length}
      option={option}
      sheet={() =>
        timelineSheet(exact ?? { times: [], series: [] }, (at) => moment(at, zone), "nano-dollars")
      }
      onPick={({ seriesName }) => {
        if (seriesName === REST) return;
        view.set({ row: seriesName === "(none)" ? NONE : seriesName });
      }}
    />
  );
}
