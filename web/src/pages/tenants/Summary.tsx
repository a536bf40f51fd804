/** A tenant at a glance: its numbers, its cost over time, its limits, findings about its models. */

import { Link } from "@tanstack/react-router";
import { useCurrency } from "@/api/currencies";
import { num, type Row, useQuestion } from "@/api/question";
import { CostOverTime } from "@/charts/CostOverTime";
import { useStack } from "@/charts/stacked";
import { Async, Card, Loading, Skeleton } from "@/design/basics";
import { Behind, Delta, Money, Stat, Stats } from "@/design/money";
import { money } from "@/lib/money";
import { count, credits, percent } from "@/lib/numbers";
import { ago, nowMicros } from "@/lib/time";
import { useFindings } from "@/pages/overview/api";
import { concerns, said } from "@/pages/overview/findings";
import over from "@/pages/overview/overview.module.css";
import { useCounters } from "./api";
import { LimitRows } from "./Limits";
import { cacheSaving } from "./rows";
import type { TenantView } from "./scope";
import css from "./tenants.module.css";

const SPLITS = [
  ["feature", "Feature"],
  ["agent_root", "Agent"],
  ["model", "Model"],
  ["provider", "Provider"],
  ["workflow", "Workflow"],
  ["user", "User"],
] as const;

const METRICS = [
  "cost", "sell", "credits", "requests", "users", "calls", "attempts", "errors", "retries",
  "unpriced", "cost_per_request",
]; // biome-ignore format: a list of names
const BY_MODEL = [
  "cost", "cost_input", "cost_cache_read", "cost_cache_write", "input_tokens",
  "cache_read_tokens", "cache_write_tokens",
]; // biome-ignore format: a list of names
const MODELS = 200;
const SLOW_MS = 15_000;

export function Summary({ view }: { view: TenantView }) {
  const asked = view.text("split", SPLITS[0][0]);
  const by = SPLITS.find(([id]) => id === asked)?.[0] ?? SPLITS[0][0];
  const stack = useStack(view.question, {
    by,
    metric: "cost",
    grain: view.window.grain,
    zone: view.zone,
  });
  const models = useQuestion(
    view.question({ metrics: BY_MODEL, by: ["model"], order: ["-cost"], limit: MODELS }),
    { every: SLOW_MS },
  );
  return (
    <>
      <Numbers view={view} models={models.data?.rows} />
      <CostOverTime
        view={view}
        title="Cost over time"
        file={`cost-${view.tenant}`}
        choices={SPLITS}
        by={by}
        stack={stack}
        fixed={view.own}
      />
      <div className="grid">
        <FullestLimits view={view} />
        <Findings models={models.data?.rows ?? []} />
      </div>
    </>
  );
}

const Waiting = () => <Skeleton width="6rem" height="1.5rem" />;

function Numbers({ view, models }: { view: TenantView; models: Row[] | undefined }) {
  const now = useQuestion(view.question({ metrics: METRICS }));
  const past = { metrics: ["cost", "requests", "sell"] };
  const whole = view.earlier(past);
  const before = useQuestion(whole ?? view.question(past), { enabled: whole !== null });
  const row = now.data?.rows[0];
  const old = whole ? before.data?.rows[0] : undefined;
  const ready = now.data !== undefined;
  const value = (name: string) => num(row, name);
  const unpriced = value("unpriced");
  return (
    <div className={css.numbers}>
      <Stats label={`Usage of ${view.tenant}, ${view.window.label.toLowerCase()}`}>
        <Stat
          label={unpriced > 0 ? "Cost, at least" : "Cost"}
          more={
            <>
              {old && <Delta now={value("cost")} before={num(old, "cost")} />}
              {unpriced > 0 ? (
                <Behind by={{ ...view.own, outcome: "unpriced" }} label="Requests without a price">
                  {count(unpriced)} unpriced {unpriced === 1 ? "call" : "calls"}
                </Behind>
              ) : (
                <span>against the window before</span>
              )}
            </>
          }
        >
          {ready ? (
            <Behind by={view.own} label={`Requests of ${view.tenant}`}>
              <Money nanos={value("cost")} look="compact" />
            </Behind>
          ) : (
            <Waiting />
          )}
        </Stat>
        {(value("sell") > 0 || value("credits") > 0) && <Charges row={row} old={old} />}
        <Stat
          label="Requests"
          more={
            <>
              {old && <Delta now={value("requests")} before={num(old, "requests")} good="none" />}
              <span>{count(value("calls"))} calls</span>
            </>
          }
        >
          {ready ? (
            <Behind by={view.own} label={`Requests of ${view.tenant}`}>
              <span className="num">{count(value("requests"))}</span>
            </Behind>
          ) : (
            <Waiting />
          )}
        </Stat>
        <Stat
          label="Cost per request"
          more={
            <Behind
              by={{ ...view.own, status: ["error", "timeout"] }}
              label={`Failed requests of ${view.tenant}`}
            >
              {count(value("errors"))} errors, {count(value("retries"))} retries
            </Behind>
          }
        >
          {ready ? <Money nanos={row?.cost_per_request as number | null} /> : <Waiting />}
        </Stat>
        <Stat label="Users" more={<span>that made a call</span>}>
          {ready ? <span className="num">{count(value("users"))}</span> : <Waiting />}
        </Stat>
        <Cache models={models} />
      </Stats>
    </div>
  );
}

