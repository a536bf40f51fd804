/** The list of tenants: usage, registration, limits and credits of each in one row. */

import { num, type Row } from "@/api/question";
import { timeOf } from "@/charts/series";
import type { Balance, Counter, Limit, Registered } from "./api";

/** The name under which usage stands that names no tenant. */
export const UNATTRIBUTED = "unattributed";

export interface TenantRow {
  id: string;
  name: string;
  plan: string;
  tier: string;
  registered: boolean;
  cost: number;
  before: number;
  calls: number;
  attempts: number;
  errors: number;
  sell: number;
  unpriced: number;
  /** The scope of a limit that is used most; none: no limit counts it. */
  limit: Counter | undefined;
  balance: Balance | undefined;
}

interface Sources {
  usage: Row[];
  before: Row[];
  registered: Registered[];
  counters: Counter[];
  limits: Limit[];
  accounts: Balance[];
}

/** Return a row for each tenant that has usage or is registered, the dearest first. */
export function tenantRows(from: Sources): TenantRow[] {
  const earlier = new Map(from.before.map((row) => [String(row.tenant), num(row, "cost")]));
  const balances = new Map(from.accounts.map((one) => [one.tenant, one]));
  const fullest = fullestOf(from.counters, from.limits);
  const known = new Map(from.registered.map((one) => [one.tenant_id, one]));
  const used = new Map(from.usage.map((row) => [String(row.tenant), row]));
  const ids = new Set([...used.keys(), ...earlier.keys(), ...known.keys()]);
  const rows = [...ids].map((id): TenantRow => {
    const row = used.get(id);
    const one = known.get(id);
    return {
      id,
      name: one?.name ?? "",
      plan: one?.plan ?? "",
      tier: one?.tier ?? "",
      registered: one !== undefined,
      cost: num(row, "cost"),
      before: earlier.get(id) ?? 0,
      calls: num(row, "calls"),
      attempts: num(row, "attempts"),
      errors: num(row, "errors"),
      sell: num(row, "sell"),
      unpriced: num(row, "unpriced"),
      limit: fullest.get(id),
      balance: balances.get(id),
    };
  });
  return rows.sort((a, b) => b.cost - a.cost || a.id.localeCompare(b.id));
}

/** Return the fullest scope for each tenant; limits in shadow refuse nothing and are left out. */
export function fullestOf(counters: Counter[], limits: Limit[]): Map<string, Counter> {
  const alone = new Map<string, string>();
  for (const limit of limits) {
    const tenant = limit.scope?.tenant;
    if (typeof tenant === "string" && tenant !== "each") alone.set(limit.id, tenant);
  }
  const found = new Map<string, Counter>();
  for (const counter of counters) {
    // A limit of one tenant alone counts without naming it.
    const tenant = counter.scope.tenant ?? alone.get(counter.limit);
    if (!tenant || counter.mode !== "enforce") continue;
    const known = found.get(tenant);
    if (!known || counter.share > known.share) found.set(tenant, counter);
  }
  return found;
}

/** Return rows whose id, name or plan holds a text. */
export function matching(rows: TenantRow[], text: string): TenantRow[] {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return rows;
  return rows.filter((row) =>
    [row.id, row.name, row.plan].some((one) => one.toLowerCase().includes(wanted)),
  );
}

/** Return cost over time by tenant; times without usage are 0. */
export function trends(rows: Row[]): Map<string, number[]> {
  const times = [...new Set(rows.map(timeOf))].sort((a, b) => a - b);
  const place = new Map(times.map((at, index) => [at, index]));
  const found = new Map<string, number[]>();
  for (const row of rows) {
    const tenant = String(row.tenant);
    const values = found.get(tenant) ?? new Array<number>(times.length).fill(0);
    values[place.get(timeOf(row)) ?? 0] = num(row, "cost");
    found.set(tenant, values);
  }
  return found;
}

/** What reading from a cache saved; `left` are cached tokens whose input price is not known. */
export interface Saving {
  nanos: number;
  left: number;
}

/**
 * Return what cached input would have cost more at the price of plain input, model by model.
 *
 * The price of a model's input is what its uncached input cost in the same window. Without any,
 * nothing is said of its cached tokens: they are in `left`.
 */
export function cacheSaving(models: Row[]): Saving {
  let nanos = 0;
  let left = 0;
  for (const row of models) {
    const read = num(row, "cache_read_tokens");
    const plain = num(row, "input_tokens") - read - num(row, "cache_write_tokens");
    const paid = num(row, "cost_input");
    if (!read) continue;
    if (plain <= 0 || paid <= 0) {
      left += read;
      continue;
    }
    const full = (BigInt(Math.round(paid)) * BigInt(read)) / BigInt(plain);
    nanos += Number(full) - num(row, "cost_cache_read");
  }
  return { nanos, left };
}
