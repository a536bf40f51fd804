import { describe, expect, it } from "vitest";
import { convert, DOLLARS, decimal, digitsFor, money, plotted } from "@/lib/money";

const EUR = { code: "EUR", perUsdPpb: 914_200_000, validFrom: 1 };
const JPY = { code: "JPY", perUsdPpb: 151_230_000_000, validFrom: 1 };
const us = (nanos: number | bigint, style?: "auto" | "compact" | "exact") =>
  money(nanos, DOLLARS, style, "en-US");

describe("amounts", () => {
  it("are exact where a float would not be", () => {
    expect(us(9_007_199_254_740_993_123n, "exact")).toBe("$9,007,199,254.740993123");
    expect(us(1, "exact")).toBe("$0.000000001");
  });

  it("below a dollar keep three leading digits, so that a call's cost never reads as nothing", () => {
    expect(us(123_456)).toBe("$0.000123");
    expect(us(1)).toBe("$0.000000001");
    expect(us(999_999_999)).toBe("$1.000");
    expect(us(45_600_000)).toBe("$0.0456");
    expect(us(456_000_000)).toBe("$0.456");
  });

  it("from a dollar on have cents", () => {
    expect(us(1_000_000_000)).toBe("$1.00");
    expect(us(1_234_567_890_000)).toBe("$1,234.57");
    expect(us(0)).toBe("$0.00");
  });

  it("below zero keep their sign", () => {
    expect(us(-45_600_000)).toBe("-$0.0456");
    expect(us(-1_500_000_000)).toBe("-$1.50");
  });

  it("are short where there is little room", () => {
    expect(us(12_345_000_000_000, "compact")).toBe("$12.3K");
    expect(us(999_000_000_000, "compact")).toBe("$999.00");
  });

  it("that nobody knows are a dash, never zero", () => {
    expect(money(null)).toBe("–");
    expect(money(undefined)).toBe("–");
  });
});

describe("currencies", () => {
  it("are converted in integers, halves to even", () => {
    expect(convert(1_000_000_000, EUR)).toBe(914_200_000n);
    const half = { code: "XXX", perUsdPpb: 500_000_000, validFrom: 1 };
    expect([1, 3, 5, -1, -3].map((n) => convert(n, half))).toEqual([0n, 2n, 2n, 0n, -2n]);
  });

  it("are the sum of their parts to within a half of a nano each", () => {
    for (let seed = 1; seed < 400; seed += 7) {
      const parts = [seed * 7_919, seed * 104_729, seed * 1_299_709];
      const whole = convert(
        parts.reduce((a, b) => a + b, 0),
        EUR,
      );
      const sum = parts.map((part) => convert(part, EUR)).reduce((a, b) => a + b, 0n);
      expect(Math.abs(Number(whole - sum))).toBeLessThanOrEqual(2);
    }
  });

  it("without cents are shown without them", () => {
    expect(money(10_000_000_000, JPY, "auto", "en-US")).toBe("¥1,512");
  });
});

describe("digits", () => {
  it("grow as amounts shrink, up to the nano", () => {
    expect([0n, 10n ** 9n, 10n ** 8n, 10n ** 7n, 10n ** 5n, 1n].map(digitsFor)).toEqual([
      2, 2, 3, 4, 6, 9,
    ]);
  });
});

it("decimal text has every digit", () => {
  expect(decimal(-1_500_000_001n)).toBe("-1.500000001");
  expect(plotted(1_500_000_000)).toBe(1.5);
  expect(plotted(null)).toBe(0);
});
