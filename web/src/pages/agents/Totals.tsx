/** All actions of the window in numbers. They come from the live store, never from a sample. */

import { num, useQuestion } from "@/api/question";
import { Skeleton } from "@/design/basics";
import { Behind, Delta, Money, Stat, Stats } from "@/design/money";
import { count, percent } from "@/lib/numbers";
import type { View } from "@/lib/view";
import { share } from "./actions";

const METRICS = ["cost", "requests", "calls", "attempts", "errors", "cost_per_request"];

export function Totals({ view }: { view: View }) {
  const now = useQuestion(view.question({ metrics: METRICS }));
  const earlier = view.earlier({ metrics: METRICS });
  const before = useQuestion(earlier ?? { metrics: METRICS }, {
    enabled: earlier !== null,
    live: false,
  });
  const lost = useQuestion(
    view.question({
      metrics: ["cost"],
      filters: [{ field: "status", op: "in", value: ["error", "timeout"] }],
    }),
  );
  const again = useQuestion(
    view.question({ metrics: ["cost"], filters: [{ field: "attempt", op: "gte", value: 1 }] }),
  );
  const row = now.data?.rows[0];
  const past = before.data?.rows[0];
  const cost = num(row, "cost");
  const wait = <Skeleton width="6rem" height="1.5rem" />;
  const delta = (metric: string) =>
    past && <Delta now={num(row, metric)} before={num(past, metric)} />;
  const part = (nanos: number) => `${percent(share(nanos, cost))} of the cost`;
  const errorCost = num(lost.data?.rows[0], "cost");
  const retryCost = num(again.data?.rows[0], "cost");
  return (
    <Stats label="All actions of this window">
      <Stat label="Cost" more={<>{delta("cost")} against before</>}>
        {row ? (
          <Behind label="Requests of this window">
            <Money nanos={cost} />
          </Behind>
        ) : (
          wait
        )}
      </Stat>
      <Stat label="Actions" more={<>{count(num(row, "calls"))} calls</>}>
        {row ? (
          <Behind label="Requests of this window">{count(num(row, "requests"))}</Behind>
        ) : (
          wait
        )}
      </Stat>
      <Stat label="Cost per action" more={<>{delta("cost_per_request")} against before</>}>
        {row ? <Money nanos={num(row, "cost_per_request")} /> : wait}
      </Stat>
      <Stat label="Cost of errors" more={part(errorCost)}>
        {lost.data ? (
          <Behind by={{ status: ["error", "timeout"] }} label="Requests with errors">
            <Money nanos={errorCost} />
          </Behind>
        ) : (
          wait
        )}
      </Stat>
      <Stat label="Cost of retries" more={part(retryCost)}>
        {again.data ? (
          <Behind by={{ attempt: "1" }} label="Requests with retries">
            <Money nanos={retryCost} />
          </Behind>
        ) : (
          wait
        )}
      </Stat>
    </Stats>
  );
}
