/** Exchange rates: what amounts are shown at. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { useMay } from "@/api/session";
import { Async, Button, Card, Empty, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { DataTable, type TableColumn } from "@/design/table";
import { decimal } from "@/lib/money";
import { moment } from "@/lib/time";
import { useView } from "@/lib/view";

type Rate = components["schemas"]["ExchangeRate"];

const LIST = ["currencies"];

export function Currencies() {
  const { zone } = useView();
  const may = useMay("admin");
  const [adding, setAdding] = useState(false);
  const found = useQuery({ queryKey: LIST, queryFn: () => data(api.GET("/v1/currencies")) });
  const columns: TableColumn<Rate>[] = [
    { id: "currency", header: "Currency", value: (one) => one.currency },
    {
      id: "rate",
      header: "For one US dollar",
      value: (one) => one.per_usd_ppb,
      cell: (one) => decimal(BigInt(one.per_usd_ppb)).replace(/0{1,5}$/, ""),
      end: true,
    },
    {
      id: "from",
      header: "Holds from",
      value: (one) => one.valid_from,
      cell: (one) => moment(one.valid_from, zone),
    },
    { id: "source", header: "Source", value: (one) => one.source, wide: true },
  ];
  return (
    <>
      <Card
        flush
        title="Exchange rates"
        note="a rate holds until the next one"
        actions={
          may && (
            <Button look="primary" small icon="plus" onClick={() => setAdding(true)}>
              Set a rate
            </Button>
          )
        }
      >
        <Async query={found}>
          {(list) => (
            <DataTable
              label="Exchange rates"
              rows={list.rates}
              columns={columns}
              keyOf={(one) => `${one.currency}-${one.valid_from}`}
              sort={{ id: "currency", desc: false }}
              empty={
                <Empty title="No rate yet">
                  Amounts are shown in US dollars until there is one.
                </Empty>
              }
            />
          )}
        </Async>
      </Card>
      {adding && <NewRate onClose={() => setAdding(false)} />}
    </>
  );
}

function NewRate({ onClose }: { onClose: () => void }) {
  const client = useQueryClient();
  const [currency, setCurrency] = useState("EUR");
  const [rate, setRate] = useState("");
  const [from, setFrom] = useState("");
  const [source, setSource] = useState("");
  const [reason, setReason] = useState("");
  const save = useMutation<unknown, ApiError>({
    mutationFn: () =>
      api.PUT("/v1/currencies/{currency}", {
        params: { path: { currency: currency.trim().toUpperCase() } },
        body: {
          per_usd: rate.trim(),
          reason,
          source,
          ...(from ? { valid_from: new Date(from).toISOString() } : {}),
        },
      }),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: LIST });
      toast(`The rate of ${currency} is set.`);
      onClose();
    },
  });
  const wrong = (field: string) => (save.error?.where === field ? save.error.message : null);
  const placed = ["currency", "per_usd", "reason", "valid_from"].includes(save.error?.where ?? "");
  return (
    <Dialog
      title="Set an exchange rate"
      open
      onClose={onClose}
      foot={
        <Button
          look="primary"
          disabled={!rate || !reason || save.isPending}
          onClick={() => save.mutate()}
        >
          Set the rate
        </Button>
      }
    >
      <div className="form-grid">
        <Field label="Currency" hint="Three letters (ISO 4217)." wrong={wrong("currency")}>
          {(id, described) => (
            <input
              id={id}
              className="input"
              aria-describedby={described}
              maxLength={3}
              value={currency}
              onChange={(event) => setCurrency(event.target.value.toUpperCase())}
            />
          )}
        </Field>
        <Field label="For one US dollar" hint="Such as 0.9142." wrong={wrong("per_usd")}>
          {(id, described) => (
            <input
              id={id}
              className="input"
              inputMode="decimal"
              aria-describedby={described}
              value={rate}
              onChange={(event) => setRate(event.target.value)}
            />
          )}
        </Field>
        <Field label="Holds from" hint="Left out: from now on." wrong={wrong("valid_from")}>
          {(id, described) => (
            <input
              id={id}
              className="input"
              type="datetime-local"
              aria-describedby={described}
              value={from}
              onChange={(event) => setFrom(event.target.value)}
            />
          )}
        </Field>
        <Field label="Source" hint="Who says so, such as ECB.">
          {(id, described) => (
            <input
              id={id}
              className="input"
              aria-describedby={described}
              value={source}
              onChange={(event) => setSource(event.target.value)}
            />
          )}
        </Field>
      </div>
      <Field label="Reason" hint="For the audit log." wrong={wrong("reason")}>
        {(id, described) => (
          <input
            id={id}
            className="input"
            aria-describedby={described}
            value={reason}
            onChange={(event) => setReason(event.target.value)}
          />
        )}
      </Field>
      {!placed && <Refused error={save.error} />}
    </Dialog>
  );
}
