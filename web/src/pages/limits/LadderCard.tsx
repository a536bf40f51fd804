/** The ladder drawn large: its rungs named along the amount, the fullest scopes on it. */

import { Card, Empty } from "@/design/basics";
import { percent } from "@/lib/numbers";
import type { Counter } from "./api";
import styles from "./limits.module.css";
import { Ladder, reachOf, ScopeLinks } from "./parts";
import { heldShare } from "./standing";
import { type Limit, laddered, percentWords, rungShare } from "./words";

const SHOWN = 8;

export function LadderCard({ limit, counters }: { limit: Limit; counters: Counter[] }) {
  const fullest = [...counters].sort((a, b) => b.share - a.share).slice(0, SHOWN);
  const more = counters.length - fullest.length;
  return (
    <Card
      title="Ladder"
      note={
        more > 0
          ? `the ${SHOWN} fullest of ${counters.length} scopes`
          : "use on the way to each rung"
      }
      className={styles.fill ?? ""}
    >
      <div className={styles.rungs}>
        <Scale limit={limit} />
        {fullest.map((one) => (
          <div className={styles.scopeRow} key={one.scope_key}>
            <span className="clip">
              <ScopeLinks scope={one.scope} from={one.starts_at} />
            </span>
            <Ladder
              rungs={limit.thresholds}
              share={one.share}
              held={heldShare(one)}
              mode={limit.mode}
              large
            />
            <span className="num" style={{ textAlign: "right" }}>
              {percent(one.share)}
            </span>
          </div>
        ))}
      </div>
      {!fullest.length && (
        <Empty title="Nothing was used yet" icon="limits">
          A scope begins to count with its first call in the period.
        </Empty>
      )}
    </Card>
  );
}

/** From this part of the bar on, a flag is written to the left of its mark. */
const LATE = 0.85;
/** Rungs nearer than this part of the bar share a flag. */
const TOGETHER = 0.12;

interface Flag {
  at: number;
  lines: { at: string; action: string }[];
}

/** Group rungs that stand too close for a flag of their own. */
export function flagsOf(limit: Limit): Flag[] {
  const reach = reachOf(limit.thresholds);
  const flags: Flag[] = [];
  for (const rung of laddered(limit.thresholds)) {
    const at = rungShare(rung) / reach;
    const last = flags.at(-1);
    const line = { at: percentWords(rung.at), action: rung.action };
    if (last && at - last.at < TOGETHER) {
      last.lines.push(line);
      last.at = at;
    } else flags.push({ at, lines: [line] });
  }
  return flags;
}

function Scale({ limit }: { limit: Limit }) {
  return (
    <div className={styles.scaleRow} aria-hidden="true">
      <span />
      <div className={styles.scale}>
        {flagsOf(limit).map((flag) => (
          <span
            key={flag.at}
            className={`${styles.flag} ${flag.at > LATE ? styles.last : ""}`}
            style={{ left: `${flag.at * 100}%` }}
          >
            <b>{flag.lines.map((line) => line.action).join(", ")}</b>
            <span className="num">{flag.lines.map((line) => line.at).join(", ")}</span>
          </span>
        ))}
      </div>
      <span />
    </div>
  );
}
