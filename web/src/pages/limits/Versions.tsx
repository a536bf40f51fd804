/** Every version of a limit with who, when and why, and what it changed; every override. */

import { useCurrency } from "@/api/currencies";
import { useMay } from "@/api/session";
import { Async, Badge, Card, Empty } from "@/design/basics";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { shownAmount } from "./amounts";
import { type Override, useHistory, type Version } from "./api";
import { Changes } from "./Changes";
import styles from "./limits.module.css";
import { overrideScope } from "./Overrides";
import { differences, sentence } from "./words";

export function HistoryTab({ id }: { id: string }) {
  const may = useMay("operate");
  const found = useHistory(id, may);
  if (!may) {
    return (
      <Card>
        <Empty title="History is for engineers and admins" icon="clock">
          It names who changed the limit.
        </Empty>
      </Card>
    );
  }
  return (
    <Async query={found}>
      {(history) => {
        const last = history.versions.findLast((one) => one.limit)?.limit;
        return (
          <div className="grid">
            <div className="span-7">
              <Card title="Versions" note="the newest first" className={styles.fill ?? ""}>
                <Versions versions={history.versions} />
              </Card>
            </div>
            <div className="span-5">
              <Card title="Overrides" note="all there ever were" className={styles.fill ?? ""}>
                <Overrides overrides={history.overrides} metric={last?.metric ?? "cost"} />
              </Card>
            </div>
          </div>
        );
      }}
    </Async>
  );
}

const person = (actor: string | undefined) => (actor ?? "somebody").replace(/^user:/, "");

function Versions({ versions }: { versions: Version[] }) {
  const { zone } = useView();
  const currency = useCurrency();
  const ordered = [...versions].sort((a, b) => b.version - a.version);
  return (
    <ol className={styles.timeline}>
      {ordered.map((one, at) => {
        const before = ordered[at + 1]?.limit ?? null;
        const changes = differences(before, one.limit, currency);
        return (
          <li key={one.version}>
            <p className={styles.when}>
              <b>{one.limit ? (before ? "Changed" : "Made") : "Removed"}</b>
              <span className="faint" title={moment(one.at, zone)}>
                {moment(one.at, zone)} by {person(one.actor)}
              </span>
            </p>
            <p>“{one.reason}”</p>
            {one.limit && !before && <p className="faint">{sentence(one.limit, currency)}</p>}
            {one.limit && before && <Changes changes={changes} />}
          </li>
        );
      })}
    </ol>
  );
}

function Overrides({
  overrides,
  metric,
}: {
  overrides: Override[];
  metric: Parameters<typeof shownAmount>[1];
}) {
  const { zone } = useView();
  const currency = useCurrency();
  if (!overrides.length) return <p className="faint">The amount was never overridden.</p>;
  const ordered = [...overrides].sort((a, b) => b.starts_at - a.starts_at);
  return (
    <ol className={styles.timeline}>
      {ordered.map((one) => (
        <li key={one.override_id}>
          <p className={styles.when}>
            <b className="num">
              {shownAmount(one.amount, metric, { currency, noun: true })} for {overrideScope(one)}
            </b>
            <OverrideState one={one} />
          </p>
          <p>“{one.reason}”</p>
          <p className="faint">
            {moment(one.starts_at, zone)} – {moment(one.revoked_at ?? one.ends_at, zone)}, by{" "}
            {person(one.actor)}
          </p>
        </li>
      ))}
    </ol>
  );
}

function OverrideState({ one }: { one: Override }) {
  const now = nowMicros();
  if (one.revoked_at) return <Badge>ended early</Badge>;
  if (one.ends_at <= now) return <Badge>over</Badge>;
  if (one.starts_at > now) return <Badge tone="accent">begins {ago(one.starts_at, now)}</Badge>;
  return <Badge tone="good">in force</Badge>;
}
