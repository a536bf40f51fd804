import { describe, expect, it } from "vitest";
import { fromWall, wallTime } from "@/lib/time";

const at = (iso: string) => Date.parse(iso) * 1000;

describe("date-time fields in a zone", () => {
  it("read as that zone's clock, in summer and winter", () => {
    expect(fromWall("2026-07-01T10:30", "Europe/Berlin")).toBe(at("2026-07-01T08:30:00Z"));
    expect(fromWall("2026-11-22T10:30", "Europe/Berlin")).toBe(at("2026-11-22T09:30:00Z"));
    expect(fromWall("2026-11-22T10:30", "UTC")).toBe(at("2026-11-22T10:30:00Z"));
  });
  it("read right on both sides of a change of clocks", () => {
    expect(fromWall("2026-10-25T01:30", "Europe/Berlin")).toBe(at("2026-10-24T23:30:00Z"));
    expect(fromWall("2026-10-25T03:30", "Europe/Berlin")).toBe(at("2026-10-25T02:30:00Z"));
    expect(fromWall("2026-03-08T03:30", "America/New_York")).toBe(at("2026-03-08T07:30:00Z"));
  });
  it("take a day as its midnight, and nothing as nothing", () => {
    expect(fromWall("2026-11-20", "Asia/Tokyo")).toBe(at("2026-11-19T15:00:00Z"));
    expect(fromWall("", "UTC")).toBeNull();
    expect(fromWall("soon", "UTC")).toBeNull();
  });
  it("are written back as they were read", () => {
    for (const zone of ["UTC", "Asia/Kathmandu", "America/St_Johns"])
      expect(wallTime(fromWall("2026-11-22T00:05", zone) ?? 0, zone)).toBe("2026-11-22T00:05");
  });
});
