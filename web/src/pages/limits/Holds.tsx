/** Holds of single calls: what each reserved before it was made. */

import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { Empty } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import type { Hold } from "./api";
import { tenantOfOwner } from "./heldLines";
import { Ends, StateBadge } from "./heldParts";
import { Amount, LimitLink } from "./parts";

export function HoldTable({ holds }: { holds: Hold[] }) {
  const { zone } = useView();
  const columns = useMemo((): TableColumn<Hold>[] => holdColumns(zone), [zone]);
  return (
    <DataTable
      label="Holds"
      rows={holds}
      columns={columns}
      keyOf={(hold) => hold.hold_id}
      csv="holds"
      empty={
        <Empty title="No call holds anything" icon="limits">
          The gateway and callers of <code>POST /v1/holds</code> hold what each call may use.
        </Empty>
      }
    />
  );
}

function holdColumns(zone: string): TableColumn<Hold>[] {
  return [
    {
      id: "hold",
      header: "Hold",
      value: (hold) => hold.hold_id,
      cell: (hold) => (
        <span className="mono clip" title={hold.hold_id} style={{ display: "block" }}>
          {hold.hold_id}
        </span>
      ),
    },
    {
      id: "owner",
      header: "Owner",
      wide: true,
      value: (hold) => hold.owner,
      cell: (hold) => <Owner owner={hold.owner} />,
    },
    {
      id: "state",
      header: "State",
      value: (hold) => hold.state,
      cell: (hold) => <StateBadge state={hold.state} late={hold.late} />,
    },
    {
      id: "estimate",
      header: "Estimate",
      end: true,
      value: (hold) => hold.estimate_nanos,
      cell: (hold) => <Amount value={hold.estimate_nanos} metric="cost" />,
    },
    {
      id: "actual",
      header: "Cost",
      end: true,
      wide: true,
      value: (hold) => hold.actual_nanos,
      cell: (hold) => <Amount value={hold.actual_nanos} metric="cost" />,
    },
    {
      id: "limits",
      header: "Limits",
      wide: true,
      value: (hold) => hold.limits.map((line) => line.limit).join(" "),
      cell: (hold) => (
        <span className="toolbar" style={{ gap: "0.5rem" }}>
          {hold.limits.map((line) => (
            <LimitLink key={line.counter} id={line.limit} />
          ))}
        </span>
      ),
    },
    {
      id: "opened",
      header: "Opened",
      wide: true,
      value: (hold) => hold.opened_at,
      cell: (hold) => (
        <span title={moment(hold.opened_at, zone)}>{ago(hold.opened_at, nowMicros())}</span>
      ),
    },
    {
      id: "expires",
      header: "Expires",
      end: true,
      value: (hold) => hold.expires_at,
      cell: (hold) => <Ends at={hold.expires_at} open={hold.state === "open"} />,
    },
  ];
}

function Owner({ owner }: { owner: string }) {
  const tenant = tenantOfOwner(owner);
  if (tenant === null) return <span className="mono">{owner}</span>;
  if (!tenant) return <span className="faint">no tenant</span>;
  return (
    <Link to="/tenants/$tenant" params={{ tenant }} className="link">
      {tenant}
    </Link>
  );
}
