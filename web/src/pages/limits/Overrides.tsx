/** The overrides in force: another amount for a while, for one scope or all; ending one now. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { useCurrency } from "@/api/currencies";
import { useMay } from "@/api/session";
import { Button, Card, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { DataTable, type TableColumn } from "@/design/table";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { shownAmount } from "./amounts";
import { endOverride, type Override } from "./api";
import styles from "./limits.module.css";
import { Amount, ScopeLinks } from "./parts";
import { counterWords, type Limit, readScopeKey } from "./words";

interface OverridesProps {
  limit: Limit;
  overrides: Override[];
  onNew: () => void;
}

/** Whom an override is for, in words. */
export function overrideScope(one: Pick<Override, "scope_key">): string {
  return one.scope_key ? counterWords(readScopeKey(one.scope_key)) : "every scope";
}

export function OverridesCard({ limit, overrides, onNew }: OverridesProps) {
  const { zone } = useView();
  const may = useMay("operate");
  const [ending, setEnding] = useState<Override | null>(null);
  const columns = useMemo(
    (): TableColumn<Override>[] => overrideColumns(limit, zone, may, setEnding),
    [limit, zone, may],
  );
  if (!overrides.length) {
    return (
      <p className="notice" style={{ alignItems: "center" }}>
        <span style={{ flex: 1 }}>No override is in force: every scope has the same amount.</span>
        {may && (
          <Button small onClick={onNew}>
            Override…
          </Button>
        )}
      </p>
    );
  }
  return (
    <Card title="Overrides in force" note="of several that hold, the largest counts" flush>
      <DataTable
        label="Overrides in force"
        rows={overrides}
        columns={columns}
        keyOf={(one) => one.override_id}
      />
      {ending && <EndDialog limit={limit} override={ending} onClose={() => setEnding(null)} />}
    </Card>
  );
}

function overrideColumns(
  limit: Limit,
  zone: string,
  may: boolean,
  onEnd: (one: Override) => void,
): TableColumn<Override>[] {
  return [
    {
      id: "scope",
      header: "Scope",
      value: overrideScope,
      cell: (one) =>
        one.scope_key ? (
          <ScopeLinks scope={readScopeKey(one.scope_key)} />
        ) : (
          <span className="faint">every scope</span>
        ),
    },
    {
      id: "amount",
      header: "Amount",
      end: true,
      value: (one) => one.amount,
      cell: (one) => <Amount value={one.amount} metric={limit.metric} />,
    },
    {
      id: "ends",
      header: "Until",
      value: (one) => one.ends_at,
      cell: (one) => (
        <span title={moment(one.starts_at, zone)}>
          {moment(one.ends_at, zone)}{" "}
          <span className="faint">
            {one.starts_at > nowMicros()
              ? `begins ${ago(one.starts_at, nowMicros())}`
              : ago(one.ends_at, nowMicros())}
          </span>
        </span>
      ),
    },
    {
      id: "reason",
      header: "Reason",
      wide: true,
      value: (one) => one.reason,
    },
    {
      id: "actor",
      header: "By",
      wide: true,
      value: (one) => one.actor ?? null,
      cell: (one) => <span className="faint">{one.actor?.replace(/^user:/, "") ?? "–"}</span>,
    },
    {
      id: "act",
      header: "Action",
      end: true,
      sortable: false,
      value: () => null,
      cell: (one) => (
        <Button small disabled={!may} onClick={() => onEnd(one)}>
          End now…
        </Button>
      ),
    },
  ];
}

function EndDialog({
  limit,
  override,
  onClose,
}: {
  limit: Limit;
  override: Override;
  onClose: () => void;
}) {
  const client = useQueryClient();
  const currency = useCurrency();
  const { zone } = useView();
  const [reason, setReason] = useState("");
  const amount = shownAmount(override.amount, limit.metric, { currency, noun: true });
  const whom = overrideScope(override);
  const end = useMutation({
    mutationFn: () => endOverride(limit.id, override.override_id, reason.trim()),
    onSuccess: () => {
      toast(`The override of ${amount} for ${whom} has ended.`);
      void client.invalidateQueries({ queryKey: ["limits"] });
      onClose();
    },
  });
  return (
    <Dialog title={`End the override for ${whom}`} open onClose={onClose}>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          end.mutate();
        }}
      >
        <Refused error={end.error} />
        <p>
          {whom} has {amount} until {moment(override.ends_at, zone)}. Ended now, the limit&rsquo;s
          own amount holds again at once; what was used stays counted.
        </p>
        <ReasonField value={reason} onChange={setReason} />
        <div className={styles.foot}>
          <Button onClick={onClose}>Keep it</Button>
          <Button look="danger" type="submit" disabled={!reason.trim() || end.isPending}>
            End it now
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** The reason that every change of limits is kept with. */
export function ReasonField({
  value,
  onChange,
}: {
  value: string;
  onChange: (value: string) => void;
}) {
  return (
    <Field label="Reason" hint="It is kept with the change.">
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="input"
          required
          maxLength={1024}
          value={value}
          onChange={(event) => onChange(event.target.value)}
        />
      )}
    </Field>
  );
}
