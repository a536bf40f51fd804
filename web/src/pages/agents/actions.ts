/** Actions: requests by feature, agent or workflow. Pure parts and the question. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import { freshness } from "@/api/question";
import type { components } from "@/api/schema";
import { NONE, type View } from "@/lib/view";

export type Action = components["schemas"]["Action"];
export type CostBin = components["schemas"]["CostBin"];
export type ActionsAnswer = components["schemas"]["ActionsAnswer"];

export const DIMENSIONS = [
  ["feature", "Features"],
  ["agent_root", "Root agents"],
  ["agent", "Agents"],
  ["workflow", "Workflows"],
] as const;
export type By = (typeof DIMENSIONS)[number][0];

/** One of them, in the middle of a sentence. */
export const ONE: Record<By, string> = {
  feature: "feature",
  agent_root: "root agent",
  agent: "agent",
  workflow: "workflow",
};

export const MAX_ROWS = 200;
/** A report of a long window reads much: it is not asked again with every event. */
const LEAST_MS = 10_000;

export const byOf = (view: View): By =>
  DIMENSIONS.find(([id]) => id === view.text("by"))?.[0] ?? "feature";

/** Ask for the report; with `bins`, also for how the costs of that key are distributed. */
export function useActions(view: View, by: By, bins?: string) {
  const body = {
    ...view.window.asked,
    timezone: view.zone,
    filters: view.filters,
    by,
    limit: bins === undefined ? MAX_ROWS : 0,
    ...(bins === undefined ? {} : { bins }),
  };
  return useQuery({
    queryKey: ["actions", body],
    queryFn: ({ signal }) => data(api.POST("/v1/actions", { body: body as never, signal })),
    placeholderData: keepPreviousData,
    meta: { every: Math.max(LEAST_MS, freshness(view.window.asked)) },
  });
}

/** Return the row that a URL names, else the dearest one. */
export function chosenOf(rows: Action[], named: string): Action | undefined {
  return rows.find((row) => (row.key || NONE) === named) ?? rows[0];
}

/** Return the share of one amount in another; 0 where there is nothing to share. */
export const share = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);

/** Return the bins from the first to the last that hold a request; between them, none is left out. */
export function spread(bins: CostBin[]): CostBin[] {
  const held = bins.map((bin, at) => (bin.requests > 0 ? at : -1)).filter((at) => at >= 0);
  const first = held[0];
  const last = held.at(-1);
  if (first === undefined || last === undefined) return [];
  return bins.slice(Math.max(0, first - 1), last + 2);
}

/** Return the place of the bin that holds an amount; -1 where none does. */
export function binOf(bins: CostBin[], nanos: number): number {
  return bins.findIndex(
    (bin) =>
      (bin.from_nanos === null || nanos >= bin.from_nanos) &&
      (bin.to_nanos === null || nanos < bin.to_nanos),
  );
}

/** A place in the tree of agents, with what is below it. */
export interface Place {
  path: string;
  name: string;
  depth: number;
  /** Cost of this place alone, and with everything below it, nano-dollars. */
  own: number;
  cost: number;
  calls: number;
  errors: number;
  children: Place[];
}

interface AtPath {
  path: string;
  cost: number;
  calls: number;
  errors: number;
}

/** Return agents as a tree by their paths, the dearest first; parents that ran nothing are made. */
export function placesOf(rows: AtPath[]): Place[] {
  const known = new Map<string, Place>();
  const roots: Place[] = [];
  const place = (path: string): Place => {
    const found = known.get(path);
    if (found) return found;
    const cut = path.lastIndexOf("/");
    const above = cut > 0 ? place(path.slice(0, cut)) : null;
    const made: Place = {
      path,
      name: path.slice(cut + 1) || path,
      depth: above ? above.depth + 1 : 0,
      own: 0,
      cost: 0,
      calls: 0,
      errors: 0,
      children: [],
    };
    known.set(path, made);
    (above ? above.children : roots).push(made);
    return made;
  };
  for (const row of rows) {
    const at = place(row.path);
    at.own += row.cost;
    at.calls += row.calls;
    at.errors += row.errors;
  }
  const roll = (one: Place): Place => {
    one.children.forEach(roll);
    one.cost = one.own;
    for (const child of one.children) {
      one.cost += child.cost;
      one.calls += child.calls;
      one.errors += child.errors;
    }
    one.children.sort((a, b) => b.cost - a.cost);
    return one;
  };
  return roots.map(roll).sort((a, b) => b.cost - a.cost);
}

/** Return the rows of the tree in sight, top down. */
export function inSight(places: Place[], folded: ReadonlySet<string>): Place[] {
  return places.flatMap((place) =>
    folded.has(place.path) ? [place] : [place, ...inSight(place.children, folded)],
  );
}
