/** Agents as the tree that their paths make; each with the cost of everything below it. */

import { useMemo } from "react";
import { name, num, useQuestion } from "@/api/question";
import { Async, Card, Empty, Loading } from "@/design/basics";
import { Icon } from "@/design/icons";
import { Behind, Money } from "@/design/money";
import { count, percent } from "@/lib/numbers";
import type { View } from "@/lib/view";
import { inSight, type Place, placesOf, share } from "./actions";
import css from "./agents.module.css";

const MAX_PATHS = 500;
const MAX_FOLDED = 40;

export function AgentTree({ view }: { view: View }) {
  const found = useQuestion(
    view.question({
      metrics: ["cost", "calls", "errors"],
      by: ["agent"],
      order: ["-cost"],
      limit: MAX_PATHS,
    }),
  );
  const places = useMemo(
    () =>
      placesOf(
        (found.data?.rows ?? []).map((row) => ({
          path: name(row.agent, ""),
          cost: num(row, "cost"),
          calls: num(row, "calls"),
          errors: num(row, "errors"),
        })),
      ),
    [found.data],
  );
  const full = (found.data?.rows.length ?? 0) >= MAX_PATHS;
  return (
    <Card
      title="Tree of agents"
      note={full ? `the dearest ${MAX_PATHS} places` : "cost with everything below"}
      flush
    >
      <Async
        query={found}
        isEmpty={() => !places.some((place) => place.path)}
        empty={<Empty title="No agents in this window">Events name their agent by a path.</Empty>}
        loading={<Loading lines={6} height={220} />}
      >
        {() => <Tree places={places} view={view} />}
      </Async>
    </Card>
  );
}

function Tree({ places, view }: { places: Place[]; view: View }) {
  const folds = view.list("fold");
  const rows = inSight(places, new Set(folds));
  const whole = places.reduce((sum, place) => sum + place.cost, 0);
  const toggle = (path: string) => {
    const next = folds.includes(path) ? folds.filter((one) => one !== path) : [...folds, path];
    view.set({ fold: next.length ? next.slice(-MAX_FOLDED) : undefined });
  };
  return (
    <div className="table-wrap">
      <table className="table">
        <caption className="sr-only">Agents by their place in the tree</caption>
        <thead>
          <tr>
            <th scope="col">Agent</th>
            <th scope="col" className="end" title="With everything below it">
              Cost
            </th>
            <th scope="col" className="wide" title="Share of the cost of this window">
              Share
            </th>
            <th scope="col" className="end wide" title="Without the agents below it">
              Of its own
            </th>
            <th scope="col" className="end wide" title="Calls, those of agents below it too">
              Calls
            </th>
            <th scope="col" className="end wide" title="Attempts that failed, below it too">
              Errors
            </th>
          </tr>
        </thead>
        <tbody>
          {rows.map((place) => (
            <Row
              key={place.path}
              place={place}
              whole={whole}
              open={!folds.includes(place.path)}
              onToggle={() => toggle(place.path)}
            />
          ))}
        </tbody>
      </table>
    </div>
  );
}

interface RowProps {
  place: Place;
  whole: number;
  open: boolean;
  onToggle: () => void;
}

function Row({ place, whole, open, onToggle }: RowProps) {
  const part = share(place.cost, whole);
  return (
    <tr>
      <td>
        <span className={css.place} style={{ paddingLeft: place.depth * 18 }}>
          {place.children.length > 0 ? (
            <button
              type="button"
              className={css.fold}
              aria-expanded={open}
              aria-label={`${open ? "Fold" : "Unfold"} ${place.path}`}
              onClick={onToggle}
            >
              <Icon name="right" size={12} />
            </button>
          ) : (
            <span className={css.fold} />
          )}
          <span className="clip" title={place.path}>
            {place.path ? place.name : <span className="faint">(no agent)</span>}
          </span>
        </span>
      </td>
      <td className="end">
        {place.path ? (
          <Behind by={{ agent: place.path }} label={`Requests of ${place.path}`}>
            <Money nanos={place.cost} />
          </Behind>
        ) : (
          <Money nanos={place.cost} />
        )}
      </td>
      <td className="wide">
        <span className={css.part}>
          <span className={css.track}>
            <i style={{ width: `${part * 100}%` }} />
          </span>
          <span className="num">{percent(part)}</span>
        </span>
      </td>
      <td className="end wide">
        <Money nanos={place.own} />
      </td>
      <td className="end wide">{count(place.calls)}</td>
      <td className="end wide">
        {place.errors ? count(place.errors) : <span className="faint">0</span>}
      </td>
    </tr>
  );
}
