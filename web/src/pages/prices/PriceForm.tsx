/** The fields of a price: whose, what units, in which layer, from when; rare ones behind "More". */

import { useId, useMemo } from "react";
import { ApiError } from "@/api/client";
import { Button, Field, Segments } from "@/design/basics";
import { useView } from "@/lib/view";
import { useBook } from "./api";
import { type PriceDraft, problemOf, type UnitPrice } from "./draft";
import styles from "./prices.module.css";

interface FormProps {
  draft: PriceDraft;
  onChange: (draft: PriceDraft) => void;
  error: unknown;
}

interface TextProps {
  label: string;
  hint?: string;
  value: string;
  onChange: (value: string) => void;
  list?: string;
  type?: string;
  placeholder?: string;
  required?: boolean;
}

function Text({ label, hint, value, onChange, ...rest }: TextProps) {
  return (
    <Field label={label} hint={hint}>
      {(id, described) => (
        <input
          id={id}
          aria-describedby={described}
          className="input"
          value={value}
          onChange={(event) => onChange(event.target.value)}
          {...rest}
        />
      )}
    </Field>
  );
}

export function PriceForm({ draft, onChange, error }: FormProps) {
  const { zone } = useView();
  const lists = useId();
  const book = useBook("", "");
  const known = useMemo(() => {
    const rates = book.data?.rates ?? [];
    const of = (values: string[]) => [...new Set(values)].sort();
    return {
      providers: of(rates.map((rate) => rate.provider)),
      models: of(rates.filter((r) => r.provider === draft.provider).map((rate) => rate.model)),
      units: of(rates.map((rate) => rate.unit)),
    };
  }, [book.data, draft.provider]);
  const set = (part: Partial<PriceDraft>) => onChange({ ...draft, ...part });
  return (
    <>
      {(["providers", "models", "units"] as const).map((name) => (
        <datalist id={`${lists}-${name}`} key={name}>
          {known[name].map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      ))}
      <div className={styles.two}>
        <Text
          label="Provider"
          required
          list={`${lists}-providers`}
          value={draft.provider}
          onChange={(provider) => set({ provider })}
        />
        <Text
          label="Model"
          required
          list={`${lists}-models`}
          value={draft.model}
          onChange={(model) => set({ model })}
        />
      </div>
      <Units
        units={draft.units}
        list={`${lists}-units`}
        error={error}
        onChange={(units) => set({ units })}
      />
      <Field label="Layer">
        {() => (
          <Segments
            label="Layer"
            value={draft.layer}
            choices={[
              ["override", "Override: your own price"],
              ["contract", "Contract"],
              ["correction", "Correction"],
            ]}
            onChange={(layer) => set({ layer })}
          />
        )}
      </Field>
      {draft.layer === "contract" && (
        <Text
          label="Tenant"
          hint="For this tenant's usage only. Empty: for all usage."
          value={draft.tenant}
          onChange={(tenant) => set({ tenant })}
        />
      )}
      <div className={styles.two}>
        <Text
          label="Effective from"
          type="datetime-local"
          hint={`When it holds at the provider, in ${zone}. Empty: always.`}
          value={draft.from}
          onChange={(from) => set({ from })}
        />
        <Text
          label="Until"
          type="datetime-local"
          hint="Excluded. Empty: open."
          value={draft.to}
          onChange={(to) => set({ to })}
        />
      </div>
      <Text
        label="Source"
        hint="Where you know it from."
        placeholder="Order form 12"
        value={draft.source}
        onChange={(source) => set({ source })}
      />
      <Conditions draft={draft} set={set} />
    </>
  );
}

function Conditions({
  draft,
  set,
}: {
  draft: PriceDraft;
  set: (part: Partial<PriceDraft>) => void;
}) {
  return (
    <details className={styles.more}>
      <summary>More: only for some calls</summary>
      <div className={styles.form}>
        <div className={styles.two}>
          <Text
            label="Service tier"
            placeholder="priority"
            value={draft.tier}
            onChange={(tier) => set({ tier })}
          />
          <Text
            label="Region class"
            placeholder="regional"
            value={draft.region}
            onChange={(region) => set({ region })}
          />
          <Text
            label="Host class"
            placeholder="vertex"
            value={draft.host}
            onChange={(host) => set({ host })}
          />
          <Text
            label="From input tokens of the request"
            placeholder="272001"
            value={draft.minContext}
            onChange={(minContext) => set({ minContext })}
          />
        </div>
        <label className={styles.check}>
          <input
            type="checkbox"
            checked={draft.batch}
            onChange={(event) => set({ batch: event.target.checked })}
          />
          Batch calls only
        </label>
      </div>
    </details>
  );
}

interface UnitsProps {
  units: UnitPrice[];
  list: string;
  error: unknown;
  onChange: (units: UnitPrice[]) => void;
}

function Units({ units, list, error, onChange }: UnitsProps) {
  const problems = error instanceof ApiError ? error.problems : [];
  const wrong = (at: number, field: string) =>
    problems.find((one) => problemOf(one.item) === at && one.field === field)?.message;
  const set = (at: number, part: Partial<UnitPrice>) =>
    onChange(units.map((one, place) => (place === at ? { ...one, ...part } : one)));
  return (
    <fieldset className={styles.units} style={{ border: 0, margin: 0, padding: 0 }}>
      <legend className="sr-only">Prices by unit</legend>
      {units.map((one, at) => (
        <div className={styles.unit} key={at}>
          <Field label="Unit" wrong={wrong(at, "unit")}>
            {(id, described) => (
              <input
                id={id}
                aria-describedby={described}
                className="input mono"
                list={list}
                required
                aria-invalid={wrong(at, "unit") !== undefined}
                value={one.unit}
                onChange={(event) => set(at, { unit: event.target.value })}
              />
            )}
          </Field>
          <Field label="Price in dollars" wrong={wrong(at, "price")}>
            {(id, described) => (
              <input
                id={id}
                aria-describedby={described}
                className="input num"
                inputMode="decimal"
                aria-invalid={wrong(at, "price") !== undefined}
                required
                placeholder="3.50"
                value={one.price}
                onChange={(event) => set(at, { price: event.target.value })}
              />
            )}
          </Field>
          <Field label="For" wrong={wrong(at, "per")}>
            {(id) => (
              <select
                id={id}
                className="select"
                value={one.per}
                onChange={(event) => set(at, { per: event.target.value })}
              >
                <option value="1000000">a million</option>
                <option value="1000">a thousand</option>
                <option value="1">each</option>
              </select>
            )}
          </Field>
          <Button
            look="quiet"
            icon="close"
            aria-label={`Remove the unit ${one.unit}`}
            disabled={units.length === 1}
            onClick={() => onChange(units.filter((_, place) => place !== at))}
          />
        </div>
      ))}
      <div>
        <Button
          small
          look="quiet"
          icon="plus"
          onClick={() => onChange([...units, { unit: "", price: "", per: "1000000" }])}
        >
          Another unit
        </Button>
      </div>
    </fieldset>
  );
}
