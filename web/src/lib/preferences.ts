/** What a viewer chose for himself: currency, time zone, scheme, density. Kept in this browser. */

import { useSyncExternalStore } from "react";
import { ownZone } from "@/lib/time";

export interface Preferences {
  currency: string;
  zone: string;
  scheme: "auto" | "light" | "dark";
  dense: boolean;
}

const KEY = "outlay.preferences";
const listeners = new Set<() => void>();
let current = read();

function read(): Preferences {
  const usual: Preferences = { currency: "USD", zone: ownZone(), scheme: "auto", dense: false };
  try {
    return { ...usual, ...JSON.parse(localStorage.getItem(KEY) ?? "{}") };
  } catch {
    return usual;
  }
}

/** Change some of the preferences. */
export function prefer(part: Partial<Preferences>): void {
  current = { ...current, ...part };
  try {
    localStorage.setItem(KEY, JSON.stringify(current));
  } catch {
    // A browser that keeps nothing still shows what was chosen until the page is left.
  }
  show();
  for (const tell of listeners) tell();
}

/** Apply the scheme and the density to the page. */
export function show(): void {
  const root = document.documentElement;
  if (current.scheme === "auto") delete root.dataset.scheme;
  else root.dataset.scheme = current.scheme;
  root.dataset.density = current.dense ? "dense" : "usual";
}

export function usePreferences(): Preferences {
  return useSyncExternalStore(
    (tell) => {
      listeners.add(tell);
      return () => listeners.delete(tell);
    },
    () => current,
  );
}
