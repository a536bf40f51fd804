import { describe, expect, it } from "vitest";
import { amountOf, documentAmount, shownAmount } from "@/pages/limits/amounts";
import {
  counterWords,
  differences,
  type Limit,
  readScopeKey,
  scopeWords,
  sentence,
  windowWords,
} from "@/pages/limits/words";

const limit = (part: Partial<Limit> = {}): Limit => ({
  id: "tenant-day",
  metric: "cost",
  amount: "25.00",
  window: "day",
  scope: { tenant: "each" },
  thresholds: [
    { at: "100%", action: "block" },
    { at: "80%", action: "warn" },
  ],
  mode: "enforce",
  on_unreachable: "open",
  ...part,
});

describe("amounts", () => {
  it("are nano-dollars exactly, beyond what a number holds", () => {
    expect(amountOf("123456789.000000001", "cost")).toBe(123_456_789_000_000_001n);
    expect(amountOf("0.1", "cost")).toBe(100_000_000n);
    expect(amountOf(5, "cost")).toBe(5_000_000_000n);
  });
  it("are refused where a document refuses them", () => {
    for (const text of ["5,5", "1.0000000001", "-1", "", "1e3", "."])
      expect(amountOf(text, "cost")).toBeNull();
    expect(amountOf("1.5", "calls")).toBeNull();
  });
  it("are written back as they are read", () => {
    for (const text of ["25.00", "0.000000001", "999999999999.10"])
      expect(documentAmount(amountOf(text, "cost") as bigint, "cost")).toBe(text);
    expect(documentAmount(7, "calls")).toBe("7");
  });
  it("say what is counted", () => {
    expect(shownAmount(1, "calls", { noun: true })).toBe("1 call");
    expect(shownAmount(1_500_000, "tokens", { noun: true })).toBe("1,500,000 tokens");
    expect(shownAmount(25_000_000_000, "cost", { noun: true })).toBe("$25.00");
    expect(shownAmount(null, "cost")).toBe("–");
  });
});

describe("a limit in words", () => {
  it("is one sentence, with its rungs from the lowest", () => {
    expect(sentence(limit())).toBe(
      "For each tenant, cost of at most $25.00 per day; warn at 80 %, block at 100 %.",
    );
  });
  it("says what a rung needs, and that a shadow only watches", () => {
    const said = sentence(
      limit({
        mode: "shadow",
        window: "rate 1m",
        burst: "50",
        thresholds: [
          { at: "50%", action: "downgrade", models: { a: "b" } },
          { at: "100%", action: "throttle", delay_ms: 5000 },
        ],
      }),
    );
    expect(said).toBe(
      "For each tenant, cost of at most $25.00 per 1 min, refilled steadily, $50.00 of it at once; " +
        "ask a cheaper model (a → b) at 50 %, make calls wait up to 5.00 s at 100 %. It only watches.",
    );
  });
  it("has no window for calls at once", () => {
    const said = sentence(limit({ metric: "concurrent_calls", amount: 4, window: undefined }));
    expect(said).toContain("at most 4 calls at once; warn");
  });
  it("tells each value alone from several together", () => {
    expect(scopeWords({ plan: "free", tenant: "each" })).toBe("each tenant, only plan free");
    expect(scopeWords({ model: ["a", "b", "c"] })).toBe("models a, b and c together");
    expect(scopeWords({ agent: { each: ["a", "b"] } })).toBe("each of the agents a and b");
    expect(scopeWords(undefined)).toBe("all calls together");
  });
  it("names windows", () => {
    expect(windowWords("rolling 24h")).toBe("in any 24 h");
    expect(windowWords("month")).toBe("per month");
    expect(windowWords(undefined)).toBe("at every moment");
  });
  it("reads scope keys", () => {
    expect(readScopeKey('[["tenant","acme"],["agent","web"]]')).toEqual({
      tenant: "acme",
      agent: "web",
    });
    expect(counterWords(readScopeKey("[]"))).toBe("all together");
    expect(readScopeKey("{")).toEqual({ scope: "{" });
  });
});

describe("what changed between versions", () => {
  it("is only what differs", () => {
    const after = limit({ amount: "50.00", mode: "shadow" });
    expect(differences(limit(), after)).toEqual([
      { what: "Amount", was: "$25.00", now: "$50.00" },
      { what: "Mode", was: "enforce", now: "shadow" },
    ]);
  });
  it("does not count another order of the same rungs", () => {
    expect(differences(limit(), limit({ thresholds: [...limit().thresholds].reverse() }))).toEqual(
      [],
    );
  });
  it("shows an amount of the same text in another unit as another amount", () => {
    const calls = limit({ metric: "calls", amount: 25 });
    expect(differences(limit({ amount: "25" }), calls)[0]).toEqual({
      what: "Amount",
      was: "$25.00",
      now: "25 calls",
    });
  });
  it("shows a parameter of a rung that changed", () => {
    const throttle = (delay_ms: number) =>
      limit({ thresholds: [{ at: "100%", action: "throttle", delay_ms }] });
    expect(differences(throttle(1000), throttle(2000)).map((one) => one.what)).toEqual(["Ladder"]);
  });
});