function Charges({ row, old }: { row: Row | undefined; old: Row | undefined }) {
  const sell = num(row, "sell");
  const margin = sell ? (sell - num(row, "cost")) / sell : null;
  const used = num(row, "credits");
  if (!sell) {
    return (
      <Stat label="Credits charged" more={<span>for this usage</span>}>
        <span className="num">{credits(used)}</span>
      </Stat>
    );
  }
  return (
    <Stat
      label="Charges"
      more={
        <>
          {old && <Delta now={sell} before={num(old, "sell")} good="up" />}
          <span title="Share of the charges that is left after the cost">
            margin {margin !== null && margin < 0 ? "−" : ""}
            {percent(margin === null ? null : Math.abs(margin))}
          </span>
          {used > 0 && <span>{credits(used)} credits</span>}
        </>
      }
    >
      <Money nanos={sell} look="compact" />
    </Stat>
  );
}

function Cache({ models }: { models: Row[] | undefined }) {
  const currency = useCurrency();
  if (!models) {
    return (
      <Stat label="Saved by caches">
        <Waiting />
      </Stat>
    );
  }
  const saving = cacheSaving(models);
  const sum = (name: string) => models.reduce((all, row) => all + num(row, name), 0);
  const read = sum("cache_read_tokens");
  const input = sum("input_tokens");
  const explained =
    `${count(read)} input tokens were read from caches for ${money(sum("cost_cache_read"), currency)}. ` +
    "At what each model's uncached input cost in this window they would have cost that much more. " +
    `Writing to caches cost ${money(sum("cost_cache_write"), currency)}; that is not taken off.` +
    (saving.left
      ? ` Left out: ${count(saving.left)} cached tokens of models without uncached input here.`
      : "");
  return (
    <Stat
      label={
        <span title={explained}>
          Saved by caches <span className="sr-only">{explained}</span>
        </span>
      }
      more={<span>{input ? percent(read / input) : "–"} of input from a cache</span>}
    >
      <span title={explained}>
        <Money nanos={saving.nanos} look="compact" />
      </span>
    </Stat>
  );
}

const SHOWN = 4;

function FullestLimits({ view }: { view: TenantView }) {
  const state = useCounters(view.tenant);
  return (
    <Card
      className="span-7"
      title="Limits"
      flush
      actions={
        <Link
          className="button quiet small"
          to="/tenants/$tenant"
          params={{ tenant: view.tenant }}
          search={view.carried({ tab: "limits" }) as never}
        >
          All and change
        </Link>
      }
    >
      <Async
        query={state}
        loading={
          <div style={{ padding: "0 var(--space-4)" }}>
            <Loading height={160} />
          </div>
        }
        isEmpty={(found) => !found.counters.length}
        empty={<p className={over.calm}>No limit counts this tenant yet.</p>}
      >
        {(found) => <LimitRows counters={found.counters.slice(0, SHOWN)} />}
      </Async>
    </Card>
  );
}

function Findings({ models }: { models: Row[] }) {
  const findings = useFindings();
  const used = new Set(models.map((row) => String(row.model)));
  const about = (findings.data?.findings ?? []).filter((one) => concerns(one, used));
  return (
    <Card className="span-5" title="Findings" note="about models used here" flush>
      <Async
        query={findings}
        loading={
          <div style={{ padding: "0 var(--space-4)" }}>
            <Loading height={160} />
          </div>
        }
        isEmpty={() => !about.length}
        empty={<p className={over.calm}>Nothing was found about the models used here.</p>}
      >
        {() => (
          <ul className={over.items}>
            {about.slice(0, SHOWN).map((one) => {
              const { title, path } = said(one);
              return (
                <li key={one.kind + one.subject}>
                  <Link className={over.item} to={path}>
                    <span className={`clip ${over.what}`}>{title}</span>
                    <span className="faint num">{ago(one.last_at, nowMicros())}</span>
                    <span className={`clip ${over.line}`} title={one.subject}>
                      {one.subject}
                    </span>
                  </Link>
                </li>
              );
            })}
          </ul>
        )}
      </Async>
    </Card>
  );
}
