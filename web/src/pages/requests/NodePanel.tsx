/** The chosen part beside the tree: its facts, and for an event the derivation of its price. */

import { type ReactNode, useEffect, useRef } from "react";
import { Badge, Button, Failed, Loading, Status } from "@/design/basics";
import { Money } from "@/design/money";
import { count, micros, percent } from "@/lib/numbers";
import { useEvent } from "./api";
import { Derivation } from "./Derivation";
import { EventFacts } from "./EventFacts";
import css from "./request.module.css";
import { type Part, pathTo } from "./tree";
import { KINDS, lengthOf, nameOf } from "./words";

interface Props {
  part: Part;
  /** Cost of the request. */
  total: number;
  onClose: () => void;
  onChoose: (part: Part) => void;
}

export function NodePanel({ part, total, onClose, onChoose }: Props) {
  const place = useRef<HTMLElement>(null);
  const { node } = part;
  useEffect(() => {
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.key === "Escape" && place.current?.contains(document.activeElement)) onClose();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, [onClose]);
  return (
    <section ref={place} className={`card ${css.panel}`} aria-label={`${KINDS[node.kind]} details`}>
      <header className={css.panelHead}>
        <div>
          <Path part={part} onChoose={onChoose} />
          <h2>
            <span className="clip">{nameOf(part)}</span> <Badge>{KINDS[node.kind]}</Badge>{" "}
            {node.kind !== "request" && <Status value={node.status} />}
          </h2>
        </div>
        <Button small look="quiet" icon="close" aria-label="Close the details" onClick={onClose} />
      </header>
      <div className={css.panelBody}>
        <Cost part={part} total={total} />
        {node.event_id ? (
          <OfEvent event={node.event_id} />
        ) : (
          <OfGroup part={part} onChoose={onChoose} />
        )}
      </div>
    </section>
  );
}

function Cost({ part, total }: { part: Part; total: number }) {
  const { node } = part;
  if (node.price_basis === "unpriced" && !node.cost_nanos)
    return (
      <p className={css.big}>
        No price <span className="faint">the cost of this call is not known</span>
      </p>
    );
  return (
    <p className={css.big}>
      <Money nanos={node.cost_nanos} />{" "}
      <span className="faint">{percent(total ? node.cost_nanos / total : 0)} of the request</span>
    </p>
  );
}

function Path({ part, onChoose }: { part: Part; onChoose: (part: Part) => void }) {
  const above = pathTo(part).slice(0, -1);
  if (!above.length) return null;
  return (
    <nav className={css.path} aria-label="Above it">
      {above.map((one, at) => (
        <span key={one.id}>
          {at > 0 && " / "}
          <button type="button" className={css.plain} onClick={() => onChoose(one)}>
            {nameOf(one)}
          </button>
        </span>
      ))}
    </nav>
  );
}

function OfEvent({ event }: { event: string }) {
  const found = useEvent(event);
  if (found.error && !found.data)
    return <Failed error={found.error} again={() => found.refetch()} />;
  if (!found.data) return <Loading lines={10} height={360} />;
  return (
    <>
      <EventFacts found={found.data} />
      <Derivation found={found.data} />
    </>
  );
}

const MAX_BELOW = 12;

/** An agent, or a call of several attempts: what is below it, the dearest first. */
function OfGroup({ part, onChoose }: { part: Part; onChoose: (part: Part) => void }) {
  const { node } = part;
  const below = [...part.children].sort((a, b) => b.node.cost_nanos - a.node.cost_nanos);
  const facts: [string, ReactNode][] = [
    ["Agent path", node.agent_path && <code>{node.agent_path}</code>],
    ["Model", node.model],
    ["Of its own", node.kind === "agent" && <Money nanos={node.own_cost_nanos} />],
    ["Parts below", part.below > 0 && count(part.below)],
    ["Tokens in", count(part.tokensIn)],
    ["Tokens out", count(part.tokensOut)],
    ["Took", micros(lengthOf(part))],
  ];
  return (
    <>
      <Facts facts={facts} />
      <h3 className={css.sectionHead}>Directly below, the dearest first</h3>
      <ul className={css.belowList}>
        {below.slice(0, MAX_BELOW).map((child) => (
          <li key={child.id}>
            <button type="button" className={css.belowRow} onClick={() => onChoose(child)}>
              <span className="clip">{nameOf(child)}</span>
              <span className="faint num">
                {percent(node.cost_nanos ? child.node.cost_nanos / node.cost_nanos : 0)}
              </span>
              <Money nanos={child.node.cost_nanos} />
            </button>
          </li>
        ))}
      </ul>
      {below.length > MAX_BELOW && (
        <p className="faint">and {count(below.length - MAX_BELOW)} more</p>
      )}
    </>
  );
}

/** Pairs of a name and a value; those without a value are left out. */
export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className={`facts ${css.facts}`}>
      {facts
        .filter(
          ([, value]) => value !== null && value !== undefined && value !== false && value !== "",
        )
        .map(([label, value]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
