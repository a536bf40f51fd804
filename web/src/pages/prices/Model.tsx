/** One model: how its name resolves, which rows win, its price over time, all ever believed. */

import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { components } from "@/api/schema";
import { useMay } from "@/api/session";
import { Async, Badge, Button, Card, Empty, Loading, Page, Select } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { moment } from "@/lib/time";
import { useView } from "@/lib/view";
import { AsOfBanner, AsOfButton, useAsOf } from "./AsOf";
import { useHistory, useShown } from "./api";
import { HistoryCard } from "./History";
import { LayerBadge, RatePrice } from "./parts";
import styles from "./prices.module.css";
import { conditions, matchWords, splitId, strength, unitLabel, unitOrder } from "./rates";
import { SetPriceDialog } from "./SetPrice";
import { StepChart } from "./StepChart";

type Shown = components["schemas"]["ShownPrice"];
type ShownRate = components["schemas"]["ShownRate"];

export function ModelPage({ id }: { id: string }) {
  const { provider, model } = splitId(id);
  const { view, at, known } = useAsOf();
  const tenant = view.text("as");
  const shown = useShown({ provider, model, at, known, tenant });
  const history = useHistory(provider, model);
  const tenants = useMemo(
    () => [...new Set((history.data?.rates ?? []).map((row) => row.tenant))].filter(Boolean),
    [history.data],
  );
  return (
    <Page
      title={model === "*" ? "Ceiling of what has no price" : model}
      sub={model === "*" ? "What an unpriced call is held at for limits" : provider}
      crumbs={
        <Link to="/prices" className="link">
          Prices
        </Link>
      }
      actions={
        <>
          {tenants.length > 0 && (
            <Select
              label="For whose calls"
              value={tenant}
              choices={[
                ["", "For every tenant"],
                ...tenants.map((one) => [one, `For ${one}`] as const),
              ]}
              onChange={(one) => view.set({ as: one || undefined })}
            />
          )}
          <AsOfButton />
          <ModelActions provider={provider} model={model} />
        </>
      }
    >
      <AsOfBanner />
      <div className="grid">
        <div className="span-4">
          <Card title="How the name resolves" className={styles.fill ?? ""}>
            <Async query={shown} loading={<Loading lines={4} height={132} />}>
              {(found) => <Resolution shown={found} />}
            </Async>
          </Card>
        </div>
        <div className="span-8">
          <StepChart name={id} history={history} tenant={tenant} />
        </div>
      </div>
      <Async query={shown} loading={<Loading lines={8} height={320} />}>
        {(found) => <RatesCard shown={found} />}
      </Async>
      <HistoryCard history={history} />
    </Page>
  );
}

function ModelActions({ provider, model }: { provider: string; model: string }) {
  const may = useMay("admin");
  const [adding, setAdding] = useState(false);
  return (
    <>
      <Link
        to="/prices"
        search={{ tab: "rerate", for: provider, name: model } as never}
        className="button"
      >
        Re-rate
      </Link>
      <Button
        look="primary"
        disabled={!may}
        title={may ? undefined : "Prices are set by admins"}
        onClick={() => setAdding(true)}
      >
        Set a price
      </Button>
      {adding && <SetPriceDialog start={{ provider, model }} onClose={() => setAdding(false)} />}
    </>
  );
}

const RULES: Record<string, string> = {
  exact: "The name is the model's own",
  alias: "An alias of yours says which model it is",
  provider_fallback: "The provider has no rates of its own: those of the model's maker price it",
};

