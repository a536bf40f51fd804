/** Change a limit from the page of a tenant: another amount for a while, or for good. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { api, data } from "@/api/client";
import { useCurrency } from "@/api/currencies";
import { Async, Segments } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { usePreferences } from "@/lib/preferences";
import { DAY, localStamp, nowMicros, short, zoned } from "@/lib/time";
import { amountBody, amountText, documentText, fieldText, unitOf } from "./amounts";
import { type Counter, type Limit, type Override, useLimit } from "./api";
import { End, Text, Wrong, wrongAt } from "./forms";
import css from "./tenants.module.css";

interface Props {
  tenant: string;
  counter: Counter | null;
  onClose: () => void;
}

export function ChangeLimit({ tenant, counter, onClose }: Props) {
  return (
    <Dialog
      title={counter ? `Change “${counter.name || counter.limit}”` : ""}
      open={counter !== null}
      onClose={onClose}
    >
      {counter && <Loaded tenant={tenant} counter={counter} onClose={onClose} />}
    </Dialog>
  );
}

function Loaded({
  tenant,
  counter,
  onClose,
}: {
  tenant: string;
  counter: Counter;
  onClose: () => void;
}) {
  const found = useLimit(counter.limit);
  return (
    <Async query={found}>
      {({ limit, overrides }) => (
        <Form
          tenant={tenant}
          counter={counter}
          limit={limit}
          overrides={overrides.filter((one) => ["", counter.scope_key].includes(one.scope_key))}
          onClose={onClose}
        />
      )}
    </Async>
  );
}

interface FormProps {
  tenant: string;
  counter: Counter;
  limit: Limit;
  overrides: Override[];
  onClose: () => void;
}

type Kind = "while" | "good";

/** Tell whether a limit is about one tenant alone: then a change touches nobody else. */
export function isAlone(limit: Limit, tenant: string): boolean {
  return limit.scope?.tenant === tenant;
}

function Form({ tenant, counter, limit, overrides, onClose }: FormProps) {
  const { zone } = usePreferences();
  const client = useQueryClient();
  const alone = isAlone(limit, tenant);
  const [kind, setKind] = useState<Kind>(alone ? "good" : "while");
  const now = fieldText(counter.amount, counter.metric);
  const [amount, setAmount] = useState(alone ? documentText(limit.amount, counter.metric) : now);
  const [until, setUntil] = useState(
    localStamp(Math.max(counter.resets_at ?? 0, nowMicros() + DAY), zone),
  );
  const [reason, setReason] = useState("");
  const body = amountBody(amount, counter.metric);
  const ends = zoned(until, zone);
  const change = useMutation({
    mutationFn: async () => {
      const path = { limit_id: counter.limit };
      if (kind === "good") {
        await data(
          api.PUT("/v1/limits/{limit_id}", {
            params: { path, query: { reason } },
            body: { ...limit, amount: body ?? amount },
          }),
        );
        return;
      }
      // A limit without scopes of its own has one amount for all.
      const scope = counter.scope_key === "[]" ? {} : { scope: counter.scope_key };
      await data(
        api.POST("/v1/limits/{limit_id}/overrides", {
          params: { path },
          body: { amount: body ?? amount, ends_at: ends, reason, ...scope },
        }),
      );
    },
    onSuccess: () => {
      toast(kind === "good" ? "The limit was changed." : "The amount holds from now on.");
      void client.invalidateQueries({ queryKey: ["limits"] });
      onClose();
    },
  });
  const wrong = (where: string) => wrongAt(change.error, where);
  return (
    <form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        change.mutate();
      }}
    >
      <span>
        <Segments
          label="How long the change holds"
          value={kind}
          choices={[
            ["while", alone ? "Until a time" : `For ${tenant}, until a time`],
            ["good", alone ? "For good" : "For all, for good"],
          ]}
          onChange={(one) => {
            setKind(one);
            // An override in force is not what the limit itself says.
            const usual = one === "good" ? limit.amount : null;
            setAmount(usual === null ? now : documentText(usual, counter.metric));
          }}
        />
      </span>
      <Wrong error={change.error} except={["amount", "ends_at", "reason"]} />
      {kind === "good" && !alone && (
        <p className="notice warn">
          This limit is not about {tenant} alone: the amount changes for everyone it counts. A limit
          of its own can be made on the page of limits.
        </p>
      )}
      {kind === "while" && <Running overrides={overrides} counter={counter} />}
      <Text
        label={`Amount in ${unitOf(counter.metric)}`}
        inputMode="decimal"
        required
        value={amount}
        onText={setAmount}
        wrong={wrong("amount") ?? (amount && !body ? "This is not an amount." : null)}
      />
      {kind === "while" && (
        <Text
          label="Until"
          hint={`In ${zone}. Of several amounts that hold, the largest counts.`}
          type="datetime-local"
          required
          value={until}
          onText={setUntil}
          wrong={wrong("ends_at") ?? (ends <= nowMicros() ? "This time is over." : null)}
        />
      )}
      <Text
        label="Reason"
        hint="Kept in the history of the limit"
        required
        maxLength={1024}
        value={reason}
        onText={setReason}
        wrong={wrong("reason")}
      />
      <p className="faint">
        What was used stays counted. Thresholds and all else are changed{" "}
        <Link className="link" to="/limits/$limit" params={{ limit: counter.limit }}>
          on the limit's page
        </Link>
        .
      </p>
      <End
        act={kind === "good" ? "Change the limit" : "Set the amount"}
        busy={change.isPending}
        ready={Boolean(body && reason.trim() && (kind === "good" || ends > nowMicros()))}
        onClose={onClose}
      />
    </form>
  );
}

function Running({ overrides, counter }: { overrides: Override[]; counter: Counter }) {
  const currency = useCurrency();
  const { zone } = usePreferences();
  if (!overrides.length) return null;
  return (
    <ul className="notice" style={{ display: "grid" }}>
      {overrides.map((one) => (
        <li key={one.override_id}>
          {amountText(one.amount, counter.metric, currency)} holds until {short(one.ends_at, zone)}:{" "}
          {one.reason}
        </li>
      ))}
    </ul>
  );
}
