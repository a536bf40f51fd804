/** What the overview asks for besides questions. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";

export type Forecast = components["schemas"]["ForecastAnswer"];
export type Counter = components["schemas"]["LimitCounter"];
export type Balance = components["schemas"]["Balance"];
export type Finding = components["schemas"]["Finding"];

/** Scopes of limits that are looked at to find those near their amount. */
const FULLEST = 50;

export function useForecast(timezone: string, tenant?: string) {
  return useQuery({
    queryKey: ["forecast", timezone, tenant ?? ""],
    queryFn: ({ signal }) =>
      data(
        api.GET("/v1/forecast", {
          params: { query: { timezone, ...(tenant ? { tenant } : {}) } },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
    meta: { every: 5_000 },
  });
}

export function useFullest() {
  return useQuery({
    queryKey: ["limits", "state", "fullest"],
    queryFn: ({ signal }) =>
      data(api.GET("/v1/limits/state", { params: { query: { count: FULLEST } }, signal })),
    meta: { every: 5_000 },
  });
}

export function useAccounts() {
  return useQuery({
    queryKey: ["credits"],
    queryFn: ({ signal }) => data(api.GET("/v1/credits", { signal })),
    meta: { every: 20_000 },
  });
}

export function useFindings() {
  return useQuery({
    queryKey: ["findings"],
    queryFn: ({ signal }) => data(api.GET("/v1/findings", { signal })),
    meta: { every: 60_000 },
  });
}
