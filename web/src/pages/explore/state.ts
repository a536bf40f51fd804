/** What the explorer asks, read from its URL. */

import type { Question } from "@/api/question";
import type { View } from "@/lib/view";

export const SHAPES = [
  ["table", "Table"],
  ["line", "Lines"],
  ["area", "Area"],
  ["bar", "Bars"],
  ["treemap", "Treemap"],
  ["sankey", "Flow"],
] as const;

export type ShapeId = (typeof SHAPES)[number][0];

export interface Asked {
  metrics: string[];
  by: string[];
  shape: ShapeId;
  grain: NonNullable<Question["grain"]>;
  /** Over time: a line, area or bar chart, or a table with a time column. */
  timed: boolean;
}

export const MAX_METRICS = 8;
export const MAX_DIMENSIONS = 4;
/** Rows of a table or tree, and buckets × series over time. */
export const MAX_ROWS = 2_000;
export const MAX_TIMED_ROWS = 10_000;
const USUAL_METRICS = ["cost", "calls"];
const FLOW = ["tenant", "feature", "agent_root", "model"];

/** Return what a URL asks; what it does not say has a usual value. */
export function askedOf(view: View): Asked {
  const shape = SHAPES.find(([id]) => id === view.text("shape"))?.[0] ?? "table";
  const metrics = view.list("metric").slice(0, MAX_METRICS);
  const said = view.list("by").slice(0, MAX_DIMENSIONS);
  const usual = shape === "sankey" ? FLOW : ["tenant"];
  const by = said.length ? said.filter((one) => one !== "-") : usual;
  const chart = shape === "line" || shape === "area" || shape === "bar";
  const grain = view.text("grain") as Asked["grain"];
  const timed =
    chart || (shape === "table" && grain !== ("" as Asked["grain"]) && grain !== "none");
  return {
    metrics: metrics.length ? metrics : USUAL_METRICS,
    by,
    shape,
    grain: grain && grain !== "none" ? grain : view.window.grain,
    timed,
  };
}

/** Return the question of what is asked. */
export function questionOf(view: View, asked: Asked): Question {
  const first = asked.metrics[0] ?? "cost";
  // A picture is of one metric; its others would only cost time.
  const metrics = asked.shape === "table" ? asked.metrics : [first];
  const by = asked.timed && asked.shape !== "table" ? asked.by.slice(0, 1) : asked.by;
  return view.question({
    metrics,
    by,
    ...(asked.timed ? { grain: asked.grain } : {}),
    order: asked.timed ? ["time", `-${first}`] : [`-${first}`],
    limit: asked.timed ? MAX_TIMED_ROWS : MAX_ROWS,
  });
}
