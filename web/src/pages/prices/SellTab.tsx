/** Contract & sell: what people wrote by hand, by layer and tenant, and what usage is sold for. */

import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { useCurrency } from "@/api/currencies";
import { useMay } from "@/api/session";
import { Async, Button, Card, Empty, Select } from "@/design/basics";
import { toast } from "@/design/dialog";
import { Item, Menu } from "@/design/menu";
import { DataTable, type TableColumn } from "@/design/table";
import { download } from "@/lib/csv";
import { day } from "@/lib/time";
import { useOrder, useView } from "@/lib/view";
import { AsOfBanner, AsOfButton, useAsOf } from "./AsOf";
import { useBook } from "./api";
import { ImportDialog } from "./ImportFile";
import { LayerBadge, RatePrice } from "./parts";
import { conditions, type Rate, type Sell, sellText, strength, unitLabel } from "./rates";

export function SellTab() {
  const { view, at, known } = useAsOf();
  const book = useBook(at, known);
  const layer = view.text("layer");
  const tenant = view.text("tenant");
  const rates = useMemo(
    () =>
      (book.data?.rates ?? []).filter(
        (rate) =>
          (layer ? rate.layer === layer : rate.layer === "contract" || rate.layer === "override") &&
          (!tenant || rate.tenant === tenant),
      ),
    [book.data, layer, tenant],
  );
  const sells = (book.data?.sells ?? []).filter((row) => !tenant || row.tenant === tenant);
  const tenants = useMemo(() => {
    const all = [...(book.data?.rates ?? []), ...(book.data?.sells ?? [])];
    return [...new Set(all.map((row) => row.tenant))].filter(Boolean).sort();
  }, [book.data]);
  return (
    <>
      <SellTools tenants={tenants} />
      <AsOfBanner />
      <Card
        title="Contracts and your own prices"
        note="what you pay; the strongest layer wins"
        flush
      >
        <Async query={book}>{() => <RateTable rates={rates} />}</Async>
      </Card>
      <Card title="What usage is sold for" note="never changes what a call costs you" flush>
        <Async query={book}>{() => <Sells rows={sells} />}</Async>
      </Card>
    </>
  );
}

function SellTools({ tenants }: { tenants: string[] }) {
  const view = useView();
  const may = useMay("admin");
  const [importing, setImporting] = useState(false);
  return (
    <div className="toolbar">
      <Select
        label="Layer"
        value={view.text("layer")}
        choices={[
          ["", "Contract and override"],
          ["contract", "Contract"],
          ["override", "Override"],
          ["correction", "Correction"],
        ]}
        onChange={(one) => view.set({ layer: one || undefined })}
      />
      <Select
        label="Tenant"
        value={view.text("tenant")}
        choices={[["", "All tenants"], ...tenants.map((one) => [one, one] as const)]}
        onChange={(one) => view.set({ tenant: one || undefined })}
      />
      <span style={{ flex: 1 }} />
      <AsOfButton />
      <ExportMenu />
      <Button
        look="primary"
        disabled={!may}
        title={may ? undefined : "Prices are set by admins"}
        onClick={() => setImporting(true)}
      >
        Import a price file
      </Button>
      {importing && <ImportDialog onClose={() => setImporting(false)} />}
    </div>
  );
}

const EXPORTS = [
  ["What people wrote, as YAML", "yaml", ""],
  ["What people wrote, as CSV", "csv", ""],
  ["The whole catalogue, as CSV", "csv", "catalogue"],
] as const;

/** Price files that read back as the same rows. */
function ExportMenu() {
  const save = async (form: string, layer: string) => {
    const query = `format=${form}${layer ? `&layer=${layer}` : ""}`;
    const answer = await fetch(`/v1/prices/export?${query}`, {
      headers: { "X-Outlay-Client": "web" },
    });
    if (answer.ok) download(`${layer || "prices"}.${form}`, await answer.blob());
    else toast(`The file could not be made (HTTP ${answer.status}).`, { bad: true });
  };
  return (
    <Menu label="Export prices" icon="download" text="Export" end>
      {(close) =>
        EXPORTS.map(([text, form, layer]) => (
          <Item
            key={text}
            onClick={() => {
              close();
              void save(form, layer);
            }}
          >
            {text}
          </Item>
        ))
      }
    </Menu>
  );
}

