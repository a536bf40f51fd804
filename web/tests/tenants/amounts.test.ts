import { describe, expect, it } from "vitest";
import { ApiError } from "@/api/client";
import { DOLLARS } from "@/lib/money";
import { amountBody, amountText, documentText, fieldText } from "@/pages/tenants/amounts";
import { wrongAt } from "@/pages/tenants/forms";

describe("an amount of a limit", () => {
  it("stands in a field as people write it", () => {
    expect(fieldText(60_000_000_000, "cost")).toBe("60.00");
    expect(fieldText(1_234_500_000, "cost")).toBe("1.2345");
    expect(fieldText(12_500_000, "credits")).toBe("12.5");
    expect(fieldText(20_000_000, "credits")).toBe("20");
    expect(fieldText(4_000, "tokens")).toBe("4000");
    expect(documentText("25.00", "cost")).toBe("25.00");
    expect(documentText(2_500_000, "credits")).toBe("2.5");
  });

  it("goes to the API exactly: dollars as text, credits in millionths", () => {
    expect(amountBody(" 0.1 ", "cost")).toBe("0.1");
    expect(amountBody("12.5", "credits")).toBe("12500000");
    expect(amountBody("0.000001", "credits")).toBe("1");
    expect(amountBody("9007199254740993", "tokens")).toBe("9007199254740993");
  });

  it("comes back as it went, to the last nano-dollar", () => {
    expect(amountBody(fieldText(1_000_000_000, "cost"), "cost")).toBe("1.00");
    expect(amountBody(fieldText(1, "cost"), "cost")).toBe("0.000000001");
  });

  it("is refused when it is none", () => {
    for (const text of ["", "-1", "1e3", "1,5", "0.0000000001"]) {
      expect(amountBody(text, "cost")).toBeNull();
    }
    expect(amountBody("1.5", "calls")).toBeNull();
    expect(amountBody("0.0000001", "credits")).toBeNull();
  });

  it("reads with its unit", () => {
    expect(amountText(1_500_000_000, "cost", DOLLARS)).toMatch(/1\.50/);
    expect(amountText(2_000_000, "credits", DOLLARS)).toBe("2 credits");
    expect(amountText(3, "concurrent_calls", DOLLARS)).toBe("3 calls at once");
  });
});

describe("what the API said", () => {
  const error = new ApiError(400, "bad_request", "Too much.", "Less.", "limits[0].amount");

  it("stands at the field that it names, also inside of a document", () => {
    expect(wrongAt(error, "amount")).toBe("Too much. Less.");
    expect(wrongAt(error, "reason")).toBeNull();
    expect(wrongAt(new Error("amount"), "amount")).toBeNull();
  });
});
