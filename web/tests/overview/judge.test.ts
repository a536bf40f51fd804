import { describe, expect, it } from "vitest";
import { DAY } from "@/lib/time";
import type { Balance, Counter } from "@/pages/overview/api";
import { lasts, low, movers, pace, pressing, running, standing } from "@/pages/overview/judge";

const counter = (part: Partial<Counter>): Counter =>
  ({
    limit: "day",
    scope: {},
    scope_key: "[]",
    mode: "enforce",
    share: 0,
    reached: [],
    ...part,
  }) as Counter;

const balance = (tenant: string, available: number, below: number | null = null): Balance =>
  ({ tenant, available, top_up_below: below }) as Balance;

describe("a limit", () => {
  it("is over when its amount is used up, or when it refuses before that", () => {
    expect(standing(counter({ share: 1 }))).toBe("over");
    expect(standing(counter({ share: 0.9, reached: ["block"] }))).toBe("over");
  });

  it("is near from four fifths on, or once a rung is reached", () => {
    expect(standing(counter({ share: 0.8 }))).toBe("near");
    expect(standing(counter({ share: 0.79 }))).toBe("fine");
    expect(standing(counter({ share: 0.5, reached: ["warn"] }))).toBe("near");
  });

  it("in shadow is near at most: it refuses nothing", () => {
    expect(standing(counter({ mode: "shadow", share: 3, reached: ["block"] }))).toBe("near");
  });

  it("that is off needs nobody", () => {
    expect(standing(counter({ mode: "off", share: 3, reached: ["block"] }))).toBe("fine");
  });

  it("that is over comes before a fuller one that only warns", () => {
    const warns = counter({ limit: "warns", share: 0.99 });
    const blocks = counter({ limit: "blocks", share: 0.9, reached: ["block"] });
    const found = pressing([counter({ share: 0.1 }), warns, blocks]);
    expect(found.map((one) => one.limit)).toEqual(["blocks", "warns"]);
  });
});

describe("credits", () => {
  const week = (perDay: number) => perDay * 7;

  it("run low when they last less than a week at the use of the last one", () => {
    const used = new Map([
      ["soon", week(100)],
      ["later", week(10)],
    ]);
    const found = low([balance("soon", 300), balance("later", 300), balance("unused", 1)], used);
    expect(found.map((one) => [one.balance.tenant, one.days])).toEqual([["soon", 3]]);
  });

  it("are low at zero and below the account's own mark, whatever is used", () => {
    const found = low([balance("marked", 5, 10), balance("empty", -2)], new Map());
    expect(found.map((one) => one.balance.tenant)).toEqual(["empty", "marked"]);
  });

  it("say how long they last", () => {
    expect(lasts({ balance: balance("a", 0), days: 3 })).toBe("used up");
    expect(lasts({ balance: balance("a", 9), days: 0.25 })).toBe("6 h left");
    expect(lasts({ balance: balance("a", 9), days: 2.6 })).toBe("3 d left");
    expect(lasts({ balance: balance("a", 9), days: null })).toBe("below its mark");
  });
});

describe("tenants that move", () => {
  const now = [
    { tenant: "big", cost: 1000 },
    { tenant: "new", cost: 60 },
  ];
  const before = [
    { tenant: "big", cost: 990 },
    { tenant: "gone", cost: 100 },
  ];

  it("stand by the size of the move, up or down, also when they are gone", () => {
    const found = movers(now, before, "moved");
    expect(found.map((one) => [one.tenant, one.moved])).toEqual([
      ["gone", -100],
      ["new", 60],
      ["big", 10],
    ]);
  });

  it("stand by cost when that is asked for", () => {
    expect(movers(now, before, "cost").map((one) => one.tenant)).toEqual(["big", "new", "gone"]);
  });
});

describe("a budget", () => {
  it("has an even pace over the days of its month, one of them an hour short", () => {
    const month = { from: 0, to: 31 * DAY - DAY / 24 };
    expect(pace(3100, month)).toBe(100);
  });

  it("is compared with running totals", () => {
    expect(running([1, 2, 0, 4])).toEqual([1, 3, 3, 7]);
  });
});
