/** A tenant's credits: what is left, the grants it drains, and every change. */

import { useState } from "react";
import { useMay } from "@/api/session";
import { Async, Badge, Button, Card, Empty, Loading, Segments } from "@/design/basics";
import { Stat, Stats } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { credits, percent } from "@/lib/numbers";
import { DAY, day, nowMicros, short } from "@/lib/time";
import { type Balance, type Entry, type Grant, useBalance, useGrants, useHistory } from "./api";
import { Adjust, GrantCredits } from "./CreditForms";
import type { TenantView } from "./scope";
import css from "./tenants.module.css";

export function Credits({ view }: { view: TenantView }) {
  const { tenant } = view;
  const balance = useBalance(tenant);
  const may = useMay("admin");
  const [form, setForm] = useState<"grant" | "adjust" | null>(null);
  const close = () => setForm(null);
  const why = may ? undefined : "Only an administrator may change credits.";
  const buttons = (
    <>
      {balance.data && (
        <Button disabled={!may} title={why} onClick={() => setForm("adjust")}>
          Adjust
        </Button>
      )}
      <Button look="primary" disabled={!may} title={why} onClick={() => setForm("grant")}>
        Grant credits
      </Button>
    </>
  );
  return (
    <>
      <Async query={balance} loading={<Loading lines={6} height={320} />}>
        {(found) =>
          found ? (
            <>
              <div className={css.foot}>{buttons}</div>
              <Standing balance={found.balance} />
              <Grants view={view} />
              <History view={view} />
            </>
          ) : (
            <Card>
              <Empty title="This tenant has no credits" icon="limits" actions={buttons}>
                Without an account its calls are not bounded by credits. The first grant opens one.
              </Empty>
            </Card>
          )
        }
      </Async>
      <GrantCredits tenant={tenant} open={form === "grant"} onClose={close} />
      <Adjust tenant={tenant} open={form === "adjust"} onClose={close} />
    </>
  );
}

function Standing({ balance }: { balance: Balance }) {
  const empty = balance.available <= 0;
  return (
    <Stats label="Balance">
      <Stat
        label="Available"
        more={
          empty ? (
            <Badge tone="bad">{balance.enforce ? "calls are refused" : "used up"}</Badge>
          ) : (
            <span>{balance.enforce ? "calls are refused at 0" : "nothing is refused"}</span>
          )
        }
      >
        {credits(balance.available)}
      </Stat>
      <Stat label="Held" more={<span>by calls on their way</span>}>
        {credits(balance.held)}
      </Stat>
      <Stat label="Balance" more={<span>held credits included</span>}>
        {credits(balance.posted)}
      </Stat>
      <Stat label="Overdraft" more={<span>may go this far below 0</span>}>
        {credits(Math.abs(balance.floor))}
      </Stat>
      <Stat label="Shortfall" more={<span>used beyond what could be paid</span>}>
        <span className={balance.shortfall ? css.error : ""}>{credits(balance.shortfall)}</span>
      </Stat>
      {balance.top_up_below !== null && (
        <Stat
          label="Top-up below"
          more={balance.top_up_amount !== null && <span>by {credits(balance.top_up_amount)}</span>}
        >
          {credits(balance.top_up_below)}
        </Stat>
      )}
    </Stats>
  );
}

function Grants({ view }: { view: TenantView }) {
  const all = view.text("grants") === "all";
  const grants = useGrants(view.tenant, all, true);
  return (
    <Card
      title="Grants"
      note="in the order they drain"
      flush
      actions={
        <Segments
          label="Which grants"
          value={all ? "all" : "open"}
          choices={[
            ["open", "Open"],
            ["all", "All"],
          ]}
          onChange={(one) => view.set({ grants: one === "all" ? one : undefined })}
        />
      }
    >
      <Async
        query={grants}
        loading={
          <div style={{ padding: "var(--space-4)" }}>
            <Loading height={120} />
          </div>
        }
      >
        {(found) => (
          <DataTable
            label="Grants"
            rows={found.grants}
            columns={grantColumns(view.zone)}
            keyOf={(row) => row.grant_id}
            csv={`grants-${view.tenant}`}
            empty={
              <Empty title={all ? "No grant was ever made" : "No grant is open"}>
                {all ? "" : "All of them are used up or have expired."}
              </Empty>
            }
          />
        )}
      </Async>
    </Card>
  );
}

const SOON = 7 * DAY;

