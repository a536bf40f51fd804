/** How the costs of one row's actions are distributed, with its middle and its tail marked. */

import { useCallback, useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { axisMoney } from "@/charts/axis";
import { Chart, type Option } from "@/charts/Chart";
import type { Palette } from "@/charts/palette";
import { escaped } from "@/charts/series";
import { type Currency, money, plotted } from "@/lib/money";
import { compact, count, percent } from "@/lib/numbers";
import type { View } from "@/lib/view";
import { type Action, type By, binOf, type CostBin, ONE, spread, useActions } from "./actions";

interface Props {
  view: View;
  by: By;
  row: Action | undefined;
  loading: boolean;
  height: number;
  className: string;
}

export function Distribution({ view, by, row, loading, height, className }: Props) {
  const currency = useCurrency();
  const found = useActions(view, by, row ? (row.key ?? "") : undefined);
  const bins = useMemo(() => spread(found.data?.bins ?? []), [found.data]);
  const option = useCallback(
    (colours: Palette) => histogram(bins, row, currency, colours),
    [bins, row, currency],
  );
  const named = row ? row.key || "(none)" : "";
  return (
    <Chart
      title="Distribution"
      note={named && <span title={`Chosen in the table below, by ${ONE[by]}`}>{named}</span>}
      name={`distribution-${named || by}`}
      label={
        row
          ? `Actions of ${named} by their cost: half cost less than ${money(row.cost_p50, currency)}, 95 % less than ${money(row.cost_p95, currency)}.`
          : "Actions by their cost"
      }
      className={className}
      height={height}
      query={loading ? { ...found, data: undefined } : found}
      isEmpty={!bins.length}
      option={option}
      sheet={() => ({
        header: ["from (nano-dollars)", "to (nano-dollars)", "actions"],
        rows: bins.map((bin) => [bin.from_nanos, bin.to_nanos, bin.requests]),
      })}
    />
  );
}

/** Return a bin's range as text. */
export function rangeOf(bin: CostBin, currency: Currency): string {
  if (bin.from_nanos === null) return `below ${money(bin.to_nanos, currency)}`;
  if (bin.to_nanos === null) return `${money(bin.from_nanos, currency)} and more`;
  return `${money(bin.from_nanos, currency)} – ${money(bin.to_nanos, currency)}`;
}

/** Part of the width that two labels side by side need. */
const LEAST_APART = 0.35;

/** Return the marks by bin: what falls into one bin shares one line. */
function marks(
  bins: CostBin[],
  row: Action,
  currency: Currency,
): { at: number; text: string; align: string }[] {
  const found = new Map<number, string[]>();
  for (const [label, nanos] of [
    ["p50", row.cost_p50],
    ["p95", row.cost_p95],
  ] as const) {
    const at = nanos === null ? -1 : binOf(bins, nanos);
    if (at >= 0) found.set(at, [...(found.get(at) ?? []), `${label} ${money(nanos, currency)}`]);
  }
  const lines = [...found].map(([at, texts]) => ({ at, text: texts.join("\n") }));
  // Labels of lines that stand close go to their outer sides.
  const [low, high] = lines;
  const close = low && high && high.at - low.at < bins.length * LEAST_APART;
  return lines.map((line, place) => ({
    ...line,
    align: close ? (place ? "left" : "right") : "center",
  }));
}

function histogram(
  bins: CostBin[],
  row: Action | undefined,
  currency: Currency,
  colours: Palette,
): Option {
  const axis = axisMoney(currency);
  const lines = row ? marks(bins, row, currency) : [];
  // A label to the right of the last bars needs room of its own.
  const beyond = lines.some((line) => line.align === "left" && line.at > bins.length * 0.7);
  const all = bins.reduce((sum, bin) => sum + bin.requests, 0);
  return {
    grid: { left: 8, right: beyond ? 56 : 12, top: 40, bottom: 4, containLabel: true },
    tooltip: {
      trigger: "axis",
      axisPointer: { type: "shadow" },
      formatter: (points: { dataIndex: number }[]) => {
        const bin = bins[points[0]?.dataIndex ?? -1];
        if (!bin) return "";
        const of = percent(all ? bin.requests / all : 0);
        return `<div style="color:${colours.faint}">${escaped(rangeOf(bin, currency))}</div><b>${count(bin.requests)}</b> actions, ${escaped(of)}`;
      },
    },
    xAxis: {
      type: "category",
      data: bins.map((bin) =>
        bin.from_nanos === null ? "0" : axis(plotted(bin.from_nanos, currency)),
      ),
      axisLine: { lineStyle: { color: colours.line } },
      axisTick: { show: false },
      axisLabel: { color: colours.faint, hideOverlap: true },
    },
    yAxis: {
      type: "value",
      minInterval: 1,
      splitNumber: 4,
      axisLabel: { color: colours.faint, formatter: (value: number) => compact(value) },
      splitLine: { lineStyle: { color: colours.line } },
    },
    series: [
      {
        type: "bar",
        name: "Actions",
        data: bins.map((bin) => bin.requests || null),
        // One dear action among thousands is in sight.
        barMinHeight: 2,
        barCategoryGap: "12%",
        itemStyle: { color: colours.series[0], opacity: 0.7 },
        markLine: {
          symbol: "none",
          silent: true,
          label: { color: colours.text, position: "end", formatter: "{b}", lineHeight: 14 },
          lineStyle: { type: "dashed", color: colours.text, width: 1.25 },
          data: lines.map((line) => ({
            name: line.text,
            xAxis: line.at,
            label: { align: line.align },
          })),
        },
      },
    ],
  };
}
