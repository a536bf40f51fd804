/** What a list of requests is asked for, read from the URL. No React in here. */

import type { Filter, Question } from "@/api/question";
import type { View } from "@/lib/view";

export const ORDERS = [
  ["newest", "Newest first"],
  ["cost", "Dearest first"],
  ["calls", "Most calls first"],
  ["duration", "Longest first"],
] as const;
export type Order = (typeof ORDERS)[number][0];

export const OUTCOMES = [
  ["", "All"],
  ["ok", "OK"],
  ["failed", "Failed"],
  ["retried", "Retried"],
  ["unpriced", "Unpriced"],
] as const;
export type Outcome = (typeof OUTCOMES)[number][0];

export interface RequestsBody extends Pick<Question, "last" | "from" | "to"> {
  timezone: string;
  filters: Filter[];
  order: Order;
  status?: Exclude<Outcome, "">;
  cost_from_nanos?: number;
  cost_to_nanos?: number;
}

const DECIMAL = /^\d{0,6}(?:\.(\d{0,9}))?$/;

/**
 * Return dollars as text in nano-dollars, exactly; `null` where it is not an amount. A comma is
 * taken for a point. An empty text is no bound and not asked about here.
 */
export function dollars(text: string): number | null {
  const plain = text.trim().replace(/^\$/, "").replace(",", ".");
  if (!/\d/.test(plain) || !DECIMAL.test(plain)) return null;
  const [whole = "", fraction = ""] = plain.split(".");
  return Number(BigInt(whole || "0") * 1_000_000_000n + BigInt(fraction.padEnd(9, "0")));
}

const chosen = <T extends string>(choices: readonly (readonly [T, string])[], text: string): T =>
  (choices.find(([id]) => id === text) ?? choices[0])?.[0] as T;

export const orderOf = (view: View): Order => chosen<Order>(ORDERS, view.text("order"));
export const outcomeOf = (view: View): Outcome => chosen<Outcome>(OUTCOMES, view.text("outcome"));

/** Return the filters of the view, and the beginning of an id that was typed. */
export function filtersWith(view: View): Filter[] {
  const id = view.text("id").trim();
  return id ? [...view.filters, { field: "request", op: "prefix", value: id }] : view.filters;
}

/** Return the body of the question that a URL means. */
export function bodyOf(view: View): RequestsBody {
  const outcome = outcomeOf(view);
  const from = dollars(view.text("cost_from"));
  const to = dollars(view.text("cost_to"));
  return {
    ...view.window.asked,
    timezone: view.zone,
    filters: filtersWith(view),
    order: orderOf(view),
    ...(outcome ? { status: outcome } : {}),
    ...(from === null ? {} : { cost_from_nanos: from }),
    ...(to === null ? {} : { cost_to_nanos: to }),
  };
}

/** Tell whether anything but the window narrows the list. */
export function isNarrowed(view: View): boolean {
  const keys = ["id", "outcome", "cost_from", "cost_to"];
  return view.filters.length > 0 || keys.some((key) => view.text(key));
}

/** What takes every narrowing out of the URL. */
export function widened(view: View): Record<string, undefined> {
  const fields = view.filters.map((filter) => filter.field);
  const keys = [...fields, "id", "outcome", "cost_from", "cost_to"];
  return Object.fromEntries(keys.map((key) => [key, undefined]));
}

/** Return the pages' rows as one list, each request once: a page may overlap the one before. */
export function merged<Row extends { request_id: string }>(pages: { requests: Row[] }[]): Row[] {
  const seen = new Set<string>();
  const rows: Row[] = [];
  for (const page of pages) {
    for (const row of page.requests) {
      if (seen.has(row.request_id)) continue;
      seen.add(row.request_id);
      rows.push(row);
    }
  }
  return rows;
}

/** Return an id in few characters; its end tells neighbours apart, its beginning often does not. */
export function brief(id: string): string {
  return id.length <= 12 ? id : `…${id.slice(-8)}`;
}
