/** Instants are microseconds UTC, as the API has them. Every text is in a named time zone. */

export const MINUTE = 60_000_000;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;

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

const FULL: Intl.DateTimeFormatOptions = {
  year: "numeric",
  month: "short",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  timeZoneName: "short",
};

/** Return an instant with date, time and zone. */
export function moment(at: number | null | undefined, zone: string): string {
  return at ? format(zone, FULL).format(at / 1000) : "–";
}

/** Return an instant as day and minute. */
export function short(at: number | null | undefined, zone: string): string {
  if (!at) return "–";
  return format(zone, {
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
  }).format(at / 1000);
}

/** Return a day. */
export function day(at: number | null | undefined, zone: string): string {
  if (!at) return "–";
  return format(zone, { year: "numeric", month: "short", day: "numeric" }).format(at / 1000);
}

/** Return how long ago an instant was, in words of a few characters. */
export function ago(at: number | null | undefined, now: number): string {
  if (!at) return "never";
  const past = now - at;
  if (past < 0) return `in ${span(-past)}`;
  return past < 5_000_000 ? "just now" : `${span(past)} ago`;
}

/** Return a length of time in its largest unit. */
export function span(length: number): string {
  if (length < MINUTE) return `${Math.max(1, Math.round(length / 1_000_000))} s`;
  if (length < HOUR) return `${Math.round(length / MINUTE)} min`;
  if (length < 2 * DAY) return `${Math.round(length / HOUR)} h`;
  return `${Math.round(length / DAY)} d`;
}

/** Return the local calendar day of an instant, as `YYYY-MM-DD`. */
export function localDay(at: number, zone: string): string {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  }).format(at / 1000);
  return parts;
}

/** Return how far a zone's clocks are ahead of UTC at an instant, in milliseconds. */
function ahead(ms: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    hourCycle: "h23",
  }).formatToParts(ms);
  const of = (type: string) => Number(parts.find((part) => part.type === type)?.value ?? 0);
  const wall = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"));
  return wall - Math.floor(ms / 60_000) * 60_000;
}

/** Return the instant of a text; a date or a time without a zone of its own is in `zone`. */
export function zoned(text: string, zone: string): number {
  if (/(Z|[+-]\d\d:?\d\d)$/.test(text) && text.length > 10) return Date.parse(text) * 1000;
  const wall = Date.parse(`${text.length === 10 ? `${text}T00:00` : text}Z`);
  if (!Number.isFinite(wall)) return Number.NaN;
  // Twice: the first guess may lie on the other side of a change of clocks.
  const guess = wall - ahead(wall, zone);
  return (wall - ahead(guess, zone)) * 1000;
}

/** Return an instant as the value of a date-time field, in a zone. */
export function wallTime(at: number, zone: string): string {
  const parts = new Intl.DateTimeFormat("en-CA", {
    timeZone: zone,
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(at / 1000);
  const part = (type: string) => parts.find((one) => one.type === type)?.value ?? "";
  return `${part("year")}-${part("month")}-${part("day")}T${part("hour")}:${part("minute")}`;
}

/** Return the instant of a date-time field's value (`2026-11-22T10:30`) in a zone; `null`: none. */
export function fromWall(value: string, zone: string): number | null {
  const wanted = Date.parse(`${value.length === 10 ? `${value}T00:00` : value}Z`);
  if (!Number.isFinite(wanted)) return null;
  const shift = (at: number) => Date.parse(`${wallTime(at * 1000, zone)}Z`) - at;
  const minute = wanted - (wanted % 60_000);
  // The shift at the guess may be that of the other side of a change of clocks: one more step.
  const guess = minute - shift(minute);
  return (minute - shift(guess)) * 1000 + (wanted - minute) * 1000;
}

/** Return an instant as the text of a field for local time, `YYYY-MM-DDTHH:MM`. */
export function localStamp(at: number, zone: string): string {
  return new Date(at / 1000 + ahead(at / 1000, zone)).toISOString().slice(0, 16);
}

/** Return the time zone of this browser. */
export function ownZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/** Return the present in microseconds UTC. */
export function nowMicros(): number {
  return Date.now() * 1000;
}
