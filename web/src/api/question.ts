/** Questions to the live store: what is asked, and rows as objects by column name. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, data } from "./client";

export type Value = string | number | boolean | null;

export interface Filter {
  field: string;
  op?: "eq" | "ne" | "in" | "not_in" | "prefix" | "gte" | "lte";
  value: Value | Value[];
}

export interface Question {
  metrics: string[];
  by?: string[];
  filters?: Filter[];
  last?: string;
  from?: string;
  to?: string;
  grain?: "none" | "minute" | "hour" | "day" | "month";
  timezone?: string;
  order?: string[];
  limit?: number;
}

export interface Column {
  name: string;
  kind: string;
  unit: string | null;
}

export type Row = Record<string, Value>;

export interface Answer {
  columns: Column[];
  rows: Row[];
  source: string;
  from: string;
  to: string;
}

interface RawAnswer {
  columns: Column[];
  rows: Value[][];
  source: string;
  from: string;
  to: string;
}

/** Return an answer with a row an object. */
export function named(raw: RawAnswer): Answer {
  const names = raw.columns.map((column) => column.name);
  const rows = raw.rows.map(
    (row) => Object.fromEntries(names.map((name, at) => [name, row[at] ?? null])) as Row,
  );
  return { ...raw, rows };
}

export async function ask(question: Question, signal?: AbortSignal): Promise<Answer> {
  const found = await data(
    api.POST("/v1/query", { body: question as never, ...(signal ? { signal } : {}) }),
  );
  return named(found as unknown as RawAnswer);
}

/** How soon an answer is asked for again while the page is looked at, in milliseconds. */
export function freshness(question: { last?: string; from?: string }): number {
  const last = question.last ?? "";
  if (/^\d+(s|m)$/.test(last) || last === "1h") return 2_000;
  if (/^\d+h$/.test(last)) return 5_000;
  return 20_000;
}

interface Options {
  enabled?: boolean;
  /** Ask again as events arrive; true unless said. */
  live?: boolean;
  /** How soon it is asked again, in milliseconds; as long as the window makes sense of, unless said. */
  every?: number;
}

/** Ask a question; the answer before stays until the next one is here, so nothing flickers. */
export function useQuestion(
  question: Question,
  { enabled = true, live = true, every }: Options = {},
) {
  return useQuery({
    queryKey: ["question", question],
    queryFn: ({ signal }) => ask(question, signal),
    placeholderData: keepPreviousData,
    enabled,
    meta: live ? { every: every ?? freshness(question) } : {},
  });
}

/** Return a number of a row, 0 when there is none. */
export function num(row: Row | undefined, name: string): number {
  const value = row?.[name];
  return typeof value === "number" ? value : 0;
}

/** Return a name of a row; what is not set has a name of its own. */
export function name(value: Value | undefined, none = "(none)"): string {
  return value === null || value === undefined || value === "" ? none : String(value);
}
