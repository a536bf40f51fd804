/** How limits stand: their scopes summed up. */

import type { Counter } from "./api";

/** From this share on a scope is near its limit, as the meters colour it. */
export const NEAR = 0.8;

export interface Standing {
  scopes: number;
  near: number;
  over: number;
  fullest: Counter | null;
  /** The earliest reset of a scope; null: nothing resets. */
  resetsAt: number | null;
}

const NOTHING: Standing = { scopes: 0, near: 0, over: 0, fullest: null, resetsAt: null };

/** Sum up the counters of each limit. */
export function standings(counters: readonly Counter[]): Map<string, Standing> {
  const found = new Map<string, Standing>();
  for (const one of counters) {
    const was = found.get(one.limit) ?? NOTHING;
    const resets = [was.resetsAt, one.resets_at].filter((at) => at !== null);
    found.set(one.limit, {
      scopes: was.scopes + 1,
      near: was.near + (one.share >= NEAR && one.share < 1 ? 1 : 0),
      over: was.over + (one.share >= 1 ? 1 : 0),
      fullest: !was.fullest || one.share > was.fullest.share ? one : was.fullest,
      resetsAt: resets.length ? Math.min(...resets) : null,
    });
  }
  return found;
}

/** Return a share in whole percent; a little is not said to be nothing. */
export function shareText(share: number): string {
  return share > 0 && share < 0.005 ? "< 1 %" : `${Math.round(share * 100)} %`;
}

/** Return what is held as a share of the amount, to draw it on top of the use. */
export function heldShare(counter: Counter): number {
  return counter.amount ? counter.held / counter.amount : 0;
}
