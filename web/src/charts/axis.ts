/** Words on the axes of charts over time, and amounts that are plotted. */

import { type Currency, money } from "@/lib/money";
import { DAY, HOUR, localDay, localStamp, MINUTE, zoned } from "@/lib/time";

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${zone}|${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(undefined, { timeZone: zone, ...options });
    formats.set(key, found);
  }
  return found;
}

/** Return how a time reads under an axis: hours in a short window, days in a long one. */
export function tickOf(length: number, zone: string): (at: number) => string {
  const options: Intl.DateTimeFormatOptions =
    length <= 36 * HOUR
      ? { hour: "numeric", minute: "2-digit" }
      : { month: "short", day: "numeric" };
  return (at) => format(zone, options).format(at / 1000);
}

/** Return how a bucket of time reads in full. */
export function timeOfBucket(grain: string, zone: string): (at: number) => string {
  const options: Intl.DateTimeFormatOptions =
    grain === "day"
      ? { weekday: "short", month: "short", day: "numeric" }
      : { weekday: "short", month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
  return (at) => format(zone, options).format(at / 1000);
}

/** Return how a plotted amount, in whole units of a currency, reads in full. */
export function plottedMoney(currency: Currency): (value: number) => string {
  // It is in the currency already: nothing is converted a second time.
  const same: Currency = { ...currency, perUsdPpb: 1_000_000_000 };
  return (value) => money(BigInt(Math.round(value * 1e9)), same);
}

/** Return how a plotted amount reads on an axis, in few characters. */
export function axisMoney(currency: Currency): (value: number) => string {
  const shown = new Intl.NumberFormat(undefined, {
    style: "currency",
    currency: currency.code,
    notation: "compact",
    maximumSignificantDigits: 3,
  });
  return (value) => (value === 0 ? "0" : shown.format(value));
}

/** Return the end of a bucket that begins at `at`; local days have 23 to 25 hours. */
export function bucketEnd(at: number, grain: string, zone: string): number {
  if (grain === "minute") return at + MINUTE;
  if (grain === "hour") return at + HOUR;
  return zoned(localDay(at + 26 * HOUR, zone), zone);
}

/** Return the begins of the buckets from one that begins at `at` on, before `until`. */
export function buckets(at: number, until: number, grain: string, zone: string): number[] {
  const found: number[] = [];
  for (let next = at; next < until; next = bucketEnd(next, grain, zone)) found.push(next);
  return found;
}

/** Tell whether a local day begins at an instant. */
export function isMidnight(at: number, zone: string): boolean {
  return localStamp(at, zone).endsWith("T00:00");
}

/** Return a grain coarse enough for a small trend. */
export function sparkGrain(length: number): "minute" | "hour" | "day" {
  if (length <= HOUR) return "minute";
  return length <= 2 * DAY ? "hour" : "day";
}
