/** What the portal looks at, kept in its address as every view is. */

import { useSyncExternalStore } from "react";
import { parseSearch, type Search, writeSearch } from "@/lib/view";

const listeners = new Set<() => void>();
let current = parseSearch(window.location.search);

window.addEventListener("popstate", () => {
  current = parseSearch(window.location.search);
  for (const tell of listeners) tell();
});

/** Change a part of the address. */
export function go(part: Search): void {
  current = { ...current, ...part };
  history.replaceState(null, "", window.location.pathname + writeSearch(current));
  for (const tell of listeners) tell();
}

export function usePortalState(): (key: string, usual: string) => string {
  const found = useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => current,
  );
  return (key, usual) => {
    const value = found[key];
    return (Array.isArray(value) ? value[0] : value) || usual;
  };
}
