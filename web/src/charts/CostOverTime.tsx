/** Cost over time, stacked by a dimension of choice, with its parts as a list beside it. */

import { useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { Async, Card, Empty, Loading, Select } from "@/design/basics";
import { plotted } from "@/lib/money";
import { HOUR } from "@/lib/time";
import type { Search, View } from "@/lib/view";
import { axisMoney, bucketEnd, isMidnight, plottedMoney, tickOf, timeOfBucket } from "./axis";
import { Chart, Shapes } from "./Chart";
import { filterBy, Ranking } from "./Ranking";
import { overTime, type Shape, timelineSheet } from "./series";
import { labelOf, type Stack, type useStack } from "./stacked";

const SHAPES = [
  ["bar", "Bars"],
  ["area", "Area"],
  ["line", "Lines"],
] as const;

const HEIGHT = 328;

interface Props {
  view: View;
  title: string;
  /** File name of what is saved. */
  file: string;
  choices: readonly (readonly [string, string])[];
  by: string;
  stack: ReturnType<typeof useStack>;
  /** Filters that go along to the requests behind. */
  fixed?: Search;
}

/** Return the shape of the chart that a URL names. */
export function shapeOf(view: View): Shape {
  const found = view.text("shape", "bar");
  return SHAPES.find(([shape]) => shape === found)?.[0] ?? "bar";
}

export function CostOverTime({ view, title, file, choices, by, stack, fixed = {} }: Props) {
  const currency = useCurrency();
  const navigate = useNavigate();
  const shape = shapeOf(view);
  const found = stack.data;
  const noun = choices.find(([id]) => id === by)?.[1] ?? by;
  const shown = useMemo(() => (found ? inUnits(found, currency) : null), [found, currency]);
  const option = useMemo(() => {
    const { length } = view.window;
    return (colours: Parameters<typeof overTime>[1]["colours"]) => {
      if (!shown || !found) return {};
      const made = overTime(shown, {
        shape,
        colours,
        axis: axisMoney(currency),
        full: plottedMoney(currency),
        time: timeOfBucket(found.grain, view.zone),
        tick: tickOf(length, view.zone),
      });
      // The list beside the chart is its legend, and can be reached with the keyboard.
      const legend = { show: false };
      const grid = { ...(made.grid as object), bottom: 4 };
      if (found.grain !== "hour" || length <= 36 * HOUR) return { ...made, legend, grid };
      // Over days, hours are named by their day, once each.
      const axis = made.xAxis as { axisLabel: object };
      const interval = (at: number) => isMidnight(found.timeline.times[at] ?? 0, view.zone);
      return {
        ...made,
        legend,
        grid,
        xAxis: { ...axis, axisLabel: { ...axis.axisLabel, interval } },
      };
    };
  }, [shown, found, shape, currency, view.window, view.zone]);
  const pick = ({ name: at, seriesName }: { name: string; seriesName: string }) => {
    if (!found) return;
    const part = found.parts.find(
      (one) => one.value !== undefined && labelOf(by, one.value) === seriesName,
    );
    const iso = (time: number) => new Date(time / 1000).toISOString();
    const end = bucketEnd(Number(at), found.grain, view.zone);
    const span = { last: undefined, from: iso(Number(at)), to: iso(end) };
    const search = view.carried({ ...fixed, ...(part ? filterBy(by, part.value) : {}), ...span });
    void navigate({ to: "/requests", search: search as never });
  };
  return (
    <div className="grid">
      <Chart
        className="span-8"
        title={title}
        note={view.window.label}
        name={file}
        height={HEIGHT}
        query={stack}
        isEmpty={Boolean(found && !found.timeline.series.length)}
        label={`${title} by ${noun.toLowerCase()}, ${view.window.label.toLowerCase()}`}
        option={option}
        onPick={pick}
        sheet={() =>
          timelineSheet(
            found?.timeline ?? { times: [], series: [] },
            (at) => new Date(at / 1000).toISOString(),
            "nano-dollars",
          )
        }
        actions={
          <Shapes
            value={shape}
            choices={SHAPES}
            onChange={(one) => view.set({ shape: one === "bar" ? undefined : one })}
          />
        }
      />
      <Card
        className="span-4"
        title="Split by"
        actions={
          <Select
            label="Split by"
            value={by}
            choices={choices}
            onChange={(one) => view.set({ split: one === choices[0]?.[0] ? undefined : one })}
          />
        }
      >
        <Async
          query={stack}
          isEmpty={(one) => !one.parts.length}
          loading={<Loading lines={8} height={HEIGHT} />}
          empty={<Empty title="Nothing to split">There is no cost in this window.</Empty>}
        >
          {(one) => (
            <Ranking
              by={one.by}
              parts={one.parts}
              total={one.totals.cost ?? 0}
              behind={(part) => view.carried({ ...fixed, ...part })}
            />
          )}
        </Async>
      </Card>
    </div>
  );
}

function inUnits(found: Stack, currency: ReturnType<typeof useCurrency>) {
  return {
    times: found.timeline.times,
    series: found.timeline.series.map((one) => ({
      ...one,
      values: one.values.map((nanos) => plotted(nanos, currency)),
    })),
  };
}
