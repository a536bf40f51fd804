/** The picture in which width is cost: agents above their calls, calls above their attempts. */

import { type KeyboardEvent, useMemo, useRef } from "react";
import { useCurrency } from "@/api/currencies";
import { Empty } from "@/design/basics";
import { Icon } from "@/design/icons";
import { money } from "@/lib/money";
import { count } from "@/lib/numbers";
import { useView } from "@/lib/view";
import css from "./request.module.css";
import { markOf, tintOfPart } from "./tints";
import { type Box, icicle, type Part, type Tint } from "./tree";
import { nameOf, titleOf } from "./words";

const ROW = 28;

interface Props {
  root: Part;
  parts: Part[];
  chosen: Part | undefined;
  by: Tint;
  order: string[];
}

export function Icicle({ root, parts, chosen, by, order }: Props) {
  const view = useView();
  const place = useRef<HTMLDivElement>(null);
  const wanted = view.text("zoom");
  const zoom = parts.find((part) => part.id === wanted) ?? root;
  const boxes = useMemo(() => icicle(zoom), [zoom]);
  const rows = Math.max(...boxes.map((box) => box.row)) + 1;
  const zoomTo = (part: Part) => {
    const into = part.children.some((child) => child.node.cost_nanos > 0) ? part : part.parent;
    return into && into !== root ? into.id : undefined;
  };
  const choose = (box: Box) => {
    if (box.merged && box.part.parent) {
      view.set({ zoom: zoomTo(box.part.parent), node: box.part.parent.id }, { replace: false });
    } else {
      view.set({ zoom: zoomTo(box.part), node: box.part.id }, { replace: false });
    }
  };
  const focus = (id: string | undefined) =>
    id && place.current?.querySelector<HTMLElement>(`[data-id="${CSS.escape(id)}"]`)?.focus();
  const onKey = (event: KeyboardEvent) => {
    const id = (event.target as HTMLElement).dataset.id;
    const box = boxes.find((one) => one.part.id === id);
    if (!box) return;
    if (event.key === "Escape" || event.key === "Backspace") {
      const up = zoom.parent;
      view.set(up ? { zoom: zoomTo(up) } : { node: undefined });
      focus(up?.id);
    } else {
      const next = beside(boxes, box, event.key);
      if (!next) return;
      focus(next.part.id);
    }
    event.preventDefault();
  };
  if (root.node.cost_nanos <= 0)
    return (
      <Empty title="Nothing here has a cost">
        The calls were free, or have no price yet. Look at them by time.
      </Empty>
    );
  const current = boxes.find((box) => box.part === chosen && !box.merged) ?? boxes[0];
  return (
    <div
      ref={place}
      className={css.icicle}
      style={{ height: rows * ROW }}
      role="tree"
      aria-label="Costs. Arrows move, Enter opens and zooms, Escape zooms out."
      onKeyDown={onKey}
    >
      {boxes.map((box) => (
        <Cell
          key={`${box.merged ? "+" : ""}${box.part.id}`}
          box={box}
          total={root.node.cost_nanos}
          chosen={box.part === chosen && !box.merged}
          tabbed={box === current}
          above={box.row < (boxes.find((one) => one.part === zoom)?.row ?? 0)}
          style={tintOfPart(box.part, order, by)}
          onChoose={() => choose(box)}
        />
      ))}
    </div>
  );
}

/** Return the box that an arrow key leads to. */
function beside(boxes: Box[], box: Box, key: string): Box | undefined {
  const level = (row: number) => boxes.filter((one) => one.row === row);
  if (key === "ArrowUp") return boxes.find((one) => one.part === box.part.parent && !one.merged);
  if (key === "ArrowDown") {
    return level(box.row + 1).find((one) => one.part.parent === box.part);
  }
  const row = level(box.row).sort((a, b) => a.left - b.left);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
  return step ? row[row.indexOf(box) + step] : undefined;
}

/** Return what stands on a box of several parts. */
const mergedName = (box: Box) =>
  box.name ? `${box.name} × ${count(box.merged)}` : `${count(box.merged)} smaller`;

interface CellProps {
  box: Box;
  total: number;
  chosen: boolean;
  tabbed: boolean;
  above: boolean;
  style: React.CSSProperties;
  onChoose: () => void;
}

function Cell({ box, total, chosen, tabbed, above, style, onChoose }: CellProps) {
  const currency = useCurrency();
  const { part } = box;
  const shown = money(box.cost, currency);
  const title = box.merged
    ? `${mergedName(box)}\n${money(box.cost, currency, "exact")} together`
    : titleOf(part, total, currency);
  const mark = box.merged ? undefined : markOf(part);
  return (
    <button
      type="button"
      role="treeitem"
      data-id={part.id}
      data-kind={box.merged ? (box.name ? "same" : "merged") : part.node.kind}
      data-mark={mark}
      data-above={above || undefined}
      aria-level={box.row + 1}
      aria-selected={chosen}
      tabIndex={tabbed ? 0 : -1}
      title={title}
      className={css.box}
      style={{
        ...style,
        top: box.row * ROW,
        left: `${box.left * 100}%`,
        width: `${box.width * 100}%`,
      }}
      onClick={onChoose}
    >
      {mark === "bad" && <Icon name="warn" size={12} />}
      <span className={css.boxName}>{box.merged ? mergedName(box) : nameOf(part)}</span>
      <span className={css.boxCost}>{shown}</span>
    </button>
  );
}
