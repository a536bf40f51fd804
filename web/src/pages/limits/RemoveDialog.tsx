/** Removing a limit: its id is typed, so that no other one is meant. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { Button, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { removeLimit } from "./api";
import styles from "./limits.module.css";
import { ReasonField } from "./Overrides";

export function RemoveDialog({ id, onClose }: { id: string; onClose: () => void }) {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [typed, setTyped] = useState("");
  const [reason, setReason] = useState("");
  const remove = useMutation({
    mutationFn: () => removeLimit(id, reason.trim()),
    onSuccess: () => {
      toast(`${id} is removed. Its history stays.`);
      void navigate({ to: "/limits" });
      void client.invalidateQueries({ queryKey: ["limits"] });
    },
  });
  return (
    <Dialog title={`Remove ${id}`} open onClose={onClose}>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          remove.mutate();
        }}
      >
        <Refused error={remove.error} />
        <p>
          From the next call on, nothing is refused by it, and what it counted is no longer shown.
          Its history stays in the audit log.
        </p>
        <Field label={`Type ${id} to confirm`}>
          {(field) => (
            <input
              id={field}
              className="input mono"
              autoComplete="off"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
            />
          )}
        </Field>
        <ReasonField value={reason} onChange={setReason} />
        <div className={styles.foot}>
          <Button onClick={onClose}>Keep it</Button>
          <Button
            look="danger"
            type="submit"
            disabled={typed !== id || !reason.trim() || remove.isPending}
          >
            Remove {id}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
