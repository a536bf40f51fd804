import { describe, expect, it } from "vitest";
import { dimensionsOf, toggled, USUAL } from "@/pages/tenants/breakdown";
import { narrowed, tabOf } from "@/pages/tenants/scope";

describe("a tenant's page", () => {
  it("asks for its tenant whatever tenant the URL filters by, and keeps other filters", () => {
    const feature = { field: "feature", op: "eq", value: "chat" } as const;
    const other = { field: "tenant", op: "in", value: ["a", "b"] } as const;
    expect(narrowed([{ ...other, value: ["a", "b"] }, feature], "acme")).toEqual([
      feature,
      { field: "tenant", op: "eq", value: "acme" },
    ]);
  });

  it("opens its overview for a tab that is none", () => {
    expect(tabOf("limits")).toBe("limits");
    expect(tabOf("secrets")).toBe("overview");
  });
});

describe("a breakdown", () => {
  it("takes up to three known dimensions of the URL, each once, in their order", () => {
    expect(dimensionsOf(["model", "drop table", "model", "user"])).toEqual(["model", "user"]);
    expect(dimensionsOf([])).toEqual(USUAL);
    expect(dimensionsOf(["model", "user", "agent", "feature"])).toHaveLength(3);
  });

  it("lets the oldest go for a fourth, and keeps the last one", () => {
    expect(toggled(["feature", "agent", "model"], "user")).toEqual(["agent", "model", "user"]);
    expect(toggled(["feature", "agent"], "feature")).toEqual(["agent"]);
    expect(toggled(["agent"], "agent")).toEqual(["agent"]);
  });
});