function RateTable({ rates }: { rates: Rate[] }) {
  const { zone } = useView();
  const order = useOrder();
  const columns = useMemo((): TableColumn<Rate>[] => rateColumns(zone), [zone]);
  return (
    <DataTable
      label="Rates written by hand"
      rows={rates}
      columns={columns}
      keyOf={(rate) => rate.rate_id}
      {...order}
      csv="own-rates"
      empty={
        <Empty title="No price of your own" icon="prices">
          Every call is priced by the catalogue. Set a price in the book, or import a price file.
        </Empty>
      }
    />
  );
}

function rateColumns(zone: string): TableColumn<Rate>[] {
  return [
    {
      id: "model",
      header: "Model",
      value: (rate) => `${rate.provider}/${rate.model}`,
      cell: (rate) => (
        <Link to="/prices" search={{ open: `${rate.provider}/${rate.model}` } as never}>
          {rate.model === "*" ? (
            "ceiling of what has no price"
          ) : (
            <>
              <span className="faint">{rate.provider}</span> {rate.model}
            </>
          )}
        </Link>
      ),
    },
    {
      id: "tenant",
      header: "Tenant",
      value: (rate) => rate.tenant,
      cell: (rate) =>
        rate.tenant ? (
          <Link to="/tenants/$tenant" params={{ tenant: rate.tenant }} className="link">
            {rate.tenant}
          </Link>
        ) : (
          <span className="faint">every tenant</span>
        ),
    },
    {
      id: "unit",
      header: "Unit",
      value: (rate) => rate.unit,
      cell: (rate) => unitLabel(rate.unit),
    },
    {
      id: "price",
      header: "Price",
      end: true,
      value: (rate) => rate.nanos_per_million,
      cell: (rate) => <RatePrice rate={rate} per />,
    },
    {
      id: "layer",
      header: "Layer",
      wide: true,
      value: (rate) => strength(rate.layer),
      cell: (rate) => <LayerBadge layer={rate.layer} />,
    },
    {
      id: "only",
      header: "Only for",
      wide: true,
      value: (rate) => conditions(rate).join(", "),
      cell: (rate) => conditions(rate).join(", ") || <span className="faint">every call</span>,
    },
    {
      id: "from",
      header: "Effective",
      wide: true,
      value: (rate) => rate.valid_from,
      cell: (rate) => <Span row={rate} zone={zone} />,
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

function Span({ row, zone }: { row: Rate | Sell; zone: string }) {
  if (!row.valid_from && !row.valid_to) return <span className="faint">always</span>;
  return (
    <span className="num">
      {row.valid_from ? `from ${day(row.valid_from, zone)}` : ""}
      {row.valid_to ? ` until ${day(row.valid_to, zone)}` : ""}
    </span>
  );
}

function Sells({ rows }: { rows: Sell[] }) {
  const { zone } = useView();
  const currency = useCurrency();
  const columns = useMemo(
    (): TableColumn<Sell>[] => [
      {
        id: "tenant",
        header: "Sold to",
        value: (row) => row.tenant || row.plan,
        cell: (row) =>
          row.tenant ? (
            <Link to="/tenants/$tenant" params={{ tenant: row.tenant }} className="link">
              {row.tenant}
            </Link>
          ) : row.plan ? (
            <>plan {row.plan}</>
          ) : (
            <span className="faint">every tenant</span>
          ),
      },
      {
        id: "unit",
        header: "Unit",
        value: (row) => row.unit,
        cell: (row) => unitLabel(row.unit),
      },
      {
        id: "out",
        header: "Sold for",
        end: true,
        value: (row) => sellText(row, currency),
        cell: (row) => <span className="num">{sellText(row, currency)}</span>,
      },
      {
        id: "only",
        header: "Only for",
        wide: true,
        value: (row) => [row.feature, row.provider, row.model].filter(Boolean).join(" "),
        cell: (row) =>
          [row.feature && `feature ${row.feature}`, row.provider, row.model]
            .filter(Boolean)
            .join(", ") || <span className="faint">all usage</span>,
      },
      {
        id: "from",
        header: "Effective",
        wide: true,
        value: (row) => row.valid_from,
        cell: (row) => <Span row={row} zone={zone} />,
      },
    ],
    [currency, zone],
  );
  return (
    <DataTable
      label="What usage is sold for"
      rows={rows}
      columns={columns}
      keyOf={(row) => row.sell_id}
      csv="sell-rows"
      empty={
        <Empty title="Nothing is sold" icon="prices">
          Without sell rows, usage is sold for nothing. A price file with <code>sell</code> rows
          says what tenants pay.
        </Empty>
      }
    />
  );
}
