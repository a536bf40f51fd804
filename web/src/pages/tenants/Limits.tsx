/** The limits that count a tenant, how they stand, and the way to change one. */

import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { useCurrency } from "@/api/currencies";
import { useMay } from "@/api/session";
import { Async, Badge, Button, Card, Empty, Loading, Meter } from "@/design/basics";
import { percent } from "@/lib/numbers";
import { usePreferences } from "@/lib/preferences";
import { moment, nowMicros, span } from "@/lib/time";
import { standing } from "@/pages/overview/judge";
import { amountText, perWindow } from "./amounts";
import { type Counter, useCounters } from "./api";
import { ChangeLimit } from "./ChangeLimit";
import { Notices } from "./Notices";
import css from "./tenants.module.css";

export function Limits({ tenant }: { tenant: string }) {
  const state = useCounters(tenant);
  const may = useMay("operate");
  const [chosen, setChosen] = useState<Counter | null>(null);
  return (
    <>
      <Card
        title="Limits that count this tenant"
        flush
        actions={
          <Link className="button quiet small" to="/limits">
            All limits
          </Link>
        }
      >
        <Async
          query={state}
          loading={
            <div style={{ padding: "var(--space-4)" }}>
              <Loading lines={6} height={240} />
            </div>
          }
          isEmpty={(found) => !found.counters.length}
          empty={
            <Empty
              icon="limits"
              title="No limit counts this tenant yet"
              actions={
                <Link className="button" to="/limits">
                  Limits
                </Link>
              }
            >
              A limit begins to count with the first call it is about.
            </Empty>
          }
        >
          {(found) => (
            <LimitRows counters={found.counters} may={may} onChange={(one) => setChosen(one)} />
          )}
        </Async>
        <ChangeLimit tenant={tenant} counter={chosen} onClose={() => setChosen(null)} />
      </Card>
      <Notices tenant={tenant} />
    </>
  );
}

interface RowsProps {
  counters: Counter[];
  may?: boolean;
  /** Without it the rows are only shown. */
  onChange?: (counter: Counter) => void;
}

export function LimitRows({ counters, may, onChange }: RowsProps) {
  return (
    <ul className={css.limits}>
      {counters.map((one) => (
        <li key={one.limit + one.scope_key}>
          <LimitRow counter={one} may={may ?? false} onChange={onChange} />
        </li>
      ))}
    </ul>
  );
}

interface RowProps {
  counter: Counter;
  may: boolean;
  onChange: RowsProps["onChange"];
}

function LimitRow({ counter, may, onChange }: RowProps) {
  const currency = useCurrency();
  const { zone } = usePreferences();
  const text = (value: number) => amountText(value, counter.metric, currency);
  const name = counter.name || counter.limit;
  const stands = standing(counter);
  const more = Object.entries(counter.scope).filter(([field]) => field !== "tenant");
  return (
    <div className={css.limit}>
      <span className={css.head}>
        <Link
          className={`behind clip ${css.what}`}
          to="/limits/$limit"
          params={{ limit: counter.limit }}
        >
          {name}
        </Link>
        {counter.mode === "shadow" && (
          <Badge title="It is only watched: nothing is refused">shadow</Badge>
        )}
        {counter.reached.map((action) => (
          <Badge key={action} tone={stands === "over" ? "bad" : "warn"} title="In force now">
            {action}
          </Badge>
        ))}
      </span>
      {onChange ? (
        <Button
          small
          disabled={!may}
          title={may ? undefined : "Your role may not change limits."}
          aria-label={`Change ${name}`}
          onClick={() => onChange(counter)}
        >
          Change
        </Button>
      ) : (
        <span className="num faint">{percent(counter.share, 0)}</span>
      )}
      <span className={css.gauge}>
        <Meter
          share={counter.share}
          held={counter.amount ? counter.held / counter.amount : 0}
          label={name}
        />
        <span className="num">
          {text(counter.used)} <span className="faint">of</span> {text(counter.amount)}
        </span>
      </span>
      <span className={css.line}>
        {[
          perWindow(counter.window),
          ...more.map(([field, value]) => `${field.replaceAll("_", " ")} ${value}`),
          counter.held > 0 && `${text(counter.held)} held by calls on their way`,
        ]
          .filter(Boolean)
          .join(" · ")}
        {counter.resets_at && (
          <span title={moment(counter.resets_at, zone)}>
            {" · "}resets in {span(counter.resets_at - nowMicros())}
          </span>
        )}
      </span>
    </div>
  );
}
