/** Pricing the past again: which events, what would change, then the writing of adjustments. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { useCurrency } from "@/api/currencies";
import { useMay } from "@/api/session";
import { Button, Card, Empty, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { money } from "@/lib/money";
import { count } from "@/lib/numbers";
import { DAY, fromWall, nowMicros, wallTime } from "@/lib/time";
import { useView } from "@/lib/view";
import { type Repriced, rerate, type WindowBody } from "./api";
import styles from "./prices.module.css";
import { Outcome } from "./RerateOutcome";

const USUAL_DAYS = 30;

interface Draft {
  from: string;
  to: string;
  provider: string;
  model: string;
  tenant: string;
  unpriced: boolean;
  reason: string;
}

export function RerateTab() {
  const view = useView();
  const may = useMay("admin");
  const currency = useCurrency();
  const client = useQueryClient();
  const [draft, setDraft] = useState<Draft>(() => ({
    from: wallTime(nowMicros() - USUAL_DAYS * DAY, view.zone),
    to: wallTime(nowMicros(), view.zone),
    provider: view.text("for"),
    model: view.text("name"),
    tenant: view.text("tenant"),
    unpriced: view.text("only") === "unpriced",
    reason: "",
  }));
  const [asking, setAsking] = useState(false);
  const body = (apply: boolean): WindowBody => ({
    from: fromWall(draft.from, view.zone) ?? 0,
    to: fromWall(draft.to, view.zone) ?? 0,
    reason: draft.reason.trim(),
    provider: draft.provider.trim(),
    model: draft.model.trim(),
    tenant: draft.tenant.trim(),
    unpriced: draft.unpriced,
    apply,
  });
  const preview = useMutation({ mutationFn: () => rerate(body(false)) });
  const apply = useMutation({
    mutationFn: () => rerate(body(true)),
    onSuccess: (done) => {
      setAsking(false);
      toast(`${count(done.written)} adjustments written.`);
      void client.invalidateQueries();
      preview.reset();
    },
  });
  const found = preview.data;
  const set = (part: Partial<Draft>) => {
    setDraft({ ...draft, ...part });
    preview.reset();
    apply.reset();
  };
  return (
    <div className="grid">
      <div className="span-4">
        <Card title="Which events" note="nothing booked is edited">
          <RerateForm
            draft={draft}
            zone={view.zone}
            set={set}
            busy={preview.isPending}
            may={may}
            error={preview.error}
            onPreview={() => preview.mutate()}
          />
        </Card>
      </div>
      <div className="span-8">
        {found || apply.data ? (
          <Outcome
            outcome={(found ?? apply.data) as Repriced}
            onApply={() => setAsking(true)}
            may={may}
            unpricedOnly={draft.unpriced}
          />
        ) : (
          <Card title="Preview">
            <Empty title="Nothing is changed by looking" icon="prices">
              The preview compares what is booked with today&rsquo;s book. What differs is written
              as adjustments only after you confirm the amount.
            </Empty>
          </Card>
        )}
      </div>
      {asking && found && (
        <ApplyDialog
          outcome={found}
          text={money(found.now_nanos - found.was_nanos, currency)}
          busy={apply.isPending}
          error={apply.error}
          onApply={() => apply.mutate()}
          onClose={() => setAsking(false)}
        />
      )}
    </div>
  );
}

interface FormProps {
  draft: Draft;
  zone: string;
  set: (part: Partial<Draft>) => void;
  busy: boolean;
  may: boolean;
  error: unknown;
  onPreview: () => void;
}

function RerateForm({ draft, zone, set, busy, may, error, onPreview }: FormProps) {
  const field = (label: string, key: "provider" | "model" | "tenant", hint?: string) => (
    <Field label={label} hint={hint}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="input"
          placeholder="any"
          value={draft[key]}
          onChange={(event) => set({ [key]: event.target.value })}
        />
      )}
    </Field>
  );
  const time = (label: string, key: "from" | "to") => (
    <Field label={label}>
      {(id) => (
        <input
          id={id}
          className="input"
          type="datetime-local"
          required
          value={draft[key]}
          onChange={(event) => set({ [key]: event.target.value })}
        />
      )}
    </Field>
  );
  const wrong = draft.from >= draft.to ? "The end must be after the start." : null;
  return (
    <form
      className={styles.form}
      onSubmit={(event) => {
        event.preventDefault();
        if (!wrong) onPreview();
      }}
    >
      <Refused error={error} />
      {time("From", "from")}
      {time("To", "to")}
      <p className={wrong ? "notice bad" : "faint"}>{wrong ?? `Times are in ${zone}.`}</p>
      <div className={styles.two}>
        {field("Provider", "provider")}
        {field("Model", "model")}
      </div>
      {field("Tenant", "tenant")}
      <label className={styles.check}>
        <input
          type="checkbox"
          checked={draft.unpriced}
          onChange={(event) => set({ unpriced: event.target.checked })}
        />
        Only events without a price
      </label>
      <Field label="Reason" hint="It is kept with each adjustment.">
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="input"
            required
            maxLength={1024}
            placeholder="Order form 12"
            value={draft.reason}
            onChange={(event) => set({ reason: event.target.value })}
          />
        )}
      </Field>
      <div className={styles.foot}>
        <Button
          look="primary"
          type="submit"
          disabled={busy || !may || !draft.reason.trim()}
          title={may ? undefined : "Events are priced again by admins"}
        >
          {busy ? "Comparing…" : "Preview"}
        </Button>
      </div>
    </form>
  );
}

interface ApplyProps {
  outcome: Repriced;
  text: string;
  busy: boolean;
  error: unknown;
  onApply: () => void;
  onClose: () => void;
}

/** Confirms by the amount: it is typed nowhere else, so nobody writes what he has not read. */
function ApplyDialog({ outcome, text, busy, error, onApply, onClose }: ApplyProps) {
  const sign = outcome.now_nanos >= outcome.was_nanos ? "+" : "";
  const what = outcome.changed === 1 ? "adjustment" : "adjustments";
  return (
    <Dialog
      title={`Change costs by ${sign}${text}?`}
      open
      onClose={onClose}
      foot={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" disabled={busy} onClick={onApply}>
            Write {count(outcome.changed)} {what}, {sign}
            {text}
          </Button>
        </>
      }
    >
      <Refused error={error} />
      <p>
        {count(outcome.changed)} events of {count(outcome.tenants)}{" "}
        {outcome.tenants === 1 ? "tenant" : "tenants"} get {what} that land in the reports of their
        own days. Events stay as they were; running it again changes nothing.
      </p>
    </Dialog>
  );
}
