/** Counts, shares, durations and sizes as text. */

const whole = new Intl.NumberFormat();
const compactFormat = new Intl.NumberFormat(undefined, {
  notation: "compact",
  maximumFractionDigits: 1,
});

/** Return a count with separators. */
export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** Return a count in few characters, such as 1.2M. */
export function compact(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : compactFormat.format(value);
}

/** Return a share of 1 as a percentage. */
export function percent(share: number | null | undefined, digits = 1): string {
  if (share === null || share === undefined || !Number.isFinite(share)) return "–";
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(share * 100).toFixed(share >= 1 || share === 0 ? 0 : digits)} %`;
}

/** Return a change between two amounts as a signed percentage; `null` when there is no base. */
export function change(now: number, before: number): number | null {
  return before === 0 ? null : (now - before) / Math.abs(before);
}

const MANY = 10;

/** Return a signed percentage; of what grew many times over, how many times. */
export function signed(share: number | null): string {
  if (share === null) return "new";
  // A percentage of many digits says less than how many times it is.
  if (share >= MANY) return `×${whole.format(Math.round(share + 1))}`;
  const text = `${Math.abs(share * 100).toFixed(Math.abs(share) >= 0.1 ? 0 : 1)} %`;
  return `${share < 0 ? "−" : "+"}${text}`;
}

/** Return milliseconds as text. */
export function millis(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0 ms";
  if (value < 1) return `${value.toFixed(2)} ms`;
  if (value < 1000) return `${Math.round(value)} ms`;
  if (value < 60_000) return `${(value / 1000).toFixed(value < 10_000 ? 2 : 1)} s`;
  const seconds = Math.round(value / 1000);
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
}

/** Return microseconds as text. */
export function micros(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : millis(value / 1000);
}

/** Return micro-credits as text. */
export function credits(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const exact = value / 1_000_000;
  return exact.toLocaleString(undefined, { maximumFractionDigits: Math.abs(exact) < 10 ? 4 : 2 });
}
