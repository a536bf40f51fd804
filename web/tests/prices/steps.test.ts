import { describe, expect, it } from "vitest";
import { DAY } from "@/lib/time";
import type { Rate } from "@/pages/prices/rates";
import { beliefs, unitSteps, winner } from "@/pages/prices/steps";
import { rate } from "./rows";

const NOW = 1_000 * DAY;
const nanos = (rows: Rate[], tenant = "") =>
  unitSteps(rows, NOW, tenant)[0]?.steps.map((step) => [step.at / DAY, step.nanos]);

describe("the row that wins at an instant", () => {
  it("holds from its start up to, not at, its end", () => {
    const row = rate({ valid_from: 10, valid_to: 20 });
    expect(winner([row], 10)).toBe(row);
    expect(winner([row], 19)).toBe(row);
    expect(winner([row], 20)).toBeNull();
  });
  it("is a tenant's own before the general one of its layer, and a stronger layer before both", () => {
    const general = rate({ layer: "contract" });
    const own = rate({ layer: "contract", tenant: "acme" });
    expect(winner([general, own], 5)).toBe(own);
    const override = rate({ layer: "override", tenant: "acme" });
    expect(winner([general, override], 5)).toBe(general);
  });
});

describe("steps of a price", () => {
  it("change where a price changes, and end now", () => {
    const rows = [
      rate({ nanos_per_million: 4, valid_from: 900 * DAY, valid_to: 950 * DAY }),
      rate({ nanos_per_million: 3, valid_from: 950 * DAY }),
    ];
    expect(nanos(rows)).toEqual([
      [880, null],
      [900, 4],
      [950, 3],
      [1000, 3],
    ]);
  });
  it("leave out what is believed no longer, and what holds under conditions", () => {
    const rows = [
      rate({ nanos_per_million: 4, superseded_at: 5 }),
      rate({ nanos_per_million: 2, batch: true }),
      rate({ nanos_per_million: 3 }),
    ];
    expect(nanos(rows)).toEqual([
      [880, 3],
      [1000, 3],
    ]);
  });
  it("follow a tenant's contract only for that tenant", () => {
    const rows = [
      rate({ nanos_per_million: 4 }),
      rate({ nanos_per_million: 3, layer: "contract", tenant: "acme", valid_from: 980 * DAY }),
    ];
    expect(nanos(rows)?.at(-1)).toEqual([1000, 4]);
    expect(nanos(rows, "acme")?.at(-1)).toEqual([1000, 3]);
  });
});

describe("what was believed", () => {
  it("is grouped by when and by whom it was recorded, the newest first", () => {
    const rows = [
      rate({ recorded_at: 5, unit: "output", superseded_at: 9 }),
      rate({ recorded_at: 5, unit: "input" }),
      rate({ recorded_at: 9, layer: "override", source: "order form" }),
    ];
    const found = beliefs(rows);
    expect(found.map((one) => [one.at, one.rows.length, one.superseded])).toEqual([
      [9, 1, 0],
      [5, 2, 1],
    ]);
    expect(found[1]?.rows.map((row) => row.unit)).toEqual(["input", "output"]);
  });
});
