/** Making or editing a limit: what it says, then what changes, then why. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { ApiError } from "@/api/client";
import { useCurrency } from "@/api/currencies";
import type { components } from "@/api/schema";
import { Async, Button } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused, useRefusalInSight } from "@/design/refused";
import { putLimit } from "./api";
import { Changes } from "./Changes";
import { documentOf, draftOf, hasField, type LimitBody, type LimitDraft, NEW_LIMIT } from "./draft";
import { LimitForm } from "./LimitForm";
import styles from "./limits.module.css";
import { ReasonField } from "./Overrides";
import { Checking, CheckSentence, useCheck } from "./WhatIf";
import { differences, type Limit, sentence } from "./words";

type Changed = components["schemas"]["LimitChanged"];

interface DialogProps {
  /** What is edited; null: a new one. */
  limit: Limit | null;
  onClose: () => void;
}

export function LimitDialog({ limit, onClose }: DialogProps) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const currency = useCurrency();
  const [draft, setDraft] = useState<LimitDraft>(() => (limit ? draftOf(limit) : NEW_LIMIT));
  const [plan, setPlan] = useState<Changed | null>(null);
  const body = documentOf(draft);
  const dry = useMutation({
    mutationFn: () => putLimit(body, "", true),
    onSuccess: setPlan,
  });
  const write = useMutation({
    mutationFn: (reason: string) => putLimit(body, reason, false),
    onSuccess: () => {
      toast(limit ? `${draft.id} is changed.` : `${draft.id} is made.`);
      void client.invalidateQueries({ queryKey: ["limits"] });
      onClose();
      if (!limit) void navigate({ to: "/limits/$limit", params: { limit: draft.id } });
    },
  });
  const form = useRefusalInSight(dry.error);
  const elsewhere = dry.error instanceof ApiError && hasField(dry.error.where) ? null : dry.error;
  const title = limit ? `Edit ${limit.id}` : "New limit";
  if (plan) {
    return (
      <Dialog title={limit ? `Change ${limit.id}` : `Make ${draft.id}`} open wide onClose={onClose}>
        <Planned
          plan={plan}
          before={limit}
          body={body}
          error={write.error}
          busy={write.isPending}
          onBack={() => {
            setPlan(null);
            write.reset();
          }}
          onWrite={(reason) => write.mutate(reason)}
        />
      </Dialog>
    );
  }
  return (
    <Dialog title={title} open wide onClose={onClose}>
      <form
        ref={form}
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          dry.mutate();
        }}
      >
        <Refused error={elsewhere} />
        <LimitForm draft={draft} onChange={setDraft} fresh={!limit} error={dry.error} />
        <p className={styles.sentence} aria-live="polite">
          {sentence(
            {
              ...body,
              metric: draft.metric,
              mode: draft.mode,
              thresholds: body.thresholds,
            },
            currency,
          )}
        </p>
        <div className={styles.foot}>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" disabled={dry.isPending}>
            {limit ? "Show what changes" : "Go on"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

interface PlannedProps {
  plan: Changed;
  before: Limit | null;
  body: LimitBody;
  error: unknown;
  busy: boolean;
  onBack: () => void;
  onWrite: (reason: string) => void;
}

function Planned({ plan, before, body, error, busy, onBack, onWrite }: PlannedProps) {
  const currency = useCurrency();
  const [reason, setReason] = useState("");
  const [days, setDays] = useState("");
  const after = plan.added[0] ?? plan.changed[0] ?? null;
  const checked = useCheck(days, { proposed: body });
  const taken = !before && plan.changed.length > 0;
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        onWrite(reason.trim());
      }}
    >
      <Refused error={error} />
      {taken && (
        <p className="notice warn">
          There is a limit {body.id} already: this would change it. Choose another id for a new one.
        </p>
      )}
      {!after ? (
        <p className="notice">Nothing would change.</p>
      ) : before ? (
        <Changes changes={differences(before, after, currency)} />
      ) : (
        <p className={styles.sentence}>{sentence(after, currency)}</p>
      )}
      {after && !days && (
        <div>
          <Button small onClick={() => setDays("7")}>
            What would it have refused in the last 7 days?
          </Button>
        </div>
      )}
      {days && (
        <div className={styles.sentence}>
          <Async query={checked} loading={<Checking />}>
            {(answer) => <CheckSentence answer={answer} days={days} />}
          </Async>
        </div>
      )}
      {after && <ReasonField value={reason} onChange={setReason} />}
      <div className={styles.foot}>
        <Button onClick={onBack}>Back</Button>
        <Button look="primary" type="submit" disabled={!after || taken || !reason.trim() || busy}>
          {before ? `Change ${before.id}` : `Make ${body.id}`}
        </Button>
      </div>
    </form>
  );
}
