/** The book: every model with what its units cost, at a time, as known at a time. */

import { Link } from "@tanstack/react-router";
import { useDeferredValue, useMemo, useState } from "react";
import { useMay } from "@/api/session";
import { Async, Badge, Button, Card, Empty, Loading, Segments, Select } from "@/design/basics";
import { Behind, Money } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { day } from "@/lib/time";
import { useOrder, useView } from "@/lib/view";
import { AsOfBanner, AsOfButton, useAsOf } from "./AsOf";
import { useBook, useUse } from "./api";
import { LayerBadge, RatePrice } from "./parts";
import styles from "./prices.module.css";
import { byModel, COLUMNS, type ModelPrices, unitLabel } from "./rates";
import { SetPriceDialog } from "./SetPrice";

const HEADERS = { input: "Input", read: "Cache read", write: "Cache write", output: "Output" };
const EXAMPLE = { provider: "", model: "" };

interface Line extends ModelPrices {
  cost: number;
  attempts: number;
}

export function BookTab() {
  const { view, at, known } = useAsOf();
  const book = useBook(at, known);
  const use = useUse();
  const models = useMemo(() => byModel(book.data?.rates ?? []), [book.data]);
  const which = view.text("show", "used") as "used" | "all";
  const text = useDeferredValue(view.text("q").toLowerCase());
  const provider = view.text("provider");
  const lines = useMemo(() => {
    const found: Line[] = [];
    for (const one of models) {
      const used = use.data?.get(one.id.toLowerCase());
      if (provider && one.provider !== provider) continue;
      if (text && !one.id.toLowerCase().includes(text)) continue;
      // A search looks everywhere: what is not in use is what one searches for.
      if (which === "used" && !text && !provider && !used && !ownRow(one)) continue;
      found.push({ ...one, cost: used?.cost ?? 0, attempts: used?.attempts ?? 0 });
    }
    return found;
  }, [models, use.data, provider, text, which]);
  const providers = useMemo(() => [...new Set(models.map((one) => one.provider))].sort(), [models]);
  return (
    <>
      <BookTools providers={providers} which={which} />
      <AsOfBanner />
      {book.data?.truncated && (
        <p className="notice warn">
          The book has more than {book.data.rates.length.toLocaleString()} rates; the rest is not
          listed here. Open a model by its name to see all of it.
        </p>
      )}
      <Card flush>
        <Async query={book} loading={<Loading lines={12} height={480} />}>
          {() => <BookTable lines={lines} total={models.length} />}
        </Async>
      </Card>
    </>
  );
}

/** Whether people wrote some of it: their own prices stay in sight. */
function ownRow(one: ModelPrices): boolean {
  return one.rates.some((rate) => rate.layer === "override" || rate.layer === "contract");
}

function BookTools({ providers, which }: { providers: string[]; which: "used" | "all" }) {
  const view = useView();
  const may = useMay("admin");
  const [adding, setAdding] = useState(false);
  return (
    <div className="toolbar">
      <input
        className="input plain"
        type="search"
        style={{ width: "min(20rem, 100%)" }}
        aria-label="Search for a model"
        placeholder="Search models"
        value={view.text("q")}
        onChange={(event) => view.set({ q: event.target.value || undefined })}
      />
      <Select
        label="Provider"
        value={view.text("provider")}
        choices={[["", "All providers"], ...providers.map((one) => [one, one] as const)]}
        onChange={(one) => view.set({ provider: one || undefined })}
      />
      <Segments
        label="Which models"
        value={which}
        choices={[
          ["used", "In use"],
          ["all", "All"],
        ]}
        onChange={(one) => view.set({ show: one === "used" ? undefined : one })}
      />
      <span style={{ flex: 1 }} />
      <AsOfButton />
      <Button
        look="primary"
        icon="plus"
        disabled={!may}
        title={may ? undefined : "Prices are set by admins"}
        onClick={() => setAdding(true)}
      >
        Set a price
      </Button>
      {adding && <SetPriceDialog start={EXAMPLE} onClose={() => setAdding(false)} />}
    </div>
  );
}

function BookTable({ lines, total }: { lines: Line[]; total: number }) {
  const view = useView();
  const order = useOrder("-cost");
  const columns = useMemo((): TableColumn<Line>[] => {
    const prices = COLUMNS.map(
      (id): TableColumn<Line> => ({
        id,
        header: HEADERS[id],
        title: "Per million tokens",
        end: true,
        wide: id === "read" || id === "write",
        value: (line) => line.shown[id]?.nanos_per_million ?? null,
        cell: (line) => <RatePrice rate={line.shown[id]} />,
      }),
    );
    return [
      {
        id: "model",
        header: "Model",
        value: (line) => line.id,
        cell: (line) => <ModelName line={line} />,
      },
      ...prices,
      {
        id: "others",
        header: "Other units",
        wide: true,
        value: (line) => line.others.length || null,
        cell: (line) => <Others units={line.others} />,
      },
      {
        id: "layer",
        header: "Layer",
        value: (line) => line.layer,
        cell: (line) => (
          <span className="toolbar" style={{ flexWrap: "nowrap", gap: "0.25rem" }}>
            <LayerBadge layer={line.layer} />
            {line.tenants.length > 0 && (
              <Badge tone="accent" title={`Contracts of ${line.tenants.join(", ")}`}>
                {line.tenants.length === 1 ? line.tenants[0] : `${line.tenants.length} tenants`}
              </Badge>
            )}
          </span>
        ),
      },
      {
        id: "from",
        header: "Effective from",
        wide: true,
        value: (line) => line.from,
        cell: (line) => (line.from ? day(line.from, view.zone) : <span className="faint">–</span>),
      },
      {
        id: "cost",
        header: "Cost, 30 days",
        end: true,
        wide: true,
        value: (line) => line.cost || null,
        cell: (line) => <Cost line={line} />,
      },
    ];
  }, [view.zone]);
  return (
    <DataTable
      label="Prices by model, per million tokens"
      rows={lines}
      columns={columns}
      keyOf={(line) => line.id}
      {...order}
      csv="prices"
      foot={`of ${total.toLocaleString()} models; per million tokens`}
      empty={
        <Empty
          title="No model matches"
          actions={
            <Button
              small
              onClick={() => view.set({ q: undefined, provider: undefined, show: "all" })}
            >
              Show all models
            </Button>
          }
        >
          Nothing in the book at this time has that name. A model of your own needs a price.
        </Empty>
      }
    />
  );
}

function ModelName({ line }: { line: Line }) {
  const view = useView();
  const search = { ...view.search, open: line.id, provider: undefined };
  return (
    <Link to="/prices" search={search as never} className={styles.name ?? ""}>
      <span className="faint">{line.provider}</span>{" "}
      {line.provider === "*" ? "ceiling of what has no price" : line.model}
    </Link>
  );
}

function Others({ units }: { units: string[] }) {
  if (!units.length) return <span className="faint">–</span>;
  const names = units.map(unitLabel);
  return (
    <span title={names.join(", ")}>
      {names.length === 1 ? names[0] : `${names[0]} +${names.length - 1}`}
    </span>
  );
}

function Cost({ line }: { line: Line }) {
  if (!line.attempts) return <span className="faint">–</span>;
  const by = { last: "30d", provider: line.provider, model: line.model };
  return (
    <Behind by={by} label={`Requests of ${line.id} in the last 30 days`}>
      <Money nanos={line.cost} />
    </Behind>
  );
}
