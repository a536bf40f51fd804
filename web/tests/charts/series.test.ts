import { describe, expect, it } from "vitest";
import type { Answer } from "@/api/question";
import { flow, OTHERS, tree } from "@/charts/flow";
import { escaped, REST, timeline } from "@/charts/series";

const HOUR = 3_600_000_000;
const answer = (rows: Answer["rows"]): Answer => ({
  columns: [],
  rows,
  source: "",
  from: "",
  to: "",
});

describe("a timeline", () => {
  it("fills the hours in which there was nothing", () => {
    const rows = [
      { time: "2026-11-22T00:00:00Z", model: "a", cost: 5 },
      { time: "2026-11-22T03:00:00Z", model: "a", cost: 7 },
    ];
    const found = timeline(answer(rows), {
      metric: "cost",
      by: "model",
      grain: "hour",
      zone: "UTC",
    });
    expect(found.series[0]?.values).toEqual([5, 0, 0, 7]);
    expect((found.times[1] ?? 0) - (found.times[0] ?? 0)).toBe(HOUR);
  });

  it("fills days too, over a change of clocks", () => {
    const rows = [
      { time: "2026-10-23T22:00:00Z", model: "a", cost: 1 },
      { time: "2026-10-26T23:00:00Z", model: "a", cost: 2 },
    ];
    const found = timeline(answer(rows), {
      metric: "cost",
      by: "model",
      grain: "day",
      zone: "Europe/Berlin",
    });
    expect(found.series[0]?.values).toEqual([1, 0, 0, 2]);
  });

  it("keeps the largest by name, and the sum of the others", () => {
    const rows = Array.from({ length: 15 }, (_, at) => ({
      time: "2026-11-22T00:00:00Z",
      model: `m${at}`,
      cost: at + 1,
    }));
    const found = timeline(answer(rows), {
      metric: "cost",
      by: "model",
      grain: "hour",
      zone: "UTC",
      top: 4,
    });
    expect(found.series.map((one) => [one.name, one.total])).toEqual([
      ["m14", 15],
      ["m13", 14],
      ["m12", 13],
      [REST, 78],
    ]);
    expect(found.series.reduce((sum, one) => sum + one.total, 0)).toBe(120);
  });
});

describe("a flow", () => {
  const rows = [
    { tenant: "a", model: "x", cost: 6 },
    { tenant: "a", model: "y", cost: 3 },
    { tenant: "b", model: "x", cost: 1 },
  ];

  it("carries every amount from level to level", () => {
    const { nodes, links } = flow(rows, ["tenant", "model"], "cost");
    const level = (at: number) =>
      nodes.filter((n) => n.level === at).reduce((sum, n) => sum + n.value, 0);
    expect([level(0), level(1)]).toEqual([10, 10]);
    expect(links.reduce((sum, link) => sum + link.value, 0)).toBe(10);
  });

  it("keeps names of different levels apart", () => {
    const same = flow([{ tenant: "x", model: "x", cost: 1 }], ["tenant", "model"], "cost");
    expect(new Set(same.nodes.map((node) => node.id)).size).toBe(2);
  });

  it("puts what is small together", () => {
    const { nodes } = flow(rows, ["tenant", "model"], "cost", 1);
    expect(nodes.map((node) => [node.label, node.value])).toEqual([
      ["a", 9],
      ["x", 7],
      [OTHERS, 3],
      [OTHERS, 1],
    ]);
  });
});

it("a tree's nodes are the sums of their children", () => {
  const [root] = tree(
    [
      { tenant: "a", model: "x", cost: 6 },
      { tenant: "a", model: "y", cost: 3 },
    ],
    ["tenant", "model"],
    "cost",
  );
  expect(root).toMatchObject({ name: "a", value: 9, children: [{ value: 6 }, { value: 3 }] });
});

it("names cannot bring markup into a tooltip", () => {
  expect(escaped(`<img src=x onerror="1">&'`)).not.toMatch(/[<>"']/);
});
