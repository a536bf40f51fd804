/** What needs somebody: limits near or over, credits running low, open findings. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { num, useQuestion } from "@/api/question";
import { Async, Badge, Card, Loading, Meter } from "@/design/basics";
import { count, credits, percent } from "@/lib/numbers";
import { ago, nowMicros, span } from "@/lib/time";
import { useNames } from "@/pages/tenants/api";
import { useAccounts, useFindings, useFullest } from "./api";
import { said } from "./findings";
import { lasts, low, pressing, standing, USED_DAYS } from "./judge";
import css from "./overview.module.css";

const SHOWN = 4;
const HEIGHT = 180;
const SLOW_MS = 60_000;

/** Return what needs somebody, as far as it is known. */
export function useNeeds() {
  const limits = useFullest();
  const accounts = useAccounts();
  const findings = useFindings();
  const used = useQuestion(
    {
      metrics: ["credits"],
      by: ["tenant"],
      last: `${USED_DAYS}d`,
      order: ["-credits"],
      limit: 1_000,
    },
    { enabled: Boolean(accounts.data?.accounts.length), every: SLOW_MS },
  );
  const perTenant = new Map(
    (used.data?.rows ?? []).map((row) => [String(row.tenant), num(row, "credits")] as const),
  );
  return {
    limits,
    accounts,
    findings,
    pressing: pressing(limits.data?.counters ?? []),
    low: low(accounts.data?.accounts ?? [], perTenant),
    /** Whether it is known how long balances last. */
    lasting: used.data !== undefined,
  };
}

export type Needs = ReturnType<typeof useNeeds>;

/** What needs somebody in a line, under the heading of the page. */
export function NeedsLine({ needs }: { needs: Needs }) {
  const over = needs.pressing.filter((one) => standing(one) === "over").length;
  const near = needs.pressing.length - over;
  const open = needs.findings.data?.findings.length ?? 0;
  const known = needs.limits.data && needs.accounts.data && needs.findings.data;
  if (!known) return <span>&nbsp;</span>;
  if (!over && !near && !open && !needs.low.length) return <span>Nothing needs you.</span>;
  const s = (n: number) => (n === 1 ? "" : "s");
  return (
    <span className={css.needs}>
      {over > 0 && (
        <a href="#limits">
          <Badge tone="bad">
            {count(over)} limit{s(over)} reached
          </Badge>
        </a>
      )}
      {near > 0 && (
        <a href="#limits">
          <Badge tone="warn">
            {count(near)} limit{s(near)} near
          </Badge>
        </a>
      )}
      {needs.low.length > 0 && (
        <a href="#credits">
          <Badge tone="warn">
            {count(needs.low.length)} balance{s(needs.low.length)} low
          </Badge>
        </a>
      )}
      {open > 0 && (
        <a href="#findings">
          <Badge>
            {count(open)} finding{s(open)} open
          </Badge>
        </a>
      )}
    </span>
  );
}

export function Attention({ needs }: { needs: Needs }) {
  const names = useNames();
  return (
    <div className="grid">
      <List
        id="limits"
        title="Limits near or reached"
        all={<All to="/limits">All limits</All>}
        more={needs.pressing.length - SHOWN}
        query={needs.limits}
        calm="Every limit has room."
      >
        {needs.pressing.slice(0, SHOWN).map((one) => (
          <LimitItem key={one.limit + one.scope_key} counter={one} />
        ))}
      </List>
      <List
        id="credits"
        title="Credits running low"
        all={<All to="/tenants">All tenants</All>}
        more={needs.low.length - SHOWN}
        query={needs.accounts}
        calm={
          !needs.accounts.data?.accounts.length
            ? "No tenant has credits."
            : needs.lasting
              ? "Every balance lasts for more than a week."
              : "No balance is used up."
        }
      >
        {needs.low.slice(0, SHOWN).map((one) => (
          <li key={one.balance.tenant}>
            <Link
              className={css.item}
              to="/tenants/$tenant"
              params={{ tenant: one.balance.tenant }}
              search={{ tab: "credits" } as never}
            >
              <span className={`clip ${css.what}`}>
                {names.get(one.balance.tenant)?.name || one.balance.tenant}
              </span>
              <Badge tone={one.balance.available <= 0 ? "bad" : "warn"}>{lasts(one)}</Badge>
              <span className={`num ${css.line}`}>
                {credits(one.balance.available)} credits left
              </span>
            </Link>
          </li>
        ))}
      </List>
      <List
        id="findings"
        title="Open findings"
        all={<All to="/prices">Prices</All>}
        more={(needs.findings.data?.findings.length ?? 0) - SHOWN}
        query={needs.findings}
        calm="Prices, estimates and usage agree."
      >
        {(needs.findings.data?.findings ?? []).slice(0, SHOWN).map((one) => {
          const { title, path } = said(one);
          return (
            <li key={one.kind + one.subject}>
              <Link className={css.item} to={path}>
                <span className={`clip ${css.what}`}>{title}</span>
                <span className="faint num">{ago(one.last_at, nowMicros())}</span>
                <span className={`clip ${css.line}`} title={one.subject}>
                  {one.subject}
                  {one.times > 1 && ` · ${count(one.times)} times`}
                </span>
              </Link>
            </li>
          );
        })}
      </List>
    </div>
  );
}

function LimitItem({ counter }: { counter: Needs["pressing"][number] }) {
  const scope = Object.values(counter.scope).join(" · ");
  const over = standing(counter) === "over";
  const resets = counter.resets_at ? `resets in ${span(counter.resets_at - nowMicros())}` : "";
  return (
    <li>
      <Link className={css.item} to="/limits/$limit" params={{ limit: counter.limit }}>
        <span className={`clip ${css.what}`}>{scope || "Everything"}</span>
        <Badge tone={over ? "bad" : "warn"}>
          {percent(counter.share, 0)} {over ? "reached" : "used"}
        </Badge>
        <Meter share={counter.share} label={`${counter.name || counter.limit}, ${scope}`} />
        <span className={`clip ${css.line}`}>
          {[counter.name || counter.limit, counter.mode === "shadow" && "shadow", resets]
            .filter(Boolean)
            .join(" · ")}
        </span>
      </Link>
    </li>
  );
}

function All({ to, children }: { to: "/limits" | "/tenants" | "/prices"; children: ReactNode }) {
  return (
    <Link className="button quiet small" to={to}>
      {children}
    </Link>
  );
}

interface ListProps {
  id: string;
  title: string;
  all: ReactNode;
  more: number;
  query: Parameters<typeof Async>[0]["query"];
  calm: string;
  children: ReactNode[];
}

function List({ id, title, all, more, query, calm, children }: ListProps) {
  return (
    <div className="span-4" id={id}>
      <Card
        title={title}
        {...(more > 0 ? { note: `${count(more)} more` } : {})}
        actions={all}
        flush
        className={css.full ?? ""}
      >
        <Async
          query={query}
          loading={
            <div style={{ padding: "0 var(--space-4)" }}>
              <Loading lines={4} height={HEIGHT} />
            </div>
          }
        >
          {() =>
            children.length ? (
              <ul className={css.items}>{children}</ul>
            ) : (
              <p className={css.calm}>{calm}</p>
            )
          }
        </Async>
      </Card>
    </div>
  );
}
