/** What a model's rates were over time, as believed now: for the chart of steps. */

import { DAY } from "@/lib/time";
import { conditions, type Rate, strength, unitOrder } from "./rates";

const SHOWN_DAYS = 120;

export interface Step {
  /** Microseconds UTC. */
  at: number;
  /** Nano-dollars per million; null: nothing priced it. */
  nanos: number | null;
}

export interface UnitSteps {
  unit: string;
  steps: Step[];
}

/** Tell whether a row holds at an instant; the end is excluded. */
export function holds(row: Rate, at: number): boolean {
  return (row.valid_from ?? -Infinity) <= at && at < (row.valid_to ?? Infinity);
}

/** Return the row that prices a plain call of a tenant: strongest, own before general, youngest. */
export function winner(rows: Rate[], at: number): Rate | null {
  let best: Rate | null = null;
  for (const row of rows) {
    if (!holds(row, at)) continue;
    if (!best || order(row) > order(best) || (order(row) === order(best) && younger(row, best)))
      best = row;
  }
  return best;
}

const order = (row: Rate) => strength(row.layer) * 2 + (row.tenant ? 1 : 0);
const younger = (row: Rate, other: Rate) => (row.valid_from ?? 0) > (other.valid_from ?? 0);

/** Return each unit's price at every instant where it changes, from the first start until `now`. */
export function unitSteps(history: Rate[], now: number, tenant = ""): UnitSteps[] {
  const believed = history.filter(
    (row) =>
      row.superseded_at === null &&
      !conditions(row).length &&
      (row.tenant === "" || row.tenant === tenant),
  );
  const starts = believed.map((row) => row.valid_from).filter((at) => at !== null);
  // A price that always held is drawn over the last months, so that it is a line and no dot.
  const first = Math.min(now - SHOWN_DAYS * DAY, ...starts);
  const units = [...new Set(believed.map((row) => row.unit))];
  return units.map((unit) => {
    const rows = believed.filter((row) => row.unit === unit);
    const edges = rows.flatMap((row) => [row.valid_from, row.valid_to]);
    const times = [...new Set([first, ...edges.filter((at) => at !== null), now])];
    const steps = times
      .sort((a, b) => a - b)
      .map((at) => ({ at, nanos: winner(rows, at)?.nanos_per_million ?? null }));
    // Later than now is what is agreed already; edges without a change say nothing.
    const last = steps.length - 1;
    return {
      unit,
      steps: steps.filter((step, at) => at === last || step.nanos !== steps[at - 1]?.nanos),
    };
  });
}

/** One moment of belief: what was recorded then, and what of it is believed no longer. */
export interface Belief {
  at: number;
  source: string;
  layer: string;
  rows: Rate[];
  superseded: number;
}

/** Group the rows ever believed by when, by whom and in which layer they were recorded. */
export function beliefs(history: Rate[]): Belief[] {
  const groups = new Map<string, Belief>();
  for (const row of history) {
    const at = row.recorded_at ?? 0;
    const key = `${at}|${row.layer}|${row.source}`;
    let found = groups.get(key);
    if (!found) {
      found = { at, source: row.source, layer: row.layer, rows: [], superseded: 0 };
      groups.set(key, found);
    }
    found.rows.push(row);
    if (row.superseded_at !== null) found.superseded += 1;
  }
  for (const one of groups.values()) one.rows.sort((a, b) => unitOrder(a.unit, b.unit));
  return [...groups.values()].sort((a, b) => b.at - a.at || strength(b.layer) - strength(a.layer));
}
