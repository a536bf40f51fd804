/** What has no price yet, what it is held at meanwhile, and the way to give it one. */

import { useNavigate } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { useMay } from "@/api/session";
import { Async, Badge, Button, Card, Empty } from "@/design/basics";
import { Behind, Money, Stat, Stats } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { compact, count } from "@/lib/numbers";
import { ago, moment, nowMicros } from "@/lib/time";
import { useOrder, useView } from "@/lib/view";
import { type UnpricedGroup, useUnpriced } from "./api";
import { neededUnits, TOKEN_UNITS } from "./draft";
import { unitLabel } from "./rates";
import { SetPriceDialog } from "./SetPrice";

const REASONS: Record<string, string> = {
  unknown_model: "unknown model",
  no_rate: "a unit without a rate",
  usage_unknown: "usage unknown",
};

export function UnpricedTab() {
  const unpriced = useUnpriced();
  const navigate = useNavigate();
  const [pricing, setPricing] = useState<UnpricedGroup | null>(null);
  const groups = unpriced.data?.unpriced ?? [];
  const held = groups.reduce((sum, one) => sum + one.ceiling_nanos, 0);
  const first = Math.min(...groups.map((one) => one.first_at));
  const rerate = (group: UnpricedGroup) =>
    void navigate({
      to: "/prices",
      search: { tab: "rerate", for: group.provider, name: group.model, only: "unpriced" } as never,
    });
  const { zone } = useView();
  return (
    <>
      {groups.length > 0 && (
        <Stats label="Unpriced usage">
          <Stat label="Events without a price" more="in the last 30 days">
            {count(unpriced.data?.events)}
          </Stat>
          <Stat label="Held at, for limits" more="never booked as cost">
            <Money nanos={held} />
          </Stat>
          <Stat label="Since" more={moment(first, zone)}>
            {ago(first, nowMicros())}
          </Stat>
        </Stats>
      )}
      <Card title="Waiting for a price" note="the last 30 days" flush>
        <Async query={unpriced}>
          {(found) => <GroupTable groups={found.unpriced} onPrice={setPricing} onRerate={rerate} />}
        </Async>
      </Card>
      {pricing && (
        <SetPriceDialog
          start={{
            provider: pricing.provider,
            model: pricing.model,
            units: neededUnits(pricing.tokens),
          }}
          onClose={() => setPricing(null)}
          onWritten={() => rerate(pricing)}
        />
      )}
    </>
  );
}

interface TableProps {
  groups: UnpricedGroup[];
  onPrice: (group: UnpricedGroup) => void;
  onRerate: (group: UnpricedGroup) => void;
}

function GroupTable({ groups, onPrice, onRerate }: TableProps) {
  const { zone } = useView();
  const may = useMay("admin");
  const order = useOrder("-events");
  const columns = useMemo((): TableColumn<UnpricedGroup>[] => {
    const facts = groupColumns(zone);
    return [
      ...facts,
      {
        id: "act",
        header: "Action",
        end: true,
        sortable: false,
        value: () => null,
        cell: (group) => (
          <span className="toolbar" style={{ justifyContent: "flex-end", flexWrap: "nowrap" }}>
            <Button small disabled={!may} onClick={() => onPrice(group)}>
              Set a price
            </Button>
            <Button small look="quiet" onClick={() => onRerate(group)}>
              Re-rate
            </Button>
          </span>
        ),
      },
    ];
  }, [zone, may, onPrice, onRerate]);
  return (
    <DataTable
      label="What has no price"
      rows={groups}
      columns={columns}
      keyOf={(group) => `${group.provider}/${group.model}/${group.reason}`}
      {...order}
      csv="unpriced"
      empty={
        <Empty title="Everything has a price" icon="check">
          Every call of the last 30 days was priced. A call of an unknown model would wait here.
        </Empty>
      }
    />
  );
}

function groupColumns(zone: string): TableColumn<UnpricedGroup>[] {
  return [
    {
      id: "model",
      header: "Model",
      value: (group) => `${group.provider}/${group.model}`,
      cell: (group) => (
        <>
          <span className="faint">{group.provider}</span> {group.model || "(no model)"}
        </>
      ),
    },
    {
      id: "reason",
      header: "Why",
      wide: true,
      value: (group) => group.reason,
      cell: (group) => <Badge tone="warn">{REASONS[group.reason] ?? group.reason}</Badge>,
    },
    {
      id: "events",
      header: "Events",
      end: true,
      value: (group) => group.events,
      cell: (group) => (
        <Behind
          by={{
            last: "30d",
            provider: group.provider,
            ...(group.model ? { model: group.model } : {}),
            price_basis: "unpriced",
          }}
          label={`Unpriced requests of ${group.model}`}
        >
          <span className="num">{count(group.events)}</span>
        </Behind>
      ),
    },
    {
      id: "tokens",
      header: "Tokens",
      end: true,
      wide: true,
      value: (group) => (group.tokens.input_tokens ?? 0) + (group.tokens.output_tokens ?? 0),
      cell: (group) => <Tokens tokens={group.tokens} />,
    },
    {
      id: "held",
      header: "Ceiling held",
      end: true,
      value: (group) => group.ceiling_nanos,
      cell: (group) => <Money nanos={group.ceiling_nanos} />,
    },
    {
      id: "tenants",
      header: "Tenants",
      end: true,
      wide: true,
      value: (group) => group.tenants,
    },
    {
      id: "first",
      header: "Since",
      wide: true,
      value: (group) => group.first_at,
      cell: (group) => (
        <span title={moment(group.first_at, zone)}>{moment(group.first_at, zone)}</span>
      ),
    },
    {
      id: "last",
      header: "Last",
      wide: true,
      value: (group) => group.last_at,
      cell: (group) => (
        <span title={moment(group.last_at, zone)}>{ago(group.last_at, nowMicros())}</span>
      ),
    },
  ];
}

function Tokens({ tokens }: { tokens: Record<string, number> }) {
  const parts = TOKEN_UNITS.filter(([name]) => tokens[name]).map(
    ([name, unit]) => `${unitLabel(unit)} ${count(tokens[name])}`,
  );
  const total = (tokens.input_tokens ?? 0) + (tokens.output_tokens ?? 0);
  return (
    <span className="num" title={parts.join(", ")}>
      {compact(total)}
    </span>
  );
}
