import { describe, expect, it } from "vitest";
import { axisMoney, bucketEnd, isMidnight, plottedMoney, sparkGrain } from "@/charts/axis";
import { REST } from "@/charts/series";
import { labelOf, spanned, totalsOf, withRest } from "@/charts/stacked";
import { DAY, HOUR, MINUTE, zoned } from "@/lib/time";

const whole = {
  times: [10, 20, 30],
  series: [{ name: "cost", values: [5, 7, 9], total: 21 }],
};
const parts = {
  times: [10, 30],
  series: [{ name: "a", values: [4, 9], total: 13 }],
};

describe("a stack", () => {
  it("adds up to the whole: what its parts leave is everything else", () => {
    const found = withRest(whole, parts, false);
    expect(found.times).toEqual([10, 20, 30]);
    expect(found.series.map((one) => [one.name, one.values])).toEqual([
      ["a", [4, 0, 9]],
      [REST, [1, 7, 0]],
    ]);
  });

  it("has no rest when its parts are all there is, although answers are a moment apart", () => {
    expect(withRest(whole, parts, true).series.map((one) => one.name)).toEqual(["a"]);
  });

  it("leaves nothing below zero", () => {
    const more = { times: [10], series: [{ name: "a", values: [6], total: 6 }] };
    expect(withRest(whole, more, false).series[1]?.values).toEqual([0, 7, 9]);
  });

  it("adds metrics up over time", () => {
    const columns = [
      { name: "time", kind: "time", unit: "" },
      { name: "calls", kind: "metric", unit: "count" },
    ];
    const rows = [{ time: "x", calls: 2 }, { time: "y", calls: 3 }]; // biome-ignore format: short
    expect(totalsOf({ columns, rows, source: "", from: "", to: "" })).toEqual({ calls: 5 });
  });

  it("calls what is not set by its dimension", () => {
    expect(labelOf("agent_root", null)).toBe("(no agent)");
    expect(labelOf("model", "m")).toBe("m");
  });
});

describe("the buckets of a window", () => {
  it("are all there, from the one in which it begins, at the zone's own hours", () => {
    // A zone half an hour off: its hours begin at the half of UTC's.
    const half = 30 * MINUTE;
    const seen = [5 * HOUR + half];
    const found = spanned(seen, "hour", 3 * HOUR, 7 * HOUR, "Asia/Kolkata");
    expect(found).toEqual([2, 3, 4, 5, 6].map((hour) => hour * HOUR + half));
  });

  it("are local days, also over a change of clocks", () => {
    const zone = "Europe/Berlin";
    const day = (text: string) => zoned(text, zone);
    const seen = [day("2026-10-26")];
    const found = spanned(seen, "day", day("2026-10-24"), day("2026-10-27"), zone);
    expect(found).toEqual(["2026-10-24", "2026-10-25", "2026-10-26"].map(day));
    expect((found[2] ?? 0) - (found[1] ?? 0)).toBe(25 * HOUR);
  });

  it("are only those with usage when they would be too many to draw", () => {
    expect(spanned([5], "minute", 0, 30 * DAY, "UTC")).toEqual([5]);
  });

  it("end where the next one begins", () => {
    const zone = "Europe/Berlin";
    expect(bucketEnd(0, "minute", zone)).toBe(MINUTE);
    const short = zoned("2026-03-29", zone);
    expect(bucketEnd(short, "day", zone) - short).toBe(23 * HOUR);
    expect(isMidnight(short, zone)).toBe(true);
    expect(isMidnight(short + HOUR, zone)).toBe(false);
  });
});

describe("plotted amounts", () => {
  it("read in their own currency, not converted a second time", () => {
    const euro = { code: "EUR", perUsdPpb: 500_000_000, validFrom: 0 };
    expect(plottedMoney(euro)(12.5)).toMatch(/12\.50/);
    expect(axisMoney(euro)(0)).toBe("0");
  });

  it("have small trends with a bounded number of points", () => {
    expect([HOUR, DAY, 90 * DAY].map(sparkGrain)).toEqual(["minute", "hour", "day"]);
  });
});
