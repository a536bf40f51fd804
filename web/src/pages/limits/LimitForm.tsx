/** The fields of a limit: whom, what, how much, over which time, and the ladder. */

import { useState } from "react";
import { ApiError } from "@/api/client";
import { Field, Segments } from "@/design/basics";
import { METRIC_WORDS, type Metric } from "./amounts";
import { fieldOf, idOf, isCalendar, isSpanned, type LimitDraft } from "./draft";
import styles from "./limits.module.css";
import { RungEditor } from "./RungEditor";
import { ScopeBuilder } from "./ScopeBuilder";

interface FormProps {
  draft: LimitDraft;
  onChange: (draft: LimitDraft) => void;
  /** A new one: its id may be chosen. */
  fresh: boolean;
  error: unknown;
}

type Set = (part: Partial<LimitDraft>) => void;
type Wrong = (field: string) => string | null;

const METRICS = ["cost", "tokens", "input_tokens", "output_tokens", "calls", "concurrent_calls"];
const WINDOWS = [
  ["hour", "each hour"], ["day", "each day"], ["week", "each week, from Monday"],
  ["month", "each month"], ["rolling", "any stretch of time"], ["rate", "rate, refilled steadily"],
  ["request", "each request"], ["run", "each run"],
] as const; // biome-ignore format: pairs of words

export function LimitForm({ draft, onChange, fresh, error }: FormProps) {
  const set: Set = (part) => onChange({ ...draft, ...part });
  const known = error instanceof ApiError ? error : null;
  const place = known ? fieldOf(known.where) : "";
  const wrong: Wrong = (field) =>
    known && (place === field || place.startsWith(`${field}.`) || place.startsWith(`${field}[`))
      ? `${known.message} ${known.hint}`.trim()
      : null;
  return (
    <>
      <Names draft={draft} set={set} fresh={fresh} wrong={wrong} />
      <ScopeBuilder
        parts={draft.parts}
        onChange={(parts) => set({ parts })}
        wrong={wrong("scope")}
      />
      <Amounts draft={draft} set={set} wrong={wrong} />
      <RungEditor
        rungs={draft.rungs}
        onChange={(rungs) => set({ rungs })}
        wrong={wrong("thresholds")}
      />
      <Field label="Mode">
        {() => (
          <Segments
            label="Mode"
            value={draft.mode}
            choices={[
              ["enforce", "Enforce"],
              ["shadow", "Shadow: only watch"],
              ["off", "Off"],
            ]}
            onChange={(mode) => set({ mode })}
          />
        )}
      </Field>
      <More draft={draft} set={set} wrong={wrong} />
    </>
  );
}

function Names({
  draft,
  set,
  fresh,
  wrong,
}: {
  draft: LimitDraft;
  set: Set;
  fresh: boolean;
  wrong: Wrong;
}) {
  // Until the id is written by hand, it follows the name.
  const [own, setOwn] = useState(!fresh || draft.id !== "");
  return (
    <div className={styles.two}>
      <Field label="Name" hint="For people. May be left empty." wrong={wrong("name")}>
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="input"
            placeholder="A tenant's day"
            value={draft.name}
            onChange={(event) => {
              const name = event.target.value;
              set(own ? { name } : { name, id: idOf(name) });
            }}
          />
        )}
      </Field>
      <Field
        label="Id"
        hint={fresh ? "Small letters, digits, dots, dashes; it stays." : "An id stays."}
        wrong={wrong("id")}
      >
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="input mono"
            required
            readOnly={!fresh}
            maxLength={64}
            aria-invalid={wrong("id") !== null}
            placeholder="tenant-day"
            value={draft.id}
            onChange={(event) => {
              setOwn(true);
              set({ id: event.target.value });
            }}
          />
        )}
      </Field>
    </div>
  );
}

