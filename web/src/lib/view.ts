/** A view's state lives in its URL: the window of time, the filters, and what a page adds. */

import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback, useMemo } from "react";
import type { Filter, Question } from "@/api/question";
import { usePreferences } from "@/lib/preferences";
import { DAY, day, HOUR, localDay, MINUTE, nowMicros, short, zoned } from "@/lib/time";

/** Everything in a URL after `?`: text, or several texts of one name. */
export type Search = Record<string, string | string[] | undefined>;

export interface Window {
  /** As in the URL: `1h`, `7d`, `today`, `month`, `custom`. */
  id: string;
  label: string;
  /** The part of a question that says when. */
  asked: Pick<Question, "last" | "from" | "to">;
  /** The window before it, of equal length; `null` where there is none. */
  before: Pick<Question, "last" | "from" | "to"> | null;
  grain: NonNullable<Question["grain"]>;
  /** Length in microseconds. */
  length: number;
}

interface Choice {
  id: string;
  label: string;
  length: number;
  grain: NonNullable<Question["grain"]>;
}

export const WINDOWS: readonly Choice[] = [
  { id: "15m", label: "Last 15 minutes", length: 15 * MINUTE, grain: "minute" },
  { id: "1h", label: "Last hour", length: HOUR, grain: "minute" },
  { id: "6h", label: "Last 6 hours", length: 6 * HOUR, grain: "minute" },
  { id: "24h", label: "Last 24 hours", length: DAY, grain: "hour" },
  // By the hour, a week of a split that no roll-up holds would be read event by event.
  { id: "7d", label: "Last 7 days", length: 7 * DAY, grain: "day" },
  { id: "30d", label: "Last 30 days", length: 30 * DAY, grain: "day" },
  { id: "90d", label: "Last 90 days", length: 90 * DAY, grain: "day" },
];

export const DEFAULT_WINDOW = "24h";

/** Dimensions that a URL may filter by; the names are the API's. */
export const FILTERS = [
  "tenant", "feature", "agent", "agent_root", "model", "provider", "user", "workspace", "plan",
  "workflow", "operation", "name", "status", "error_type", "initiator", "environment", "service",
  "price_basis", "billing_unit", "vendor", "kind", "flag", "attempt", "request", "run",
] as const; // biome-ignore format: a list of names

/** A value in a URL that stands for "not set". */
export const NONE = "~none";

const text = (value: string | string[] | undefined): string =>
  Array.isArray(value) ? (value[0] ?? "") : (value ?? "");

const list = (value: string | string[] | undefined): string[] =>
  value === undefined || value === "" ? [] : Array.isArray(value) ? value : [value];

function monthStart(zone: string): string {
  return `${localDay(nowMicros(), zone).slice(0, 7)}-01`;
}

function monthBefore(zone: string): string {
  const [year = 0, month = 0] = localDay(nowMicros(), zone).split("-").map(Number);
  const date = new Date(Date.UTC(year, month - 2, 1));
  return date.toISOString().slice(0, 10);
}

/** Return the window that a URL names. */
export function windowOf(search: Search, zone: string, usual = DEFAULT_WINDOW): Window {
  const from = text(search.from);
  const to = text(search.to);
  if (from && Number.isFinite(zoned(from, zone))) {
    const start = zoned(from, zone);
    const end = to ? zoned(to, zone) : Math.floor(nowMicros() / MINUTE) * MINUTE;
    const length = Math.max(MINUTE, end - start);
    const grain = length <= 6 * HOUR ? "minute" : length <= 3 * DAY ? "hour" : "day";
    const said = (at: number) => (length < 2 * DAY ? short(at, zone) : day(at, zone));
    const label = to ? `${said(start)} – ${said(end)}` : `Since ${said(start)}`;
    const asked = { from: iso(start), ...(to ? { to: iso(end) } : {}) };
    const before = { from: iso(start - length), to: asked.from };
    return { id: "custom", label, asked, before, grain, length };
  }
  const id = text(search.last) || usual;
  if (id === "today") {
    const asked = { from: localDay(nowMicros(), zone) };
    const before = soFar(localDay(nowMicros() - DAY, zone), asked.from, zone);
    return { id, label: "Today", asked, before, grain: "hour", length: DAY };
  }
  if (id === "month") {
    const asked = { from: monthStart(zone) };
    const before = soFar(monthBefore(zone), asked.from, zone);
    return { id, label: "Month to date", asked, before, grain: "day", length: 31 * DAY };
  }
  const choice = WINDOWS.find((one) => one.id === id) ?? WINDOWS[3];
  if (!choice) throw new Error("there is always a window");
  return {
    id: choice.id,
    label: choice.label,
    asked: { last: choice.id },
    before: beforeLast(choice.length),
    grain: choice.grain,
    length: choice.length,
  };
}

