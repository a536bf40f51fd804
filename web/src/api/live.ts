/** Live updates: the server tells that something moved; queries that are due are asked again. */

import type { Query, QueryClient } from "@tanstack/react-query";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

export type LiveState = "connecting" | "live" | "lost";

const RETRY_MS = 3_000;
/** How long a query that failed is left alone: its message is to be read. */
const REST_MS = 15_000;

/** Return in how many milliseconds a query is due after a tick; `null`: it has seen that already. */
export function dueIn(
  query: Pick<Query, "meta" | "state">,
  tick: number,
  now: number,
): number | null {
  const every = query.meta?.every;
  const { dataUpdatedAt, errorUpdatedAt, status } = query.state;
  if (typeof every !== "number") return null;
  if (status === "error") return Math.max(0, errorUpdatedAt + REST_MS - now);
  return dataUpdatedAt >= tick ? null : Math.max(0, dataUpdatedAt + every - now);
}

/** Asks queries again after ticks, none more often than its `meta.every` says. */
class Refresher {
  #tick = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly client: QueryClient) {}

  tick(): void {
    this.#tick = Date.now();
    this.#run();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #run(): void {
    clearTimeout(this.#timer);
    // A page that nobody sees asks nothing; when it is seen again, all its queries are.
    if (document.hidden) return;
    const now = Date.now();
    const waits = this.client
      .getQueryCache()
      .findAll({ type: "active" })
      .map((query) => dueIn(query, this.#tick, now))
      .filter((wait) => wait !== null);
    void this.client.invalidateQueries(
      { predicate: (query) => dueIn(query, this.#tick, now) === 0, refetchType: "active" },
      { cancelRefetch: false },
    );
    const later = waits.filter((wait) => wait > 0);
    // The last tick may be the last for long: what was not due yet is asked when it is.
    if (later.length) this.#timer = setTimeout(() => this.#run(), Math.min(...later));
  }
}

/** Follow the server's ticks while the page is open; return how the connection is. */
export function useLive(): LiveState {
  const client = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  useEffect(() => {
    const refresher = new Refresher(client);
    let source: EventSource | null = null;
    let retry: ReturnType<typeof setTimeout> | undefined;
    const open = () => {
      source = new EventSource("/v1/live");
      source.onopen = () => setState("live");
      source.addEventListener("tick", () => refresher.tick());
      source.onerror = () => {
        // The browser's own retry gives up on an HTTP error; this one does not.
        setState("lost");
        source?.close();
        retry = setTimeout(open, RETRY_MS);
      };
    };
    open();
    return () => {
      clearTimeout(retry);
      refresher.stop();
      source?.close();
    };
  }, [client]);
  return state;
}
