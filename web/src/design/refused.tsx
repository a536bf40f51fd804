/** What the API refused, at the head of a dialog. */

import { useEffect, useRef } from "react";
import { ApiError } from "@/api/client";
import { Icon } from "./icons";

/** What the API said is wrong, at the head of a dialog; every place, where it names more than one. */
export function Refused({ error }: { error: unknown }) {
  if (!error) return null;
  const known = error instanceof ApiError ? error : null;
  const problems = known?.problems ?? [];
  // Of one problem its own words are enough; the message repeats them with a head.
  const only = problems[0];
  const alone = only && `${only.line ? `Line ${only.line}: ` : ""}${only.message}`;
  return (
    <div className="notice bad" role="alert">
      <Icon name="warn" />
      <div style={{ minWidth: 0, overflowWrap: "anywhere" }}>
        {problems.length > 1 ? (
          <>
            <p>Nothing was taken: {problems.length} places are wrong.</p>
            <ul>
              {problems.map((one, at) => (
                <li key={at}>
                  {one.item ?? `line ${one.line}`}
                  {one.field && `, ${one.field}`}: {one.message}
                </li>
              ))}
            </ul>
          </>
        ) : (
          <p>{alone ?? known?.message ?? "The request failed."}</p>
        )}
        {known?.hint && <p>{known.hint}</p>}
      </div>
    </div>
  );
}

/** Return the ref of a form that brings what was refused into sight: long forms end below it. */
export function useRefusalInSight(error: unknown) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (!error) return;
    form.current?.querySelector("[role=alert]")?.scrollIntoView({ block: "center" });
  }, [error]);
  return form;
}
