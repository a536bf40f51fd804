/** What a finding compares, in words and amounts. */

import { type Currency, DOLLARS, money } from "@/lib/money";
import type { Finding } from "./api";
import { perOf, perText, priceText } from "./rates";

/** A kind's name, and what it means. */
export const KINDS: Record<string, readonly [string, string]> = {
  catalogue_drift: ["Catalogues differ", "A second catalogue states another price"],
  stated_drift: ["Provider states otherwise", "A provider stated another cost than the list price"],
  usage_drift: ["Unknown usage", "A usage key that no convention here knows"],
  estimate_drift: ["Estimates are off", "Calls cost far more or less than was held for them"],
};

export interface Compared {
  ours: string;
  theirs: string;
  /** Whose `theirs` is. */
  whose: string;
  /** How much more theirs is, in percent of ours. */
  percent: number | null;
}

const whole = (value: unknown): number | null => (typeof value === "number" ? value : null);

/** Return a finding's two sides; empty text where it has none. */
export function comparedOf(finding: Finding, currency: Currency = DOLLARS): Compared {
  const said = finding.details;
  const percent = whole(said.percent);
  if (finding.kind === "catalogue_drift") {
    const price = (value: unknown) => {
      const nanos = whole(value);
      if (nanos === null) return "";
      const per = perOf(String(said.unit ?? "input"), nanos);
      return `${priceText(nanos, per, currency)} ${perText(per)}`;
    };
    return {
      ours: price(said.ours),
      theirs: price(said.theirs),
      whose: String(said.key ?? ""),
      percent,
    };
  }
  if (finding.kind === "stated_drift") {
    return {
      ours: money(whole(said.list_nanos), currency),
      theirs: money(whole(said.stated_nanos), currency),
      whose: `Stated by ${said.provider ?? "the provider"}`,
      // The API says how much more ours is: here it is theirs against ours, as for catalogues.
      percent: percent === null ? null : -percent,
    };
  }
  if (finding.kind === "estimate_drift") {
    const held = whole(said.estimated_nanos);
    const cost = whole(said.actual_nanos);
    return {
      ours: held === null ? "" : `${money(held, currency)} held`,
      theirs: cost === null ? "" : `${money(cost, currency)} cost`,
      whose: "What the calls cost",
      percent: held && cost !== null ? ((cost - held) / held) * 100 : null,
    };
  }
  return { ours: "", theirs: "", whose: "", percent };
}
