/** Parts of the dialogs here: errors in the API's own words, fields of text. */

import type { InputHTMLAttributes } from "react";
import { ApiError } from "@/api/client";
import { Button, Field } from "@/design/basics";
import css from "./tenants.module.css";

/** Return what the API said of a field; `null` when it said nothing of it. */
export function wrongAt(error: unknown, where: string): string | null {
  if (!(error instanceof ApiError)) return null;
  // A document names the place in it, such as `limits[0].amount`.
  const named = error.where === where || error.where.endsWith(`.${where}`);
  return named ? [error.message, error.hint].filter(Boolean).join(" ") : null;
}

/** What went wrong, at the head of a dialog; not what is told at one of its fields. */
export function Wrong({ error, except = [] }: { error: unknown; except?: string[] }) {
  if (!error || except.some((where) => wrongAt(error, where))) return null;
  const known = error instanceof ApiError ? error : null;
  return (
    <p className="notice bad" role="alert">
      {known ? [known.message, known.hint].filter(Boolean).join(" ") : "It could not be done."}
    </p>
  );
}

interface TextProps extends Omit<InputHTMLAttributes<HTMLInputElement>, "onChange"> {
  label: string;
  hint?: string;
  wrong?: string | null;
  value: string;
  onText: (text: string) => void;
}

/** A labelled field of text. */
export function Text({ label, hint, wrong, onText, ...rest }: TextProps) {
  return (
    <Field label={label} {...(hint ? { hint } : {})} wrong={wrong}>
      {(id, described) => (
        <input
          id={id}
          className="input"
          aria-describedby={described}
          aria-invalid={wrong ? true : undefined}
          onChange={(event) => onText(event.target.value)}
          {...rest}
        />
      )}
    </Field>
  );
}

interface EndProps {
  act: string;
  busy: boolean;
  ready: boolean;
  onClose: () => void;
}

/** The buttons at the end of a form. */
export function End({ act, busy, ready, onClose }: EndProps) {
  return (
    <div className={css.foot}>
      <Button onClick={onClose}>Cancel</Button>
      <Button look="primary" type="submit" disabled={busy || !ready}>
        {act}
      </Button>
    </div>
  );
}
