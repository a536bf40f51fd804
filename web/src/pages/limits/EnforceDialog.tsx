/** From watching to refusing: what it would have refused lately, then the reason. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { Async, Button } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { putLimit } from "./api";
import styles from "./limits.module.css";
import { ReasonField } from "./Overrides";
import { Checking, CheckSentence, useCheck } from "./WhatIf";
import type { Limit } from "./words";

const DAYS = "7";

export function EnforceDialog({ limit, onClose }: { limit: Limit; onClose: () => void }) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const checked = useCheck(DAYS, { id: limit.id });
  const enforce = useMutation({
    mutationFn: () => putLimit({ ...limit, mode: "enforce" }, reason.trim(), false),
    onSuccess: () => {
      toast(`${limit.id} is enforced.`);
      void client.invalidateQueries({ queryKey: ["limits"] });
      onClose();
    },
  });
  const blocks = limit.thresholds.some((rung) => rung.action === "block");
  return (
    <Dialog title={`Enforce ${limit.id}`} open onClose={onClose}>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          enforce.mutate();
        }}
      >
        <Refused error={enforce.error} />
        <div className={styles.sentence}>
          <Async query={checked} loading={<Checking />}>
            {(answer) => <CheckSentence answer={answer} days={DAYS} />}
          </Async>
        </div>
        <p>
          {blocks
            ? "From the next call on, calls that do not fit are refused before they are made."
            : "It has no rung that blocks: its rungs act, and nothing is refused."}{" "}
          What the current period has used counts.
        </p>
        <ReasonField value={reason} onChange={setReason} />
        <div className={styles.foot}>
          <Button onClick={onClose}>Keep watching</Button>
          <Button look="primary" type="submit" disabled={!reason.trim() || enforce.isPending}>
            Enforce {limit.id}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
