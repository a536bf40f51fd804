/** Leases of processes: the slices of each scope that they decide within. */

import { useMemo } from "react";
import { Empty } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { count } from "@/lib/numbers";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import type { HeldLine, Lease } from "./api";
import { heldCost } from "./heldLines";
import { Ends, StateBadge } from "./heldParts";
import styles from "./limits.module.css";
import { Amount, LimitLink, ScopeLinks } from "./parts";
import { readScopeKey } from "./words";

export function LeaseTable({ leases }: { leases: Lease[] }) {
  const view = useView();
  const open = view.text("owner");
  const columns = useMemo(
    (): TableColumn<Lease>[] => [
      {
        id: "owner",
        header: "Process",
        value: (lease) => lease.owner,
        cell: (lease) => (
          <button
            type="button"
            className={`${styles.opener} mono`}
            aria-expanded={lease.owner === open}
            onClick={() => view.set({ owner: lease.owner === open ? undefined : lease.owner })}
          >
            {lease.owner}
          </button>
        ),
      },
      {
        id: "state",
        header: "State",
        value: (lease) => lease.state,
        cell: (lease) => <StateBadge state={lease.state} />,
      },
      {
        id: "scopes",
        header: "Scopes",
        end: true,
        wide: true,
        value: (lease) => lease.lines.length + lease.more_lines,
      },
      {
        id: "held",
        header: "Most held of cost",
        title: "The most that it holds of one scope: a call counts in several at once",
        end: true,
        value: (lease) => heldCost(lease.lines),
        cell: (lease) => <Amount value={heldCost(lease.lines)} metric="cost" />,
      },
      {
        id: "calls",
        header: "Calls",
        end: true,
        wide: true,
        value: (lease) => Math.max(0, ...lease.lines.map((line) => line.calls)),
        cell: (lease) => count(Math.max(0, ...lease.lines.map((line) => line.calls))),
      },
      {
        id: "opened",
        header: "Opened",
        wide: true,
        value: (lease) => lease.opened_at,
        cell: (lease) => (
          <span title={moment(lease.opened_at, view.zone)}>
            {ago(lease.opened_at, nowMicros())}
          </span>
        ),
      },
      {
        id: "expires",
        header: "Expires",
        end: true,
        value: (lease) => lease.expires_at,
        cell: (lease) => <Ends at={lease.expires_at} open={lease.state === "open"} />,
      },
    ],
    [view, open],
  );
  return (
    <DataTable
      label="Leases"
      rows={leases}
      columns={columns}
      keyOf={(lease) => lease.owner}
      isOpen={(lease) => lease.owner === open}
      csv="leases"
      empty={
        <Empty title="No process holds a lease" icon="limits">
          Processes take one when they start with <code>outlay.init(limits=True)</code>.
        </Empty>
      }
    />
  );
}

const LINES: TableColumn<HeldLine>[] = [
  {
    id: "limit",
    header: "Limit",
    value: (line) => line.limit,
    cell: (line) => <LimitLink id={line.limit} />,
  },
  {
    id: "scope",
    header: "Scope",
    value: (line) => line.scope,
    cell: (line) => <ScopeLinks scope={readScopeKey(line.scope)} />,
  },
  {
    id: "granted",
    header: "Granted",
    end: true,
    wide: true,
    value: (line) => line.granted,
    cell: (line) => <Amount value={line.granted} metric={line.metric} />,
  },
  {
    id: "held",
    header: "Held",
    end: true,
    value: (line) => line.held,
    cell: (line) => <Amount value={line.held} metric={line.metric} />,
  },
  {
    id: "used",
    header: "Used",
    end: true,
    value: (line) => line.used,
    cell: (line) => <Amount value={line.used} metric={line.metric} />,
  },
  {
    id: "calls",
    header: "Calls",
    end: true,
    wide: true,
    value: (line) => line.calls,
    cell: (line) => count(line.calls),
  },
];

export function Lines({ lines, more }: { lines: HeldLine[]; more: number }) {
  return (
    <DataTable
      label="What it holds of each scope"
      rows={lines}
      columns={LINES}
      sort={{ id: "held" }}
      keyOf={(line) => line.counter}
      csv="held"
      {...(more ? { foot: `${count(more)} more are not listed` } : {})}
    />
  );
}
