/** The numbers at the head of the overview: now, today, this month, and what is not known. */

import { Link } from "@tanstack/react-router";
import { useCurrency } from "@/api/currencies";
import { num, type Row, useQuestion } from "@/api/question";
import { axisMoney } from "@/charts/axis";
import { Spark } from "@/charts/Spark";
import { timeOf } from "@/charts/series";
import { Meter, Skeleton } from "@/design/basics";
import { Behind, Delta, Money, Stat, Stats } from "@/design/money";
import { money, plotted } from "@/lib/money";
import { count, percent } from "@/lib/numbers";
import { MINUTE, nowMicros } from "@/lib/time";
import type { View } from "@/lib/view";
import { type Forecast, useForecast } from "./api";
import css from "./overview.module.css";

const SPARK_MINUTES = 60;

interface HeadProps {
  view: View;
  /** Sums of the window: cost, calls, attempts, errors, unpriced. */
  totals: Record<string, number> | undefined;
  /** Why there are none. */
  error: unknown;
}

export function Head({ view, totals, error }: HeadProps) {
  const named = view.list("tenant");
  const tenant = named.length === 1 ? named[0] : undefined;
  const forecast = useForecast(view.zone, tenant);
  const whole = view.earlier({ metrics: ["cost", "calls"] });
  const before = useQuestion(whole ?? view.question({ metrics: ["cost", "calls"] }), {
    enabled: whole !== null,
  });
  return (
    <div className={css.head}>
      <Stats label="Spending now">
        <Burn view={view} forecast={forecast.data} error={forecast.error} tenant={tenant} />
        <Today forecast={forecast.data} error={forecast.error} />
        <Month forecast={forecast.data} error={forecast.error} />
        <Unknown view={view} totals={totals} error={error} />
        <Calls totals={totals} before={whole ? before.data?.rows[0] : undefined} error={error} />
      </Stats>
    </div>
  );
}

/** In the place of a number that is not there yet, or that could not be had. */
function Waiting({ error }: { error?: unknown }) {
  if (!error) return <Skeleton width="6rem" height="1.5rem" />;
  const said = error instanceof Error ? error.message : "It could not be loaded.";
  return (
    <span className="faint" title={said}>
      –<span className="sr-only">{said}</span>
    </span>
  );
}

interface BurnProps {
  view: View;
  forecast: Forecast | undefined;
  error: unknown;
  tenant: string | undefined;
}

function Burn({ view, forecast, error, tenant }: BurnProps) {
  const minutes = useQuestion({
    metrics: ["cost"],
    last: "1h",
    grain: "minute",
    timezone: view.zone,
    limit: SPARK_MINUTES + 1,
    filters: tenant ? [{ field: "tenant", value: tenant }] : [],
  });
  const burn = forecast?.burn;
  return (
    <Stat
      label="Burn rate now"
      more={
        burn && (
          <>
            <Delta now={burn.per_hour_nanos} before={burn.hour_before_nanos} />
            <span>against the hour before</span>
          </>
        )
      }
    >
      <span className={css.burn}>
        {burn ? (
          <Behind
            by={{ last: "15m", from: undefined, to: undefined }}
            label="Requests of the last 15 minutes"
          >
            <Money nanos={burn.per_hour_nanos} look="compact" />
            <small>/h</small>
          </Behind>
        ) : (
          <Waiting error={error} />
        )}
        {burn && (
          <Spark
            values={minutely(minutes.data?.rows ?? [])}
            label="Cost by minute, last hour"
            width={72}
          />
        )}
      </span>
    </Stat>
  );
}

/** Return the cost of each whole minute of the last hour; minutes without usage are 0. */
function minutely(rows: Row[]): number[] {
  const values = new Array<number>(SPARK_MINUTES).fill(0);
  const last = Math.floor(nowMicros() / MINUTE) * MINUTE;
  for (const row of rows) {
    const at = SPARK_MINUTES - 1 - Math.round((last - timeOf(row)) / MINUTE) + 1;
    // The minute that is still running would always look like a fall.
    if (at >= 0 && at < SPARK_MINUTES) values[at] = num(row, "cost");
  }
  return values;
}

type Foretold = Pick<BurnProps, "forecast" | "error">;

