/** What needs somebody: limits near or over, credits running low, tenants that move. */

import { num, type Row } from "@/api/question";
import { DAY } from "@/lib/time";
import type { Balance, Counter } from "./api";

export const NEAR = 0.8;
/** Credits that last less than this are running low. */
export const LOW_DAYS = 7;
/** The time whose use says how long credits last. */
export const USED_DAYS = 7;

const OVER: readonly string[] = ["block", "partial"];

/**
 * Tell how a limit stands: `over` is used up or refuses, `near` is close or has acted. One in shadow
 * only watches: it is never more than near.
 */
export function standing(counter: Counter): "over" | "near" | "fine" {
  if (counter.mode === "off") return "fine";
  const over = counter.share >= 1 || counter.reached.some((action) => OVER.includes(action));
  if (over && counter.mode === "enforce") return "over";
  return counter.share >= NEAR || counter.reached.length > 0 ? "near" : "fine";
}

/** Return the scopes that are near or over, those over first, each group the fullest first. */
export function pressing(counters: Counter[]): Counter[] {
  const rank = (one: Counter) => (standing(one) === "over" ? 0 : 1);
  return counters
    .filter((one) => standing(one) !== "fine")
    .sort((a, b) => rank(a) - rank(b) || b.share - a.share);
}

export interface Low {
  balance: Balance;
  /** Days that it lasts at the use of the last days; `null` when nothing is used. */
  days: number | null;
}

/** Return accounts that are empty, below their own mark, or last only a few days; soonest first. */
export function low(accounts: Balance[], used: ReadonlyMap<string, number>): Low[] {
  const found: Low[] = [];
  for (const balance of accounts) {
    const perDay = (used.get(balance.tenant) ?? 0) / USED_DAYS;
    const left = Math.max(0, balance.available);
    const days = perDay > 0 ? left / perDay : null;
    const marked = balance.top_up_below !== null && balance.available < balance.top_up_below;
    if (left === 0 || marked || (days !== null && days < LOW_DAYS)) found.push({ balance, days });
  }
  const when = (one: Low) => (one.balance.available <= 0 ? -1 : (one.days ?? Infinity));
  return found.sort((a, b) => when(a) - when(b));
}

/** Return how long credits last, in a few words. */
export function lasts({ balance, days }: Low): string {
  if (balance.available <= 0) return "used up";
  if (days === null) return "below its mark";
  if (days < 1) return `${Math.max(1, Math.round(days * 24))} h left`;
  return `${Math.round(days)} d left`;
}

export interface Mover {
  tenant: string;
  cost: number;
  before: number;
  moved: number;
}

/** Return tenants with their cost in this window and the one before, in the order wanted. */
export function movers(now: Row[], before: Row[], order: "moved" | "cost"): Mover[] {
  const found = new Map<string, Mover>();
  const at = (row: Row): Mover => {
    const tenant = String(row.tenant ?? "");
    const known = found.get(tenant) ?? { tenant, cost: 0, before: 0, moved: 0 };
    found.set(tenant, known);
    return known;
  };
  for (const row of now) at(row).cost += num(row, "cost");
  for (const row of before) at(row).before += num(row, "cost");
  const all = [...found.values()];
  for (const one of all) one.moved = one.cost - one.before;
  const size = (one: Mover) => (order === "cost" ? one.cost : Math.abs(one.moved));
  return all.sort((a, b) => size(b) - size(a) || a.tenant.localeCompare(b.tenant));
}

/** Return the even pace of a month's budget: what each day of it may cost. */
export function pace(amount: number, month: { from: number; to: number }): number {
  return amount / Math.max(1, Math.round((month.to - month.from) / DAY));
}

/** Return running sums. */
export function running(values: number[]): number[] {
  let sum = 0;
  return values.map((value) => {
    sum += value;
    return sum;
  });
}
