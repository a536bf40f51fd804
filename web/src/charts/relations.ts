/** Options of the charts that show parts of a whole: treemap and flow. */

import type { Option } from "./Chart";
import type { FlowLink, FlowNode, TreeNode } from "./flow";
import type { Palette } from "./palette";
import { colour, escaped } from "./series";

type Shown = (value: number) => string;

interface Hover {
  name: string;
  value: number;
  treePathInfo?: { name: string }[];
  dataType?: string;
  data?: { label?: string; from?: string; to?: string };
}

const line = (label: string, value: string) =>
  `${escaped(label)} <b style="margin-left:12px">${escaped(value)}</b>`;

/** Return a treemap; a click goes a level down, the trail at the bottom back up. */
export function treemap(roots: TreeNode[], colours: Palette, shown: Shown): Option {
  return {
    tooltip: {
      formatter: (at: Hover) => {
        const path = (at.treePathInfo ?? []).map((one) => one.name).filter(Boolean);
        return line(path.join(" / ") || at.name, shown(at.value));
      },
    },
    series: [
      {
        type: "treemap",
        data: roots,
        left: 0,
        right: 0,
        top: 0,
        bottom: 30,
        roam: false,
        leafDepth: 2,
        color: colours.series,
        breadcrumb: {
          show: roots.some((root) => root.children?.some((child) => child.children)),
          bottom: 0,
          left: 0,
          itemStyle: { color: colours.line, textStyle: { color: colours.text } },
          emphasis: { itemStyle: { color: colours.line, textStyle: { color: colours.text } } },
        },
        label: {
          color: "#fff",
          fontSize: 11,
          textShadowColor: "rgba(0,0,0,.55)",
          textShadowBlur: 3,
        },
        upperLabel: { show: true, height: 20, color: colours.text },
        itemStyle: { borderColor: colours.raised, borderWidth: 1, gapWidth: 1 },
        levels: [
          { itemStyle: { borderColor: colours.raised, gapWidth: 3 }, upperLabel: { show: false } },
          { itemStyle: { borderColor: colours.line, borderWidth: 2, gapWidth: 1 } },
          { colorSaturation: [0.35, 0.6], itemStyle: { gapWidth: 1 } },
        ],
      },
    ],
  };
}

/** Return a flow between levels, such as tenant → feature → agent → model. */
export function sankey(
  nodes: FlowNode[],
  links: FlowLink[],
  colours: Palette,
  shown: Shown,
): Option {
  const label = new Map(nodes.map((node) => [node.id, node.label]));
  return {
    tooltip: {
      trigger: "item",
      formatter: (at: Hover) =>
        at.dataType === "edge"
          ? line(`${at.data?.from} → ${at.data?.to}`, shown(at.value))
          : line(at.data?.label ?? at.name, shown(at.value)),
    },
    series: [
      {
        type: "sankey",
        left: 4,
        right: 120,
        top: 8,
        bottom: 8,
        nodeWidth: 12,
        nodeGap: 10,
        draggable: false,
        emphasis: { focus: "adjacency" },
        data: nodes.map((node) => ({
          name: node.id,
          label: node.label,
          depth: node.level,
          itemStyle: { color: colour(colours, node.level) },
        })),
        links: links.map((link) => ({
          ...link,
          from: label.get(link.source),
          to: label.get(link.target),
        })),
        label: {
          color: colours.text,
          fontSize: 11,
          width: 130,
          overflow: "truncate",
          formatter: (at: Hover) => at.data?.label ?? at.name,
        },
        lineStyle: { color: "source", opacity: 0.28, curveness: 0.5 },
      },
    ],
  };
}