function Today({ forecast, error }: Foretold) {
  if (!forecast) {
    return (
      <Stat label="Today">
        <Waiting error={error} />
      </Stat>
    );
  }
  return (
    <Stat
      label="Today"
      more={
        <>
          <Delta now={forecast.today_nanos} before={forecast.yesterday_same_time_nanos} />
          <span>
            <Money nanos={forecast.yesterday_same_time_nanos} look="compact" /> by this time
            yesterday
          </span>
        </>
      }
    >
      <Behind by={{ last: "today", from: undefined, to: undefined }} label="Requests of today">
        <Money nanos={forecast.today_nanos} look="compact" />
      </Behind>
    </Stat>
  );
}

function Month({ forecast, error }: Foretold) {
  if (!forecast) {
    return (
      <Stat label="Month to date">
        <Waiting error={error} />
      </Stat>
    );
  }
  const { budget } = forecast;
  const share = budget ? forecast.spent_nanos / budget.amount_nanos : 0;
  return (
    <Stat
      label="Month to date"
      more={
        <>
          {budget && (
            <span className={css.budget}>
              <Meter share={share} label="Budget used" />
              <Link
                className="behind num"
                to="/limits/$limit"
                params={{ limit: budget.limit_id }}
                title="The limit that holds for everything this month"
              >
                {percent(share, 0)} of <Money nanos={budget.amount_nanos} look="compact" />
              </Link>
            </span>
          )}
          <Foreseen forecast={forecast} />
        </>
      }
    >
      <Behind by={{ last: "month", from: undefined, to: undefined }} label="Requests of this month">
        <Money nanos={forecast.spent_nanos} look="compact" />
      </Behind>
    </Stat>
  );
}

/** What the month will probably cost; an estimate is told without its cents. */
function Foreseen({ forecast }: { forecast: Forecast }) {
  const currency = useCurrency();
  const rough = (nanos: number) => axisMoney(currency)(plotted(nanos, currency));
  const exact = (nanos: number) => money(nanos, currency);
  const { forecast_nanos: most, low_nanos: low, high_nanos: high } = forecast;
  return (
    <span
      className="num"
      title={`Forecast ${exact(most)}, probably between ${exact(low)} and ${exact(high)}`}
    >
      forecast {rough(most)} ({rough(low)}–{rough(high)})
    </span>
  );
}

function Unknown({ view, totals, error }: HeadProps) {
  const nameless = useQuestion(
    view.question({
      metrics: ["cost", "calls"],
      filters: [{ field: "tenant", value: "unattributed" }],
    }),
  );
  const row = nameless.data?.rows[0];
  const cost = num(row, "cost");
  const share = totals?.cost ? cost / totals.cost : 0;
  return (
    <Stat
      label="Without a tenant"
      more={
        totals && (
          <>
            <span>
              <Money nanos={cost} look="compact" />
            </span>
            <Behind by={{ outcome: "unpriced" }} label="Requests with calls that have no price">
              <span className={totals.unpriced ? css.warn : ""}>
                {count(totals.unpriced)} unpriced {totals.unpriced === 1 ? "call" : "calls"}
              </span>
            </Behind>
          </>
        )
      }
    >
      {totals && nameless.data ? (
        <Behind by={{ tenant: "unattributed" }} label="Requests that name no tenant">
          <span className="num">{percent(share)}</span>
        </Behind>
      ) : (
        <Waiting error={error} />
      )}
    </Stat>
  );
}

function Calls({ totals, before, error }: Omit<HeadProps, "view"> & { before: Row | undefined }) {
  if (!totals) {
    return (
      <Stat label="Calls">
        <Waiting error={error} />
      </Stat>
    );
  }
  const { calls = 0, errors = 0, attempts = 0 } = totals;
  return (
    <Stat
      label="Calls"
      more={
        <>
          {before && <Delta now={calls} before={num(before, "calls")} good="none" />}
          <Behind by={{ status: ["error", "timeout"] }} label="Requests with failed attempts">
            {count(errors)} errors ({percent(attempts ? errors / attempts : 0)} of attempts)
          </Behind>
        </>
      }
    >
      <Behind label="Requests of this window">
        <span className="num">{count(calls)}</span>
      </Behind>
    </Stat>
  );
}
