/** The cost tree in its two pictures: width as cost, and time. */

import { useMemo } from "react";
import { Card, Segments, Select } from "@/design/basics";
import { useView, type View } from "@/lib/view";
import { Icicle } from "./Icicle";
import css from "./request.module.css";
import { tintOf } from "./tints";
import { type Part, type Tint, tintOrder } from "./tree";
import { Waterfall } from "./Waterfall";

const MODES = [
  ["cost", "By cost"],
  ["time", "By time"],
] as const;

const TINTS = [
  ["agent", "Colour: agent"],
  ["model", "Colour: model"],
  ["status", "Colour: status"],
] as const;

interface Props {
  root: Part;
  parts: Part[];
  chosen: Part | undefined;
}

export function CostTree({ root, parts, chosen }: Props) {
  const view = useView();
  const mode = view.text("mode") === "time" ? "time" : "cost";
  const by = (TINTS.find(([id]) => id === view.text("colour"))?.[0] ?? "agent") as Tint;
  const order = useMemo(() => tintOrder(parts, by), [parts, by]);
  const free = parts.filter((part) => !part.children.length && !part.node.cost_nanos);
  return (
    <Card
      title="Cost tree"
      note={
        <span className={css.aside}>
          {mode === "cost" ? "width is cost" : "a bar from begin to end"}
        </span>
      }
      flush
      actions={
        <div className="toolbar">
          <Segments
            label="Picture"
            value={mode}
            choices={MODES}
            onChange={(one) => view.set({ mode: one === "cost" ? undefined : one })}
          />
          <Select
            label="Colour by"
            value={by}
            choices={TINTS}
            onChange={(one) => view.set({ colour: one === "agent" ? undefined : one })}
          />
        </div>
      }
    >
      <Legend order={order} by={by} />
      {mode === "cost" ? (
        <>
          <Icicle root={root} parts={parts} chosen={chosen} by={by} order={order} />
          {free.length > 0 && <FreeNote view={view} free={free} />}
        </>
      ) : (
        <Waterfall root={root} chosen={chosen} by={by} order={order} />
      )}
    </Card>
  );
}

/** What has no width: free parts, and those whose cost is not known. */
function FreeNote({ view, free }: { view: View; free: Part[] }) {
  const unknown = free.filter((part) => part.node.price_basis === "unpriced").length;
  const nothing = free.length - unknown;
  return (
    <p className={css.note}>
      {unknown > 0 && (
        <span className={css.warnText}>
          {unknown === 1 ? "One call has" : `${unknown} calls have`} no price: the cost is not known
          in full.{" "}
        </span>
      )}
      {nothing > 0 && `${nothing === 1 ? "One part is" : `${nothing} parts are`} free. `}
      Without a cost there is no width:{" "}
      <button type="button" className={css.plain} onClick={() => view.set({ mode: "time" })}>
        see them by time
      </button>
      .
    </p>
  );
}

function Legend({ order, by }: { order: string[]; by: Tint }) {
  if (!order.length) return null;
  return (
    <ul className={css.legend} aria-label={`Colours by ${by}`}>
      {order.map((key) => (
        <li key={key} style={tintOf(key, order, by)}>
          <i />
          <span className="clip">{key}</span>
        </li>
      ))}
    </ul>
  );
}
