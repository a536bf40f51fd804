import { describe, expect, it } from "vitest";
import {
  every,
  icicle,
  openByDefault,
  partOf,
  pathTo,
  rowsOf,
  type TreeNode,
  timeTicks,
  tintOrder,
} from "@/pages/requests/tree";

let next = 0;

function node(kind: TreeNode["kind"], cost: number, part: Partial<TreeNode> = {}): TreeNode {
  next += 1;
  const event = kind === "call" || kind === "attempt" || kind === "tool";
  return {
    kind,
    name: `${kind} ${next}`,
    cost_nanos: cost,
    own_cost_nanos: cost,
    started_at: 0,
    ended_at: 1_000,
    status: "ok",
    children: [],
    ...(event && !part.children ? { event_id: `e${next}` } : {}),
    ...part,
  };
}

const request = (children: TreeNode[]) =>
  node(
    "request",
    children.reduce((sum, one) => sum + one.cost_nanos, 0),
    { children },
  );

const byName = (root: ReturnType<typeof partOf>, name: string) => {
  const found = every(root).find((part) => part.node.name === name);
  if (!found) throw new Error(`no part ${name}`);
  return found;
};

describe("parts", () => {
  it("keep their ids when the request grows in front of them", () => {
    const call = node("call", 5, { name: "kept" });
    const agent = (children: TreeNode[]) =>
      node("agent", 5, { agent_path: "a", span_id: "s", children });
    const before = byName(partOf(request([agent([call])])), "kept");
    const after = byName(partOf(request([agent([node("call", 1), call])])), "kept");
    expect(after.id).toBe(before.id);
    expect(after.parent?.id).toBe(before.parent?.id);
  });

  it("have ids of their own, a call of attempts and two runs of one agent too", () => {
    const twice = ["s1", "s2"].map((span_id) =>
      node("agent", 2, {
        agent_path: "a",
        span_id,
        children: [node("call", 2, { children: [node("attempt", 1), node("attempt", 1)] })],
      }),
    );
    const parts = every(partOf(request(twice)));
    expect(new Set(parts.map((part) => part.id)).size).toBe(parts.length);
    expect(parts).toHaveLength(9);
  });

  it("add up tokens and count the attempts of a call from 1", () => {
    const call = node("call", 3, {
      name: "both",
      children: [
        node("attempt", 1, { usage: { input: 10, input_cache_read: 5, output: 2 } }),
        node("attempt", 2, { usage: { input: 7, output: 3, output_reasoning: 4, web_search: 9 } }),
      ],
    });
    const root = partOf(request([call]));
    const both = byName(root, "both");
    expect([both.tokensIn, both.tokensOut]).toEqual([22, 9]);
    expect([root.tokensIn, root.tokensOut]).toEqual([22, 9]);
    expect(both.children.map((part) => part.attempt)).toEqual([1, 2]);
    expect(both.below).toBe(2);
    expect(pathTo(both).map((part) => part.node.kind)).toEqual(["request", "call"]);
  });
});

describe("the icicle", () => {
  it("gives each part the width of its cost, the dearest first", () => {
    const root = partOf(request([node("call", 1), node("call", 3, { name: "dear" })]));
    const below = icicle(root).filter((box) => box.row === 1);
    expect(below.map((box) => [box.part.node.cost_nanos, box.left, box.width])).toEqual([
      [3, 0, 0.75],
      [1, 0.75, 0.25],
    ]);
  });

  it("draws what is too narrow as one box with its whole cost", () => {
    const small = Array.from({ length: 500 }, () => node("call", 1));
    const root = partOf(request([node("call", 9_500), ...small]));
    const below = icicle(root).filter((box) => box.row === 1);
    expect(below).toHaveLength(2);
    expect(below[1]).toMatchObject({ merged: 500, cost: 500 });
    expect((below[0]?.width ?? 0) + (below[1]?.width ?? 0)).toBeCloseTo(1);
  });

  it("draws a loop of one call as one box of its name", () => {
    const loop = Array.from({ length: 400 }, () => node("call", 2, { name: "search" }));
    const odd = [node("call", 1), node("call", 1)];
    const root = partOf(request([node("call", 198), ...loop, ...odd]));
    const below = icicle(root).filter((box) => box.row === 1);
    expect(below.map((box) => [box.merged, box.cost])).toEqual([
      [0, 198],
      [400, 800],
      [2, 2],
    ]);
    expect(below[1]?.name).toBe("search");
    expect(below[2]?.name).toBe("");
  });

  it("has a bounded number of boxes for ten thousand parts", () => {
    const calls = Array.from({ length: 10_000 }, (_, at) => node("call", 1 + (at % 7)));
    expect(icicle(partOf(request(calls))).length).toBeLessThan(300);
  });

  it("leaves parts without a cost out, and never goes beyond the whole", () => {
    const root = partOf(
      node("request", 60, {
        // An adjustment took 40 of it back.
        children: [node("call", 100), node("call", -40), node("tool", 0)],
      }),
    );
    const boxes = icicle(root);
    expect(boxes.map((box) => box.part.node.cost_nanos)).toEqual([60, 100]);
    expect(boxes[1]?.width).toBe(1);
  });

  it("shows what is above the zoom as wide as all", () => {
    const agent = node("agent", 4, { name: "in", agent_path: "a", children: [node("call", 4)] });
    const root = partOf(request([agent, node("call", 96)]));
    const boxes = icicle(byName(root, "in"));
    expect(boxes.map((box) => [box.row, box.width])).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ]);
  });
});

describe("folds", () => {
  it("open a small tree whole", () => {
    const root = partOf(
      request([node("agent", 1, { agent_path: "a", children: [node("call", 1)] })]),
    );
    const open = openByDefault(root);
    expect(rowsOf(root, (part) => open.has(part.id))).toHaveLength(3);
  });

  it("keep a large tree to a bounded number of rows, its first level always in sight", () => {
    const agents = Array.from({ length: 20 }, (_, at) =>
      node("agent", 50, {
        agent_path: `a${at}`,
        children: Array.from({ length: 50 }, () => node("call", 1)),
      }),
    );
    const root = partOf(request(agents));
    const open = openByDefault(root, 150);
    const rows = rowsOf(root, (part) => open.has(part.id));
    expect(rows.length).toBeLessThanOrEqual(150);
    expect(rows.filter((part) => part.depth === 1)).toHaveLength(20);
  });
});

it("colours go to the dearest keys by the cost of events, not of their sums", () => {
  const usage = [node("call", 5, { model: "small" }), node("call", 9, { model: "large" })];
  const root = partOf(request([node("agent", 14, { agent_path: "a", children: usage })]));
  expect(tintOrder(every(root), "model")).toEqual(["large", "small"]);
  expect(tintOrder(every(root), "model", 1)).toEqual(["large"]);
});

it("ticks are round and within the length", () => {
  expect(timeTicks(9_300_000)).toEqual([0, 2_000_000, 4_000_000, 6_000_000, 8_000_000]);
  expect(timeTicks(26 * 60_000_000, 4)).toEqual([0, 600_000_000, 1_200_000_000]);
  expect(timeTicks(0)).toEqual([0]);
});
