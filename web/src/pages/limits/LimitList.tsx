/** Every limit in a row: whom it is about, its ladder with the use now, its fullest scope. */

import { Link } from "@tanstack/react-router";
import { useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { Async, Badge, Button, Card, Empty, Loading } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import type { Currency } from "@/lib/money";
import { ago, moment } from "@/lib/time";
import { useOrder, useView } from "@/lib/view";
import { amountOf, METRIC_WORDS, shownAmount } from "./amounts";
import { useLimits, useStates } from "./api";
import styles from "./limits.module.css";
import { Amount, Ladder, ModeBadge } from "./parts";
import { heldShare, type Standing, shareText, standings } from "./standing";
import { counterWords, type Limit, scopeWords, windowWords } from "./words";

interface Line extends Limit {
  standing: Standing | undefined;
}

export function LimitList({ onNew }: { onNew: (() => void) | null }) {
  const limits = useLimits();
  const states = useStates();
  const lines = useMemo(() => {
    const known = standings(states.data?.counters ?? []);
    return (limits.data?.limits ?? []).map(
      (limit): Line => ({ ...limit, standing: known.get(limit.id) }),
    );
  }, [limits.data, states.data]);
  return (
    <Card flush>
      <Async
        query={limits}
        isEmpty={(found) => !found.limits.length}
        loading={<Loading lines={8} height={320} />}
        empty={
          <Empty
            title="There is no limit"
            icon="limits"
            actions={
              onNew && (
                <Button look="primary" onClick={onNew}>
                  New limit
                </Button>
              )
            }
          >
            Nothing is refused. A limit holds exactly: a call that does not fit is not made.
          </Empty>
        }
      >
        {() => <ListTable lines={lines} now={states.data?.now ?? Date.now() * 1000} />}
      </Async>
    </Card>
  );
}

function ListTable({ lines, now }: { lines: Line[]; now: number }) {
  const { zone } = useView();
  const currency = useCurrency();
  const order = useOrder("-use");
  // The clock moves with every answer; a minute's grain is enough for what is shown.
  const minute = Math.floor(now / 60_000_000) * 60_000_000;
  const columns = useMemo(
    () => [...whatColumns(currency), ...nowColumns(zone, minute)],
    [currency, zone, minute],
  );
  return (
    <DataTable
      label="Limits and how they stand"
      rows={lines}
      columns={columns}
      keyOf={(line) => line.id}
      {...order}
      csv="limits"
    />
  );
}

function whatColumns(currency: Currency): TableColumn<Line>[] {
  return [
    {
      id: "limit",
      header: "Limit",
      value: (line) => line.id,
      cell: (line) => (
        <Link to="/limits/$limit" params={{ limit: line.id }} className={styles.name ?? ""}>
          <b>{line.id}</b>
          {line.name && <span className="faint">{line.name}</span>}
        </Link>
      ),
    },
    {
      id: "scope",
      header: "About",
      wide: true,
      value: (line) => scopeWords(line.scope),
    },
    {
      id: "amount",
      header: "At most",
      end: true,
      wide: true,
      value: (line) => {
        const amount = amountOf(line.amount, line.metric);
        return amount === null ? null : Number(amount);
      },
      cell: (line) => (
        <span className={styles.stack}>
          <span className="num">
            {shownAmount(amountOf(line.amount, line.metric), line.metric, { currency })}
          </span>
          <span className="faint">
            {METRIC_WORDS[line.metric]} {windowWords(line.window)}
          </span>
        </span>
      ),
    },
    {
      id: "mode",
      header: "Mode",
      value: (line) => line.mode,
      cell: (line) => <ModeBadge mode={line.mode} />,
    },
  ];
}

function nowColumns(zone: string, now: number): TableColumn<Line>[] {
  return [
    {
      id: "use",
      header: "Ladder, fullest scope",
      title: "The fullest scope's use on the rungs of the limit",
      value: (line) => line.standing?.fullest?.share ?? -1,
      cell: (line) => <Use line={line} />,
    },
    {
      id: "fullest",
      header: "Fullest",
      wide: true,
      sortable: false,
      value: (line) => (line.standing?.fullest ? counterWords(line.standing.fullest.scope) : null),
      cell: (line) => <Fullest line={line} />,
    },
    {
      id: "near",
      header: "Near, over",
      wide: true,
      value: (line) => (line.standing ? line.standing.over * 1e6 + line.standing.near : null),
      cell: (line) => <NearOver line={line} />,
    },
    {
      id: "resets",
      header: "Resets",
      wide: true,
      end: true,
      value: (line) => line.standing?.resetsAt ?? null,
      cell: (line) => {
        const at = line.standing?.resetsAt;
        return at ? (
          <span title={moment(at, zone)}>{ago(at, now)}</span>
        ) : (
          <span className="faint">–</span>
        );
      },
    },
  ];
}

function Use({ line }: { line: Line }) {
  const fullest = line.standing?.fullest;
  const share = fullest?.share ?? 0;
  return (
    <span className={styles.use}>
      <Ladder
        rungs={line.thresholds}
        share={share}
        held={fullest ? heldShare(fullest) : 0}
        mode={line.mode}
      />
      <span className="num">{shareText(share)}</span>
    </span>
  );
}

function Fullest({ line }: { line: Line }) {
  const fullest = line.standing?.fullest;
  if (!fullest) return <span className="faint">nothing used yet</span>;
  return (
    <span className={styles.stack}>
      <span>{counterWords(fullest.scope)}</span>
      <span className="faint">
        <Amount value={fullest.used} metric={line.metric} /> of{" "}
        <Amount value={fullest.amount} metric={line.metric} />
      </span>
    </span>
  );
}

function NearOver({ line }: { line: Line }) {
  const found = line.standing;
  if (!found) return <span className="faint">–</span>;
  return (
    <Link
      to="/limits"
      search={{ tab: "scopes", limit: line.id } as never}
      title={`The scopes of ${line.id}`}
      className="toolbar"
      style={{ gap: "0.25rem", flexWrap: "nowrap", whiteSpace: "nowrap" }}
    >
      {found.near > 0 && <Badge tone="warn">{found.near} near</Badge>}
      {found.over > 0 && <Badge tone="bad">{found.over} over</Badge>}
      <span className="faint">
        {found.near + found.over ? `of ${found.scopes}` : `0 of ${found.scopes}`}
        <span className="sr-only"> scopes of {line.id}</span>
      </span>
    </Link>
  );
}
