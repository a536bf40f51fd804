/** A price as it is being written, and as the API takes it. */

import { fromWall } from "@/lib/time";
import type { RateItem } from "./api";
import type { Rate } from "./rates";
import { winner } from "./steps";

export interface UnitPrice {
  unit: string;
  price: string;
  per: string;
}

export interface PriceDraft {
  provider: string;
  model: string;
  units: UnitPrice[];
  layer: string;
  tenant: string;
  /** Values of date-time fields, in the viewer's zone. */
  from: string;
  to: string;
  source: string;
  tier: string;
  region: string;
  host: string;
  batch: boolean;
  minContext: string;
}

export interface PriceStart {
  provider: string;
  model: string;
  /** Units that need a price; none: input and output. */
  units?: readonly string[];
}

export function startOf(start: PriceStart): PriceDraft {
  const units = start.units?.length ? start.units : ["input", "output"];
  return {
    provider: start.provider,
    model: start.model,
    units: units.map((unit) => ({ unit, price: "", per: "1000000" })),
    layer: "override",
    tenant: "",
    from: "",
    to: "",
    source: "",
    tier: "",
    region: "",
    host: "",
    batch: false,
    minContext: "",
  };
}

/** Return the rows to send; prices stay the text they were written as, so none becomes a float. */
export function itemsOf(draft: PriceDraft, zone: string): RateItem[] {
  const iso = (text: string) => {
    const at = fromWall(text, zone);
    return at === null ? "" : new Date(at / 1000).toISOString();
  };
  const conditions: Record<string, string | boolean> = {
    layer: draft.layer,
    tenant: draft.layer === "contract" ? draft.tenant.trim() : "",
    valid_from: iso(draft.from),
    valid_to: iso(draft.to),
    source: draft.source.trim(),
    tier: draft.tier.trim(),
    region_class: draft.region.trim(),
    host_class: draft.host.trim(),
    batch: draft.batch,
    min_context: draft.minContext.trim(),
  };
  const said = Object.fromEntries(Object.entries(conditions).filter(([, value]) => value));
  return draft.units.map((one) => ({
    provider: draft.provider.trim(),
    model: draft.model.trim(),
    unit: one.unit.trim(),
    price: one.price.trim(),
    per: Number(one.per),
    ...said,
  }));
}

/** Return which unit of the draft a problem of the API is about, and its field. */
export function problemOf(item: string | undefined): number | null {
  const found = /^rates\[(\d+)\]$/.exec(item ?? "");
  return found ? Number(found[1]) : null;
}

const CONDITIONS = [
  "provider", "model", "unit", "host_class", "region_class", "tier", "batch", "speed",
  "min_context", "window",
] as const; // biome-ignore format: a list of names

/** Return the row of the book that a new one takes the place of, in any layer; null: there is none. */
export function standing(book: readonly Rate[], made: Rate, now: number): Rate | null {
  const alike = book.filter(
    (row) =>
      CONDITIONS.every((name) => row[name] === made[name]) &&
      (row.tenant === "" || row.tenant === made.tenant),
  );
  return winner(alike, Math.max(now, made.valid_from ?? now));
}

/** The token counts of a group, and the units that they need a rate for. */
export const TOKEN_UNITS = [
  ["input_tokens", "input"],
  ["cache_read_tokens", "input_cache_read"],
  ["cache_write_tokens", "input_cache_write"],
  ["output_tokens", "output"],
] as const;

/** Return the units that a group used and that need a rate. */
export function neededUnits(tokens: Record<string, number>): string[] {
  return TOKEN_UNITS.filter(([name]) => (tokens[name] ?? 0) > 0).map(([, unit]) => unit);
}
