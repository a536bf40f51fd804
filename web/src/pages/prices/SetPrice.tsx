/** Setting a price: what, then what it would change, then why; nothing is written before that. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError } from "@/api/client";
import { Button, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused, useRefusalInSight } from "@/design/refused";
import { useView } from "@/lib/view";
import { changePrices, type PriceChanged } from "./api";
import { itemsOf, type PriceDraft, type PriceStart, startOf } from "./draft";
import { PlanPreview } from "./Plan";
import { PriceForm } from "./PriceForm";
import styles from "./prices.module.css";

interface SetPriceProps {
  start: PriceStart;
  onClose: () => void;
  /** What is done once it is written, such as pricing past events again. */
  onWritten?: () => void;
}

export function SetPriceDialog({ start, onClose, onWritten }: SetPriceProps) {
  const { zone } = useView();
  const client = useQueryClient();
  const [draft, setDraft] = useState<PriceDraft>(() => startOf(start));
  const [force, setForce] = useState(false);
  const [plan, setPlan] = useState<PriceChanged | null>(null);
  const dry = useMutation({
    mutationFn: () => changePrices(itemsOf(draft, zone), "", true, force),
    onSuccess: setPlan,
  });
  const write = useMutation({
    mutationFn: (reason: string) => changePrices(itemsOf(draft, zone), reason, false, force),
    onSuccess: (done) => {
      toast(`${done.added} ${done.added === 1 ? "row" : "rows"} recorded.`);
      void client.invalidateQueries({ queryKey: ["prices"] });
      onClose();
      onWritten?.();
    },
  });
  const form = useRefusalInSight(dry.error);
  const far = dry.error instanceof ApiError && dry.error.message.includes("with force");
  return (
    <Dialog title={plan ? "What this changes" : "Set a price"} open wide onClose={onClose}>
      {plan ? (
        <Confirmed
          plan={plan}
          error={write.error}
          busy={write.isPending}
          onBack={() => {
            setPlan(null);
            write.reset();
          }}
          onWrite={(reason) => write.mutate(reason)}
        />
      ) : (
        <form
          ref={form}
          className={styles.form}
          onSubmit={(event) => {
            event.preventDefault();
            dry.mutate();
          }}
        >
          <Refused error={dry.error} />
          {far && (
            <label className={styles.check}>
              <input
                type="checkbox"
                checked={force}
                onChange={(event) => setForce(event.target.checked)}
              />
              The price is meant, however far it is from its neighbours
            </label>
          )}
          <PriceForm draft={draft} onChange={setDraft} error={dry.error} />
          <div className={styles.foot}>
            <Button onClick={onClose}>Cancel</Button>
            <Button look="primary" type="submit" disabled={dry.isPending}>
              Show what changes
            </Button>
          </div>
        </form>
      )}
    </Dialog>
  );
}

interface ConfirmedProps {
  plan: PriceChanged;
  error: unknown;
  busy: boolean;
  onBack: () => void;
  onWrite: (reason: string) => void;
}

/** The second step of every change of prices: the plan, the reason, the writing. */
export function Confirmed({ plan, error, busy, onBack, onWrite }: ConfirmedProps) {
  const [reason, setReason] = useState("");
  const nothing = !plan.added && !plan.superseded;
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        onWrite(reason.trim());
      }}
    >
      <Refused error={error} />
      <PlanPreview plan={plan} />
      {!nothing && (
        <Field label="Reason" hint="It is kept with the change, in the audit log.">
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              className="input"
              required
              maxLength={1024}
              placeholder="Order form 12"
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          )}
        </Field>
      )}
      <div className={styles.foot}>
        <Button onClick={onBack}>Back</Button>
        <Button look="primary" type="submit" disabled={busy || nothing || !reason.trim()}>
          Write {plan.added} {plan.added === 1 ? "row" : "rows"}
        </Button>
      </div>
    </form>
  );
}
