/** Findings: where prices, statements and estimates differ, and settling one with a reason. */

import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api, data } from "@/api/client";
import { useCurrency } from "@/api/currencies";
import { useMay } from "@/api/session";
import { Async, Badge, Button, Card, Empty, Field, Segments } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { DataTable, type TableColumn } from "@/design/table";
import type { Currency } from "@/lib/money";
import { ago, moment, nowMicros } from "@/lib/time";
import { useOrder, useView } from "@/lib/view";
import { type Finding, useFindings } from "./api";
import { type Compared, comparedOf, KINDS } from "./findings";
import styles from "./prices.module.css";

export function FindingsTab() {
  const view = useView();
  const all = view.text("show") === "all";
  const findings = useFindings(all);
  const [settling, setSettling] = useState<Finding | null>(null);
  return (
    <>
      <div className="toolbar">
        <Segments
          label="Which findings"
          value={all ? "all" : "open"}
          choices={[
            ["open", "Open"],
            ["all", "All"],
          ]}
          onChange={(one) => view.set({ show: one === "all" ? "all" : undefined })}
        />
      </div>
      <Card flush>
        <Async query={findings}>
          {(found) => <FindingTable findings={found} all={all} onSettle={setSettling} />}
        </Async>
      </Card>
      {settling && <ResolveDialog finding={settling} onClose={() => setSettling(null)} />}
    </>
  );
}

interface TableProps {
  findings: Finding[];
  all: boolean;
  onSettle: (finding: Finding) => void;
}

function FindingTable({ findings, all, onSettle }: TableProps) {
  const { zone } = useView();
  const currency = useCurrency();
  const may = useMay("operate");
  const order = useOrder("-last");
  const columns = useMemo((): TableColumn<Finding>[] => {
    const facts = findingColumns(zone, currency);
    return [
      ...facts,
      {
        id: "act",
        header: "State",
        end: true,
        sortable: false,
        value: (one) => (one.resolved_at ? "resolved" : "open"),
        cell: (one) =>
          one.resolved_at ? (
            <span className="faint" title={moment(one.resolved_at, zone)}>
              resolved {ago(one.resolved_at, nowMicros())}
            </span>
          ) : (
            <Button
              small
              disabled={!may}
              title={may ? undefined : "Findings are resolved by engineers and admins"}
              onClick={() => onSettle(one)}
            >
              Resolve
            </Button>
          ),
      },
    ];
  }, [zone, currency, may, onSettle]);
  return (
    <DataTable
      label="Findings"
      rows={findings}
      columns={columns}
      keyOf={(one) => `${one.kind}/${one.subject}`}
      {...order}
      csv="findings"
      empty={
        <Empty title={all ? "Nothing was ever found" : "Nothing is open"} icon="check">
          Comparisons with other catalogues and with what providers state report here what differs.
        </Empty>
      }
    />
  );
}

function findingColumns(zone: string, currency: Currency): TableColumn<Finding>[] {
  const shown = (one: Finding): Compared => comparedOf(one, currency);
  return [
    {
      id: "kind",
      header: "What",
      value: (one) => one.kind,
      cell: (one) => (
        <Badge tone="warn" title={KINDS[one.kind]?.[1]}>
          {KINDS[one.kind]?.[0] ?? one.kind}
        </Badge>
      ),
    },
    {
      id: "subject",
      header: "About",
      value: (one) => one.subject,
      cell: (one) => <Subject finding={one} />,
    },
    {
      id: "ours",
      header: "Ours",
      end: true,
      value: (one) => shown(one).ours,
      cell: (one) => <span className="num">{shown(one).ours || "–"}</span>,
    },
    {
      id: "theirs",
      header: "Theirs",
      end: true,
      value: (one) => shown(one).theirs,
      cell: (one) => (
        <span className="num" title={shown(one).whose}>
          {shown(one).theirs || "–"}
        </span>
      ),
    },
    {
      id: "by",
      header: "By",
      end: true,
      value: (one) => shown(one).percent,
      cell: (one) => <Percent value={shown(one).percent} />,
    },
    {
      id: "last",
      header: "Found",
      wide: true,
      value: (one) => one.last_at,
      cell: (one) => (
        <span title={`First ${moment(one.first_at, zone)}, last ${moment(one.last_at, zone)}`}>
          {ago(one.last_at, nowMicros())}
          {one.times > 1 && <span className="faint"> · {one.times} times</span>}
        </span>
      ),
    },
  ];
}

function Percent({ value }: { value: number | null }) {
  if (value === null) return <span className="faint">–</span>;
  const text = `${value < 0 ? "−" : "+"}${Math.abs(value).toLocaleString(undefined, { maximumFractionDigits: 1 })} %`;
  return <span className="num">{text}</span>;
}

/** A finding about a model leads to it in the book. */
function Subject({ finding }: { finding: Finding }) {
  const { provider, model } = finding.details as { provider?: string; model?: string };
  if (!provider || !model) return <>{finding.subject}</>;
  return (
    <Link to="/prices" search={{ open: `${provider}/${model}` } as never} className="link">
      {finding.subject}
    </Link>
  );
}

function ResolveDialog({ finding, onClose }: { finding: Finding; onClose: () => void }) {
  const client = useQueryClient();
  const [reason, setReason] = useState("");
  const resolve = useMutation({
    mutationFn: () =>
      data(
        api.POST("/v1/findings/resolve", {
          body: { kind: finding.kind, subject: finding.subject, reason: reason.trim() },
        }),
      ),
    onSuccess: () => {
      toast("Resolved. It opens again when it is found again.");
      void client.invalidateQueries({ queryKey: ["findings"] });
      onClose();
    },
  });
  return (
    <Dialog title="Resolve a finding" open onClose={onClose}>
      <form
        className={styles.form}
        onSubmit={(event) => {
          event.preventDefault();
          resolve.mutate();
        }}
      >
        <Refused error={resolve.error} />
        <p>
          <b>{KINDS[finding.kind]?.[0] ?? finding.kind}</b>: {finding.subject}
        </p>
        <Field label="Reason" hint="Why it is settled. It is kept in the audit log.">
          {(id, described) => (
            <textarea
              id={id}
              aria-describedby={described}
              className="input"
              required
              maxLength={1024}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          )}
        </Field>
        <div className={styles.foot}>
          <Button onClick={onClose}>Cancel</Button>
          <Button look="primary" type="submit" disabled={!reason.trim() || resolve.isPending}>
            Resolve
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
