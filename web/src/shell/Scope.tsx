/** What a page looks at: its window of time and its filters, both in the URL. */

import { useState } from "react";
import { name, useQuestion } from "@/api/question";
import { Button, Field, Loading, Select } from "@/design/basics";
import { Dialog } from "@/design/dialog";
import { Icon } from "@/design/icons";
import { Item, Menu } from "@/design/menu";
import { DEFAULT_WINDOW, FILTERS, NONE, type Search, useView, WINDOWS } from "@/lib/view";

/** The choice of the window; `usual` is the one that a bare URL means. */
export function WindowPicker({ usual = DEFAULT_WINDOW }: { usual?: string }) {
  const view = useView(usual);
  const [custom, setCustom] = useState(false);
  const choose = (last: string) =>
    view.set(
      { last: last === usual ? undefined : last, from: undefined, to: undefined },
      { replace: false },
    );
  const more = [
    { id: "today", label: "Today" },
    { id: "month", label: "Month to date" },
  ];
  return (
    <>
      <Menu
        label={`Window: ${view.window.label}`}
        icon="clock"
        text={
          <>
            {view.window.label}
            <Icon name="down" size={12} />
          </>
        }
        end
      >
        {(close) => (
          <>
            {[...WINDOWS, ...more].map((one) => (
              <Item
                key={one.id}
                checked={one.id === view.window.id}
                onClick={() => {
                  choose(one.id);
                  close();
                }}
              >
                {one.label}
              </Item>
            ))}
            <div className="sep" />
            <Item
              checked={view.window.id === "custom"}
              onClick={() => {
                close();
                setCustom(true);
              }}
            >
              From … to …
            </Item>
          </>
        )}
      </Menu>
      <CustomWindow open={custom} onClose={() => setCustom(false)} usual={usual} />
    </>
  );
}

function CustomWindow({
  open,
  onClose,
  usual,
}: {
  open: boolean;
  onClose: () => void;
  usual: string;
}) {
  const view = useView(usual);
  const [from, setFrom] = useState(view.text("from").slice(0, 16));
  const [to, setTo] = useState(view.text("to").slice(0, 16));
  const wrong = from && to && from >= to ? "The end must be after the start." : null;
  const apply = () => {
    view.set({ last: undefined, from: from || undefined, to: to || undefined }, { replace: false });
    onClose();
  };
  return (
    <Dialog
      title="Window"
      open={open}
      onClose={onClose}
      foot={
        <Button look="primary" disabled={!from || Boolean(wrong)} onClick={apply}>
          Show
        </Button>
      }
    >
      <Field label="From" hint={`In ${view.zone}`}>
        {(id) => (
          <input
            id={id}
            className="input"
            type="datetime-local"
            value={from}
            onChange={(event) => setFrom(event.target.value)}
          />
        )}
      </Field>
      <Field label="To" hint="Left out: until now" wrong={wrong}>
        {(id, described) => (
          <input
            id={id}
            className="input"
            type="datetime-local"
            aria-describedby={described}
            value={to}
            onChange={(event) => setTo(event.target.value)}
          />
        )}
      </Field>
    </Dialog>
  );
}

const MAX_VALUES = 200;
const OFFERED = [
  "tenant",
  "feature",
  "agent",
  "agent_root",
  "model",
  "provider",
  "user",
  "workspace",
  "plan",
  "operation",
  "name",
  "status",
  "initiator",
  "environment",
  "service",
  "price_basis",
];

/** The filters in force, and the way to add one. */
export function FilterBar() {
  const view = useView();
  const [adding, setAdding] = useState(false);
  const chips = Object.keys(view.search).filter(
    (key) => (FILTERS as readonly string[]).includes(key) || key.startsWith("label."),
  );
  return (
    <div className="filters">
      {chips.flatMap((key) =>
        view.list(key).map((value) => (
          <span className="chip" key={`${key}:${value}`}>
            <span className="clip">
              <b>{key.replaceAll("_", " ")}:</b> {value === NONE ? "(none)" : value}
            </span>
            <button
              type="button"
              aria-label={`Remove the filter ${key} ${value}`}
              onClick={() => {
                const left = view.list(key).filter((one) => one !== value);
                view.set({ [key]: left.length ? left : undefined });
              }}
            >
              <Icon name="close" size={12} />
            </button>
          </span>
        )),
      )}
      <Button small look="quiet" icon="filter" onClick={() => setAdding(true)}>
        Filter
      </Button>
      <Dialog title="Add a filter" open={adding} onClose={() => setAdding(false)}>
        {adding && <FilterForm onDone={() => setAdding(false)} />}
      </Dialog>
    </div>
  );
}

function FilterForm({ onDone }: { onDone: () => void }) {
  const view = useView();
  const [field, setField] = useState("tenant");
  const [text, setText] = useState("");
  const values = useQuestion(
    view.question({ metrics: ["cost"], by: [field], order: ["-cost"], limit: MAX_VALUES }),
    { live: false },
  );
  const wanted = text.toLowerCase();
  const rows = (values.data?.rows ?? []).filter((row) =>
    name(row[field]).toLowerCase().includes(wanted),
  );
  const add = (value: string) => {
    const part: Search = { [field]: [...new Set([...view.list(field), value])] };
    view.set(part, { replace: false });
    onDone();
  };
  return (
    <>
      <Select
        label="Field"
        plain={false}
        value={field}
        choices={OFFERED.map((one) => [one, one.replaceAll("_", " ")] as const)}
        onChange={(one) => {
          setField(one);
          setText("");
        }}
      />
      <input
        className="input"
        type="search"
        aria-label={`Search for a ${field}`}
        placeholder="Type to search; Enter takes the first"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          const first = rows[0]?.[field];
          if (event.key === "Enter" && rows.length)
            add(first === null || first === undefined ? NONE : String(first));
        }}
      />
      {values.data ? (
        <div className="palette-list">
          {rows.map((row) => (
            <button
              type="button"
              key={String(row[field])}
              onClick={() => add(row[field] === null ? NONE : String(row[field]))}
            >
              <span className="clip">{name(row[field])}</span>
            </button>
          ))}
          {!rows.length && <p className="faint">Nothing of this name in this window.</p>}
        </div>
      ) : (
        <Loading />
      )}
    </>
  );
}
