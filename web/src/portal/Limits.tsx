/** How the limits stand. Of money only the share is known here. */

import { useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Badge, Card, Empty, Meter } from "@/design/basics";
import { count, credits, percent } from "@/lib/numbers";
import { usePreferences } from "@/lib/preferences";
import { short } from "@/lib/time";

type Limit = components["schemas"]["PortalLimit"];

const EVERY_MS = 10_000;

export function Limits() {
  const { zone } = usePreferences();
  const query = useQuery({
    queryKey: ["limits"],
    queryFn: () => data(api.GET("/v1/portal/limits")),
    refetchInterval: EVERY_MS,
  });
  return (
    <Card title="Limits">
      <Async
        query={query}
        isEmpty={(found) => !found.limits.length}
        empty={<Empty title="No limits">Nothing limits your usage.</Empty>}
      >
        {(found) => (
          <ul className="portal-limits">
            {found.limits.map((limit, at) => (
              <li key={`${limit.name}-${at}`}>
                <div className="line">
                  <b>{limit.name}</b>
                  {Object.entries(limit.scope).map(([field, value]) => (
                    <Badge key={field}>{value}</Badge>
                  ))}
                  {limit.share >= 1 && <Badge tone="bad">used up</Badge>}
                  <span className="num">{percent(limit.share)}</span>
                </div>
                <Meter share={limit.share} label={`${limit.name}: ${percent(limit.share)} used`} />
                <div className="line faint">
                  <span>{amounts(limit)}</span>
                  {limit.resets_at && <span>starts again {short(limit.resets_at, zone)}</span>}
                </div>
              </li>
            ))}
          </ul>
        )}
      </Async>
    </Card>
  );
}

function amounts(limit: Limit): string {
  if (limit.used === null || limit.amount === null) return `per ${limit.window}`;
  const shown = limit.metric === "credits" ? credits : count;
  return `${shown(limit.used)} of ${shown(limit.amount)} ${limit.metric.replaceAll("_", " ")} per ${limit.window}`;
}
