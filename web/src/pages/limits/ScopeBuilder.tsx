/** Whom a limit is about: parts, each a field and which of its values. */

import { Button } from "@/design/basics";
import type { ScopePart } from "./draft";
import styles from "./limits.module.css";
import { fieldWords, SCOPES } from "./words";

const HOWS = [
  ["each", "each"],
  ["is", "is"],
  ["each of", "each of"],
] as const;

const EXAMPLES: Record<string, string> = {
  billing_unit: "workspace:42, workspace:*",
  agent: "research, web/*",
  model: "gpt-5*",
  initiator: "user, system",
};

interface BuilderProps {
  parts: ScopePart[];
  onChange: (parts: ScopePart[]) => void;
  wrong: string | null;
}

export function ScopeBuilder({ parts, onChange, wrong }: BuilderProps) {
  const free = SCOPES.filter((field) => !parts.some((part) => part.field === field));
  const set = (at: number, part: Partial<ScopePart>) =>
    onChange(parts.map((one, place) => (place === at ? { ...one, ...part } : one)));
  return (
    <fieldset className={styles.lines}>
      <legend>About</legend>
      {!parts.length && <p className="faint">All calls together.</p>}
      {parts.map((part, at) => (
        <div className={styles.part} key={part.field}>
          <select
            className="select"
            aria-label="Field"
            value={part.field}
            onChange={(event) => set(at, { field: event.target.value })}
          >
            {SCOPES.filter((field) => field === part.field || free.includes(field)).map((field) => (
              <option key={field} value={field}>
                {fieldWords(field)}
              </option>
            ))}
          </select>
          <select
            className="select"
            aria-label={`Which ${fieldWords(part.field)}`}
            value={part.how}
            onChange={(event) => set(at, { how: event.target.value as ScopePart["how"] })}
          >
            {HOWS.map(([value, text]) => (
              <option key={value} value={value}>
                {text}
              </option>
            ))}
          </select>
          {part.how === "each" ? (
            <span className="faint">every value counts on its own</span>
          ) : (
            <input
              className="input"
              required
              aria-label={`Values of ${fieldWords(part.field)}`}
              placeholder={EXAMPLES[part.field] ?? "a, b; * at the end"}
              value={part.values}
              onChange={(event) => set(at, { values: event.target.value })}
            />
          )}
          <Button
            look="quiet"
            icon="close"
            aria-label={`Remove ${fieldWords(part.field)}`}
            onClick={() => onChange(parts.filter((_, place) => place !== at))}
          />
        </div>
      ))}
      {wrong && (
        <span className="wrong" role="alert">
          {wrong}
        </span>
      )}
      {free[0] && (
        <div>
          <Button
            small
            look="quiet"
            icon="plus"
            onClick={() =>
              onChange([...parts, { field: free[0] as string, how: "is", values: "" }])
            }
          >
            {parts.length ? "And only…" : "Only for…"}
          </Button>
        </div>
      )}
    </fieldset>
  );
}
