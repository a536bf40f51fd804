/** Grant credits to a tenant, or correct its balance. Sent twice, a change is made once. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api, data } from "@/api/client";
import { Field, Segments } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { usePreferences } from "@/lib/preferences";
import { zoned } from "@/lib/time";
import { End, Text, Wrong, wrongAt } from "./forms";
import css from "./tenants.module.css";

interface Props {
  tenant: string;
  open: boolean;
  onClose: () => void;
}

const CREDITS = /^\d{1,13}(\.\d{1,6})?$/;

export function GrantCredits(props: Props) {
  return (
    <Dialog title={`Grant credits to ${props.tenant}`} open={props.open} onClose={props.onClose}>
      {props.open && <GrantForm {...props} />}
    </Dialog>
  );
}

/** A key for as long as a form is open: pressed twice, it is the same change. */
const useKey = () => useState(() => `web-${crypto.randomUUID()}`)[0];

function useChange(tenant: string, act: () => Promise<unknown>, done: string, onClose: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: act,
    onSuccess: () => {
      toast(done);
      void client.invalidateQueries({ queryKey: ["credits"] });
      void client.invalidateQueries({ queryKey: ["credits", tenant] });
      onClose();
    },
  });
}

function GrantForm({ tenant, onClose }: Props) {
  const { zone } = usePreferences();
  const key = useKey();
  const [amount, setAmount] = useState("");
  const [category, setCategory] = useState<"paid" | "promotional">("paid");
  const [expires, setExpires] = useState("");
  const [reason, setReason] = useState("");
  const change = useChange(
    tenant,
    () =>
      data(
        api.POST("/v1/credits/{tenant}/grants", {
          params: { path: { tenant } },
          body: {
            key,
            reason,
            amount: amount.trim(),
            category,
            ...(expires ? { expires_at: zoned(expires, zone) } : {}),
          },
        }),
      ),
    "The credits were granted.",
    onClose,
  );
  const wrong = (where: string) => wrongAt(change.error, where);
  const fits = CREDITS.test(amount.trim());
  return (
    <form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        change.mutate();
      }}
    >
      <Wrong error={change.error} except={["amount", "expires_at", "reason"]} />
      <Text
        label="Credits"
        inputMode="decimal"
        required
        value={amount}
        onText={setAmount}
        wrong={
          wrong("amount") ??
          (amount && !fits ? "A number of credits with at most 6 places is needed." : null)
        }
      />
      <Field label="Category" hint="Promotional credits drain before paid ones.">
        {() => (
          <span>
            <Segments
              label="Category"
              value={category}
              choices={[
                ["paid", "Paid"],
                ["promotional", "Promotional"],
              ]}
              onChange={setCategory}
            />
          </span>
        )}
      </Field>
      <Text
        label="Expires"
        hint={`Left out: never. In ${zone}.`}
        type="datetime-local"
        value={expires}
        onText={setExpires}
        wrong={wrong("expires_at")}
      />
      <Text
        label="Reason"
        hint="Such as the number of an invoice"
        required
        maxLength={1024}
        value={reason}
        onText={setReason}
        wrong={wrong("reason")}
      />
      <End
        act="Grant credits"
        busy={change.isPending}
        ready={fits && reason.trim() !== ""}
        onClose={onClose}
      />
    </form>
  );
}

export function Adjust(props: Props) {
  return (
    <Dialog
      title={`Adjust the credits of ${props.tenant}`}
      open={props.open}
      onClose={props.onClose}
    >
      {props.open && <AdjustForm {...props} />}
    </Dialog>
  );
}

function AdjustForm({ tenant, onClose }: Props) {
  const key = useKey();
  const [way, setWay] = useState<"add" | "take">("take");
  const [amount, setAmount] = useState("");
  const [reason, setReason] = useState("");
  const change = useChange(
    tenant,
    () =>
      data(
        api.POST("/v1/credits/{tenant}/adjust", {
          params: { path: { tenant } },
          body: { key, reason, amount: `${way === "take" ? "-" : ""}${amount.trim()}` },
        }),
      ),
    "The balance was adjusted.",
    onClose,
  );
  const wrong = (where: string) => wrongAt(change.error, where);
  const fits = CREDITS.test(amount.trim());
  return (
    <form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        change.mutate();
      }}
    >
      <p>A correction of the balance. What was sold is granted, so that it can expire.</p>
      <Wrong error={change.error} except={["amount", "reason"]} />
      <Field label="Way">
        {() => (
          <span>
            <Segments
              label="Way"
              value={way}
              choices={[
                ["take", "Take away"],
                ["add", "Add"],
              ]}
              onChange={setWay}
            />
          </span>
        )}
      </Field>
      <Text
        label="Credits"
        inputMode="decimal"
        required
        value={amount}
        onText={setAmount}
        wrong={
          wrong("amount") ??
          (amount && !fits ? "A number of credits with at most 6 places is needed." : null)
        }
      />
      <Text
        label="Reason"
        required
        maxLength={1024}
        value={reason}
        onText={setReason}
        wrong={wrong("reason")}
      />
      <End
        act={way === "take" ? "Take credits away" : "Add credits"}
        busy={change.isPending}
        ready={fits && reason.trim() !== ""}
        onClose={onClose}
      />
    </form>
  );
}
