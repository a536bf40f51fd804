/** One row of the waterfall: its name in the tree, its bar on the axis, its numbers. */

import { useCurrency } from "@/api/currencies";
import { Icon } from "@/design/icons";
import { money } from "@/lib/money";
import { compact, count, micros } from "@/lib/numbers";
import css from "./request.module.css";
import { markOf, tintOfPart } from "./tints";
import { isBad, isCut, isEvent, type Part, type Tint } from "./tree";
import { ROW } from "./useRows";
import { KINDS, lengthOf, nameOf, titleOf } from "./words";

/** The axis of time: its begin, and its length, in microseconds. */
export interface Axis {
  from: number;
  length: number;
}

interface Props {
  part: Part;
  place: number;
  axis: Axis;
  total: number;
  open: boolean;
  chosen: boolean;
  tabbed: boolean;
  by: Tint;
  order: string[];
  onToggle: () => void;
  onChoose: () => void;
}

export function WaterfallRow(props: Props) {
  const { part, place, total, chosen, tabbed } = props;
  const currency = useCurrency();
  const folds = part.children.length > 0;
  const { tokensIn, tokensOut } = part;
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the grid around it has the keys
    <div
      role="treeitem"
      data-id={part.id}
      aria-level={part.depth + 1}
      aria-selected={chosen}
      {...(folds ? { "aria-expanded": props.open } : {})}
      tabIndex={tabbed ? 0 : -1}
      className={css.fallRow}
      style={{ top: place * ROW }}
      title={titleOf(part, total, currency)}
      onClick={props.onChoose}
    >
      <Name {...props} />
      <span className={css.track}>
        <Bars {...props} />
      </span>
      <span className={`${css.fallWide} ${css.tokens}`}>
        {tokensIn || tokensOut ? (
          <span title={`${count(tokensIn)} in, ${count(tokensOut)} out`}>
            {compact(tokensIn)} <span className="faint">→</span> {compact(tokensOut)}
          </span>
        ) : (
          <span className="faint">–</span>
        )}
      </span>
      <span className={css.fallWide}>{micros(lengthOf(part))}</span>
      <span className={css.fallEnd}>
        {part.node.cost_nanos ? money(part.node.cost_nanos, currency) : <Nothing part={part} />}
      </span>
    </div>
  );
}

/** Why a part shows no amount: it is free, or it has no price. */
function Nothing({ part }: { part: Part }) {
  const unpriced = part.node.price_basis === "unpriced";
  return <span className={unpriced ? css.warnText : "faint"}>{unpriced ? "no price" : "0"}</span>;
}

const ICONS: Record<string, string> = {
  request: "requests",
  agent: "agents",
  tool: "tool",
  call: "call",
  attempt: "retry",
};

function Name({ part, open, onToggle }: Props) {
  const { node } = part;
  const model = node.kind !== "agent" && node.model !== node.name ? node.model : undefined;
  return (
    <span className={css.fallName} style={{ paddingLeft: part.depth * 14 }}>
      {part.children.length ? (
        <button
          type="button"
          tabIndex={-1}
          className={css.fold}
          aria-label={`${open ? "Fold" : "Unfold"} ${nameOf(part)}`}
          data-open={open || undefined}
          onClick={(event) => {
            event.stopPropagation();
            onToggle();
          }}
        >
          <Icon name="right" size={12} />
        </button>
      ) : (
        <span className={css.fold} />
      )}
      <span className={css.kind} title={KINDS[node.kind]}>
        <Icon name={ICONS[node.kind] ?? "call"} size={13} />
      </span>
      <span className="clip">
        {nameOf(part)}
        {model && <span className="faint"> {model}</span>}
      </span>
      <Mark part={part} />
      {!open && part.below > 0 && <span className={css.below}>{count(part.below)}</span>}
    </span>
  );
}

/** What went wrong, as an icon and a word. */
function Mark({ part }: { part: Part }) {
  if (!isEvent(part) || part.node.status === "ok") return null;
  const tone = isBad(part) ? css.badText : css.warnText;
  return (
    <span className={`${css.mark} ${tone}`}>
      {(isBad(part) || isCut(part)) && <Icon name="warn" size={12} />}
      {part.node.status}
    </span>
  );
}

/** The bar of a part; of a call with several attempts, a bar for each of them. */
function Bars({ part, axis, by, order }: Props) {
  const several = part.node.kind === "call" || part.node.kind === "tool";
  const shown = several && part.children.length ? part.children : [part];
  return shown.map((one) => {
    const from = one.node.started_at;
    if (from === null) return null;
    const left = ((from - axis.from) / axis.length) * 100;
    const width = ((lengthOf(one) ?? 0) / axis.length) * 100;
    return (
      <i
        key={one.id}
        className={css.bar}
        data-kind={one.node.kind === "attempt" ? part.node.kind : one.node.kind}
        data-mark={markOf(one)}
        style={{
          ...tintOfPart(one, order, by),
          left: `${Math.min(left, 99.6)}%`,
          width: `${width}%`,
        }}
      />
    );
  });
}
