/** The ladder: from which part of the amount on what happens, with what it needs. */

import { useMay } from "@/api/session";
import { Button } from "@/design/basics";
import { type RungDraft, rung } from "./draft";
import styles from "./limits.module.css";

const ACTIONS = [
  ["warn", "warn"],
  ["throttle", "make calls wait"],
  ["downgrade", "ask a cheaper model"],
  ["partial", "end streams cleanly"],
  ["escalate", "ask a person"],
  ["block", "block"],
] as const;
const MAX_RUNGS = 16;

interface EditorProps {
  rungs: RungDraft[];
  onChange: (rungs: RungDraft[]) => void;
  wrong: string | null;
}

export function RungEditor({ rungs, onChange, wrong }: EditorProps) {
  const set = (at: number, part: Partial<RungDraft>) =>
    onChange(rungs.map((one, place) => (place === at ? { ...one, ...part } : one)));
  return (
    <fieldset className={styles.lines}>
      <legend>Ladder</legend>
      {rungs.map((one, at) => (
        <div className={styles.rung} key={at}>
          <span className={styles.suffix}>
            <input
              className="input num"
              inputMode="decimal"
              required
              aria-label="At, in percent of the amount"
              value={one.at}
              onChange={(event) => set(at, { at: event.target.value })}
            />
            <span className="faint">%</span>
          </span>
          <select
            className="select"
            aria-label="What happens"
            value={one.action}
            onChange={(event) => {
              const action = event.target.value as RungDraft["action"];
              const models = action === "downgrade" && !one.models.length;
              set(at, { action, ...(models ? { models: [{ from: "", to: "" }] } : {}) });
            }}
          >
            {ACTIONS.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
          <Parameters one={one} set={(part) => set(at, part)} />
          <Button
            look="quiet"
            icon="close"
            aria-label={`Remove ${one.action} at ${one.at} %`}
            disabled={rungs.length === 1}
            onClick={() => onChange(rungs.filter((_, place) => place !== at))}
          />
        </div>
      ))}
      {wrong && (
        <span className="wrong" role="alert">
          {wrong}
        </span>
      )}
      {!rungs.some((one) => one.action === "block") && (
        <p className="faint">Without a rung that blocks, nothing is ever refused.</p>
      )}
      {rungs.length < MAX_RUNGS && (
        <div>
          <Button
            small
            look="quiet"
            icon="plus"
            onClick={() => onChange([...rungs, rung("90", "warn")])}
          >
            Another rung
          </Button>
        </div>
      )}
    </fieldset>
  );
}

function Parameters({ one, set }: { one: RungDraft; set: (part: Partial<RungDraft>) => void }) {
  if (one.action === "throttle") {
    return (
      <span className={styles.suffix}>
        <input
          className="input num"
          type="number"
          min={1}
          max={60_000}
          required
          aria-label="Longest wait in milliseconds"
          placeholder="5000"
          value={one.delayMs}
          onChange={(event) => set({ delayMs: event.target.value })}
        />
        <span className="faint">ms at most</span>
      </span>
    );
  }
  if (one.action === "downgrade") return <Models one={one} set={set} />;
  return <Webhook one={one} set={set} />;
}

/** Addresses are shown to admins only; what others leave empty stays as it is. */
function Webhook({ one, set }: { one: RungDraft; set: (part: Partial<RungDraft>) => void }) {
  const shown = useMay("admin");
  return (
    <input
      className="input"
      type="url"
      required={one.action === "escalate" && shown}
      aria-label="Webhook to call"
      placeholder={
        one.action === "escalate" ? "https://… is asked" : "https://… to call (optional)"
      }
      value={one.url}
      onChange={(event) => set({ url: event.target.value })}
    />
  );
}

function Models({ one, set }: { one: RungDraft; set: (part: Partial<RungDraft>) => void }) {
  const change = (at: number, part: Partial<{ from: string; to: string }>) =>
    set({ models: one.models.map((pair, place) => (place === at ? { ...pair, ...part } : pair)) });
  return (
    <span className={styles.lines}>
      {one.models.map((pair, at) => (
        <span className={styles.pair} key={at}>
          <input
            className="input mono"
            required
            aria-label="Model that is asked for"
            placeholder="gpt-5.6-sol"
            value={pair.from}
            onChange={(event) => change(at, { from: event.target.value })}
          />
          <span aria-hidden="true">→</span>
          <input
            className="input mono"
            required
            aria-label="Model that is asked instead"
            placeholder="gpt-5.6-luna"
            value={pair.to}
            onChange={(event) => change(at, { to: event.target.value })}
          />
        </span>
      ))}
      <span>
        <Button
          small
          look="quiet"
          icon="plus"
          onClick={() => set({ models: [...one.models, { from: "", to: "" }] })}
        >
          Another model
        </Button>
      </span>
    </span>
  );
}
