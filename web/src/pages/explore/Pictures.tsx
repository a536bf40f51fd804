/** An answer as a picture: over time, as a treemap, as a flow. */

import { useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { type Answer, num } from "@/api/question";
import { Chart } from "@/charts/Chart";
import { flow, OTHERS, tree } from "@/charts/flow";
import type { Palette } from "@/charts/palette";
import { sankey, treemap } from "@/charts/relations";
import { overTime, REST, timeline, timelineSheet } from "@/charts/series";
import { Empty } from "@/design/basics";
import { day, moment, short } from "@/lib/time";
import { full, onAxis } from "@/lib/units";
import { NONE, type Search, useView } from "@/lib/view";
import { heading } from "@/lib/words";
import type { Asked } from "./state";

interface PictureProps {
  query: {
    data: Answer | undefined;
    error: unknown;
    isPlaceholderData: boolean;
    refetch: () => unknown;
  };
  asked: Asked;
}

const HEIGHT = 520;

function useShown(answer: Answer | undefined, metric: string) {
  const currency = useCurrency();
  const unit = answer?.columns.find((column) => column.name === metric)?.unit;
  return useMemo(
    () => ({ unit: unit ?? "count", full: full(unit, currency), axis: onAxis(unit, currency) }),
    [unit, currency],
  );
}

/** Return a way to the requests of some dimensions' values. */
function useBehind() {
  const navigate = useNavigate();
  const view = useView();
  return (by: Search) =>
    void navigate({ to: "/requests", search: view.carried(by) as never } as never);
}

const value = (text: string): string => (text === "(none)" ? NONE : text);

export function TimePicture({ query, asked }: PictureProps) {
  const metric = asked.metrics[0] ?? "cost";
  const by = asked.by[0];
  const { zone } = useView();
  const shown = useShown(query.data, metric);
  const behind = useBehind();
  const daily = asked.grain === "day" || asked.grain === "month";
  const time = useCallback(
    (at: number) => (daily ? day(at, zone) : moment(at, zone)),
    [daily, zone],
  );
  const tick = useCallback(
    (at: number) => (daily ? day(at, zone).replace(/,? \d{4}$/, "") : short(at, zone)),
    [daily, zone],
  );
  const found = useMemo(
    () =>
      query.data
        ? timeline(query.data, { metric, grain: asked.grain, zone, ...(by ? { by } : {}) })
        : null,
    [query.data, metric, by, asked.grain, zone],
  );
  const shape = asked.shape === "bar" || asked.shape === "area" ? asked.shape : "line";
  const option = useCallback(
    (colours: Palette) =>
      overTime(found ?? { times: [], series: [] }, { shape, colours, ...shown, time, tick }),
    [found, shape, shown, time, tick],
  );
  return (
    <Chart
      title={`${heading(metric)}${by ? ` by ${by.replaceAll("_", " ")}` : ""}`}
      name={`outlay-${metric}`}
      label={`${metric} over time${by ? ` by ${by}` : ""}`}
      height={HEIGHT}
      query={query}
      isEmpty={!found?.series.length}
      option={option}
      sheet={() => timelineSheet(found ?? { times: [], series: [] }, time, shown.unit)}
      onPick={(picked) => {
        if (by && picked.seriesName !== REST) behind({ [by]: value(picked.seriesName) });
      }}
    />
  );
}

export function TreePicture({ query, asked }: PictureProps) {
  const metric = asked.metrics[0] ?? "cost";
  const shown = useShown(query.data, metric);
  const roots = useMemo(
    () => tree(query.data?.rows ?? [], asked.by, metric),
    [query.data, asked.by, metric],
  );
  const option = useCallback(
    (colours: Palette) => treemap(roots, colours, shown.full),
    [roots, shown],
  );
  return (
    <Chart
      title={`${heading(metric)} by ${asked.by.join(", ").replaceAll("_", " ")}`}
      name={`outlay-${metric}-treemap`}
      label={`${metric} as parts of a whole`}
      height={HEIGHT}
      query={query}
      isEmpty={!roots.length}
      option={option}
      sheet={() => sheetOf(query.data, asked, metric, shown.unit)}
    />
  );
}

export function FlowPicture({ query, asked }: PictureProps) {
  const metric = asked.metrics[0] ?? "cost";
  const shown = useShown(query.data, metric);
  const behind = useBehind();
  const { nodes, links } = useMemo(
    () => flow(query.data?.rows ?? [], asked.by, metric),
    [query.data, asked.by, metric],
  );
  const option = useCallback(
    (colours: Palette) => sankey(nodes, links, colours, shown.full),
    [nodes, links, shown],
  );
  return (
    <Chart
      title={heading(asked.by.join(" → "))}
      name={`outlay-${metric}-flow`}
      label={`${metric} as a flow from ${asked.by.join(" to ")}`}
      height={HEIGHT}
      query={query}
      isEmpty={!links.length}
      empty={
        <Empty title="No flow to show">
          A flow needs two dimensions or more, and amounts above zero.
        </Empty>
      }
      option={option}
      sheet={() => sheetOf(query.data, asked, metric, shown.unit)}
      onPick={(picked) => {
        const node = nodes.find((one) => one.id === picked.name);
        if (node && node.label !== OTHERS) behind({ [node.field]: value(node.label) });
      }}
    />
  );
}

function sheetOf(answer: Answer | undefined, asked: Asked, metric: string, unit: string) {
  return {
    header: [...asked.by, `${metric} (${unit})`],
    rows: (answer?.rows ?? []).map((row) => [
      ...asked.by.map((field) => row[field]),
      num(row, metric),
    ]),
  };
}
