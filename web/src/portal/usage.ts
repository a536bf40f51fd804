/** The portal's questions: a tenant's own usage, and never what it costs us. */

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import { named } from "@/api/question";
import type { components } from "@/api/schema";

export type Me = components["schemas"]["PortalMe"];
export type PortalQuestion = components["schemas"]["PortalQuestion"];
export type PortalMetric = PortalQuestion["metrics"][number];

const EVERY_MS = 15_000;

export function useUsage(question: PortalQuestion) {
  return useQuery({
    queryKey: ["usage", question],
    queryFn: async ({ signal }) =>
      named((await data(api.POST("/v1/portal/usage", { body: question, signal }))) as never),
    placeholderData: keepPreviousData,
    refetchInterval: EVERY_MS,
  });
}

export const WINDOWS = [
  ["7d", "7 days", "day"],
  ["30d", "30 days", "day"],
  ["month", "This month", "day"],
  ["90d", "90 days", "day"],
] as const;

/** Return the part of a question that says when. */
export function windowOf(
  id: string,
  now: Date,
  zone: string,
): Pick<PortalQuestion, "last" | "from"> {
  if (id !== "month") return { last: id };
  const day = new Intl.DateTimeFormat("en-CA", { timeZone: zone, dateStyle: "short" }).format(now);
  return { from: `${day.slice(0, 7)}-01` };
}

/** What metrics are called, and the unit that their values have. */
export const METRICS: Record<PortalMetric, { label: string; unit: string }> = {
  charges: { label: "Charges", unit: "nanos" },
  credits: { label: "Credits", unit: "micros" },
  requests: { label: "Requests", unit: "count" },
  calls: { label: "Model and tool calls", unit: "count" },
  users: { label: "Users", unit: "count" },
  tokens: { label: "Tokens", unit: "tokens" },
  input_tokens: { label: "Input tokens", unit: "tokens" },
  output_tokens: { label: "Output tokens", unit: "tokens" },
  cache_read_tokens: { label: "Cached input tokens", unit: "tokens" },
  errors: { label: "Errors", unit: "count" },
};

/** Return the metrics to choose from: those of money only where there are any. */
export function metricsOf(me: Me): PortalMetric[] {
  return [
    ...(me.shows.charges ? (["charges"] as const) : []),
    ...(me.shows.credits ? (["credits"] as const) : []),
    "requests",
    "calls",
    "tokens",
  ];
}
