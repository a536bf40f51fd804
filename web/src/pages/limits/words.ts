/** Limits in plain words: whom one is about, over which time, and what happens on the way. */

import type { components } from "@/api/schema";
import { type Currency, DOLLARS } from "@/lib/money";
import { millis } from "@/lib/numbers";
import { amountOf, METRIC_WORDS, shownAmount } from "./amounts";

export type Limit = components["schemas"]["Limit"];
export type Rung = Limit["thresholds"][number];
type ScopeValue = NonNullable<Limit["scope"]>[string];

/** What a scope may name, in the order that counts. */
export const SCOPES = [
  "tenant", "plan", "billing_unit", "user", "feature", "workflow", "agent", "model", "provider",
  "initiator",
] as const; // biome-ignore format: a list of names

export const fieldWords = (field: string) => field.replaceAll("_", " ");

const listed = (values: readonly string[]) =>
  values.length < 2 ? (values[0] ?? "") : `${values.slice(0, -1).join(", ")} and ${values.at(-1)}`;

function partWords(field: string, value: ScopeValue): string {
  const name = fieldWords(field);
  if (value === "each") return `each ${name}`;
  if (typeof value === "string") return `${name} ${value}`;
  if (Array.isArray(value)) return `${name}s ${listed(value)} together`;
  const each = value.each;
  if (each === true || each === "each") return `each ${name}`;
  const values = Array.isArray(each) ? each : [String(each)];
  return `each of the ${name}s ${listed(values)}`;
}

/** Whether each value of this part counts on its own. */
export const countsEach = (value: ScopeValue): boolean =>
  value === "each" || (typeof value === "object" && !Array.isArray(value));

/** Return whom a limit is about. */
export function scopeWords(scope: Limit["scope"]): string {
  const parts = SCOPES.filter((field) => scope?.[field] !== undefined).map((field) => {
    const value = scope?.[field] as ScopeValue;
    return { text: partWords(field, value), each: countsEach(value) };
  });
  if (!parts.length) return "all calls together";
  const each = parts.filter((part) => part.each).map((part) => part.text);
  const only = parts.filter((part) => !part.each).map((part) => part.text);
  if (!each.length) return only.join(", ");
  return only.length ? `${each.join(" and ")}, only ${only.join(", ")}` : each.join(" and ");
}

/** Return one counter's scope: `acme`, `acme · research`, or all together. */
export function counterWords(scope: Record<string, string>): string {
  const values = Object.values(scope);
  return values.length ? values.join(" · ") : "all together";
}

/** Read a scope key, JSON of `[field, value]` pairs; what is none is shown as it is. */
export function readScopeKey(key: string): Record<string, string> {
  try {
    return Object.fromEntries(JSON.parse(key || "[]") as [string, string][]);
  } catch {
    return { scope: key };
  }
}

const SPANS: Record<string, string> = { s: "s", m: "min", h: "h", d: "days" };

/** Return a length such as `24h` as text. */
export function lengthWords(text: string): string {
  const found = /^(\d+)([smhd])$/.exec(text);
  if (!found) return text;
  const unit = found[2] === "d" && found[1] === "1" ? "day" : SPANS[found[2] ?? ""];
  return `${found[1]} ${unit}`;
}

/** Return over which time a limit counts, to follow an amount: "per day", "in any 24 h". */
export function windowWords(window: string | undefined): string {
  const [kind = "", span = ""] = (window ?? "").split(" ");
  if (!kind || kind === "none") return "at every moment";
  if (kind === "rolling") return `in any ${lengthWords(span)}`;
  if (kind === "rate") return `per ${lengthWords(span)}, refilled steadily`;
  return `per ${kind}`;
}

/** Return `80%` as `80 %`. */
export const percentWords = (at: string) => at.replace("%", " %");

/** Return a rung's share of the amount, 1 for 100 %. */
export const rungShare = (rung: Pick<Rung, "at">) => Number.parseFloat(rung.at) / 100;

const DOES: Record<Rung["action"], string> = {
  warn: "warn",
  throttle: "make calls wait",
  downgrade: "ask a cheaper model",
  partial: "end streams cleanly",
  escalate: "ask a person",
  block: "block",
};

