import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { localStamp, zoned } from "@/lib/time";
import { windowOf } from "@/lib/view";

const BERLIN = "Europe/Berlin";
const iso = (micros: number) => new Date(micros / 1000).toISOString();

describe("a local time", () => {
  it("is read in its zone; a text with a zone of its own in that", () => {
    expect(iso(zoned("2026-11-22", BERLIN))).toBe("2026-11-21T23:00:00.000Z");
    expect(iso(zoned("2026-07-01T08:30", BERLIN))).toBe("2026-07-01T06:30:00.000Z");
    expect(iso(zoned("2026-07-01T08:30:00Z", BERLIN))).toBe("2026-07-01T08:30:00.000Z");
    expect(iso(zoned("2026-07-01T08:30:00+05:30", BERLIN))).toBe("2026-07-01T03:00:00.000Z");
    expect(zoned("soon", BERLIN)).toBeNaN();
  });

  it("is written as it is read, on both sides of a change of clocks", () => {
    for (const text of ["2026-10-25T01:59", "2026-10-25T03:01", "2026-03-29T03:00"]) {
      expect(localStamp(zoned(text, BERLIN), BERLIN)).toBe(text);
    }
  });
});

describe("the window before", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    vi.setSystemTime(new Date("2026-11-22T13:30:20Z"));
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("of today is yesterday until the same time, not all of it", () => {
    expect(windowOf({ last: "today" }, BERLIN).before).toEqual({
      from: "2026-11-20T23:00:00.000Z",
      to: "2026-11-21T13:30:00.000Z",
    });
  });

  it("of this month is as much of the last one", () => {
    expect(windowOf({ last: "month" }, "UTC").before).toEqual({
      from: "2026-10-01T00:00:00.000Z",
      to: "2026-10-22T13:30:00.000Z",
    });
  });

  it("of a long month's end is no more than the shorter month before", () => {
    vi.setSystemTime(new Date("2026-03-31T12:00:00Z"));
    expect(windowOf({ last: "month" }, "UTC").before?.to).toBe("2026-03-01T00:00:00.000Z");
  });

  it("of chosen times is of the same length, and is asked for with a zone", () => {
    const found = windowOf({ from: "2026-11-02T00:00", to: "2026-11-03T00:00" }, BERLIN);
    expect(found.asked).toEqual({
      from: "2026-11-01T23:00:00.000Z",
      to: "2026-11-02T23:00:00.000Z",
    });
    expect(found.before?.from).toBe("2026-10-31T23:00:00.000Z");
    expect(found.before?.to).toBe(found.asked.from);
  });
});
