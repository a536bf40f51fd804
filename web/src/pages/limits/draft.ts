/** A limit as it is being written, and as a document has it. */

import type { components } from "@/api/schema";
import type { Metric } from "./amounts";
import { countsEach, type Limit, type Rung, SCOPES } from "./words";

export type LimitBody = components["schemas"]["LimitBody"];

export interface ScopePart {
  field: string;
  /** `each` value alone, `each of` some alone, or `one of` some together. */
  how: "each" | "each of" | "is";
  values: string;
}

export interface RungDraft {
  at: string;
  action: Rung["action"];
  delayMs: string;
  models: { from: string; to: string }[];
  url: string;
}

export interface LimitDraft {
  id: string;
  name: string;
  parts: ScopePart[];
  metric: Metric;
  window: string;
  span: string;
  amount: string;
  burst: string;
  zone: string;
  anchorDay: string;
  rungs: RungDraft[];
  mode: Limit["mode"];
  unreachable: Limit["on_unreachable"];
  strict: boolean;
  priority: string;
}

export const NEW_LIMIT: LimitDraft = {
  id: "",
  name: "",
  parts: [{ field: "tenant", how: "each", values: "" }],
  metric: "cost",
  window: "day",
  span: "24h",
  amount: "",
  burst: "",
  zone: "",
  anchorDay: "",
  rungs: [rung("80", "warn"), rung("100", "block")],
  mode: "enforce",
  unreachable: "open",
  strict: false,
  priority: "",
};

export function rung(at: string, action: Rung["action"]): RungDraft {
  return { at, action, delayMs: "", models: [], url: "" };
}

const SPANNED = ["rolling", "rate"];
export const isSpanned = (window: string) => SPANNED.includes(window);
export const isCalendar = (window: string) => ["hour", "day", "week", "month"].includes(window);

const split = (text: string) =>
  text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);

function scopeOf(parts: ScopePart[]): NonNullable<LimitBody["scope"]> {
  const scope: NonNullable<LimitBody["scope"]> = {};
  for (const part of parts) {
    const values = split(part.values);
    if (part.how === "each") scope[part.field] = "each";
    else if (part.how === "each of") scope[part.field] = { each: values };
    else scope[part.field] = values.length === 1 ? (values[0] as string) : values;
  }
  return scope;
}

function rungOf(draft: RungDraft): Rung {
  const at = draft.at.trim().replace(/\s*%$/, "");
  const made: Rung = { at: `${at}%`, action: draft.action };
  if (draft.action === "throttle" && draft.delayMs) made.delay_ms = Number(draft.delayMs);
  if (draft.action === "downgrade") {
    made.models = Object.fromEntries(
      draft.models.map((one) => [one.from.trim(), one.to.trim()] as const),
    );
  }
  if (draft.url.trim()) made.url = draft.url.trim();
  return made;
}

/** Return the document of a draft. Amounts stay text: no float is ever made of one. */
export function documentOf(draft: LimitDraft): LimitBody & { thresholds: Rung[] } {
  const gauge = draft.metric === "concurrent_calls";
  const counted = draft.metric === "cost" ? draft.amount.trim() : whole(draft.amount);
  const scope = scopeOf(draft.parts);
  return {
    id: draft.id.trim(),
    amount: counted,
    metric: draft.metric,
    thresholds: draft.rungs.map(rungOf),
    mode: draft.mode,
    on_unreachable: draft.unreachable,
    ...(draft.name.trim() ? { name: draft.name.trim() } : {}),
    ...(Object.keys(scope).length ? { scope } : {}),
    ...(gauge
      ? {}
      : {
          window: isSpanned(draft.window) ? `${draft.window} ${draft.span.trim()}` : draft.window,
        }),
    ...(draft.burst.trim() && draft.window === "rate" && !gauge
      ? { burst: draft.metric === "cost" ? draft.burst.trim() : whole(draft.burst) }
      : {}),
    ...(draft.zone && isCalendar(draft.window) && !gauge ? { zone: draft.zone } : {}),
    ...(draft.anchorDay && draft.window === "month" && !gauge
      ? { anchor_day: Number(draft.anchorDay) }
      : {}),
    ...(draft.priority.trim() ? { priority: Number(draft.priority) } : {}),
    ...(draft.strict ? { strict: true } : {}),
  };
}

/** A whole number stays text, too, where a number would lose its last digits. */
function whole(text: string): string | number {
  const plain = text.trim().replaceAll(/[\s_']/g, "");
  const number = Number(plain);
  return /^\d+$/.test(plain) && Number.isSafeInteger(number) ? number : plain;
}

function partsOf(scope: Limit["scope"]): ScopePart[] {
  return SCOPES.filter((field) => scope?.[field] !== undefined).map((field): ScopePart => {
    const value = scope?.[field] as NonNullable<Limit["scope"]>[string];
    if (typeof value === "string" && value !== "each") return { field, how: "is", values: value };
    if (Array.isArray(value)) return { field, how: "is", values: value.join(", ") };
    const each = typeof value === "object" ? value.each : true;
    if (countsEach(value) && (each === true || each === "each"))
      return { field, how: "each", values: "" };
    return { field, how: "each of", values: [each].flat().join(", ") };
  });
}

/** Return the draft that a limit is edited as. */
export function draftOf(limit: Limit): LimitDraft {
  const [window = "day", span = "24h"] = (limit.window ?? "day").split(" ");
  return {
    id: limit.id,
    name: limit.name ?? "",
    parts: partsOf(limit.scope),
    metric: limit.metric,
    window,
    span,
    amount: String(limit.amount),
    burst: limit.burst === undefined ? "" : String(limit.burst),
    zone: limit.zone ?? "",
    anchorDay: limit.anchor_day === undefined ? "" : String(limit.anchor_day),
    rungs: limit.thresholds.map((one) => ({
      at: one.at.replace("%", ""),
      action: one.action,
      delayMs: one.delay_ms === undefined ? "" : String(one.delay_ms),
      models: Object.entries(one.models ?? {}).map(([from, to]) => ({ from, to })),
      url: one.url ?? "",
    })),
    mode: limit.mode,
    unreachable: limit.on_unreachable,
    strict: limit.strict ?? false,
    priority: limit.priority === undefined ? "" : String(limit.priority),
  };
}

/** Return an id made of a name: what an id may have, and nothing else. */
export function idOf(name: string): string {
  return name
    .toLowerCase()
    .normalize("NFKD")
    .replaceAll(/[\p{M}'’]/gu, "")
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 64);
}

/** Return the field that an error of the API is about: `limits[0].thresholds[1].at`. */
export function fieldOf(where: string): string {
  return where.replace(/^limits\[0\]\.?/, "");
}

const FIELDS = [
  "id", "name", "scope", "metric", "window", "zone", "anchor_day", "amount", "burst",
  "thresholds", "priority",
]; // biome-ignore format: a list of names

/** Tell whether a field of the form shows an error of this place itself. */
export function hasField(where: string): boolean {
  return FIELDS.includes(fieldOf(where).split(/[.[]/)[0] ?? "");
}
