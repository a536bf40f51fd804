import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { filtersOf, NONE, parseSearch, windowOf, writeSearch } from "@/lib/view";

beforeEach(() => vi.useFakeTimers({ now: new Date("2026-11-22T22:30:00Z") }));
afterEach(() => vi.useRealTimers());

describe("a URL", () => {
  it("is the same after it was read and written", () => {
    const query = "?last=7d&tenant=a%26b&tenant=c&label.team=x";
    expect(writeSearch(parseSearch(query))).toBe(query);
  });

  it("names nothing that every object has already", () => {
    const found = parseSearch("?__proto__=a&__proto__=b&toString=x&constructor=y&q=1&q=2");
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype);
    expect(Object.entries(found)).toEqual([["q", ["1", "2"]]]);
    expect(String(found)).toBe("[object Object]");
  });

  it("loses what is not set", () => {
    expect(writeSearch({ last: undefined, tenant: [], q: "" })).toBe("");
  });
});

describe("the window", () => {
  it("is the last 24 hours unless the URL says another", () => {
    expect(windowOf({}, "UTC").asked).toEqual({ last: "24h" });
    expect(windowOf({ last: "7d" }, "UTC").asked).toEqual({ last: "7d" });
    expect(windowOf({ last: "nonsense" }, "UTC").asked).toEqual({ last: "24h" });
  });

  it("of a day begins at midnight where the viewer is", () => {
    expect(windowOf({ last: "today" }, "UTC").asked).toEqual({ from: "2026-11-22" });
    expect(windowOf({ last: "today" }, "Asia/Tokyo").asked).toEqual({ from: "2026-11-23" });
  });

  it("of the month so far compares with as much of the month before", () => {
    const found = windowOf({ last: "month" }, "UTC");
    expect(found.asked).toEqual({ from: "2026-11-01" });
    expect(found.before).toEqual({
      from: "2026-10-01T00:00:00.000Z",
      to: "2026-10-22T22:30:00.000Z",
    });
  });

  it("before the last one ends where that begins", () => {
    expect(windowOf({ last: "1h" }, "UTC").before).toEqual({
      from: "2026-11-22T20:30:00.000Z",
      to: "2026-11-22T21:30:00.000Z",
    });
  });

  it("of one's own choosing takes buckets that fit its length", () => {
    const grain = (from: string, to: string) => windowOf({ from, to }, "UTC").grain;
    expect(grain("2026-11-01T00:00Z", "2026-11-01T05:00Z")).toBe("minute");
    expect(grain("2026-11-01", "2026-11-03")).toBe("hour");
    expect(grain("2026-10-01", "2026-11-05")).toBe("day");
  });
});

describe("filters", () => {
  it("are the dimensions in the URL, and nothing else of it", () => {
    expect(filtersOf({ tenant: "acme", last: "7d", tab: "x", "label.team": "core" })).toEqual([
      { field: "tenant", op: "eq", value: "acme" },
      { field: "label.team", op: "eq", value: "core" },
    ]);
  });

  it("name several values, and what is not set", () => {
    expect(filtersOf({ model: ["a", NONE] })).toEqual([
      { field: "model", op: "in", value: ["a", null] },
    ]);
  });

  it("of numbers are numbers", () => {
    expect(filtersOf({ attempt: "1" })).toEqual([{ field: "attempt", op: "eq", value: 1 }]);
  });
});