function Amounts({ draft, set, wrong }: { draft: LimitDraft; set: Set; wrong: Wrong }) {
  const gauge = draft.metric === "concurrent_calls";
  const money = draft.metric === "cost";
  return (
    <div className={styles.three}>
      <Field label="Metric" wrong={wrong("metric")}>
        {(id) => (
          <select
            id={id}
            className="select"
            value={draft.metric}
            onChange={(event) => set({ metric: event.target.value as Metric })}
          >
            {METRICS.map((one) => (
              <option key={one} value={one}>
                {METRIC_WORDS[one as Metric]}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field
        label={money ? "At most, in dollars" : `At most, ${METRIC_WORDS[draft.metric]}`}
        wrong={wrong("amount")}
      >
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="input num"
            inputMode={money ? "decimal" : "numeric"}
            required
            aria-invalid={wrong("amount") !== null}
            placeholder={money ? "25.00" : "1000000"}
            value={draft.amount}
            onChange={(event) => set({ amount: event.target.value })}
          />
        )}
      </Field>
      {!gauge && (
        <Field label="In" wrong={wrong("window")}>
          {(id) => (
            <select
              id={id}
              className="select"
              value={draft.window}
              onChange={(event) =>
                set({
                  window: event.target.value,
                  span: event.target.value === "rate" ? "1m" : "24h",
                })
              }
            >
              {WINDOWS.map(([value, text]) => (
                <option key={value} value={value}>
                  {text}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      {!gauge && isSpanned(draft.window) && (
        <Field label="Length" hint="Like 90s, 15m, 24h or 30d.">
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              className="input num"
              required
              pattern="\d+[smhd]"
              value={draft.span}
              onChange={(event) => set({ span: event.target.value })}
            />
          )}
        </Field>
      )}
      {!gauge && draft.window === "rate" && (
        <Field
          label="At once"
          hint="What may be used in one moment. Empty: the amount."
          wrong={wrong("burst")}
        >
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              className="input num"
              value={draft.burst}
              onChange={(event) => set({ burst: event.target.value })}
            />
          )}
        </Field>
      )}
    </div>
  );
}

function More({ draft, set, wrong }: { draft: LimitDraft; set: Set; wrong: Wrong }) {
  const calendar = isCalendar(draft.window) && draft.metric !== "concurrent_calls";
  const rare = draft.zone || draft.anchorDay || draft.priority || draft.strict;
  return (
    <details
      className={styles.more}
      open={Boolean(rare || draft.unreachable === "closed" || wrong("zone") || wrong("anchor_day"))}
    >
      <summary>More: clock, outages, worst case</summary>
      <div className={styles.form}>
        <div className={styles.two}>
          {calendar && (
            <Field label="Time zone" hint="Whose midnight begins a day." wrong={wrong("zone")}>
              {(id, described) => (
                <select
                  id={id}
                  aria-describedby={described}
                  className="select"
                  value={draft.zone}
                  onChange={(event) => set({ zone: event.target.value })}
                >
                  <option value="">UTC</option>
                  {Intl.supportedValuesOf("timeZone")
                    .filter((zone) => zone !== "UTC")
                    .map((zone) => (
                      <option key={zone}>{zone}</option>
                    ))}
                </select>
              )}
            </Field>
          )}
          {calendar && draft.window === "month" && (
            <Field
              label="Month begins on day"
              hint="31 is the last one of shorter months."
              wrong={wrong("anchor_day")}
            >
              {(id, described) => (
                <input
                  id={id}
                  aria-describedby={described}
                  className="input num"
                  type="number"
                  min={1}
                  max={31}
                  placeholder="1"
                  value={draft.anchorDay}
                  onChange={(event) => set({ anchorDay: event.target.value })}
                />
              )}
            </Field>
          )}
          <Field
            label="Priority"
            hint="Of several limits that refuse, the lowest is named."
            wrong={wrong("priority")}
          >
            {(id, described) => (
              <input
                id={id}
                aria-describedby={described}
                className="input num"
                type="number"
                min={0}
                placeholder="100"
                value={draft.priority}
                onChange={(event) => set({ priority: event.target.value })}
              />
            )}
          </Field>
        </div>
        <Field label="When the server cannot be asked">
          {() => (
            <Segments
              label="When the server cannot be asked"
              value={draft.unreachable}
              choices={[
                ["open", "Calls pass"],
                ["closed", "Calls are refused"],
              ]}
              onChange={(unreachable) => set({ unreachable })}
            />
          )}
        </Field>
        <label className={styles.check}>
          <input
            type="checkbox"
            checked={draft.strict}
            onChange={(event) => set({ strict: event.target.checked })}
          />
          Hold the worst case of every call
        </label>
      </div>
    </details>
  );
}
