/** Amounts of limits: decimal dollars in documents, nano-dollars in state; never a fraction. */

import type { components } from "@/api/schema";
import { type Currency, DOLLARS, money } from "@/lib/money";
import { count, credits } from "@/lib/numbers";

export type Metric = components["schemas"]["Limit"]["metric"];

const NANO_DIGITS = 9;
const DOLLAR_TEXT = /^(\d{1,12})(?:\.(\d{1,9}))?$/;
const WHOLE_TEXT = /^\d{1,19}$/;

/** Return an amount as a document has it, in the unit of its metric; null: it is none. */
export function amountOf(said: string | number, metric: Metric): bigint | null {
  const text = String(said).trim();
  if (metric !== "cost") return WHOLE_TEXT.test(text) ? BigInt(text) : null;
  const found = DOLLAR_TEXT.exec(text);
  if (!found) return null;
  return (
    BigInt(found[1] ?? 0) * 10n ** BigInt(NANO_DIGITS) +
    BigInt((found[2] ?? "").padEnd(NANO_DIGITS, "0"))
  );
}

/** Return an amount as a document writes it: dollars with two decimals or more, or a whole number. */
export function documentAmount(value: number | bigint, metric: Metric): string {
  if (metric !== "cost") return String(value);
  const digits = BigInt(value)
    .toString()
    .padStart(NANO_DIGITS + 1, "0");
  const fraction = digits.slice(-NANO_DIGITS).replace(/0+$/, "").padEnd(2, "0");
  return `${digits.slice(0, -NANO_DIGITS)}.${fraction}`;
}

const NOUNS: Record<Metric, readonly [string, string]> = {
  cost: ["", ""],
  tokens: ["token", "tokens"],
  input_tokens: ["input token", "input tokens"],
  output_tokens: ["output token", "output tokens"],
  calls: ["call", "calls"],
  concurrent_calls: ["call at once", "calls at once"],
  credits: ["credit", "credits"],
};

export const METRIC_WORDS: Record<Metric, string> = {
  cost: "cost",
  tokens: "tokens",
  input_tokens: "input tokens",
  output_tokens: "output tokens",
  calls: "calls",
  concurrent_calls: "calls at once",
  credits: "credits",
};

/** Return an amount of a metric as text; `noun` adds what is counted. */
export function shownAmount(
  value: number | bigint | null | undefined,
  metric: Metric,
  { currency = DOLLARS, noun = false }: { currency?: Currency; noun?: boolean } = {},
): string {
  if (value === null || value === undefined) return "–";
  if (metric === "cost") return money(value, currency);
  const number = Number(value);
  const text = metric === "credits" ? credits(number) : count(number);
  return noun ? `${text} ${NOUNS[metric][number === 1 ? 0 : 1]}` : text;
}
