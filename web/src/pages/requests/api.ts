/** Requests: pages of the list, one request's tree, one event explained. */

import {
  keepPreviousData,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { api, data } from "@/api/client";
import { freshness } from "@/api/question";
import type { components } from "@/api/schema";
import { MINUTE, nowMicros } from "@/lib/time";
import type { RequestsBody } from "./search";

export type RequestRow = components["schemas"]["ListedRequest"];
export type RequestsAnswer = components["schemas"]["RequestsAnswer"];
export type RequestTree = components["schemas"]["RequestTree"];
export type Explained = components["schemas"]["ExplainedEvent"];
export type PricedLine = components["schemas"]["PricedLine"];

/** Requests of one page, and the pages that are held at once. */
export const PAGE = 50;
export const MAX_PAGES = 20;
/** Newer requests are counted up to this. */
export const MAX_NEWER = 100;
/** A request whose last event is this young may still grow; an older one is not asked for again. */
const GROWING_US = 10 * MINUTE;
const GROWING_MS = 3_000;

type Asked = RequestsBody & { limit: number; after?: string };

function list(body: Asked, signal: AbortSignal): Promise<RequestsAnswer> {
  return data(api.POST("/v1/requests", { body: body as never, signal }));
}

/**
 * The list, page by page. It stays as it was asked until `version` changes, so that no row moves
 * under the reader; `useNewer` tells what came since.
 */
export function useRequests(body: RequestsBody, version: number) {
  return useInfiniteQuery({
    queryKey: ["requests", body, version],
    queryFn: ({ pageParam, signal }) =>
      list({ ...body, limit: PAGE, ...(pageParam ? { after: pageParam } : {}) }, signal),
    initialPageParam: "",
    getNextPageParam: (page, pages) => (pages.length < MAX_PAGES ? page.next : null) ?? undefined,
    placeholderData: keepPreviousData,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
}

/** How many requests began after an instant; `since` 0 asks nothing. */
export function useNewer(body: RequestsBody, since: number) {
  const { last: _, from: __, to: ___, order: ____, ...narrowed } = body;
  const asked = { ...narrowed, from: since, order: "newest" };
  return useQuery({
    queryKey: ["requests", "newer", body, since],
    queryFn: ({ signal }) => list({ ...asked, limit: MAX_NEWER } as never, signal),
    enabled: since > 0,
    meta: { every: Math.max(4_000, freshness(body)) },
  });
}

export function useTree(request: string) {
  const known = useQueryClient().getQueryData<RequestTree>(["request", request]);
  const grows = !known || nowMicros() - (known.ended_at ?? 0) < GROWING_US;
  return useQuery({
    queryKey: ["request", request],
    queryFn: ({ signal }) =>
      data(
        api.GET("/v1/requests/{request_id}/tree", {
          params: { path: { request_id: request } },
          signal,
        }),
      ),
    meta: grows ? { every: GROWING_MS } : {},
  });
}

/** What the list says of one request: who began it, for what. */
export function useRowOf(request: string, startedAt: number | null | undefined) {
  const from = startedAt ?? 0;
  const body = {
    from,
    to: from + 1,
    filters: [{ field: "request", op: "eq", value: request }],
    limit: 1,
  };
  return useQuery({
    queryKey: ["request", request, "row", from],
    queryFn: ({ signal }) => list(body as never, signal),
    enabled: from > 0,
    select: (answer) => answer.requests[0],
  });
}

export function useEvent(event: string | undefined) {
  return useQuery({
    queryKey: ["event", event],
    queryFn: ({ signal }) =>
      data(
        api.GET("/v1/events/{event_id}", {
          params: { path: { event_id: event ?? "" } },
          signal,
        }),
      ),
    enabled: Boolean(event),
    staleTime: 30_000,
  });
}
