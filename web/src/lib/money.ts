/** Money: integer nano-dollars in, text out. It never does arithmetic on fractions of money. */

export const NANOS_PER_DOLLAR = 1_000_000_000;
const PARTS_PER_BILLION = 1_000_000_000n;

/** A currency that amounts are shown in: units of it for a dollar, times 10^9. */
export interface Currency {
  code: string;
  perUsdPpb: number;
  /** Since when the rate holds, in microseconds UTC; 0 for dollars. */
  validFrom: number;
}

export const DOLLARS: Currency = { code: "USD", perUsdPpb: 1_000_000_000, validFrom: 0 };

/** How much room an amount has: `auto` chooses digits by size, `exact` shows every nano. */
export type MoneyStyle = "auto" | "compact" | "exact";

const formats = new Map<string, Intl.NumberFormat>();

function format(key: string, make: () => Intl.NumberFormat): Intl.NumberFormat {
  let found = formats.get(key);
  if (!found) {
    found = make();
    formats.set(key, found);
  }
  return found;
}

/** Return nano-dollars in nano-units of a currency, halves to even. */
export function convert(nanos: number | bigint, currency: Currency): bigint {
  const exact = BigInt(nanos);
  if (currency.code === "USD") return exact;
  const product = exact * BigInt(currency.perUsdPpb);
  const whole = product / PARTS_PER_BILLION;
  const rest = product % PARTS_PER_BILLION;
  const twice = (rest < 0n ? -rest : rest) * 2n;
  const away = product < 0n ? -1n : 1n;
  if (twice > PARTS_PER_BILLION) return whole + away;
  if (twice === PARTS_PER_BILLION && whole % 2n !== 0n) return whole + away;
  return whole;
}

/** Return nano-units as decimal text, with every digit. */
export function decimal(nanos: bigint): string {
  const sign = nanos < 0n ? "-" : "";
  const size = nanos < 0n ? -nanos : nanos;
  const fraction = (size % 1_000_000_000n).toString().padStart(9, "0");
  return `${sign}${size / 1_000_000_000n}.${fraction}`;
}

/**
 * Return how many digits an amount needs behind the point, so that small costs do not read as 0.
 * A model call costs fractions of a cent: below a dollar, three leading digits are kept.
 */
export function digitsFor(nanos: bigint): number {
  const size = nanos < 0n ? -nanos : nanos;
  if (size === 0n || size >= 1_000_000_000n) return 2;
  let digits = 2;
  for (let step = 100_000_000n; digits < 9 && size < step * 10n; step /= 10n) digits += 1;
  return Math.min(9, digits);
}

/** Return an amount of nano-dollars as text in a currency. */
export function money(
  nanos: number | bigint | null | undefined,
  currency: Currency = DOLLARS,
  style: MoneyStyle = "auto",
  locale?: string,
): string {
  if (nanos === null || nanos === undefined) return "–";
  const amount = convert(nanos, currency);
  const size = amount < 0n ? -amount : amount;
  const code = currency.code;
  if (style === "compact" && size >= 10_000n * 1_000_000_000n) {
    const shown = format(
      `c:${code}:${locale}`,
      () =>
        new Intl.NumberFormat(locale, {
          style: "currency",
          currency: code,
          notation: "compact",
          maximumFractionDigits: 1,
        }),
    );
    return shown.format(decimal(amount) as unknown as number);
  }
  const usual = code === "JPY" || code === "KRW" ? 0 : 2;
  const digits = style === "exact" ? 9 : size >= 1_000_000_000n ? usual : digitsFor(amount);
  const shown = format(
    `${digits}:${code}:${locale}`,
    () =>
      new Intl.NumberFormat(locale, {
        style: "currency",
        currency: code,
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      }),
  );
  // Decimal text keeps every digit: a number would lose the last ones of large amounts.
  return shown.format(decimal(amount) as unknown as number);
}

/** Return nano-dollars as a fraction of whole units, for positions in a chart only. */
export function plotted(nanos: number | null | undefined, currency: Currency = DOLLARS): number {
  if (!nanos) return 0;
  return Number(decimal(convert(Math.round(nanos), currency)));
}
