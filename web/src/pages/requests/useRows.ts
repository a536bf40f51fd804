/** The rows of a long tree: only those in sight are drawn; arrows move between all of them. */

import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from "react";
import type { Part } from "./tree";

/** Height of a row in pixels; the styles say the same. */
export const ROW = 28;
/** Rows drawn beyond each edge, so that scrolling shows no gap. */
const BEYOND = 12;
const USUAL_HEIGHT = 640;

interface Asked {
  place: RefObject<HTMLDivElement | null>;
  rows: Part[];
  chosen: Part | undefined;
  isOpen: (part: Part) => boolean;
  toggle: (part: Part) => void;
  choose: (part: Part) => void;
}

export function useRows({ place, rows, chosen, isOpen, toggle, choose }: Asked) {
  const [top, setTop] = useState(0);
  const [tall, setTall] = useState(USUAL_HEIGHT);
  const [at, setAt] = useState(chosen?.id ?? "");
  const moved = useRef(false);
  const active = rows.find((part) => part.id === at) ?? rows[0];

  // biome-ignore lint/correctness/useExhaustiveDependencies: only where the picture begins
  useEffect(() => {
    const element = place.current;
    if (!element) return;
    const sized = new ResizeObserver(() => setTall(element.clientHeight));
    sized.observe(element);
    // A link to a part far down begins there.
    const row = rows.findIndex((part) => part.id === at);
    if (row * ROW > element.clientHeight - 2 * ROW) {
      element.scrollTop = row * ROW - element.clientHeight / 2;
    }
    return () => sized.disconnect();
  }, [place]);

  useEffect(() => {
    if (!moved.current || !active) return;
    moved.current = false;
    place.current?.querySelector<HTMLElement>(`[data-id="${CSS.escape(active.id)}"]`)?.focus();
  });

  const go = (part: Part | undefined | null) => {
    if (!part) return;
    const element = place.current;
    const row = rows.indexOf(part);
    if (element && row >= 0) {
      // The head of the columns stays on top and takes the height of a row.
      const from = row * ROW;
      const low = from + 2 * ROW - element.clientHeight;
      if (from < element.scrollTop) element.scrollTop = from;
      else if (low > element.scrollTop) element.scrollTop = low;
      setTop(element.scrollTop);
    }
    moved.current = true;
    setAt(part.id);
  };

  const onKey = (event: KeyboardEvent) => {
    if (!active) return;
    const row = rows.indexOf(active);
    const folds = active.children.length > 0;
    const open = folds && isOpen(active);
    if (event.key === "ArrowDown") go(rows[row + 1]);
    else if (event.key === "ArrowUp") go(rows[row - 1]);
    else if (event.key === "Home") go(rows[0]);
    else if (event.key === "End") go(rows.at(-1));
    else if (event.key === "ArrowRight" && folds) open ? go(active.children[0]) : toggle(active);
    else if (event.key === "ArrowLeft") open ? toggle(active) : go(active.parent);
    else if (event.key === "Enter" || event.key === " ") choose(active);
    else return;
    event.preventDefault();
  };

  return {
    first: Math.max(0, Math.floor(top / ROW) - BEYOND),
    last: Math.ceil((top + tall) / ROW) + BEYOND,
    active,
    onScroll: () => setTop(place.current?.scrollTop ?? 0),
    onKey,
  };
}
