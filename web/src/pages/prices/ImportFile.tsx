/** A price file: chosen or pasted, shown as what it would change, then written with a reason. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError } from "@/api/client";
import { Button, Field, Segments } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { type PriceChanged, sendFile } from "./api";
import styles from "./prices.module.css";
import { Confirmed } from "./SetPrice";

const MAX_FILE_BYTES = 4 * 1024 * 1024;
const EXAMPLE = `version: 1
currency: USD
rates:
  - {provider: vllm, model: qwen-7b, unit: input, price: 0.20}
  - {provider: vllm, model: qwen-7b, unit: output, price: 0.60}
`;

export function ImportDialog({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const [text, setText] = useState("");
  const [form, setForm] = useState<"yaml" | "csv">("yaml");
  const [force, setForce] = useState(false);
  const [large, setLarge] = useState(false);
  const [plan, setPlan] = useState<PriceChanged | null>(null);
  const dry = useMutation({
    mutationFn: () => sendFile(text, form, { reason: "", dry: true, force }),
    onSuccess: setPlan,
  });
  const write = useMutation({
    mutationFn: (reason: string) => sendFile(text, form, { reason, dry: false, force }),
    onSuccess: (done) => {
      toast(`${done.added} rows recorded, ${done.superseded} superseded.`);
      void client.invalidateQueries({ queryKey: ["prices"] });
      onClose();
    },
  });
  const take = async (file: File | undefined) => {
    if (!file) return;
    setLarge(file.size > MAX_FILE_BYTES);
    if (file.size > MAX_FILE_BYTES) return;
    setText(await file.text());
    setForm(file.name.toLowerCase().endsWith(".csv") ? "csv" : "yaml");
    dry.reset();
  };
  const far = dry.error instanceof ApiError && dry.error.message.includes("with force");
  if (plan) {
    return (
      <Dialog title="What this file changes" open wide onClose={onClose}>
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
      </Dialog>
    );
  }
  return (
    <Dialog title="Import a price file" open wide onClose={onClose}>
      <form
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
            The prices are meant, however far they are from their neighbours
          </label>
        )}
        <Field
          label="File"
          hint="YAML or CSV, at most 4 MiB. Taken whole or not at all."
          wrong={large ? "The file is larger than 4 MiB. Send it in parts." : null}
        >
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              type="file"
              accept=".yaml,.yml,.csv"
              onChange={(event) => void take(event.target.files?.[0])}
            />
          )}
        </Field>
        <Field label="Content">
          {(id) => (
            <textarea
              id={id}
              className={`input ${styles.file}`}
              spellCheck={false}
              placeholder={EXAMPLE}
              value={text}
              onChange={(event) => setText(event.target.value)}
            />
          )}
        </Field>
        <div className={styles.foot}>
          <Segments
            label="Form of the content"
            value={form}
            choices={[
              ["yaml", "YAML"],
              ["csv", "CSV"],
            ]}
            onChange={setForm}
          />
          <span style={{ flex: 1 }} />
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" disabled={!text.trim() || dry.isPending}>
            Show what changes
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
