import { expect, it } from "vitest";
import { toCsv } from "@/lib/csv";

it("quotes what holds a separator, and doubles quotes", () => {
  expect(toCsv(["a", "b"], [['x,"y"', "two\nlines"]])).toBe('a,b\r\n"x,""y""","two\nlines"');
});

it("keeps names from being read as formulas, and leaves numbers alone", () => {
  expect(toCsv(["n"], [["=HYPERLINK(1)"], ["@x"], ["-1+1"], [-5], [12n]])).toBe(
    "n\r\n'=HYPERLINK(1)\r\n'@x\r\n'-1+1\r\n-5\r\n12",
  );
});

it("lets no formula begin behind what separates cells elsewhere", () => {
  expect(toCsv(["n"], [["a;=1+1"], ["a\n@x"], ["＝1"], ["\n=1"], ["\t =1"], ["a-b = c"]])).toBe(
    'n\r\n"a;\'=1+1"\r\n"a\n\'@x"\r\n\'＝1\r\n"\n\'=1"\r\n"\'\t =1"\r\na-b = c',
  );
});

it("writes what is not known as nothing", () => {
  expect(toCsv(["n"], [[null], [undefined]])).toBe("n\r\n\r\n");
});
