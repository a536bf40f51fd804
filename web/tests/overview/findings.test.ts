import { describe, expect, it } from "vitest";
import type { Finding } from "@/pages/overview/api";
import { concerns, said } from "@/pages/overview/findings";

const finding = (kind: string, subject: string, details = {}): Finding =>
  ({ kind, subject, details }) as Finding;

describe("a finding", () => {
  const models = new Set(["gpt-5.6-sol"]);

  it("concerns a tenant when it is about a model that the tenant used", () => {
    expect(concerns(finding("catalogue_drift", "openai/gpt-5.6-sol input"), models)).toBe(true);
    expect(concerns(finding("estimate_drift", "x", { model: "gpt-5.6-sol" }), models)).toBe(true);
  });

  it("does not when only a part of the name is the same", () => {
    expect(concerns(finding("catalogue_drift", "openai/gpt-5.6-sol-mini input"), models)).toBe(
      false,
    );
  });

  it("of a kind that is not known still reads as words", () => {
    expect(said(finding("odd_thing", "")).title).toBe("odd thing");
  });
});
