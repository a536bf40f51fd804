/** What leases and holds say, summed up. */

import type { HeldLine } from "./api";

const TENANT = "tenant:";

/** Return the tenant that an owner is; null: it is a process. */
export function tenantOfOwner(owner: string): string | null {
  return owner.startsWith(TENANT) ? owner.slice(TENANT.length) : null;
}

/** Return the most cost held of one scope. A call counts in several scopes: a sum would count it twice. */
export function heldCost(lines: readonly HeldLine[]): number {
  return Math.max(0, ...lines.filter((line) => line.metric === "cost").map((line) => line.held));
}
