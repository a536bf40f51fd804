/** Another amount until a time, for one scope or for all. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useId, useState } from "react";
import { ApiError } from "@/api/client";
import { useCurrency } from "@/api/currencies";
import type { components } from "@/api/schema";
import { Button, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { DAY, fromWall, HOUR, nowMicros, wallTime } from "@/lib/time";
import { useView } from "@/lib/view";
import { amountOf, shownAmount } from "./amounts";
import { type OverrideBody, putOverride } from "./api";
import styles from "./limits.module.css";
import { ReasonField } from "./Overrides";
import { countsEach, fieldWords, type Limit, SCOPES } from "./words";

type Details = components["schemas"]["LimitDetails"];

const SPANS = [
  ["4 hours", 4 * HOUR],
  ["24 hours", DAY],
  ["7 days", 7 * DAY],
] as const;

/** Return the fields that a scope of the limit names. */
export function eachFields(limit: Limit): string[] {
  return SCOPES.filter((field) => {
    const value = limit.scope?.[field];
    return value !== undefined && countsEach(value);
  });
}

/** Every field named, or none: a scope with some of them left out is none. */
export function scopeBody(
  fields: readonly string[],
  values: Record<string, string>,
): Record<string, string> | undefined {
  const named = fields.map((field) => [field, (values[field] ?? "").trim()] as const);
  return named.some(([, value]) => value) ? Object.fromEntries(named) : undefined;
}

export function OverrideDialog({ details, onClose }: { details: Details; onClose: () => void }) {
  const { limit, counters } = details;
  const { zone } = useView();
  const client = useQueryClient();
  const currency = useCurrency();
  const lists = useId();
  const fields = eachFields(limit);
  const [amount, setAmount] = useState("");
  const [until, setUntil] = useState(() => wallTime(nowMicros() + DAY, zone));
  const [scope, setScope] = useState<Record<string, string>>({});
  const [reason, setReason] = useState("");
  const put = useMutation({
    mutationFn: () => {
      const named = scopeBody(fields, scope);
      const body: OverrideBody = {
        amount: limit.metric === "cost" ? amount.trim() : Number(amount.trim()),
        ends_at: fromWall(until, zone) ?? 0,
        reason: reason.trim(),
        ...(named ? { scope: named } : {}),
      };
      return putOverride(limit.id, body);
    },
    onSuccess: () => {
      toast(`${limit.id} has ${shown} ${whom}.`);
      void client.invalidateQueries({ queryKey: ["limits"] });
      onClose();
    },
  });
  const where = put.error instanceof ApiError ? put.error.where : "";
  const wrong = (field: string) =>
    where === field && put.error instanceof ApiError ? put.error.message : null;
  const elsewhere = ["amount", "ends_at", "scope"].includes(where) ? null : put.error;
  const read = amountOf(amount, limit.metric);
  const shown = read === null ? "" : shownAmount(read, limit.metric, { currency, noun: true });
  const named = scopeBody(fields, scope);
  const whom = named ? `for ${Object.values(named).join(" · ")}` : "for every scope";
  const own = shownAmount(amountOf(limit.amount, limit.metric), limit.metric, {
    currency,
    noun: true,
  });
  return (
    <Dialog title={`Override ${limit.id}`} open onClose={onClose}>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          put.mutate();
        }}
      >
        <Refused error={elsewhere} />
        {fields.map((field) => (
          <Field
            key={field}
            label={`For ${fieldWords(field)}`}
            hint={fields.length > 1 ? undefined : "Empty: for every scope."}
            wrong={wrong("scope")}
          >
            {(id, described) => (
              <>
                <input
                  id={id}
                  aria-describedby={described}
                  className="input"
                  list={`${lists}-${field}`}
                  placeholder="every one"
                  value={scope[field] ?? ""}
                  onChange={(event) => setScope({ ...scope, [field]: event.target.value })}
                />
                <datalist id={`${lists}-${field}`}>
                  {[...new Set(counters.map((one) => one.scope[field]))].map(
                    (value) => value && <option key={value} value={value} />,
                  )}
                </datalist>
              </>
            )}
          </Field>
        ))}
        <Field
          label={limit.metric === "cost" ? "Amount in dollars" : "Amount"}
          hint={`In place of ${own}; a lower one lowers.`}
          wrong={wrong("amount")}
        >
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              className="input num"
              inputMode="decimal"
              required
              placeholder={String(limit.amount)}
              value={amount}
              onChange={(event) => setAmount(event.target.value)}
            />
          )}
        </Field>
        <Field label="Until" hint={`In ${zone}.`} wrong={wrong("ends_at")}>
          {(id, described) => (
            <span className={styles.suffix}>
              <input
                id={id}
                aria-describedby={described}
                className="input"
                type="datetime-local"
                required
                value={until}
                onChange={(event) => setUntil(event.target.value)}
              />
              <span className="toolbar" style={{ gap: "0.25rem" }}>
                {SPANS.map(([text, length]) => (
                  <Button
                    key={text}
                    small
                    look="quiet"
                    onClick={() => setUntil(wallTime(nowMicros() + length, zone))}
                  >
                    {text}
                  </Button>
                ))}
              </span>
            </span>
          )}
        </Field>
        <ReasonField value={reason} onChange={setReason} />
        <div className={styles.foot}>
          <Button onClick={onClose}>Cancel</Button>
          <Button
            look="primary"
            type="submit"
            disabled={read === null || !reason.trim() || put.isPending}
          >
            {read === null ? "Override" : `Allow ${shown} ${whom}`}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
