/** A link that shows a tenant's people their own usage. */

import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { ApiError, api, data } from "@/api/client";
import { Button, Field, Select } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { usePreferences } from "@/lib/preferences";
import { short } from "@/lib/time";
import { Wrong } from "./forms";
import css from "./tenants.module.css";

const LIVES = [
  ["900", "15 minutes"],
  ["3600", "1 hour"],
  ["28800", "8 hours"],
  ["86400", "1 day"],
] as const;

interface Props {
  tenant: string;
  open: boolean;
  onClose: () => void;
}

export function PortalLink({ tenant, open, onClose }: Props) {
  return (
    <Dialog title={`Portal link for ${tenant}`} open={open} onClose={onClose}>
      {open && <Form tenant={tenant} onClose={onClose} />}
    </Dialog>
  );
}

function Form({ tenant, onClose }: { tenant: string; onClose: () => void }) {
  const [life, setLife] = useState<string>(LIVES[0][0]);
  const { zone } = usePreferences();
  const made = useMutation({
    mutationFn: () =>
      data(api.POST("/v1/portal/links", { body: { tenant, expires_in_s: Number(life) } })),
  });
  const url = made.data?.url;
  const copy = () => {
    void navigator.clipboard.writeText(url ?? "").then(
      () => toast("Copied."),
      () => toast("The browser did not allow it: select the link and copy it.", { bad: true }),
    );
  };
  if (url) {
    return (
      <>
        <Field
          label="Link"
          hint={`It works until ${short(made.data?.expires_at, zone)}, for anyone who has it.`}
        >
          {(id, described) => (
            <span className={css.copy}>
              <input
                id={id}
                className="input mono"
                readOnly
                value={url}
                aria-describedby={described}
                onFocus={(event) => event.target.select()}
              />
              <Button icon="copy" onClick={copy}>
                Copy
              </Button>
            </span>
          )}
        </Field>
        <div className={css.foot}>
          <a className="button" href={url} target="_blank" rel="noreferrer">
            Open
          </a>
          <Button look="primary" onClick={onClose}>
            Done
          </Button>
        </div>
      </>
    );
  }
  return (
    <form
      className={css.form}
      onSubmit={(event) => {
        event.preventDefault();
        made.mutate();
      }}
    >
      <p>
        Whoever has the link sees the usage, charges, credits and limits of this tenant. It never
        shows what the usage costs you.
      </p>
      <Wrong error={made.error} except={["expires_in_s"]} />
      <Field
        label="Works for"
        wrong={
          made.error instanceof ApiError && made.error.where === "expires_in_s"
            ? made.error.message
            : null
        }
      >
        {() => (
          <Select
            label="Works for"
            plain={false}
            value={life}
            choices={LIVES}
            onChange={(one) => setLife(one)}
          />
        )}
      </Field>
      <div className={css.foot}>
        <Button onClick={onClose}>Cancel</Button>
        <Button look="primary" type="submit" disabled={made.isPending}>
          Make the link
        </Button>
      </div>
    </form>
  );
}
