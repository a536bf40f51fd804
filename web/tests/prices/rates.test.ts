import { describe, expect, it } from "vitest";
import {
  byModel,
  conditions,
  matchWords,
  perOf,
  priceText,
  type Rate,
  sameSell,
  scaled,
  sellName,
  sellText,
  splitId,
} from "@/pages/prices/rates";
import { rate, sell } from "./rows";

const shown = (rates: Rate[]) => byModel(rates)[0]?.shown;

describe("a model's columns", () => {
  it("show the general rate, not one under conditions, even of a stronger layer", () => {
    const rates = [
      rate({ layer: "override", tier: "priority", nanos_per_million: 9 }),
      rate({ nanos_per_million: 4 }),
    ];
    expect(shown(rates)?.input?.nanos_per_million).toBe(4);
  });
  it("show the strongest layer, then the youngest", () => {
    const rates = [
      rate({ valid_from: 5, nanos_per_million: 1 }),
      rate({ layer: "override", valid_from: 2, nanos_per_million: 2 }),
      rate({ layer: "override", valid_from: 3, nanos_per_million: 3 }),
    ];
    expect(shown(rates)?.input?.nanos_per_million).toBe(3);
    expect(byModel(rates)[0]?.layer).toBe("override");
  });
  it("never show one tenant's contract as everybody's price", () => {
    const [found] = byModel([rate(), rate({ layer: "contract", tenant: "acme" })]);
    expect(found?.shown.input?.tenant).toBe("");
    expect(found?.tenants).toEqual(["acme"]);
    expect(found?.layer).toBe("catalogue");
  });
  it("take the five-minute cache write where no plain one is there", () => {
    expect(shown([rate({ unit: "input_cache_write_5m" })])?.write?.unit).toBe(
      "input_cache_write_5m",
    );
  });
  it("list units without a column once", () => {
    const [found] = byModel([
      rate(),
      rate({ unit: "pages" }),
      rate({ unit: "pages", batch: true }),
    ]);
    expect(found?.others).toEqual(["pages"]);
  });
});

describe("prices as text", () => {
  it("keep every digit of a price in dollars", () => {
    expect(priceText(37_500_000)).toBe("$0.0375");
    expect(priceText(1_125_000_000)).toBe("$1.125");
    expect(priceText(4_000_000_000)).toBe("$4.00");
    expect(priceText(1)).toBe("$0.000000001");
  });
  it("say fees for a thousand, and what costs a dollar or more for each", () => {
    expect(perOf("web_search", 10_000_000_000_000)).toBe(1000);
    expect(priceText(10_000_000_000_000, 1000)).toBe("$10.00");
    expect(perOf("gpu_hours", 2_000_000_000_000_000)).toBe(1);
    expect(perOf("output", 2_000_000_000_000_000)).toBe(1_000_000);
  });
  it("convert at the rate, to four digits", () => {
    const euro = { code: "EUR", perUsdPpb: 914_200_000, validFrom: 1 };
    expect(priceText(4_000_000_000, 1_000_000, euro)).toBe("€3.657");
  });
  it("scale exactly beyond what a number holds", () => {
    expect(scaled(123_456_789_012_345_678n, 9)).toBe("123456789.012345678");
    expect(scaled(-5n, 2)).toBe("-0.05");
  });
});

describe("sell rows in words", () => {
  it("tell markup, credits and prices apart", () => {
    expect(sellText(sell({}))).toBe("1.30 × our cost");
    expect(sellText(sell({ out: "credits", per_million: 100_000 }))).toBe(
      "100.00 credits per dollar of our cost",
    );
    expect(sellText(sell({ unit: "calls", per_million: 4_000_000_000_000 }))).toBe("$0.004 each");
    expect(sellText(sell({ unit: "output", per_million: 25_000_000_000 }))).toBe("$25.00 per 1M");
    expect(sellText(sell({ unit: "calls", out: "credits", per_million: 1_500_000_000_000 }))).toBe(
      "1.50 credits each",
    );
  });
});

describe("a sell row that takes another's place", () => {
  it("is of the same tenant, plan and unit, whatever it charges", () => {
    const team = sell({ plan: "team", per_million: 1 });
    expect(sameSell(team, sell({ plan: "team", per_million: 2, valid_from: 5 }))).toBe(true);
    expect(sameSell(team, sell({ plan: "free" }))).toBe(false);
    expect(sameSell(team, sell({ plan: "team", out: "credits" }))).toBe(false);
    expect(sellName(team)).toBe("Sell our cost to plan team");
  });
});

describe("names", () => {
  it("split at the first slash only", () => {
    expect(splitId("openrouter/meta/llama")).toEqual({
      provider: "openrouter",
      model: "meta/llama",
    });
  });
  it("read a match clause, and leave what is not simple as it is", () => {
    expect(matchWords('{"or":[{"equals":"a"},{"starts_with":"b"}]}')).toEqual([
      "a",
      "begins with b",
    ]);
    expect(matchWords('{"and":[{"equals":"a"}]}')).toEqual(['{"and":[{"equals":"a"}]}']);
    expect(matchWords("no json")).toEqual(["no json"]);
  });
  it("say conditions in words", () => {
    expect(conditions(rate({ batch: true, tier: "flex", min_context: 272_001 }))).toEqual([
      "batch",
      "flex tier",
      "from 272,001 input tokens",
    ]);
    expect(conditions(rate())).toEqual([]);
  });
});
