/** What a limit says, part by part. */

import { useCurrency } from "@/api/currencies";
import { Card } from "@/design/basics";
import { amountOf, METRIC_WORDS, shownAmount } from "./amounts";
import styles from "./limits.module.css";
import { type Limit, laddered, rungWords, scopeWords, windowWords } from "./words";

export function DefinitionCard({ limit }: { limit: Limit }) {
  const currency = useCurrency();
  const amount = (said: string | number) =>
    shownAmount(amountOf(said, limit.metric), limit.metric, { currency, noun: true });
  const facts: [string, string][] = [
    ["About", scopeWords(limit.scope)],
    ["Metric", METRIC_WORDS[limit.metric]],
    ["At most", `${amount(limit.amount)} ${windowWords(limit.window)}`],
    ...(limit.burst === undefined
      ? []
      : ([["At once", amount(limit.burst)]] as [string, string][])),
    ["Clock", clock(limit)],
    [
      "If unreachable",
      limit.on_unreachable === "open" ? "calls pass (open)" : "calls are refused (closed)",
    ],
    ["Holds", limit.strict ? "the worst case of every call" : "what calls are expected to use"],
    ["Priority", String(limit.priority ?? 100)],
  ];
  return (
    <Card title="Definition" className={styles.fill ?? ""}>
      <dl className="facts">
        {facts.map(([what, said]) => (
          <Fact key={what} what={what} said={said} />
        ))}
        <dt>Ladder</dt>
        <dd>
          <ul>
            {laddered(limit.thresholds).map((rung, at) => (
              <li key={at}>
                {rungWords(rung)}
                {rung.url && (
                  <span className="faint" title={rung.url}>
                    {" "}
                    and call a webhook
                  </span>
                )}
              </li>
            ))}
          </ul>
        </dd>
      </dl>
    </Card>
  );
}

function Fact({ what, said }: { what: string; said: string }) {
  return (
    <>
      <dt>{what}</dt>
      <dd>{said}</dd>
    </>
  );
}

/** Calendar windows go by a zone's clock; a month may begin on any day. */
function clock(limit: Limit): string {
  const day = limit.anchor_day ? `, months begin on day ${limit.anchor_day}` : "";
  return `${limit.zone ?? "UTC"}${day}`;
}
