/** The picture in which a bar runs from begin to end: a tree that folds, on an axis of time. */

import { useMemo, useRef } from "react";
import { count, micros } from "@/lib/numbers";
import { HOUR, MINUTE } from "@/lib/time";
import { useView } from "@/lib/view";
import css from "./request.module.css";
import { openByDefault, type Part, rowsOf, type Tint, timeTicks } from "./tree";
import { ROW, useRows } from "./useRows";
import { type Axis, WaterfallRow } from "./WaterfallRow";
import { lengthOf } from "./words";

/** Folds that differ from the usual ones and are kept in the URL. */
const MAX_TOGGLED = 24;

interface Props {
  root: Part;
  chosen: Part | undefined;
  by: Tint;
  order: string[];
}

export function Waterfall({ root, chosen, by, order }: Props) {
  const view = useView();
  const usual = useMemo(() => openByDefault(root), [root]);
  const toggled = view.list("fold");
  const changed = toggled.join("\n");
  const rows = useMemo(() => {
    const other = new Set(changed.split("\n"));
    return rowsOf(root, (part) => usual.has(part.id) !== other.has(part.id));
  }, [root, usual, changed]);
  const isOpen = (part: Part) => usual.has(part.id) !== toggled.includes(part.id);
  const toggle = (part: Part) => {
    const kept = toggled.includes(part.id)
      ? toggled.filter((id) => id !== part.id)
      : [...toggled, part.id].slice(-MAX_TOGGLED);
    view.set({ fold: kept.length ? kept : undefined });
  };
  const choose = (part: Part) => view.set({ node: part.id }, { replace: false });
  const place = useRef<HTMLDivElement>(null);
  const { first, last, active, onScroll, onKey } = useRows({
    place, rows, chosen, isOpen, toggle, choose,
  }); // biome-ignore format: what rows need
  const axis: Axis = { from: root.node.started_at ?? 0, length: Math.max(1, lengthOf(root) ?? 1) };
  const hidden = root.below + 1 - rows.length;
  return (
    <>
      <div className={css.fall} ref={place} onScroll={onScroll}>
        <Head axis={axis} />
        <div
          role="tree"
          aria-label="Parts by time. Arrows move and fold, Enter opens."
          className={css.fallRows}
          style={{ height: rows.length * ROW }}
          onKeyDown={onKey}
        >
          {rows.slice(first, last).map((part, at) => (
            <WaterfallRow
              key={part.id}
              part={part}
              place={first + at}
              axis={axis}
              total={root.node.cost_nanos}
              open={isOpen(part)}
              chosen={part === chosen}
              tabbed={part === active}
              by={by}
              order={order}
              onToggle={() => toggle(part)}
              onChoose={() => choose(part)}
            />
          ))}
        </div>
      </div>
      {hidden > 0 && (
        <p className={css.note}>{count(hidden)} parts are folded away. Open a row to see them.</p>
      )}
    </>
  );
}

/** Return a time on the axis in few characters. */
function tick(at: number): string {
  if (at === 0) return "0";
  if (at >= HOUR && at % HOUR === 0) return `${at / HOUR} h`;
  return at >= MINUTE && at % MINUTE === 0 ? `${at / MINUTE} min` : micros(at);
}

function Head({ axis }: { axis: Axis }) {
  return (
    <div className={`${css.fallRow} ${css.fallHead}`} aria-hidden="true">
      <span>Part</span>
      <span className={css.track}>
        {timeTicks(axis.length, 4).map((at) => (
          <i key={at} style={{ left: `${(at / axis.length) * 100}%` }}>
            {tick(at)}
          </i>
        ))}
      </span>
      <span className={`${css.fallWide} ${css.tokens}`}>Tokens</span>
      <span className={css.fallWide}>Took</span>
      <span className={css.fallEnd}>Cost</span>
    </div>
  );
}