function Resolution({ shown }: { shown: Shown }) {
  const { zone } = useView();
  const found = shown.resolution;
  if (!found) {
    return (
      <Empty title="Nothing in the book prices this name" icon="prices">
        Its calls are unpriced. Set a price, or an alias that says which model it is.
      </Empty>
    );
  }
  return (
    <dl className="facts">
      <dt>Asked</dt>
      <dd>
        {shown.asked.provider} / {shown.asked.model}
      </dd>
      <dt>Priced as</dt>
      <dd>
        {found.provider} / {found.model}
        {found.region_class && ` (${found.region_class})`}
      </dd>
      <dt>By the rule</dt>
      <dd>
        <Badge tone={found.estimated ? "warn" : "plain"} title={RULES[found.rule]}>
          {found.rule.replaceAll("_", " ")}
        </Badge>{" "}
        {found.estimated && <span className="faint">an estimate</span>}
      </dd>
      <dt>At</dt>
      <dd className="num">{moment(shown.asked.at, zone)}</dd>
      {shown.aliases.length > 0 && (
        <>
          <dt>Known by</dt>
          <dd>
            {shown.aliases.map((alias) => (
              <span key={alias.id} title={alias.source}>
                {matchWords(alias.match).map((words) => (
                  <span key={words} style={{ display: "block" }}>
                    {words}
                  </span>
                ))}
              </span>
            ))}
          </dd>
        </>
      )}
    </dl>
  );
}

function RatesCard({ shown }: { shown: Shown }) {
  const view = useView();
  const every = view.text("rates") === "all";
  const plain = useMemo(
    () => shown.rates.filter((rate) => !conditions(rate).length),
    [shown.rates],
  );
  const rows = useMemo(
    () =>
      [...(every || !plain.length ? shown.rates : plain)].sort((a, b) => unitOrder(a.unit, b.unit)),
    [every, plain, shown.rates],
  );
  const columns = useMemo((): TableColumn<ShownRate>[] => rateColumns(view.zone), [view.zone]);
  return (
    <Card
      title="Rates that hold"
      note={`${shown.rates.filter((rate) => rate.wins).length} of ${shown.rates.length} win for calls of just their conditions`}
      flush
      actions={
        plain.length > 0 &&
        plain.length < shown.rates.length && (
          <Button
            small
            look="quiet"
            aria-pressed={every}
            onClick={() => view.set({ rates: every ? undefined : "all" })}
          >
            {every ? "Only without conditions" : `All ${shown.rates.length}`}
          </Button>
        )
      }
    >
      <DataTable
        label="Rates that hold"
        rows={rows}
        columns={columns}
        keyOf={(rate) => rate.rate_id}
        csv={`rates-${shown.asked.provider}-${shown.asked.model}`}
        empty={
          <Empty title="No rate holds" icon="prices">
            Calls of this model are unpriced at this time.
          </Empty>
        }
      />
    </Card>
  );
}

function rateColumns(zone: string): TableColumn<ShownRate>[] {
  return [
    {
      id: "unit",
      header: "Unit",
      value: (rate) => rate.unit,
      cell: (rate) => <span title={rate.unit}>{unitLabel(rate.unit)}</span>,
    },
    {
      id: "price",
      header: "Price",
      end: true,
      value: (rate) => rate.nanos_per_million,
      cell: (rate) => <RatePrice rate={rate} per />,
    },
    {
      id: "wins",
      header: "Wins",
      value: (rate) => (rate.wins ? "wins" : "outranked"),
      cell: (rate) =>
        rate.wins ? (
          <Badge tone="good">wins</Badge>
        ) : (
          <span className="faint" title="A stronger row wins">
            outranked
          </span>
        ),
    },
    {
      id: "when",
      header: "Only for",
      wide: true,
      value: (rate) => [rate.tenant, ...conditions(rate)].filter(Boolean).join(", "),
      cell: (rate) => {
        const words = [rate.tenant && `tenant ${rate.tenant}`, ...conditions(rate)];
        const text = words.filter(Boolean).join(", ");
        return text || <span className="faint">every call</span>;
      },
    },
    {
      id: "layer",
      header: "Layer",
      value: (rate) => strength(rate.layer),
      cell: (rate) => <LayerBadge layer={rate.layer} />,
    },
    {
      id: "from",
      header: "Effective from",
      wide: true,
      value: (rate) => rate.valid_from,
      cell: (rate) =>
        rate.valid_from ? moment(rate.valid_from, zone) : <span className="faint">always</span>,
    },
    {
      id: "source",
      header: "Source",
      wide: true,
      value: (rate) => rate.source,
      cell: (rate) => <span className="faint">{rate.source || "–"}</span>,
    },
  ];
}
