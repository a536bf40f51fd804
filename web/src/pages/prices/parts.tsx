/** The small parts of the prices pages. */

import { useCurrency } from "@/api/currencies";
import { Badge } from "@/design/basics";
import { conditions, perOf, perText, priceText, type Rate } from "./rates";

const TONES = {
  catalogue: "plain",
  correction: "warn",
  override: "accent",
  contract: "good",
} as const;

const MEANINGS: Record<string, string> = {
  catalogue: "List price",
  correction: "What the catalogue lacks or has wrong",
  override: "Your own price",
  contract: "What you pay under an agreement",
};

export function LayerBadge({ layer }: { layer: string }) {
  const tone = TONES[layer as keyof typeof TONES] ?? "plain";
  return (
    <Badge tone={tone} title={MEANINGS[layer]}>
      {layer}
    </Badge>
  );
}

/** A rate's price; its title has the exact dollars and what it is for. */
export function RatePrice({ rate, per = false }: { rate: Rate | null; per?: boolean }) {
  const currency = useCurrency();
  if (!rate) return <span className="faint">–</span>;
  const count = perOf(rate.unit, rate.nanos_per_million);
  const only = conditions(rate);
  const exact = `${priceText(rate.nanos_per_million, count)} ${perText(count)}`;
  return (
    <span className="num" title={[exact, ...only].join(" · ")}>
      {priceText(rate.nanos_per_million, count, currency)}
      {per && <span className="faint"> {perText(count)}</span>}
      {!per && only.length > 0 && (
        <>
          <span aria-hidden="true" className="faint">
            *
          </span>
          <span className="sr-only"> only {only.join(", ")}</span>
        </>
      )}
    </span>
  );
}
