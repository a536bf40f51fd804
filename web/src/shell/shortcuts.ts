/** Keys for all pages: `g` and a letter goes to a page, `/` searches, Ctrl or ⌘ K jumps. */

import { useNavigate } from "@tanstack/react-router";
import { useEffect } from "react";
import { PAGES } from "./pages";

const PAUSE_MS = 1_200;

function typing(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return Boolean(element?.closest("input, textarea, select, [contenteditable], dialog"));
}

export function useShortcuts(jump: () => void): void {
  const navigate = useNavigate();
  useEffect(() => {
    let first = 0;
    const onKey = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === "k") {
        event.preventDefault();
        jump();
        return;
      }
      if (typing(event.target) || event.metaKey || event.ctrlKey || event.altKey) return;
      if (event.key === "/") {
        const field = document.querySelector<HTMLInputElement>("main input[type=search]");
        event.preventDefault();
        if (field) field.focus();
        else jump();
      } else if (event.key === "g") {
        first = performance.now();
      } else if (first && performance.now() - first < PAUSE_MS) {
        first = 0;
        const page = PAGES.find((one) => one.key === event.key);
        if (page) void navigate({ to: page.path } as never);
      }
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [jump, navigate]);
}
