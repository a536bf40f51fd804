/** The month day by day: what was spent, what is foreseen, and the budget. */

import { useNavigate } from "@tanstack/react-router";
import { useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import { axisMoney, bucketEnd, plottedMoney, timeOfBucket } from "@/charts/axis";
import { Chart, type Sheet } from "@/charts/Chart";
import { Segments } from "@/design/basics";
import { Money } from "@/design/money";
import { localDay } from "@/lib/time";
import type { View } from "@/lib/view";
import type { Forecast } from "./api";
import { useForecast } from "./api";
import { pace, running } from "./judge";
import { type MonthLook, monthOption } from "./month";

const HEIGHT = 298;
const KINDS = [
  ["days", "Per day"],
  ["total", "Running total"],
] as const;

export function MonthChart({ view, className }: { view: View; className: string }) {
  const named = view.list("tenant");
  const tenant = named.length === 1 ? named[0] : undefined;
  const forecast = useForecast(view.zone, tenant);
  const currency = useCurrency();
  const navigate = useNavigate();
  const kind = view.text("month") === "total" ? "total" : "days";
  const found = forecast.data;
  const option = useMemo(() => {
    const full = plottedMoney(currency);
    const look: Omit<MonthLook, "colours"> = {
      currency,
      total: kind === "total",
      axis: axisMoney(currency),
      full,
      time: timeOfBucket("day", view.zone),
      tick: (at) => String(Number(localDay(at, view.zone).slice(8))),
    };
    return (colours: MonthLook["colours"]) =>
      found ? monthOption(found, { ...look, colours }) : {};
  }, [found, kind, currency, view.zone]);
  const pick = ({ name }: { name: string }) => {
    const iso = (at: number) => new Date(at / 1000).toISOString();
    const to = bucketEnd(Number(name), "day", view.zone);
    const search = view.carried({ last: undefined, from: iso(Number(name)), to: iso(to) });
    void navigate({ to: "/requests", search: search as never });
  };
  return (
    <Chart
      className={className}
      title="This month"
      note={
        found && (
          <>
            last month <Money nanos={found.last_month_nanos} look="compact" />
          </>
        )
      }
      name="month"
      height={HEIGHT}
      query={forecast}
      label="Cost of each day of this month, and the cost foreseen for the days to come"
      option={option}
      onPick={pick}
      sheet={() => sheet(found, view.zone)}
      actions={
        <Segments
          label="What the chart shows"
          value={kind}
          choices={KINDS}
          onChange={(one) => view.set({ month: one === "total" ? one : undefined })}
        />
      }
    />
  );
}

function sheet(found: Forecast | undefined, zone: string): Sheet {
  const header = ["day", "cost (nano-dollars)", "foreseen", "running total (nano-dollars)"];
  const days = found?.days ?? [];
  const totals = running(days.map((one) => one.cost_nanos));
  const budget = found?.budget;
  return {
    header: budget ? [...header, "even pace of the budget (nano-dollars)"] : header,
    rows: days.map((one, at) => [
      localDay(one.day, zone),
      one.cost_nanos,
      one.forecast ? "yes" : "no",
      totals[at] ?? 0,
      ...(found && budget ? [Math.round(pace(budget.amount_nanos, found.month))] : []),
    ]),
  };
}
