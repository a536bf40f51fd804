/** Rates as the book has them: which one a model's column shows, and prices as exact text. */

import type { components } from "@/api/schema";
import { type Currency, convert, DOLLARS } from "@/lib/money";

export type Rate = components["schemas"]["Rate"];
export type Sell = components["schemas"]["Sell"];

/** Weakest first, as the server decides which row of a unit wins. */
export const LAYERS = ["catalogue", "correction", "override", "contract"] as const;
export type Layer = (typeof LAYERS)[number];

export const COLUMNS = ["input", "read", "write", "output"] as const;
export type ColumnId = (typeof COLUMNS)[number];

/** The units that a column may show, the usual one first. */
const UNITS_OF: Record<ColumnId, readonly string[]> = {
  input: ["input"],
  read: ["input_cache_read"],
  write: ["input_cache_write", "input_cache_write_5m"],
  output: ["output"],
};
const SHOWN = new Set(Object.values(UNITS_OF).flat());

const LABELS: Record<string, string> = {
  input: "Input",
  input_cache_read: "Cache read",
  input_cache_write: "Cache write",
  input_cache_write_5m: "Cache write, 5 min",
  input_cache_write_30m: "Cache write, 30 min",
  input_cache_write_1h: "Cache write, 1 h",
  input_cache_write_12h: "Cache write, 12 h",
  output: "Output",
  output_reasoning: "Reasoning output",
  cost: "Our cost",
  calls: "Calls",
};

