/** What a limit would have refused: history run through it, from empty counters. */

import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import type { components } from "@/api/schema";
import { Async, Button, Card, Empty, Loading, Select } from "@/design/basics";
import { Behind, Money, Stat, Stats } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { count, percent } from "@/lib/numbers";
import { moment } from "@/lib/time";
import { useView } from "@/lib/view";
import type { Metric } from "./amounts";
import { type Checked, check } from "./api";
import type { LimitBody } from "./draft";
import styles from "./limits.module.css";
import { ActionBadge, Amount, ScopeLinks } from "./parts";
import { counterWords, type Limit } from "./words";

type CheckedLimit = components["schemas"]["CheckedLimit"];
type CheckedScope = components["schemas"]["CheckedScope"];

export const RANGES = [
  ["1", "Last 24 hours"],
  ["7", "Last 7 days"],
  ["30", "Last 30 days"],
  ["90", "Last 90 days"],
] as const;
const MINUTES_MS = 600_000;

/** Ask once; the server takes one such question at a time, so nothing asks again by itself. */
export function useCheck(days: string, limit: { id: string } | { proposed: LimitBody }) {
  const which = "id" in limit ? { ids: [limit.id] } : { limits: [limit.proposed] };
  return useQuery({
    queryKey: ["limits", "check", days, which],
    queryFn: () => check(Number(days), which),
    enabled: days !== "",
    staleTime: MINUTES_MS,
    refetchOnWindowFocus: false,
    retry: false,
  });
}

export function WhatIfTab({ limit }: { limit: Limit }) {
  const view = useView();
  const days = view.text("days");
  const found = useCheck(days, { id: limit.id });
  const choice = (
    <Select
      label="Over which time"
      value={days}
      choices={[...(days ? [] : [["", "Choose a range"] as const]), ...RANGES]}
      onChange={(one) => view.set({ days: one || undefined })}
    />
  );
  if (!days) {
    return (
      <Card title="What would it have refused?" actions={choice}>
        <Empty
          title="Run the past through this limit"
          icon="limits"
          actions={
            <Button look="primary" onClick={() => view.set({ days: "7" })}>
              Check the last 7 days
            </Button>
          }
        >
          Calls are taken in order, as if the limit had been enforced from empty counters. Nothing
          is changed.
        </Empty>
      </Card>
    );
  }
  return (
    <>
      <div className="toolbar">
        {choice}
        <Button disabled={found.isFetching} onClick={() => void found.refetch()}>
          Check again
        </Button>
      </div>
      <Async
        query={found}
        loading={
          <Card>
            <Loading lines={8} height={320} />
          </Card>
        }
      >
        {(answer) => <CheckResult answer={answer} />}
      </Async>
    </>
  );
}

/** A check takes seconds where there is much history: it says so. */
export function Checking() {
  return (
    <p role="status" className="faint">
      Running the past through it…
    </p>
  );
}

/** The answer in a sentence, for dialogs. */
export function CheckSentence({ answer, days }: { answer: Checked; days: string }) {
  const one = answer.limits[0];
  if (!one) return null;
  const range = RANGES.find(([id]) => id === days)?.[1].toLowerCase() ?? "that time";
  if (!one.refused) {
    return (
      <p>
        In the {range} it would have refused <b>nothing</b>: the fullest scope came to{" "}
        <b className="num">{percent(one.peak_ppm / 1e6)}</b> of the amount.
      </p>
    );
  }
  return (
    <p>
      In the {range} it would have refused{" "}
      <b className="num">
        {count(one.refused)} of {count(one.matched)} calls
      </b>{" "}
      (<Money nanos={one.refused_cost_nanos} />
      ), in {count(one.scopes_refused)} of {count(one.scopes)}{" "}
      {one.scopes === 1 ? "scope" : "scopes"}
      {one.top[0] && `, most of it ${counterWords(one.top[0].scope)}`}.
    </p>
  );
}

