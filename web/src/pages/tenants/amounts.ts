/** Amounts of limits and credits: as people read and write them, and as the API takes them. */

import { type Currency, decimal, money } from "@/lib/money";
import { count, credits } from "@/lib/numbers";
import type { Counter } from "./api";

type Metric = Counter["metric"];

const WORDS: Record<Metric, string> = {
  cost: "",
  credits: "credits",
  calls: "calls",
  concurrent_calls: "calls at once",
  tokens: "tokens",
  input_tokens: "input tokens",
  output_tokens: "output tokens",
};

/** Return an amount of a limit as text with its unit. */
export function amountText(value: number, metric: Metric, currency: Currency): string {
  if (metric === "cost") return money(value, currency);
  const text = metric === "credits" ? credits(value) : count(value);
  return `${text} ${WORDS[metric]}`;
}

/** Return what an amount is asked for in. */
export function unitOf(metric: Metric): string {
  return metric === "cost" ? "US dollars" : WORDS[metric];
}

/** Return an amount as it stands in a field: dollars, credits, or a whole number. */
export function fieldText(value: number, metric: Metric): string {
  if (metric === "cost") return trimmed(decimal(BigInt(value)), 2);
  if (metric === "credits") return trimmed(decimal(BigInt(value) * 1_000n), 0);
  return String(value);
}

/** Return the amount of a limit's document as it stands in a field. */
export function documentText(amount: string | number, metric: Metric): string {
  return metric === "cost" ? String(amount) : fieldText(Number(amount), metric);
}

/** Take zeros from the end of decimal text; `least` places stay. */
function trimmed(text: string, least: number): string {
  const [whole = "0", fraction = ""] = text.split(".");
  const kept = fraction.replace(/0+$/, "").padEnd(least, "0");
  return kept ? `${whole}.${kept}` : whole;
}

const CREDITS = /^(\d{1,13})(?:\.(\d{1,6}))?$/;

/**
 * Return an amount of a field as the API takes it; `null` where it is none.
 *
 * Limits count micro-credits, so that credits are made whole here.
 */
export function amountBody(text: string, metric: Metric): string | null {
  const plain = text.trim();
  if (metric === "cost") return /^\d{1,12}(\.\d{1,9})?$/.test(plain) ? plain : null;
  if (metric !== "credits") return /^\d{1,19}$/.test(plain) ? plain : null;
  const found = CREDITS.exec(plain);
  if (!found) return null;
  return String(BigInt(found[1] ?? "0") * 1_000_000n + BigInt((found[2] ?? "").padEnd(6, "0")));
}

const PER: Partial<Record<Counter["window"], string>> = {
  hour: "an hour",
  day: "a day",
  week: "a week",
  month: "a month",
  rolling: "in a rolling window",
  rate: "as a rate",
  request: "for each request",
  run: "for each run",
};

/** Return the window of a limit in words; a limit for all time has none. */
export function perWindow(window: Counter["window"]): string {
  return PER[window] ?? "in all";
}