/** Return a unit in words. */
export function unitLabel(unit: string): string {
  const known = LABELS[unit];
  if (known) return known;
  const text = unit.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Return how strong a layer is; an unknown one is as weak as the catalogue. */
export function strength(layer: string): number {
  return Math.max(0, LAYERS.indexOf(layer as Layer));
}

/** Return a rate's conditions in words, none for a rate that holds for every call. */
export function conditions(rate: Rate): string[] {
  return [
    rate.batch ? "batch" : "",
    rate.tier && `${rate.tier} tier`,
    rate.speed && `${rate.speed} speed`,
    rate.region_class && `${rate.region_class} region`,
    rate.host_class && `on ${rate.host_class}`,
    rate.min_context ? `from ${rate.min_context.toLocaleString()} input tokens` : "",
    rate.window && `${rate.window} UTC`,
    rate.min_quantity ? `at least ${rate.min_quantity.toLocaleString()}` : "",
  ].filter(Boolean);
}

/** Return the better of two rates for a column: general, then stronger, then younger. */
function better(one: Rate, other: Rate): Rate {
  const order = (rate: Rate) => [
    -conditions(rate).length,
    strength(rate.layer),
    rate.valid_from ?? Number.NEGATIVE_INFINITY,
  ];
  const a = order(one);
  const b = order(other);
  for (let at = 0; at < a.length; at += 1) {
    if (a[at] !== b[at]) return (a[at] ?? 0) > (b[at] ?? 0) ? one : other;
  }
  return one;
}

export interface ModelPrices {
  id: string;
  provider: string;
  model: string;
  rates: Rate[];
  shown: Record<ColumnId, Rate | null>;
  /** Units that have no column. */
  others: string[];
  /** The strongest layer of what is shown. */
  layer: string;
  /** Tenants with a contract for it. */
  tenants: string[];
  /** The youngest start of what is shown; null: it always held. */
  from: number | null;
}

/** Group rates by model: what its columns show, and what else there is. */
export function byModel(rates: Rate[]): ModelPrices[] {
  const groups = new Map<string, Rate[]>();
  for (const rate of rates) {
    const id = `${rate.provider}/${rate.model}`;
    const group = groups.get(id);
    if (group) group.push(rate);
    else groups.set(id, [rate]);
  }
  return [...groups].map(([id, group]) => summed(id, group));
}

function summed(id: string, group: Rate[]): ModelPrices {
  const general = group.filter((rate) => !rate.tenant);
  const shown = {} as Record<ColumnId, Rate | null>;
  for (const column of COLUMNS) {
    shown[column] = null;
    for (const unit of UNITS_OF[column]) {
      const found = general.filter((rate) => rate.unit === unit);
      if (!found.length || shown[column]) continue;
      shown[column] = found.reduce(better);
    }
  }
  const chosen = COLUMNS.map((column) => shown[column]).filter((rate) => rate !== null);
  const layers = (chosen.length ? chosen : group).map((rate) => rate.layer);
  const starts = chosen.map((rate) => rate.valid_from).filter((at) => at !== null);
  const first = group[0] as Rate;
  return {
    id,
    provider: first.provider,
    model: first.model,
    rates: group,
    shown,
    others: [...new Set(group.map((rate) => rate.unit))].filter((unit) => !SHOWN.has(unit)).sort(),
    layer: layers.reduce((a, b) => (strength(b) > strength(a) ? b : a), "catalogue"),
    tenants: [...new Set(group.map((rate) => rate.tenant))].filter(Boolean).sort(),
    from: starts.length ? Math.max(...starts) : null,
  };
}

/** Return `value / 10^digits` as decimal text, exactly, with at least two digits. */
export function scaled(value: bigint, digits: number): string {
  const sign = value < 0n ? "-" : "";
  const size = (value < 0n ? -value : value).toString().padStart(digits + 1, "0");
  const fraction = size.slice(-digits).replace(/0+$/, "").padEnd(2, "0");
  return `${sign}${size.slice(0, -digits)}.${fraction}`;
}

const TOKENS = /^(input|output)(_|$)|^characters$/;

/** Return how many of a unit a price is said for: tokens by the million, fees by the thousand. */
export function perOf(unit: string, nanosPerMillion: number): 1 | 1000 | 1_000_000 {
  if (TOKENS.test(unit) || nanosPerMillion === 0) return 1_000_000;
  if (nanosPerMillion >= 1e15) return 1;
  return nanosPerMillion >= 1e11 ? 1000 : 1_000_000;
}

const DIGITS = { 1: 15, 1000: 12, 1000000: 9 } as const;
const FOREIGN_DIGITS = 4;

/** Return a price as text in a currency: in dollars exact, else to four digits. */
export function priceText(
  nanosPerMillion: number,
  per: 1 | 1000 | 1_000_000 = 1_000_000,
  currency: Currency = DOLLARS,
): string {
  const text = scaled(convert(nanosPerMillion, currency), DIGITS[per]);
  const written = text.length - text.indexOf(".") - 1;
  const dollars = currency.code === "USD";
  return new Intl.NumberFormat(undefined, {
    style: "currency",
    currency: currency.code,
    ...(dollars
      ? { minimumFractionDigits: written, maximumFractionDigits: written }
      : { maximumSignificantDigits: FOREIGN_DIGITS, minimumSignificantDigits: 3 }),
  }).format(text as unknown as number);
}

/** Return "per 1M", "per 1,000", "each". */
export function perText(per: 1 | 1000 | 1_000_000): string {
  return per === 1 ? "each" : per === 1000 ? "per 1,000" : "per 1M";
}

/** Return what a sell row charges, in words. */
export function sellText(row: Sell, currency: Currency = DOLLARS): string {
  const rate = BigInt(row.per_million);
  if (row.out === "credits") {
    // Micro-credits for a million nano-dollars are thousandths of a credit for a dollar.
    if (row.unit === "cost") return `${scaled(rate, 3)} credits per dollar of our cost`;
    const per = rate >= 1_000_000_000n ? 1 : 1_000_000;
    const amount = scaled(rate, per === 1 ? 12 : 6);
    return `${amount} credits ${per === 1 ? "each" : "per 1M"}`;
  }
  if (row.unit === "cost") return `${scaled(rate, 6)} × our cost`;
  const per = row.unit === "calls" ? 1 : perOf(row.unit, row.per_million);
  return `${priceText(row.per_million, per, currency)} ${perText(per)}`;
}

/** Return whom and what a sell row is about. */
export function sellName(row: Sell): string {
  const whom = row.tenant || (row.plan && `plan ${row.plan}`) || "every tenant";
  const only = [row.feature && `feature ${row.feature}`, row.provider, row.model].filter(Boolean);
  const unit = unitLabel(row.unit).toLowerCase();
  return `Sell ${unit} to ${whom}${only.length ? `, only ${only.join(" ")}` : ""}`;
}

/** Tell whether a sell row takes the place of another: all but amount, validity and source. */
export function sameSell(one: Sell, other: Sell): boolean {
  const key = (row: Sell) =>
    [row.unit, row.out, row.tenant, row.plan, row.feature, row.provider, row.model].join("|");
  return key(one) === key(other);
}

/** Return `provider/model` apart; a model's name may have slashes, a provider's has none. */
export function splitId(id: string): { provider: string; model: string } {
  const at = id.indexOf("/");
  return at < 0
    ? { provider: id, model: "" }
    : { provider: id.slice(0, at), model: id.slice(at + 1) };
}

const MATCHES: Record<string, string> = {
  equals: "",
  starts_with: "begins with ",
  ends_with: "ends with ",
  contains: "has ",
  regex: "is like ",
};

/** Return a match clause as lines that people read; one that is not simple stays JSON. */
export function matchWords(match: string): string[] {
  try {
    const clause = JSON.parse(match) as Record<string, unknown>;
    const parts = Array.isArray(clause.or) ? (clause.or as Record<string, unknown>[]) : [clause];
    return parts.map((part) => {
      const [[how, value] = ["", ""]] = Object.entries(part);
      const known = MATCHES[how];
      return known !== undefined && typeof value === "string"
        ? `${known}${value}`
        : JSON.stringify(part);
    });
  } catch {
    return [match];
  }
}

const UNIT_ORDER = [
  "input", "input_cache_read", "input_cache_write", "input_cache_write_5m",
  "input_cache_write_1h", "output", "output_reasoning",
]; // biome-ignore format: a list of names

/** Compare units for lists: tokens in their usual order, then the others by name. */
export function unitOrder(one: string, other: string): number {
  const place = (unit: string) => {
    const at = UNIT_ORDER.indexOf(unit);
    return at < 0 ? UNIT_ORDER.length : at;
  };
  return place(one) - place(other) || one.localeCompare(other);
}
