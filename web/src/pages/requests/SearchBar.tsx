/** What narrows the list beyond the filters: an id, the outcome, a range of cost, the order. */

import { useEffect, useState } from "react";
import { Segments, Select } from "@/design/basics";
import { useView } from "@/lib/view";
import { FilterBar } from "@/shell/Scope";
import css from "./requests.module.css";
import { dollars, ORDERS, OUTCOMES, orderOf, outcomeOf } from "./search";

const PAUSE_MS = 350;

export function SearchBar() {
  const view = useView();
  return (
    <search className={css.search} aria-label="Requests">
      <Typed
        name="id"
        label="Request id, or how it begins"
        placeholder="Request id, or how it begins"
        className={css.id}
        type="search"
      />
      <Segments
        label="Outcome"
        value={outcomeOf(view)}
        choices={OUTCOMES}
        onChange={(outcome) => view.set({ outcome: outcome || undefined })}
      />
      <div className={css.range}>
        <span>Cost $</span>
        <Typed name="cost_from" label="Least cost in US dollars" placeholder="from" amount />
        <span aria-hidden="true">–</span>
        <Typed name="cost_to" label="Highest cost in US dollars" placeholder="to" amount />
      </div>
      <FilterBar />
      <span className={css.order}>
        <Select
          label="Order"
          value={orderOf(view)}
          choices={ORDERS}
          onChange={(order) => view.set({ order: order === "newest" ? undefined : order })}
        />
      </span>
    </search>
  );
}

interface TypedProps {
  name: string;
  label: string;
  placeholder: string;
  type?: string;
  className?: string | undefined;
  /** An amount of dollars: what is none is marked and not asked. */
  amount?: boolean;
}

/** A field whose text goes to the URL when typing pauses. */
function Typed({ name, label, placeholder, type = "text", className = "", amount }: TypedProps) {
  const view = useView();
  const known = view.text(name);
  const [text, setText] = useState(known);
  const { set } = view;
  const wrong = Boolean(amount && text && dollars(text) === null);
  useEffect(() => setText(known), [known]);
  useEffect(() => {
    if (text === known || wrong) return;
    const timer = setTimeout(() => set({ [name]: text.trim() || undefined }), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text, known, wrong, name, set]);
  return (
    <input
      className={`input ${className}`}
      type={type}
      aria-label={label}
      aria-invalid={wrong}
      title={wrong ? "An amount of dollars, such as 0.05" : undefined}
      inputMode={amount ? "decimal" : undefined}
      placeholder={placeholder}
      value={text}
      onChange={(event) => setText(event.target.value)}
    />
  );
}
