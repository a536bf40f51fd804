/** Cost over the window above the list; a bar narrows the window to its time. */

import { useCallback, useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { num, useQuestion } from "@/api/question";
import { axisMoney, bucketEnd, plottedMoney, tickOf, timeOfBucket } from "@/charts/axis";
import { Chart } from "@/charts/Chart";
import type { Palette } from "@/charts/palette";
import { overTime, timeline, timelineSheet } from "@/charts/series";
import { Button } from "@/design/basics";
import { Money } from "@/design/money";
import { plotted } from "@/lib/money";
import { moment } from "@/lib/time";
import { useView } from "@/lib/view";
import { filtersWith } from "./search";

const HEIGHT = 128;
const iso = (at: number) => new Date(at / 1000).toISOString();

export function CostOverTime() {
  const view = useView();
  const currency = useCurrency();
  const { zone } = view;
  const { grain, length } = view.window;
  const id = view.text("id");
  const more = id ? filtersWith(view).slice(-1) : [];
  const found = useQuestion(view.question({ metrics: ["cost"], grain, filters: more }));
  const exact = useMemo(
    () => found.data && timeline(found.data, { metric: "cost", grain, zone }),
    [found.data, grain, zone],
  );
  const total = found.data?.rows.reduce((sum, row) => sum + num(row, "cost"), 0) ?? 0;
  const option = useCallback(
    (colours: Palette) => {
      const line = exact ?? { times: [], series: [] };
      const series = line.series.map((one) => ({
        ...one,
        name: "Cost",
        values: one.values.map((nanos) => plotted(nanos, currency)),
      }));
      const made = overTime(
        { times: line.times, series },
        {
          shape: "bar",
          colours,
          axis: axisMoney(currency),
          full: plottedMoney(currency),
          time: timeOfBucket(grain, zone),
          tick: tickOf(length, zone),
        },
      );
      // There is room for few lines.
      return { ...made, yAxis: { ...(made.yAxis as object), splitNumber: 2 } };
    },
    [exact, currency, zone, grain, length],
  );
  const narrow = (at: number) =>
    view.set({ from: iso(at), to: iso(bucketEnd(at, grain, zone)) }, { replace: false });
  const narrowed = Boolean(view.text("from"));
  const whole = ["outcome", "cost_from", "cost_to"].some((key) => view.text(key));
  return (
    <Chart
      title="Cost"
      note={
        <>
          <Money nanos={total} />
          {whole && " of all outcomes and costs"}
        </>
      }
      name="requests-cost"
      label="Cost over the window. The window can be narrowed with the picker above, too."
      height={HEIGHT}
      query={found}
      isEmpty={!exact?.times.length}
      option={option}
      sheet={() =>
        timelineSheet(exact ?? { times: [], series: [] }, (at) => moment(at, zone), "nano-dollars")
      }
      onColumn={(at) => narrow(Number(at))}
      actions={
        narrowed && (
          <Button
            small
            look="quiet"
            onClick={() => view.set({ from: undefined, to: undefined }, { replace: false })}
          >
            Back to the wider window
          </Button>
        )
      }
    />
  );
}
