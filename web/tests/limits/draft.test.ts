import { describe, expect, it } from "vitest";
import type { Counter } from "@/pages/limits/api";
import { documentOf, draftOf, fieldOf, hasField, idOf, NEW_LIMIT } from "@/pages/limits/draft";
import { heldCost, tenantOfOwner } from "@/pages/limits/heldLines";
import { heldShare, shareText, standings } from "@/pages/limits/standing";
import type { Limit } from "@/pages/limits/words";

const FULL: Limit = {
  id: "noisy",
  name: "Noisy neighbour",
  metric: "cost",
  amount: "0.000000001",
  burst: "10.00",
  window: "rate 1m",
  scope: { tenant: "each", agent: { each: ["research", "web"] }, model: ["a", "b"], plan: "free" },
  thresholds: [
    { at: "99.5%", action: "throttle", delay_ms: 5000 },
    { at: "50%", action: "downgrade", models: { "gpt-5*": "gpt-5-mini" } },
    { at: "100%", action: "escalate", url: "https://example.com/hook" },
  ],
  mode: "shadow",
  on_unreachable: "closed",
  priority: 5,
  strict: true,
};

describe("a limit that is edited", () => {
  it("comes back as the same document when nothing is changed", () => {
    expect(documentOf(draftOf(FULL))).toEqual(FULL);
  });
  it("comes back the same for a calendar window, and for calls at once", () => {
    const month: Limit = {
      id: "m",
      metric: "tokens",
      amount: 1_500_000,
      window: "month",
      zone: "Europe/Berlin",
      anchor_day: 31,
      thresholds: [{ at: "100%", action: "block" }],
      mode: "enforce",
      on_unreachable: "open",
    };
    expect(documentOf(draftOf(month))).toEqual(month);
    const { window, zone, anchor_day, ...gauge } = month;
    const atOnce: Limit = { ...gauge, metric: "concurrent_calls", amount: 4 };
    expect(documentOf(draftOf(atOnce))).toEqual(atOnce);
  });
});

describe("a limit that is written", () => {
  it("keeps an amount of money as text, and a whole number as a number", () => {
    expect(documentOf({ ...NEW_LIMIT, amount: " 25.00 " }).amount).toBe("25.00");
    expect(documentOf({ ...NEW_LIMIT, metric: "calls", amount: "1 500" }).amount).toBe(1500);
  });
  it("sends a whole number that a number cannot hold as its text", () => {
    const amount = "999999999999999999";
    expect(documentOf({ ...NEW_LIMIT, metric: "tokens", amount }).amount).toBe(amount);
  });
  it("leaves out what its window or metric has no use for", () => {
    const made = documentOf({ ...NEW_LIMIT, burst: "5", zone: "Asia/Tokyo", anchorDay: "3" });
    expect(made).not.toHaveProperty("burst");
    expect(made).not.toHaveProperty("anchor_day");
    expect(made.zone).toBe("Asia/Tokyo");
    const gauge = documentOf({ ...NEW_LIMIT, metric: "concurrent_calls" });
    expect(gauge).not.toHaveProperty("window");
  });
  it("takes a percentage with or without its sign", () => {
    const rungs = [{ at: "80 %", action: "warn" as const, delayMs: "", models: [], url: "" }];
    expect(documentOf({ ...NEW_LIMIT, rungs }).thresholds[0]?.at).toBe("80%");
  });
  it("gets an id of its name", () => {
    expect(idOf("A tenant's day, über alles")).toBe("a-tenants-day-uber-alles");
    expect(idOf("x".repeat(80))).toHaveLength(64);
  });
  it("finds the field that an error is about", () => {
    expect(fieldOf("limits[0].thresholds[1].at")).toBe("thresholds[1].at");
    expect(fieldOf("limits[0]")).toBe("");
    expect(hasField("limits[0].thresholds[1].at")).toBe(true);
    expect(hasField("limits")).toBe(false);
    expect(hasField("reason")).toBe(false);
  });
});

const counter = (part: Partial<Counter>): Counter => ({
  limit: "a", name: "", scope: {}, scope_key: "[]", metric: "cost", window: "day",
  mode: "enforce", starts_at: 1, resets_at: 100, used: 0, held: 0, amount: 10, cap: 10, left: 10,
  share: 0, reached: [], current: true, ...part,
}); // biome-ignore format: a row

describe("how limits stand", () => {
  it("counts near from 80 % and over from 100 %", () => {
    const found = standings([
      counter({ share: 0.79 }),
      counter({ share: 0.8 }),
      counter({ share: 1, resets_at: 50 }),
      counter({ limit: "b", resets_at: null }),
    ]);
    expect(found.get("a")).toMatchObject({ scopes: 3, near: 1, over: 1, resetsAt: 50 });
    expect(found.get("a")?.fullest?.share).toBe(1);
    expect(found.get("b")).toMatchObject({ scopes: 1, resetsAt: null });
  });
  it("draws what is held as a share, of nothing as nothing", () => {
    expect(heldShare(counter({ held: 5 }))).toBe(0.5);
    expect(heldShare(counter({ held: 5, amount: 0 }))).toBe(0);
  });
  it("does not call a little nothing", () => {
    expect([0, 0.001, 0.005, 0.996, 11.3].map(shareText)).toEqual([
      "0 %",
      "< 1 %",
      "1 %",
      "100 %",
      "1130 %",
    ]);
  });
  it("does not add up what one call holds in several scopes", () => {
    const line = { metric: "cost", held: 5 } as never;
    expect(heldCost([line, line, { metric: "credits", held: 99 } as never])).toBe(5);
    expect(heldCost([])).toBe(0);
  });
  it("knows a tenant's holds from a process's", () => {
    expect(tenantOfOwner("tenant:acme")).toBe("acme");
    expect(tenantOfOwner("01a2")).toBeNull();
  });
});
