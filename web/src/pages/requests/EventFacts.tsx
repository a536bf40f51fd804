/** What was captured of one event. Prompts are not among it: they are never taken. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { Badge } from "@/design/basics";
import { Copy } from "@/design/code";
import { count, millis } from "@/lib/numbers";
import { usePreferences } from "@/lib/preferences";
import { moment } from "@/lib/time";
import type { Explained } from "./api";
import { Facts } from "./NodePanel";
import css from "./request.module.css";
import { brief } from "./search";

const UNITS: Record<string, string> = {
  input: "Input",
  input_cache_read: "Input from cache",
  input_cache_write_5m: "Input to cache, 5 min",
  input_cache_write_1h: "Input to cache, 1 h",
  output: "Output",
  output_reasoning: "Reasoning",
};

/** Return the name of a priced unit in words. */
export function unitName(unit: string): string {
  return UNITS[unit] ?? unit.replaceAll("_", " ");
}

/** Return the model: as asked for, as served, as priced; each said once. */
function models({ derivation }: Explained): [string, ReactNode][] {
  const { requested, served, priced_as: priced } = derivation.model;
  const same = requested === served && (!priced || priced === served);
  if (same) return [["Model", requested && <code>{requested}</code>]];
  return [
    ["Model asked for", requested && <code>{requested}</code>],
    ["Model served", served && <code>{served}</code>],
    ["Priced as", priced && <code>{priced}</code>],
  ];
}

function tags(values: string[] | null | undefined, tone: "plain" | "warn"): ReactNode {
  if (!values?.length) return null;
  return (
    <span className={css.tags}>
      {values.map((value) => (
        <Badge key={value} tone={tone}>
          {value.replaceAll("_", " ")}
        </Badge>
      ))}
    </span>
  );
}

function Person({ event }: { event: Explained["event"] }) {
  const who = event.initiator ?? (event.user_id ? "user" : null);
  if (!who) return null;
  return (
    <>
      {who}
      {event.user_id && (
        <>
          {" "}
          <Link
            to="/requests"
            search={{ user: event.user_id, last: "7d" } as never}
            className="link"
          >
            {event.user_id}
          </Link>
        </>
      )}
    </>
  );
}

export function EventFacts({ found }: { found: Explained }) {
  const { zone } = usePreferences();
  const { event, derivation } = found;
  const facts: [string, ReactNode][] = [
    ...models(found),
    ["Provider", event.provider && `${event.provider}${event.vendor && event.vendor !== event.provider ? `, ${event.vendor}` : ""}`],
    ["Operation", event.name ? `${event.operation}, ${event.name}` : event.operation],
    ["HTTP status", event.http_status],
    ["Error", event.error_type],
    ["Finished by", event.finish_reason],
    ["Latency", event.latency_ms === null ? null : millis(event.latency_ms)],
    ["First output", event.ttft_ms === null ? null : `after ${millis(event.ttft_ms)}`],
    ["Began", moment(event.started_at, zone)],
    ["Begun by", <Person key="who" event={event} />],
    ["Workspace", event.workspace_id],
    ["Fell back from", event.fallback_from],
    ["Downgraded from", event.downgraded_from],
    ["Limit", event.limit_action],
    ["Flags", tags(event.flags, "plain")],
    ["Findings", tags(derivation.findings, "warn")],
    [
      "Event",
      <span key="id" className={css.tags}>
        <code title={event.event_id}>{brief(event.event_id)}</code>
        <Copy text={event.event_id} label="event id" />
      </span>,
    ],
  ]; // biome-ignore format: a fact each
  return (
    <>
      <Facts facts={facts} />
      <Usage found={found} />
    </>
  );
}

const SOURCES: Record<string, string> = {
  provider: "as the provider counted",
  counted: "as counted here",
  estimated: "estimated",
  none: "not known",
};

/** Tokens and other units by bucket. */
function Usage({ found }: { found: Explained }) {
  const { usage, usage_source: source } = found.derivation;
  const units = Object.entries(usage).filter(([, quantity]) => quantity !== 0);
  return (
    <>
      <h3 className={css.sectionHead}>
        Usage <span className="faint">{SOURCES[source] ?? source}</span>
      </h3>
      {units.length ? (
        <dl className={css.units}>
          {units.map(([unit, quantity]) => (
            <div key={unit}>
              <dt title={unit}>{unitName(unit)}</dt>
              <dd className="num">{count(quantity)}</dd>
            </div>
          ))}
        </dl>
      ) : (
        <p className="faint">Nothing was counted.</p>
      )}
    </>
  );
}
