/** The audit log: every change of tenants, keys, prices, limits, credits and people. */

import { useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Badge, Card, Empty } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { moment } from "@/lib/time";
import { useView } from "@/lib/view";

type Entry = components["schemas"]["AuditEntry"];

const MAX_ENTRIES = 1_000;

export function Audit() {
  const view = useView();
  const wanted = view.text("q").toLowerCase();
  const found = useQuery({
    queryKey: ["audit"],
    queryFn: () => data(api.GET("/v1/audit", { params: { query: { limit: MAX_ENTRIES } } })),
    meta: { every: 10_000 },
  });
  const columns: TableColumn<Entry>[] = [
    { id: "at", header: "When", value: (one) => one.at, cell: (one) => moment(one.at, view.zone) },
    {
      id: "actor",
      header: "Who",
      value: (one) => one.actor,
      cell: (one) => <code>{one.actor}</code>,
    },
    {
      id: "action",
      header: "Did",
      value: (one) => one.action,
      cell: (one) => <Badge>{one.action}</Badge>,
    },
    {
      id: "subject",
      header: "To",
      value: (one) => one.subject,
      cell: (one) => <span className="clip">{one.subject}</span>,
    },
    {
      id: "details",
      header: "Details",
      value: (one) => JSON.stringify(one.details),
      cell: (one) => <Details details={one.details} />,
      wide: true,
      sortable: false,
    },
  ];
  return (
    <>
      <input
        className="input"
        type="search"
        aria-label="Search the audit log"
        placeholder="Who, what, or to what"
        value={view.text("q")}
        onChange={(event) => view.set({ q: event.target.value || undefined })}
      />
      <Card flush>
        <Async query={found}>
          {(list) => (
            <DataTable
              label="Audit log"
              rows={list.audit.filter((one) =>
                `${one.actor} ${one.action} ${one.subject}`.toLowerCase().includes(wanted),
              )}
              columns={columns}
              keyOf={(one, at) => `${one.at}-${at}`}
              csv="outlay-audit"
              empty={<Empty title="No entry" />}
              foot={
                list.audit.length >= MAX_ENTRIES ? `the newest ${MAX_ENTRIES} are here` : undefined
              }
            />
          )}
        </Async>
      </Card>
    </>
  );
}

function Details({ details }: { details: unknown }) {
  const text = Object.entries((details ?? {}) as Record<string, unknown>)
    .filter(([, value]) => value !== null && value !== "")
    .map(([key, value]) => `${key}: ${typeof value === "object" ? JSON.stringify(value) : value}`)
    .join(" · ");
  return (
    <span className="clip faint" style={{ display: "block", maxWidth: "26rem" }} title={text}>
      {text}
    </span>
  );
}