/** Return what a rung does, with its parameters. */
export function rungWords(rung: Rung): string {
  const more =
    rung.action === "throttle" && rung.delay_ms
      ? ` up to ${millis(rung.delay_ms)}`
      : rung.action === "downgrade" && rung.models
        ? ` (${Object.entries(rung.models)
            .map(([from, to]) => `${from} → ${to}`)
            .join(", ")})`
        : "";
  return `${DOES[rung.action]}${more} at ${percentWords(rung.at)}`;
}

/** Return the rungs from the lowest. */
export const laddered = (rungs: readonly Rung[]) =>
  [...rungs].sort((a, b) => rungShare(a) - rungShare(b));

const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1);

/** Return a whole limit as a sentence. */
export function sentence(
  limit: Pick<Limit, "scope" | "metric" | "window" | "amount" | "burst" | "mode"> & {
    thresholds: Rung[];
  },
  currency: Currency = DOLLARS,
): string {
  const amount = amountOf(limit.amount, limit.metric);
  const shown = amount === null ? "…" : shownAmount(amount, limit.metric, { currency, noun: true });
  const whom = scopeWords(limit.scope);
  const start = whom === "all calls together" ? "For all calls together" : `For ${whom}`;
  const what = limit.metric === "cost" ? "cost of at most " : "at most ";
  const over = limit.metric === "concurrent_calls" ? "" : ` ${windowWords(limit.window)}`;
  const burst = limit.burst === undefined ? null : amountOf(limit.burst, limit.metric);
  const once =
    burst === null ? "" : `, ${shownAmount(burst, limit.metric, { currency })} of it at once`;
  const rungs = laddered(limit.thresholds).map(rungWords).join(", ");
  const mode =
    limit.mode === "shadow"
      ? " It only watches."
      : limit.mode === "off"
        ? " It is switched off."
        : "";
  return `${capital(start)}, ${what}${shown}${over}${once}; ${rungs || "nothing happens"}.${mode}`;
}

export interface Difference {
  what: string;
  was: string;
  now: string;
}

const PLAIN = [
  ["name", "Name"], ["metric", "Metric"], ["window", "Window"], ["zone", "Time zone"],
  ["anchor_day", "Month begins on day"], ["mode", "Mode"], ["on_unreachable", "When unreachable"],
  ["priority", "Priority"], ["strict", "Hold the worst case"],
] as const; // biome-ignore format: pairs of names

/** Return what differs between two versions of a limit, in words; a null one was not there. */
export function differences(
  before: Limit | null,
  after: Limit | null,
  currency: Currency = DOLLARS,
): Difference[] {
  const amount = (limit: Limit | null, value: string | number | undefined) =>
    !limit || value === undefined
      ? ""
      : shownAmount(amountOf(value, limit.metric), limit.metric, { currency, noun: true });
  const all: Difference[] = [
    {
      what: "Amount",
      was: amount(before, before?.amount),
      now: amount(after, after?.amount),
    },
    { what: "At once", was: amount(before, before?.burst), now: amount(after, after?.burst) },
    {
      what: "About",
      was: before ? scopeWords(before.scope) : "",
      now: after ? scopeWords(after.scope) : "",
    },
    { what: "Ladder", was: ladderWords(before), now: ladderWords(after) },
    ...PLAIN.map(([key, what]) => ({
      what,
      was: plainWords(before?.[key]),
      now: plainWords(after?.[key]),
    })),
  ];
  return all.filter((one) => one.was !== one.now);
}

/** Addresses are told to admins only: a ladder is compared with what it does and where. */
const ladderWords = (limit: Limit | null) =>
  limit
    ? laddered(limit.thresholds)
        .map((rung) => rungWords(rung) + (rung.url ? ` (calls ${rung.url})` : ""))
        .join(", ")
    : "";

const plainWords = (value: string | number | boolean | undefined) =>
  value === undefined || value === ""
    ? ""
    : value === true
      ? "yes"
      : (METRIC_WORDS[value as never] ?? String(value));
