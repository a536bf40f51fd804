/** The small parts of the limits pages: amounts, modes, ladders, links. */

import { Link } from "@tanstack/react-router";
import { useCurrency } from "@/api/currencies";
import { Badge } from "@/design/basics";
import { Behind } from "@/design/money";
import { money } from "@/lib/money";
import { percent } from "@/lib/numbers";
import { type Metric, shownAmount } from "./amounts";
import styles from "./limits.module.css";
import { counterWords, laddered, type Rung, rungShare, rungWords } from "./words";

export function Amount({
  value,
  metric,
}: {
  value: number | bigint | null | undefined;
  metric: Metric;
}) {
  const currency = useCurrency();
  const exact =
    metric === "cost" && value !== null && value !== undefined
      ? money(value, currency, "exact")
      : undefined;
  return (
    <span className="num" title={exact}>
      {shownAmount(value, metric, { currency })}
    </span>
  );
}

const MODES = {
  enforce: ["good", "Calls that do not fit are refused"],
  shadow: ["accent", "Counts and tells, refuses nothing"],
  off: ["plain", "Does not count"],
} as const;

export function ModeBadge({ mode }: { mode: string }) {
  const [tone, meaning] = MODES[mode as keyof typeof MODES] ?? ["plain", ""];
  return (
    <Badge tone={tone} title={meaning}>
      {mode}
    </Badge>
  );
}

const ACTIONS: Record<string, "plain" | "warn" | "bad" | "accent"> = {
  warn: "warn",
  block: "bad",
  throttle: "warn",
  downgrade: "accent",
  partial: "warn",
  escalate: "accent",
};

export function ActionBadge({ action }: { action: string }) {
  return <Badge tone={ACTIONS[action] ?? "plain"}>{action}</Badge>;
}

/** How far to the right a share stands: the whole bar is the highest rung, or 100 %. */
export function reachOf(rungs: readonly Rung[]): number {
  return Math.max(1, ...rungs.map(rungShare));
}

interface LadderProps {
  rungs: readonly Rung[];
  share: number;
  /** Held on top of what is used, as a share of the amount. */
  held?: number;
  large?: boolean;
  mode?: string;
}

/** A bar of the amount with its rungs as marks, and the use now. */
export function Ladder({ rungs, share, held = 0, large, mode }: LadderProps) {
  const reach = reachOf(rungs);
  const at = (part: number) => `${Math.min(100, Math.max(0, (part / reach) * 100))}%`;
  const ordered = laddered(rungs);
  const passed = ordered.filter((rung) => rungShare(rung) <= share).at(-1);
  const tone = passed && mode !== "off" ? ACTIONS[passed.action] : "";
  const words = `${percent(share)} used; ${ordered.map(rungWords).join(", ")}`;
  return (
    <span
      className={`${styles.ladder} ${large ? styles.large : ""}`}
      role="img"
      aria-label={words}
      title={words}
    >
      <span className={styles.track}>
        {held > 0 && <i className={styles.held} style={{ width: at(share + held) }} />}
        <i
          className={`${styles.used} ${styles[tone || "plain"] ?? ""}`}
          style={{ width: at(share) }}
        />
      </span>
      {ordered.map((rung, place) => (
        <i
          key={place}
          className={`${styles.mark} ${rung.action === "block" ? styles.bad : ""}`}
          style={{ left: at(rungShare(rung)) }}
        />
      ))}
    </span>
  );
}

/** The scope of a counter, each part leading on: to the tenant, or to its requests. */
export function ScopeLinks({
  scope,
  from,
}: {
  scope: Record<string, string>;
  /** Start of the counter's period, for the requests behind it. */
  from?: number | null;
}) {
  const entries = Object.entries(scope);
  if (!entries.length) return <span className="faint">{counterWords(scope)}</span>;
  return (
    <>
      {entries.map(([field, value], place) => (
        <span key={field}>
          {place > 0 && <span className="faint"> · </span>}
          {field === "tenant" ? (
            <Link to="/tenants/$tenant" params={{ tenant: value }} className="link">
              {value}
            </Link>
          ) : (
            <Behind
              by={{
                [field]: value,
                ...(from ? { from: new Date(from / 1000).toISOString() } : {}),
              }}
              label={`Requests of ${field} ${value}`}
            >
              <span className="faint">{field.replaceAll("_", " ")}</span> {value}
            </Behind>
          )}
        </span>
      ))}
    </>
  );
}

export function LimitLink({ id, name }: { id: string; name?: string }) {
  if (id === "credits") return <span title="A tenant's prepaid balance">credits</span>;
  return (
    <Link to="/limits/$limit" params={{ limit: id }} className="link" title={name || undefined}>
      {id}
    </Link>
  );
}