function CheckResult({ answer }: { answer: Checked }) {
  const { zone } = useView();
  const one = answer.limits[0];
  if (!one) return null;
  return (
    <>
      <Stats label="What it would have refused">
        <Stat label="Calls refused" more={`of ${count(one.matched)} that it is about`}>
          {count(one.refused)}
        </Stat>
        <Stat label="Cost refused" more="what those calls cost">
          <Money nanos={one.refused_cost_nanos} />
        </Stat>
        <Stat
          label="Scopes refused"
          more={`of ${count(one.scopes)}${one.first_refused_at ? `, first ${moment(one.first_refused_at, zone)}` : ""}`}
        >
          {count(one.scopes_refused)}
        </Stat>
        <Stat
          label="Peak"
          more={
            <>
              <Amount value={one.peak_used} metric={one.metric} /> of{" "}
              <Amount value={one.amount} metric={one.metric} />
            </>
          }
        >
          {percent(one.peak_ppm / 1e6)}
        </Stat>
      </Stats>
      <div className="grid">
        <div className="span-8">
          <Card title="Top scopes" note="most refused, then fullest" flush>
            <TopScopes scopes={one.top} metric={one.metric} from={answer.from} />
          </Card>
        </div>
        <div className="span-4">
          <RungsCard one={one} />
        </div>
      </div>
    </>
  );
}

function RungsCard({ one }: { one: CheckedLimit }) {
  const { zone } = useView();
  return (
    <Card title="Rungs passed" className={styles.fill ?? ""}>
      <dl className="facts">
        {one.rungs.map((rung) => (
          <RungFact
            key={`${rung.at_ppm}${rung.action}`}
            action={rung.action}
            at={percent(rung.at_ppm / 1e6, 0)}
            said={
              rung.times
                ? `${count(rung.times)} ${rung.times === 1 ? "time" : "times"}, first ${moment(rung.first_at, zone)}`
                : "never"
            }
          />
        ))}
      </dl>
    </Card>
  );
}

function RungFact({ action, at, said }: { action: string; at: string; said: string }) {
  return (
    <>
      <dt>
        <ActionBadge action={action} /> <span className="num">{at}</span>
      </dt>
      <dd>{said}</dd>
    </>
  );
}

function TopScopes({
  scopes,
  metric,
  from,
}: {
  scopes: CheckedScope[];
  metric: Metric;
  from: number;
}) {
  const { zone } = useView();
  const columns = useMemo(
    (): TableColumn<CheckedScope>[] => topColumns(metric, from, zone),
    [metric, from, zone],
  );
  return (
    <DataTable
      label="Scopes with most refused"
      rows={scopes}
      columns={columns}
      sort={{ id: "refused" }}
      keyOf={(one) => JSON.stringify(one.scope)}
      csv="would-refuse"
      empty={<Empty title="No call matches this limit">Nothing of that time is about it.</Empty>}
    />
  );
}

function topColumns(metric: Metric, from: number, zone: string): TableColumn<CheckedScope>[] {
  return [
    {
      id: "scope",
      header: "Scope",
      value: (one) => counterWords(one.scope),
      cell: (one) => <ScopeLinks scope={one.scope} from={from} />,
    },
    {
      id: "matched",
      header: "Calls",
      end: true,
      wide: true,
      value: (one) => one.matched,
      cell: (one) => (
        <Behind
          by={{ ...one.scope, from: new Date(from / 1000).toISOString() }}
          label={`Requests of ${counterWords(one.scope)}`}
        >
          <span className="num">{count(one.matched)}</span>
        </Behind>
      ),
    },
    {
      id: "refused",
      header: "Refused",
      end: true,
      value: (one) => one.refused,
      cell: (one) => count(one.refused),
    },
    {
      id: "cost",
      header: "Cost refused",
      end: true,
      value: (one) => one.refused_cost_nanos,
      cell: (one) => <Money nanos={one.refused_cost_nanos} />,
    },
    {
      id: "peak",
      header: "Peak",
      end: true,
      value: (one) => one.peak_ppm,
      cell: (one) => (
        <>
          <span className="faint">
            <Amount value={one.peak_used} metric={metric} />
          </span>{" "}
          <span className="num">{percent(one.peak_ppm / 1e6, 0)}</span>
        </>
      ),
    },
    {
      id: "first",
      header: "First refused",
      wide: true,
      value: (one) => one.first_refused_at,
      cell: (one) =>
        one.first_refused_at ? (
          moment(one.first_refused_at, zone)
        ) : (
          <span className="faint">–</span>
        ),
    },
  ];
}
