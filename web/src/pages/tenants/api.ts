/** Tenants, their limits and their credits. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { ApiError, api, data } from "@/api/client";
import type { components } from "@/api/schema";

export type Registered = components["schemas"]["Tenant"];
export type Balance = components["schemas"]["Balance"];
export type Counter = components["schemas"]["LimitCounter"];
export type Limit = components["schemas"]["Limit"];
export type Override = components["schemas"]["Override"];
export type Grant = components["schemas"]["Grant"];
export type Entry = components["schemas"]["CreditEntry"];

/** Scopes of limits that are read for the list of tenants, the fullest first. */
const MAX_COUNTERS = 5_000;
export const HISTORY_PAGE = 50;

export function useRegistered() {
  return useQuery({
    queryKey: ["tenants"],
    queryFn: ({ signal }) => data(api.GET("/v1/tenants", { signal })),
    staleTime: 30_000,
    meta: { every: 60_000 },
  });
}

/** Return registered tenants by id. */
export function useNames(): ReadonlyMap<string, Registered> {
  const found = useRegistered().data;
  return useMemo(() => new Map((found?.tenants ?? []).map((one) => [one.tenant_id, one])), [found]);
}

/** One tenant with its history; `null` when it is not registered. */
export function useTenant(tenant: string) {
  return useQuery({
    queryKey: ["tenants", tenant],
    queryFn: ({ signal }) =>
      absent(
        data(
          api.GET("/v1/tenants/{tenant_id}", { params: { path: { tenant_id: tenant } }, signal }),
        ),
      ),
    staleTime: 30_000,
  });
}

export function useLimits() {
  return useQuery({
    queryKey: ["limits"],
    queryFn: ({ signal }) => data(api.GET("/v1/limits", { signal })),
    meta: { every: 30_000 },
  });
}

export function useCounters(tenant = "") {
  return useQuery({
    queryKey: ["limits", "state", tenant],
    queryFn: ({ signal }) =>
      data(
        api.GET("/v1/limits/state", {
          params: { query: tenant ? { tenant } : { count: MAX_COUNTERS } },
          signal,
        }),
      ),
    placeholderData: keepPreviousData,
    meta: { every: tenant ? 4_000 : 10_000 },
  });
}

export function useLimit(limit: string) {
  return useQuery({
    queryKey: ["limits", "one", limit],
    queryFn: ({ signal }) =>
      data(api.GET("/v1/limits/{limit_id}", { params: { path: { limit_id: limit } }, signal })),
  });
}

export function useBalance(tenant: string) {
  return useQuery({
    queryKey: ["credits", tenant],
    queryFn: ({ signal }) =>
      absent(data(api.GET("/v1/credits/{tenant}", { params: { path: { tenant } }, signal }))),
    meta: { every: 4_000 },
  });
}

export function useGrants(tenant: string, all: boolean, enabled: boolean) {
  return useQuery({
    queryKey: ["credits", tenant, "grants", all],
    queryFn: ({ signal }) =>
      data(
        api.GET("/v1/credits/{tenant}/grants", {
          params: { path: { tenant }, query: { all_of_them: all } },
          signal,
        }),
      ),
    enabled,
    placeholderData: keepPreviousData,
    meta: { every: 10_000 },
  });
}

export function useHistory(tenant: string, before: number, enabled: boolean) {
  return useQuery({
    queryKey: ["credits", tenant, "history", before],
    queryFn: ({ signal }) =>
      data(
        api.GET("/v1/credits/{tenant}/history", {
          params: {
            path: { tenant },
            query: { count: HISTORY_PAGE, ...(before ? { before } : {}) },
          },
          signal,
        }),
      ),
    enabled,
    placeholderData: keepPreviousData,
    meta: before ? {} : { every: 5_000 },
  });
}

/** Return an answer, or `null` where there is no such thing. */
async function absent<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}
