import { describe, expect, it } from "vitest";
import { roundUp, split } from "@/pages/overview/month";

describe("a month's days", () => {
  const days = [
    { day: 1, cost_nanos: 10, forecast: false },
    { day: 2, cost_nanos: 12, forecast: true },
    { day: 3, cost_nanos: 8, forecast: true },
  ];

  it("have today in both parts: what is spent, and the rest that is foreseen", () => {
    expect(split({ days, today_nanos: 5 })).toEqual({ spent: [10, 5, 0], foreseen: [0, 7, 8] });
  });

  it("foresee nothing below zero when today is dearer than was foreseen", () => {
    expect(split({ days, today_nanos: 20 }).foreseen).toEqual([0, 0, 8]);
  });

  it("add up to the forecast", () => {
    const { spent, foreseen } = split({ days, today_nanos: 5 });
    const all = [...spent, ...foreseen].reduce((sum, one) => sum + one, 0);
    expect(all).toBe(30);
  });
});

describe("the top of an axis", () => {
  it("is the next round number above the budget", () => {
    expect(roundUp(330)).toBe(400);
    expect(roundUp(11)).toBe(15);
    expect(roundUp(100)).toBe(150);
    expect(roundUp(0.9)).toBeCloseTo(1);
  });
});
