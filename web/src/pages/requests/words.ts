/** Parts of a request in words. */

import { type Currency, DOLLARS, money } from "@/lib/money";
import { count, micros, percent } from "@/lib/numbers";
import type { Part } from "./tree";

export const KINDS = {
  request: "Request",
  agent: "Agent",
  call: "Call",
  tool: "Tool",
  attempt: "Attempt",
} as const;

/** Return the name of a part; attempts of one call tell which they are. */
export function nameOf(part: Part): string {
  if (part.node.kind === "request") return "Request";
  if (part.attempt && part.node.kind === "attempt") return `Attempt ${part.attempt}`;
  return part.node.name;
}

/** Return how long a part took, in microseconds; `null` where it has no times. */
export function lengthOf(part: Part): number | null {
  const { started_at: from, ended_at: to } = part.node;
  return from === null || to === null ? null : to - from;
}

/** Return everything about a part in lines, for a title: exact to the nano-dollar. */
export function titleOf(part: Part, total: number, currency: Currency = DOLLARS): string {
  const { node } = part;
  const lines = [
    `${KINDS[node.kind]} ${nameOf(part)}${node.model && node.model !== node.name ? ` (${node.model})` : ""}`,
    `${money(node.cost_nanos, currency, "exact")} = ${count(node.cost_nanos)} nano-dollars, ${percent(total ? node.cost_nanos / total : 0)} of the request`,
    node.own_cost_nanos !== node.cost_nanos
      ? `${money(node.own_cost_nanos, currency, "exact")} of its own, the rest by agents below`
      : "",
    part.below ? `sum of ${count(part.below)} parts below` : "",
    `${count(part.tokensIn)} tokens in, ${count(part.tokensOut)} out`,
    `${micros(lengthOf(part))}, ${node.status}`,
  ];
  return lines.filter(Boolean).join("\n");
}
