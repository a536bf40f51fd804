/** Counters in a table: used, held, left, when they reset, which rungs are reached. */

import { useMemo } from "react";
import { DataTable, type TableColumn } from "@/design/table";
import { ago, moment } from "@/lib/time";
import { useOrder, useView } from "@/lib/view";
import { METRIC_WORDS } from "./amounts";
import type { Counter } from "./api";
import styles from "./limits.module.css";
import { ActionBadge, Amount, Ladder, LimitLink, ModeBadge, ScopeLinks } from "./parts";
import { heldShare, shareText } from "./standing";
import { counterWords, type Limit } from "./words";

interface CounterTableProps {
  counters: Counter[];
  /** Definitions, for the ladders; by id. */
  limits: ReadonlyMap<string, Limit>;
  now: number;
  /** Leave the limit's own column out. */
  one?: boolean;
  csv: string;
  more?: number;
  empty: React.ReactNode;
}

export function CounterTable({ counters, limits, now, one, csv, more, empty }: CounterTableProps) {
  const { zone } = useView();
  const order = useOrder("-share");
  const minute = Math.floor(now / 60_000_000) * 60_000_000;
  const columns = useMemo(
    () => [...(one ? [] : limitColumns()), ...counterColumns(limits, zone, minute)],
    [one, limits, zone, minute],
  );
  return (
    <DataTable
      label="Scopes and how they stand"
      rows={counters}
      columns={columns}
      keyOf={(counter) => `${counter.limit}|${counter.scope_key}`}
      {...order}
      csv={csv}
      {...(more ? { foot: `${more.toLocaleString()} more are not listed: search by tenant` } : {})}
      empty={empty}
    />
  );
}

function limitColumns(): TableColumn<Counter>[] {
  return [
    {
      id: "limit",
      header: "Limit",
      value: (counter) => counter.limit,
      cell: (counter) => (
        <span className="toolbar" style={{ flexWrap: "nowrap" }}>
          <LimitLink id={counter.limit} name={counter.name} />
          {counter.mode !== "enforce" && <ModeBadge mode={counter.mode} />}
        </span>
      ),
    },
    {
      id: "metric",
      header: "Metric",
      wide: true,
      value: (counter) => counter.metric,
      cell: (counter) => `${METRIC_WORDS[counter.metric]}, ${counter.window}`,
    },
  ];
}

function counterColumns(
  limits: ReadonlyMap<string, Limit>,
  zone: string,
  now: number,
): TableColumn<Counter>[] {
  const amount = (
    id: "used" | "held" | "amount" | "left",
    header: string,
    wide = false,
  ): TableColumn<Counter> => ({
    id,
    header,
    end: true,
    wide,
    value: (counter) => counter[id],
    cell: (counter) =>
      counter[id] === null ? (
        <span className="faint" title="This limit refuses nothing">
          –
        </span>
      ) : (
        <Amount value={counter[id]} metric={counter.metric} />
      ),
  });
  return [
    {
      id: "scope",
      header: "Scope",
      value: (counter) => counterWords(counter.scope),
      cell: (counter) => <ScopeLinks scope={counter.scope} from={counter.starts_at} />,
    },
    {
      id: "share",
      header: "Use",
      value: (counter) => counter.share,
      cell: (counter) => (
        <span className={styles.use}>
          <Ladder
            rungs={limits.get(counter.limit)?.thresholds ?? []}
            share={counter.share}
            held={heldShare(counter)}
            mode={counter.mode}
          />
          <span className="num">{shareText(counter.share)}</span>
        </span>
      ),
    },
    amount("used", "Used"),
    amount("held", "Held", true),
    amount("amount", "Amount", true),
    amount("left", "Left", true),
    {
      id: "reached",
      header: "Reached",
      wide: true,
      value: (counter) => counter.reached.join(" "),
      cell: (counter) =>
        counter.reached.length ? (
          <span className="toolbar" style={{ gap: "0.25rem", flexWrap: "nowrap" }}>
            {counter.reached.map((action, at) => (
              <ActionBadge key={at} action={action} />
            ))}
          </span>
        ) : (
          <span className="faint">–</span>
        ),
    },
    {
      id: "resets",
      header: "Resets",
      end: true,
      wide: true,
      value: (counter) => counter.resets_at,
      cell: (counter) =>
        counter.resets_at ? (
          <span title={moment(counter.resets_at, zone)}>{ago(counter.resets_at, now)}</span>
        ) : (
          <span className="faint">–</span>
        ),
    },
  ];
}
