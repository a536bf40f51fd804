import { expect, it } from "vitest";
import { dueIn } from "@/api/live";

const query = (dataUpdatedAt: number, every?: number) =>
  ({
    meta: every === undefined ? {} : { every },
    state: { dataUpdatedAt, errorUpdatedAt: 0, status: "success" },
  }) as never;

it("a query is asked again at once when its pause is over", () => {
  expect(dueIn(query(1_000, 2_000), 3_500, 3_500)).toBe(0);
});

it("a query that was just asked waits for the rest of its pause, and is not forgotten", () => {
  expect(dueIn(query(3_000, 2_000), 3_500, 3_500)).toBe(1_500);
});

it("a query that has been asked since the tick is left alone", () => {
  expect(dueIn(query(3_600, 2_000), 3_500, 9_000)).toBeNull();
});

it("a query that does not follow the ticks is left alone", () => {
  expect(dueIn(query(0), 3_500, 9_000)).toBeNull();
});

it("a query that failed rests, so that what went wrong can be read", () => {
  const failed = {
    meta: { every: 2_000 },
    state: { dataUpdatedAt: 0, errorUpdatedAt: 1_000, status: "error" },
  };
  expect(dueIn(failed as never, 3_500, 3_500)).toBe(12_500);
});
