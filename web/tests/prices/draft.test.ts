import { describe, expect, it } from "vitest";
import type { Finding } from "@/pages/prices/api";
import { itemsOf, neededUnits, problemOf, standing, startOf } from "@/pages/prices/draft";
import { comparedOf } from "@/pages/prices/findings";
import { rate } from "./rows";

const draft = startOf({ provider: " vllm ", model: "qwen", units: ["input", "output"] });

describe("a price that is written", () => {
  it("goes out as the text it was written as, with only what was said", () => {
    const units = [{ unit: "input", price: " 0.1000000001 ", per: "1000000" }];
    expect(itemsOf({ ...draft, units }, "UTC")).toEqual([
      {
        provider: "vllm",
        model: "qwen",
        unit: "input",
        price: "0.1000000001",
        per: 1_000_000,
        layer: "override",
      },
    ]);
  });
  it("holds from the viewer's own midnight", () => {
    const [item] = itemsOf({ ...draft, from: "2026-11-20T00:00" }, "Europe/Berlin");
    expect(item?.valid_from).toBe("2026-11-19T23:00:00.000Z");
  });
  it("names a tenant only in a contract", () => {
    expect(itemsOf({ ...draft, tenant: "acme" }, "UTC")[0]).not.toHaveProperty("tenant");
    expect(itemsOf({ ...draft, tenant: "acme", layer: "contract" }, "UTC")[0]?.tenant).toBe("acme");
  });
  it("needs the units that were used", () => {
    expect(neededUnits({ input_tokens: 5, cache_write_tokens: 0, output_tokens: 1 })).toEqual([
      "input",
      "output",
    ]);
  });
  it("finds the row that a problem is about", () => {
    expect(problemOf("rates[2]")).toBe(2);
    expect(problemOf("sell[2]")).toBeNull();
    expect(problemOf(undefined)).toBeNull();
  });
});

describe("what holds in the place of a new row", () => {
  const made = rate({ layer: "override", nanos_per_million: 3 });
  it("is the row that wins for the same calls, of any layer", () => {
    const now = rate({ nanos_per_million: 4 });
    expect(standing([now, rate({ batch: true }), rate({ model: "gpt-4" })], made, 10)).toBe(now);
  });
  it("is no other tenant's", () => {
    expect(standing([rate({ tenant: "acme", layer: "contract" })], made, 10)).toBeNull();
  });
  it("is looked for when the new one begins", () => {
    const later = rate({ valid_from: 100, nanos_per_million: 5 });
    expect(standing([later], { ...made, valid_from: 100 }, 10)).toBe(later);
    expect(standing([later], made, 10)).toBeNull();
  });
});

describe("a finding's two sides", () => {
  const finding = (kind: string, details: Record<string, unknown>): Finding => ({
    kind, subject: "x", details, first_at: 1, last_at: 1, times: 1, resolved_at: null,
  }); // biome-ignore format: a row
  it("are prices where catalogues differ", () => {
    const details = { unit: "input", ours: 4_000_000_000, theirs: 5_000_000_000, percent: 25 };
    expect(comparedOf(finding("catalogue_drift", details))).toMatchObject({
      ours: "$4.00 per 1M",
      theirs: "$5.00 per 1M",
      percent: 25,
    });
  });
  it("say how much more theirs is, where a provider stated its cost", () => {
    const details = { list_nanos: 2_000_000_000, stated_nanos: 3_000_000_000, percent: -33.3 };
    expect(comparedOf(finding("stated_drift", details))).toMatchObject({
      ours: "$2.00",
      theirs: "$3.00",
      percent: 33.3,
    });
  });
  it("are what was held and what it cost, for estimates", () => {
    const details = { estimated_nanos: 1_000_000_000, actual_nanos: 3_000_000_000 };
    expect(comparedOf(finding("estimate_drift", details)).percent).toBe(200);
  });
  it("are nothing where a finding has none", () => {
    expect(comparedOf(finding("usage_drift", {}))).toMatchObject({ ours: "", percent: null });
  });
});
