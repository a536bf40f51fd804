/** A view narrowed to one tenant: its questions, and the links to what is behind its numbers. */

import { useMemo } from "react";
import type { Filter } from "@/api/question";
import { type Search, useView, type View } from "@/lib/view";

export const TABS = [
  ["overview", "Overview"],
  ["breakdown", "Breakdown"],
  ["people", "Users and workspaces"],
  ["limits", "Limits"],
  ["credits", "Credits"],
] as const;

export type Tab = (typeof TABS)[number][0];

/** Return the tab that a URL names. */
export function tabOf(text: string): Tab {
  return TABS.find(([id]) => id === text)?.[0] ?? "overview";
}

/** Return filters without those of a field, and with this one in their place. */
export function narrowed(filters: Filter[], tenant: string): Filter[] {
  const own: Filter = { field: "tenant", op: "eq", value: tenant };
  return [...filters.filter(({ field }) => field !== "tenant"), own];
}

export interface TenantView extends View {
  tenant: string;
  tab: Tab;
  /** The part of a URL that leads to this tenant's requests. */
  own: Search;
}

export function useTenantView(tenant: string): TenantView {
  const view = useView();
  return useMemo(() => {
    const question: View["question"] = ({ filters: more = [], ...part }) => ({
      ...view.window.asked,
      ...part,
      timezone: view.zone,
      filters: [...narrowed(view.filters, tenant), ...more],
    });
    const earlier: View["earlier"] = (part) =>
      view.window.before
        ? {
            ...question(part),
            last: undefined,
            from: undefined,
            to: undefined,
            ...view.window.before,
          }
        : null;
    return { ...view, question, earlier, tenant, tab: tabOf(view.text("tab")), own: { tenant } };
  }, [view, tenant]);
}
