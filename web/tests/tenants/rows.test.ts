import { describe, expect, it } from "vitest";
import type { Balance, Counter, Limit, Registered } from "@/pages/tenants/api";
import { cacheSaving, fullestOf, matching, tenantRows, trends } from "@/pages/tenants/rows";

const counter = (limit: string, share: number, scope = {}, mode = "enforce"): Counter =>
  ({ limit, share, scope, mode }) as Counter;

const sources = {
  usage: [
    { tenant: "acme", cost: 5, calls: 2 },
    { tenant: "stranger", cost: 9, calls: 1 },
  ],
  before: [{ tenant: "gone", cost: 4 }],
  registered: [
    { tenant_id: "acme", name: "Acme Insurance", plan: "team", tier: "gold" },
    { tenant_id: "quiet", name: "Quiet", plan: "free", tier: "" },
  ] as Registered[],
  counters: [] as Counter[],
  limits: [] as Limit[],
  accounts: [{ tenant: "quiet", available: 3 }] as Balance[],
};

describe("the list of tenants", () => {
  it("has those with usage, those that had some, and those that are only registered", () => {
    const rows = tenantRows(sources);
    expect(rows.map((row) => [row.id, row.cost, row.before, row.registered])).toEqual([
      ["stranger", 9, 0, false],
      ["acme", 5, 0, true],
      ["gone", 0, 4, false],
      ["quiet", 0, 0, true],
    ]);
    expect(rows[3]?.balance?.available).toBe(3);
  });

  it("is searched by id, name and plan", () => {
    const rows = tenantRows(sources);
    expect(matching(rows, " INSUR ").map((row) => row.id)).toEqual(["acme"]);
    expect(matching(rows, "free").map((row) => row.id)).toEqual(["quiet"]);
    expect(matching(rows, "")).toHaveLength(4);
  });
});

describe("the fullest limit of a tenant", () => {
  it("is the one used most, whatever the order", () => {
    const found = fullestOf(
      [counter("a", 0.2, { tenant: "acme" }), counter("b", 0.9, { tenant: "acme" })],
      [],
    );
    expect(found.get("acme")?.limit).toBe("b");
  });

  it("may be of a limit about it alone, whose scope does not name it", () => {
    const own = { id: "own", scope: { tenant: "acme" } } as unknown as Limit;
    const each = { id: "each", scope: { tenant: "each" } } as unknown as Limit;
    const found = fullestOf([counter("own", 0.4), counter("each", 0.7)], [own, each]);
    expect([...found.keys()]).toEqual(["acme"]);
  });

  it("is none that only watches", () => {
    expect(fullestOf([counter("a", 2, { tenant: "acme" }, "shadow")], []).size).toBe(0);
  });
});

describe("trends", () => {
  it("have a place for every time, 0 where a tenant had no usage", () => {
    const at = (hour: number) => `2026-11-22T0${hour}:00:00Z`;
    const found = trends([
      { tenant: "a", time: at(1), cost: 5 },
      { tenant: "b", time: at(2), cost: 7 },
      { tenant: "a", time: at(3), cost: 6 },
    ]);
    expect(found.get("a")).toEqual([5, 0, 6]);
    expect(found.get("b")).toEqual([0, 7, 0]);
  });
});

describe("what caches saved", () => {
  const model = {
    model: "m",
    input_tokens: 1_000,
    cache_read_tokens: 600,
    cache_write_tokens: 100,
    cost_input: 3_000,
    cost_cache_read: 600,
  };

  it("is what the cached tokens would have cost as plain input, less what they cost", () => {
    // 300 plain tokens cost 3,000: 10 each. 600 cached ones would have cost 6,000.
    expect(cacheSaving([model])).toEqual({ nanos: 5_400, left: 0 });
  });

  it("says nothing of a model without plain input, and tells how much that is", () => {
    const only = { ...model, input_tokens: 700, cost_input: 0 };
    expect(cacheSaving([model, only])).toEqual({ nanos: 5_400, left: 600 });
  });

  it("keeps each model's own price", () => {
    const dear = { ...model, cost_input: 30_000, cost_cache_read: 6_000 };
    expect(cacheSaving([model, dear]).nanos).toBe(5_400 + 54_000);
  });
});
