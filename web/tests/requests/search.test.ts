import { describe, expect, it } from "vitest";
import type { View } from "@/lib/view";
import { bodyOf, brief, dollars, isNarrowed, merged, widened } from "@/pages/requests/search";

function viewOf(search: Record<string, string>, filters: View["filters"] = []): View {
  return {
    search,
    filters,
    zone: "UTC",
    window: { asked: { last: "24h" } },
    text: (key: string, usual = "") => search[key] || usual,
  } as unknown as View;
}

describe("an amount of dollars", () => {
  it.each([
    ["0.05", 50_000_000],
    ["12", 12_000_000_000],
    ["0.000000001", 1],
    [".5", 500_000_000],
    ["$1,25", 1_250_000_000],
    ["0", 0],
  ])("%s is read to the nano-dollar", (text, nanos) => {
    expect(dollars(text)).toBe(nanos);
  });

  it.each(["", ".", "1.0000000001", "-1", "1e3", "1.2.3", "ten", "12345678"])(
    "%s is none",
    (text) => {
      expect(dollars(text)).toBeNull();
    },
  );
});

describe("the question of a URL", () => {
  it("is of everything when nothing is said", () => {
    expect(bodyOf(viewOf({}))).toEqual({
      last: "24h",
      timezone: "UTC",
      filters: [],
      order: "newest",
    });
  });

  it("has the search in it, and leaves out what is no amount", () => {
    const search = { id: "req_1", outcome: "failed", order: "cost", cost_from: "1", cost_to: "x" };
    expect(bodyOf(viewOf(search))).toEqual({
      last: "24h",
      timezone: "UTC",
      filters: [{ field: "request", op: "prefix", value: "req_1" }],
      order: "cost",
      status: "failed",
      cost_from_nanos: 1_000_000_000,
    });
  });

  it("takes an order or an outcome that does not exist for the usual one", () => {
    const body = bodyOf(viewOf({ order: "loudest", outcome: "odd" }));
    expect(body.order).toBe("newest");
    expect(body.status).toBeUndefined();
  });

  it("can be cleared", () => {
    const view = viewOf({ outcome: "ok" }, [{ field: "tenant", op: "eq", value: "acme" }]);
    expect(isNarrowed(view)).toBe(true);
    expect(Object.keys(widened(view)).sort()).toEqual([
      "cost_from",
      "cost_to",
      "id",
      "outcome",
      "tenant",
    ]);
    expect(isNarrowed(viewOf({ last: "7d" }))).toBe(false);
  });
});

it("a request that two pages have is listed once", () => {
  const row = (request_id: string) => ({ request_id });
  const pages = [{ requests: [row("a"), row("b")] }, { requests: [row("b"), row("c")] }];
  expect(merged(pages).map((one) => one.request_id)).toEqual(["a", "b", "c"]);
});

it("an id is cut to its end, which tells neighbours apart", () => {
  expect(brief("019ab-1234567890-abcdefgh")).toBe("…abcdefgh");
  expect(brief("req_1")).toBe("req_1");
});