function grantColumns(zone: string): TableColumn<Grant>[] {
  const now = nowMicros();
  return [
    {
      id: "category",
      header: "Category",
      sortable: false,
      value: (row) => row.category,
      cell: (row) => (
        <Badge tone={row.category === "paid" ? "plain" : "accent"}>{row.category}</Badge>
      ),
    },
    { id: "reason", header: "Reason", sortable: false, value: (row) => row.reason },
    {
      id: "remaining",
      header: "Left",
      end: true,
      sortable: false,
      unit: "micro-credits",
      value: (row) => row.remaining,
      cell: (row) => credits(row.remaining),
    },
    {
      id: "amount",
      header: "Of",
      end: true,
      sortable: false,
      unit: "micro-credits",
      value: (row) => row.amount,
      cell: (row) => credits(row.amount),
    },
    {
      id: "expires",
      header: "Expires",
      sortable: false,
      value: (row) => (row.expires_at ? new Date(row.expires_at / 1000).toISOString() : "never"),
      cell: (row) => <Expiry at={row.expires_at} now={now} zone={zone} />,
    },
    {
      id: "rollover",
      header: "Rolls over",
      wide: true,
      sortable: false,
      value: (row) => row.rollover_ppm / 1_000_000,
      cell: (row) =>
        row.rollover_ppm ? (
          percent(row.rollover_ppm / 1_000_000, 0)
        ) : (
          <span className="faint">–</span>
        ),
    },
    {
      id: "priority",
      header: "Priority",
      end: true,
      wide: true,
      sortable: false,
      title: "The lowest drains first",
      value: (row) => row.priority,
    },
    {
      id: "created",
      header: "Granted",
      wide: true,
      sortable: false,
      value: (row) => new Date(row.created_at / 1000).toISOString(),
      cell: (row) => day(row.created_at, zone),
    },
  ];
}

function Expiry({ at, now, zone }: { at: number | null; now: number; zone: string }) {
  if (!at) return <span className="faint">never</span>;
  const soon = at - now < SOON;
  return (
    <span className={css.under}>
      {day(at, zone)}
      {at <= now ? <Badge>expired</Badge> : soon && <Badge tone="warn">soon</Badge>}
    </span>
  );
}

function History({ view }: { view: TenantView }) {
  const before = Number(view.text("entries")) || 0;
  const history = useHistory(view.tenant, before, true);
  const next = history.data?.next ?? null;
  return (
    <Card
      title="History"
      note="newest first"
      flush
      actions={
        <>
          {before > 0 && (
            <Button small look="quiet" onClick={() => view.set({ entries: undefined })}>
              Newest
            </Button>
          )}
          {next !== null && (
            <Button
              small
              look="quiet"
              onClick={() => view.set({ entries: String(next) }, { replace: false })}
            >
              Older
            </Button>
          )}
        </>
      }
    >
      <Async
        query={history}
        loading={
          <div style={{ padding: "var(--space-4)" }}>
            <Loading lines={6} height={240} />
          </div>
        }
      >
        {(found) => (
          <DataTable
            label="Changes of the balance"
            rows={found.entries}
            columns={entryColumns(view.zone)}
            keyOf={(row) => String(row.entry_id)}
            csv={`credits-${view.tenant}`}
            empty={<Empty title="Nothing has changed yet" />}
          />
        )}
      </Async>
    </Card>
  );
}

const KINDS: Record<Entry["kind"], string> = {
  adjustment: "Adjustment",
  expiry: "Expiry",
  grant: "Grant",
  refund: "Refund",
  reversal: "Reversal",
  rollover: "Rollover",
  transfer: "Transfer",
  usage: "Usage",
};

function entryColumns(zone: string): TableColumn<Entry>[] {
  const after = (row: Entry) =>
    row.balance_before === null ? null : row.balance_before + row.amount;
  return [
    {
      id: "at",
      header: "When",
      sortable: false,
      value: (row) => new Date(row.at / 1000).toISOString(),
      cell: (row) => <span className={`num ${css.when}`}>{short(row.at, zone)}</span>,
    },
    { id: "kind", header: "What", sortable: false, value: (row) => KINDS[row.kind] },
    {
      id: "amount",
      header: "Credits",
      end: true,
      sortable: false,
      unit: "micro-credits",
      value: (row) => row.amount,
      cell: (row) => `${row.amount > 0 ? "+" : ""}${credits(row.amount)}`.replace("-", "−"),
    },
    {
      id: "after",
      header: "Balance after",
      end: true,
      wide: true,
      sortable: false,
      unit: "micro-credits",
      value: after,
      cell: (row) => credits(after(row)),
    },
    {
      id: "reason",
      header: "Reason",
      wide: true,
      sortable: false,
      value: (row) => row.reason,
      cell: (row) => <span className="clip">{row.reason || "–"}</span>,
    },
    {
      id: "actor",
      header: "By",
      wide: true,
      sortable: false,
      value: (row) => row.actor ?? "",
      cell: (row) => <span className="faint clip">{row.actor || "–"}</span>,
    },
  ];
}