const iso = (at: number) => new Date(at / 1000).toISOString();

/** Return the window before the last one, to the minute so that its question stays the same. */
function beforeLast(length: number): Pick<Question, "from" | "to"> {
  const end = Math.floor((nowMicros() - length) / MINUTE) * MINUTE;
  return { from: iso(end - length), to: iso(end) };
}

/** Return as much of the day or month before as has passed of this one, which began at `until`. */
function soFar(from: string, until: string, zone: string): Pick<Question, "from" | "to"> {
  const passed = Math.floor((nowMicros() - zoned(until, zone)) / MINUTE) * MINUTE;
  // An end at its beginning would be no window.
  const end = zoned(from, zone) + Math.max(MINUTE, passed);
  return { from: iso(zoned(from, zone)), to: iso(Math.min(end, zoned(until, zone))) };
}

/** Return the filters that a URL names. */
export function filtersOf(search: Search): Filter[] {
  const found: Filter[] = [];
  for (const [key, value] of Object.entries(search)) {
    const named = (FILTERS as readonly string[]).includes(key) || key.startsWith("label.");
    const values = list(value).map((one) => (one === NONE ? null : one));
    if (!named || !values.length) continue;
    const exact = key === "attempt" ? values.map(Number) : values;
    // `agent` names a place in the tree with everything below it.
    found.push(
      exact.length === 1
        ? { field: key, op: "eq", value: exact[0] ?? null }
        : { field: key, op: "in", value: exact },
    );
  }
  return found;
}

export interface View {
  search: Search;
  window: Window;
  filters: Filter[];
  zone: string;
  /** A question over this view's window and filters. */
  question: (part: Omit<Question, "filters"> & { filters?: Filter[] }) => Question;
  /** The same over the window before; `null` where there is none. */
  earlier: (part: Omit<Question, "filters"> & { filters?: Filter[] }) => Question | null;
  text: (key: string, usual?: string) => string;
  list: (key: string) => string[];
  /** Change the URL; `undefined` takes a part out. `replace` keeps the history as it is. */
  set: (part: Search, options?: { replace?: boolean }) => void;
  /** The parts of the URL that go along to another page: window and filters. */
  carried: (more?: Search) => Search;
}

/** Read and change this page's view. */
export function useView(usual = DEFAULT_WINDOW): View {
  const search = useSearch({ strict: false }) as Search;
  const navigate = useNavigate();
  const { zone } = usePreferences();
  const window = useMemo(() => windowOf(search, zone, usual), [search, zone, usual]);
  const filters = useMemo(() => filtersOf(search), [search]);
  const set = useCallback(
    (part: Search, { replace = true } = {}) => {
      void navigate({
        to: ".",
        search: ((before: Search) => ({ ...before, ...part })) as never,
        replace,
      } as never);
    },
    [navigate],
  );
  return useMemo(() => {
    const question: View["question"] = ({ filters: more = [], ...part }) => ({
      ...window.asked,
      ...part,
      timezone: zone,
      filters: [...filters, ...more],
    });
    return {
      search,
      window,
      filters,
      zone,
      question,
      earlier: (part) =>
        window.before
          ? { ...question(part), last: undefined, from: undefined, to: undefined, ...window.before }
          : null,
      text: (key, usualText = "") => text(search[key]) || usualText,
      list: (key) => list(search[key]),
      set,
      carried: (more = {}) => {
        const kept: Search = {};
        for (const [key, value] of Object.entries(search)) {
          const named = ["last", "from", "to", ...FILTERS].includes(key);
          if (named || key.startsWith("label.")) kept[key] = value;
        }
        return { ...kept, ...more };
      },
    };
  }, [search, window, filters, zone, set]);
}

/** Return the order of a table as the URL keeps it, for `DataTable`; `usual` is what a bare one means. */
export function useOrder(usual = "", key = "sort") {
  const view = useView();
  return {
    order: view.text(key, usual),
    onOrder: (order: string) => view.set({ [key]: order === usual ? undefined : order }),
  };
}

/** Read `?a=1&b=2&b=3` into text and lists of text. */
export function parseSearch(query: string): Search {
  const found = new Map<string, string | string[]>();
  for (const [key, value] of new URLSearchParams(query)) {
    const before = found.get(key);
    found.set(key, before === undefined ? value : [before, value].flat());
  }
  // Anybody writes a link: `__proto__` or `toString` in it is a name like others, or none.
  return Object.fromEntries([...found].filter(([key]) => !(key in Object.prototype)));
}

/** Write a search as a query string, in a stable order of its own. */
export function writeSearch(search: Record<string, unknown>): string {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") params.append(key, String(one));
    }
  }
  const query = params.toString();
  return query ? `?${query}` : "";
}
