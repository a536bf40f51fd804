/** A metric's values as text, by the unit that the API gives it. */

import { type Currency, money, plotted } from "./money";
import { compact, count, credits, millis, percent } from "./numbers";

export type Shown = (value: number | null | undefined) => string;

/** Return how a unit is shown in full. */
export function full(unit: string | null | undefined, currency: Currency): Shown {
  switch (unit) {
    case "nanos":
      return (value) =>
        money(value === null || value === undefined ? value : Math.round(value), currency);
    case "micros":
      return credits;
    case "ms":
      return millis;
    case "ratio":
      return (value) => percent(value);
    default:
      return count;
  }
}

/** Return how a unit is shown on an axis, where there is room for a few characters. */
export function onAxis(
  unit: string | null | undefined,
  currency: Currency,
): (value: number) => string {
  if (unit === "nanos") {
    const shown = new Intl.NumberFormat(undefined, {
      style: "currency",
      currency: currency.code,
      notation: "compact",
      maximumSignificantDigits: 3,
    });
    return (value) => shown.format(plotted(value, currency));
  }
  if (unit === "micros") return (value) => compact(value / 1_000_000);
  if (unit === "ratio") return (value) => `${Math.round(value * 100)} %`;
  if (unit === "ms") return (value) => millis(value);
  return (value) => compact(value);
}
