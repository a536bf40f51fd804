/** What limits did: rungs passed, calls refused, settlements that came late; the newest first. */

import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { Async, Badge, Card, Empty, Loading, Select } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { count, percent } from "@/lib/numbers";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import type { Metric } from "./amounts";
import { type Notice, useNotices } from "./api";
import { ActionBadge, Amount, LimitLink, ModeBadge, ScopeLinks } from "./parts";
import { readScopeKey } from "./words";

const KINDS: Record<string, readonly [string, "plain" | "warn" | "bad" | "accent", string]> = {
  crossed: ["rung passed", "warn", "A rung was passed"],
  refused: ["refused", "bad", "A call was not made"],
  late: ["late", "plain", "A settlement came after its hold had ended"],
  short: ["short", "bad", "A balance could not pay all"],
  denied: ["not in the plan", "bad", "What was asked for is not in the tenant's plan"],
  seeded: ["began", "plain", "A counter began with what its period had used already"],
};

export function NoticesTab() {
  const view = useView();
  const kind = view.text("kind");
  const notices = useNotices();
  return (
    <>
      <div className="toolbar">
        <Select
          label="Kind"
          value={kind}
          choices={[
            ["", "All kinds"],
            ...Object.entries(KINDS).map(([id, [text]]) => [id, text] as const),
          ]}
          onChange={(one) => view.set({ kind: one || undefined })}
        />
      </div>
      <Card flush>
        <Async query={notices} loading={<Loading lines={10} height={400} />}>
          {(found) => (
            <NoticeTable notices={found.notices.filter((one) => !kind || one.kind === kind)} />
          )}
        </Async>
      </Card>
    </>
  );
}

export function NoticeTable({ notices, one }: { notices: Notice[]; one?: boolean }) {
  const { zone } = useView();
  const columns = useMemo(
    () => [...factColumns(zone, Boolean(one)), ...amountColumns()],
    [zone, one],
  );
  return (
    <DataTable
      label="What limits did"
      rows={notices}
      columns={columns}
      sort={{ id: "at" }}
      keyOf={(notice) =>
        `${notice.counter_id}|${notice.kind}|${notice.at_ppm}|${notice.action}|${notice.at}`
      }
      csv="notices"
      empty={
        <Empty title="Nothing happened" icon="check">
          No rung was passed and no call refused.
        </Empty>
      }
    />
  );
}

function factColumns(zone: string, one: boolean): TableColumn<Notice>[] {
  const limit: TableColumn<Notice> = {
    id: "limit",
    header: "Limit",
    value: (notice) => notice.limit_id,
    cell: (notice) =>
      notice.limit_id ? (
        <span className="toolbar" style={{ flexWrap: "nowrap" }}>
          <LimitLink id={notice.limit_id} />
          {notice.mode === "shadow" && <ModeBadge mode="shadow" />}
        </span>
      ) : (
        <span className="faint">the plan</span>
      ),
  };
  return [
    {
      id: "at",
      header: "When",
      value: (notice) => notice.at,
      cell: (notice) => <span title={moment(notice.at, zone)}>{ago(notice.at, nowMicros())}</span>,
    },
    {
      id: "kind",
      header: "What",
      value: (notice) => notice.kind,
      cell: (notice) => {
        const [text, tone, meaning] = KINDS[notice.kind] ?? [notice.kind, "plain", ""];
        return (
          <Badge tone={tone} title={meaning}>
            {text}
          </Badge>
        );
      },
    },
    ...(one ? [] : [limit]),
    {
      id: "scope",
      header: "Scope",
      value: (notice) => notice.tenant || notice.scope_key,
      cell: (notice) => <Where notice={notice} />,
    },
    {
      id: "rung",
      header: "Rung",
      wide: true,
      value: (notice) => notice.at_ppm,
      cell: (notice) =>
        notice.at_ppm || notice.action ? (
          <span className="toolbar" style={{ gap: "0.375rem", flexWrap: "nowrap" }}>
            {notice.at_ppm > 0 && <span className="num">{percent(notice.at_ppm / 1e6, 0)}</span>}
            {notice.action && <ActionBadge action={notice.action} />}
          </span>
        ) : (
          <span className="faint">–</span>
        ),
    },
  ];
}

function amountColumns(): TableColumn<Notice>[] {
  const metric = (notice: Notice) =>
    String((notice.details as Record<string, unknown>).metric ?? "cost") as Metric;
  return [
    {
      id: "used",
      header: "Used",
      end: true,
      wide: true,
      value: (notice) => notice.used,
      cell: (notice) =>
        // A refusal for credits or a plan tells no amount.
        notice.kind === "denied" || !notice.amount ? (
          <span className="faint">–</span>
        ) : (
          <>
            <Amount value={notice.used} metric={metric(notice)} />
            <span className="faint">
              {" "}
              of <Amount value={notice.amount} metric={metric(notice)} />
            </span>
          </>
        ),
    },
    {
      id: "times",
      header: "Times",
      end: true,
      value: (notice) => notice.times,
      cell: (notice) => count(notice.times),
    },
  ];
}

function Where({ notice }: { notice: Notice }) {
  const scope = readScopeKey(notice.scope_key);
  if (notice.tenant && !Object.keys(scope).length) {
    return (
      <Link to="/tenants/$tenant" params={{ tenant: notice.tenant }} className="link">
        {notice.tenant}
      </Link>
    );
  }
  return <ScopeLinks scope={scope} />;
}
