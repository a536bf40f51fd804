/** What the prices pages ask, and under which keys the answers are kept. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import { ask, name, num } from "@/api/question";
import type { components } from "@/api/schema";

export type PriceChanged = components["schemas"]["PriceChanged"];
export type Finding = Omit<components["schemas"]["Finding"], "details"> & {
  details: Record<string, unknown>;
};
export type UnpricedGroup = components["schemas"]["UnpricedGroup"];
export type Repriced = components["schemas"]["Repriced"];
export type WindowBody = components["schemas"]["WindowBody"];

const BOOK_FRESH_MS = 60_000;

/** An instant of the URL as the API takes it; nothing means now. */
const part = <Key extends string>(key: Key, value: string) =>
  (value ? { [key]: value } : {}) as Partial<Record<Key, string>>;

/** Return the whole book as it holds at a time, as known at one. */
export function useBook(at: string, known: string) {
  return useQuery({
    queryKey: ["prices", "book", at, known],
    queryFn: () =>
      data(
        api.GET("/v1/prices", {
          params: { query: { ...part("at", at), ...part("known_at", known) } },
        }),
      ),
    staleTime: BOOK_FRESH_MS,
    placeholderData: keepPreviousData,
  });
}

const MOST_USED = 500;

/** Return what each `provider/model` cost in the last 30 days, in nano-dollars. */
export function useUse() {
  return useQuery({
    queryKey: ["prices", "use"],
    queryFn: async () => {
      const answer = await ask({
        metrics: ["cost", "attempts"],
        by: ["provider", "model"],
        last: "30d",
        order: ["-cost"],
        limit: MOST_USED,
      });
      return new Map(
        answer.rows.map((row) => [
          `${name(row.provider)}/${name(row.model, "*")}`.toLowerCase(),
          { cost: num(row, "cost"), attempts: num(row, "attempts") },
        ]),
      );
    },
    staleTime: BOOK_FRESH_MS,
  });
}

interface Asked {
  provider: string;
  model: string;
  at: string;
  known: string;
  tenant: string;
}

/** Return how a name resolves and which rows win. */
export function useShown({ provider, model, at, known, tenant }: Asked) {
  return useQuery({
    queryKey: ["prices", "show", provider, model, at, known, tenant],
    queryFn: () =>
      data(
        api.GET("/v1/prices/show", {
          params: {
            query: {
              provider,
              model,
              ...part("at", at),
              ...part("known_at", known),
              ...part("tenant", tenant),
            },
          },
        }),
      ),
    placeholderData: keepPreviousData,
  });
}

/** Return every row ever believed of a model. */
export function useHistory(provider: string, model: string) {
  return useQuery({
    queryKey: ["prices", "history", provider, model],
    queryFn: () =>
      data(api.GET("/v1/prices/history", { params: { query: { provider, model, limit: 5000 } } })),
  });
}

export function useUnpriced() {
  return useQuery({
    queryKey: ["prices", "unpriced"],
    queryFn: () => data(api.GET("/v1/prices/unpriced", { params: { query: { limit: 500 } } })),
    placeholderData: keepPreviousData,
    meta: { every: 20_000 },
  });
}

export function useFindings(all: boolean) {
  return useQuery({
    queryKey: ["findings", all],
    queryFn: async () => {
      const found = await data(
        api.GET("/v1/findings", { params: { query: { all, limit: 1000 } } }),
      );
      return found.findings as Finding[];
    },
    placeholderData: keepPreviousData,
    meta: { every: 20_000 },
  });
}

export interface RateItem {
  provider: string;
  model: string;
  unit: string;
  price: string;
  per: number;
  [condition: string]: string | number | boolean;
}

/** Send rows; a dry run writes nothing, and needs no reason of its own. */
export function changePrices(rates: RateItem[], reason: string, dry: boolean, force: boolean) {
  const body = { rates, reason: dry ? "dry run" : reason, dry_run: dry, force };
  return data(api.POST("/v1/prices", { body: body as never }));
}

/** Send a price file as it is. */
export async function sendFile(
  text: string,
  form: "yaml" | "csv",
  { reason, dry, force }: { reason: string; dry: boolean; force: boolean },
) {
  const type = form === "yaml" ? "application/yaml" : "text/csv";
  return data(
    api.POST("/v1/prices", {
      params: { query: { reason: dry ? "dry run" : reason, dry_run: dry, force } },
      body: text as never,
      bodySerializer: (body) => body as never,
      headers: { "Content-Type": type },
    }),
  );
}

export function rerate(body: WindowBody) {
  return data(api.POST("/v1/prices/rerate", { body }));
}
