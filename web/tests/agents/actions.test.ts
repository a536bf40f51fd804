import { describe, expect, it } from "vitest";
import { binOf, inSight, placesOf, spread } from "@/pages/agents/actions";

const bin = (from_nanos: number | null, to_nanos: number | null, requests = 0) => ({
  from_nanos,
  to_nanos,
  requests,
});

describe("bins", () => {
  const bins = [
    bin(null, 10),
    bin(10, 20),
    bin(20, 50, 3),
    bin(50, 100),
    bin(100, 200, 1),
    bin(200, 500),
    bin(500, null),
  ];

  it("are shown from the first that holds a request to the last, with one beside each", () => {
    expect(spread(bins).map((one) => one.from_nanos)).toEqual([10, 20, 50, 100, 200]);
    expect(spread(bins.map((one) => ({ ...one, requests: 0 })))).toEqual([]);
    expect(spread([bin(null, 10, 1)])).toHaveLength(1);
  });

  it("hold their begin and not their end", () => {
    expect(binOf(bins, 20)).toBe(2);
    expect(binOf(bins, 49)).toBe(2);
    expect(binOf(bins, 50)).toBe(3);
    expect(binOf(bins, -1)).toBe(0);
    expect(binOf(bins, 9_999)).toBe(6);
    expect(binOf(bins.slice(1, 3), 9_999)).toBe(-1);
  });
});

describe("the tree of agents", () => {
  const row = (path: string, cost: number) => ({ path, cost, calls: 1, errors: 0 });

  it("adds up what is below, and makes parents that ran nothing", () => {
    const places = placesOf([
      row("plan/read/web", 5),
      row("plan", 2),
      row("plan/write", 9),
      row("x", 1),
    ]);
    const plan = places[0];
    expect(places.map((place) => [place.path, place.cost])).toEqual([
      ["plan", 16],
      ["x", 1],
    ]);
    expect(plan).toMatchObject({ own: 2, calls: 3 });
    expect(plan?.children.map((place) => [place.path, place.own, place.cost, place.depth])).toEqual(
      [
        ["plan/write", 9, 9, 1],
        ["plan/read", 0, 5, 1],
      ],
    );
  });

  it("hides what is below a folded place and nothing else", () => {
    const places = placesOf([row("a/b/c", 3), row("a/d", 2), row("e", 1)]);
    const paths = (folded: string[]) => inSight(places, new Set(folded)).map((one) => one.path);
    expect(paths([])).toEqual(["a", "a/b", "a/b/c", "a/d", "e"]);
    expect(paths(["a/b"])).toEqual(["a", "a/b", "a/d", "e"]);
    expect(paths(["a"])).toEqual(["a", "e"]);
  });

  it("keeps what has no agent as a place without a name", () => {
    expect(placesOf([row("", 4), row("a", 1)]).map((one) => [one.path, one.cost])).toEqual([
      ["", 4],
      ["a", 1],
    ]);
  });
});
