/** What the limits pages ask, and under which keys the answers are kept. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";
import type { LimitBody } from "./draft";

export type Counter = components["schemas"]["LimitCounter"];
export type Notice = components["schemas"]["LimitNotice"];
export type Override = components["schemas"]["Override"];
export type Version = components["schemas"]["LimitVersion"];
export type Checked = components["schemas"]["LimitCheck"];
export type Hold = components["schemas"]["Hold"];
export type Lease = components["schemas"]["Lease"];
export type HeldLine = components["schemas"]["HeldLine"];
export type OverrideBody = components["schemas"]["OverrideBody"];

const MOST_COUNTERS = 2_000;
const MOST_NOTICES = 1_000;
const MOST_HELD = 500;
/** How soon each is asked again as events arrive, in milliseconds. */
const STATE_MS = 3_000;
const LIST_MS = 20_000;

export function useLimits() {
  return useQuery({
    queryKey: ["limits", "list"],
    queryFn: () => data(api.GET("/v1/limits")),
    meta: { every: LIST_MS },
  });
}

/** Return how scopes stand, the fullest first; of one tenant, if named. */
export function useStates(tenant = "") {
  return useQuery({
    queryKey: ["limits", "state", tenant],
    queryFn: () =>
      data(
        api.GET("/v1/limits/state", {
          params: { query: { count: MOST_COUNTERS, ...(tenant ? { tenant } : {}) } },
        }),
      ),
    placeholderData: keepPreviousData,
    meta: { every: STATE_MS },
  });
}

/** Return a limit, the overrides that hold, and how its scopes stand. */
export function useLimit(id: string) {
  return useQuery({
    queryKey: ["limits", "one", id],
    queryFn: () => data(api.GET("/v1/limits/{limit_id}", { params: { path: { limit_id: id } } })),
    meta: { every: STATE_MS },
  });
}

export function useHistory(id: string, enabled: boolean) {
  return useQuery({
    queryKey: ["limits", "history", id],
    queryFn: () =>
      data(api.GET("/v1/limits/{limit_id}/history", { params: { path: { limit_id: id } } })),
    enabled,
  });
}

export function useNotices(limit = "") {
  return useQuery({
    queryKey: ["limits", "notices", limit],
    queryFn: () =>
      data(
        api.GET("/v1/limits/notices", {
          params: { query: { count: MOST_NOTICES, ...(limit ? { limit } : {}) } },
        }),
      ),
    meta: { every: 5_000 },
  });
}

export function useHolds(state: string) {
  return useQuery({
    queryKey: ["limits", "holds", state],
    queryFn: () =>
      data(
        api.GET("/v1/holds", { params: { query: { state: state as never, limit: MOST_HELD } } }),
      ),
    placeholderData: keepPreviousData,
    meta: { every: STATE_MS },
  });
}

export function useLeases(state: string) {
  return useQuery({
    queryKey: ["limits", "leases", state],
    queryFn: () =>
      data(
        api.GET("/v1/leases", { params: { query: { state: state as never, limit: MOST_HELD } } }),
      ),
    placeholderData: keepPreviousData,
    meta: { every: STATE_MS },
  });
}

const DAY_MS = 86_400_000;

/** Say what limits would have refused over the last days: some that there are, or one proposed. */
export function check(days: number, which: { ids: string[] } | { limits: LimitBody[] }) {
  const to = Date.now();
  return data(
    api.POST("/v1/limits/check", {
      body: { from: (to - days * DAY_MS) * 1000, to: to * 1000, top: 10, ...which } as never,
    }),
  );
}

/** Make or change a limit; a dry run writes nothing and needs no reason. */
export function putLimit(body: LimitBody, reason: string, dry: boolean) {
  return data(
    api.PUT("/v1/limits/{limit_id}", {
      params: {
        path: { limit_id: body.id ?? "" },
        query: dry ? { dry_run: true } : { reason },
      },
      body,
    }),
  );
}

export function removeLimit(id: string, reason: string) {
  return data(
    api.DELETE("/v1/limits/{limit_id}", {
      params: { path: { limit_id: id }, query: { reason } },
    }),
  );
}

export function putOverride(id: string, body: OverrideBody) {
  return data(
    api.POST("/v1/limits/{limit_id}/overrides", { params: { path: { limit_id: id } }, body }),
  );
}

export function endOverride(id: string, override: string, reason: string) {
  return data(
    api.DELETE("/v1/limits/{limit_id}/overrides/{override_id}", {
      params: { path: { limit_id: id, override_id: override }, query: { reason } },
    }),
  );
}
