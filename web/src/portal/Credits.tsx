/** The balance of credits, what it is made of, and how it came about. */

import { useInfiniteQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Badge, Button, Card, Empty } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { credits } from "@/lib/numbers";
import { usePreferences } from "@/lib/preferences";
import { day, moment } from "@/lib/time";

type Entry = components["schemas"]["PortalEntry"];
type Grant = components["schemas"]["PortalGrant"];

const EVERY_MS = 10_000;
const PAGE = 100;

export function Credits() {
  const { zone } = usePreferences();
  const query = useInfiniteQuery({
    queryKey: ["credits"],
    queryFn: ({ pageParam }) =>
      data(
        api.GET("/v1/portal/credits", { params: { query: { before: pageParam, count: PAGE } } }),
      ),
    initialPageParam: 0,
    getNextPageParam: (last) => last.next,
    refetchInterval: EVERY_MS,
  });
  const first = query.data?.pages[0];
  const entries = query.data?.pages.flatMap((page) => page.entries) ?? [];
  return (
    <>
      <section className="stats" aria-label="Balance">
        <div className="stat">
          <span className="label">Credits available</span>
          <span className="value">{credits(first?.balance?.available)}</span>
          <span className="more">
            {first?.balance?.held ? `${credits(first.balance.held)} held by calls under way` : ""}
          </span>
        </div>
      </section>
      <Card flush title="Grants" note="in the order in which they are used">
        <Async query={{ ...query, data: first }}>
          {(page) => (
            <DataTable
              label="Grants"
              rows={page.grants}
              columns={grantColumns(zone)}
              keyOf={(one) => one.grant_id}
              empty={<Empty title="No grant has anything left" />}
            />
          )}
        </Async>
      </Card>
      <Card flush title="History">
        <Async query={{ ...query, data: first }}>
          {() => (
            <>
              <DataTable
                label="History of credits"
                rows={entries}
                columns={entryColumns(zone)}
                keyOf={(one) => String(one.entry_id)}
                csv="credits"
                empty={<Empty title="Nothing yet" />}
              />
              {query.hasNextPage && (
                <div className="table-foot">
                  <Button small onClick={() => query.fetchNextPage()}>
                    Earlier entries
                  </Button>
                </div>
              )}
            </>
          )}
        </Async>
      </Card>
    </>
  );
}

const grantColumns = (zone: string): TableColumn<Grant>[] => [
  { id: "reason", header: "For", value: (one) => one.reason },
  {
    id: "category",
    header: "Kind",
    value: (one) => one.category,
    cell: (one) => <Badge>{one.category}</Badge>,
    wide: true,
  },
  {
    id: "left",
    header: "Left",
    value: (one) => one.remaining,
    cell: (one) => credits(one.remaining),
    end: true,
  },
  {
    id: "amount",
    header: "Of",
    value: (one) => one.amount,
    cell: (one) => credits(one.amount),
    end: true,
  },
  {
    id: "expires",
    header: "Expires",
    value: (one) => one.expires_at ?? 0,
    cell: (one) => (one.expires_at ? day(one.expires_at, zone) : "never"),
  },
];

const entryColumns = (zone: string): TableColumn<Entry>[] => [
  { id: "at", header: "When", value: (one) => one.at, cell: (one) => moment(one.at, zone) },
  { id: "kind", header: "What", value: (one) => one.kind.replaceAll("_", " ") },
  { id: "reason", header: "Why", value: (one) => one.reason, wide: true },
  {
    id: "amount",
    header: "Credits",
    value: (one) => one.amount,
    cell: (one) => `${one.amount > 0 ? "+" : ""}${credits(one.amount)}`,
    end: true,
  },
  {
    id: "balance",
    header: "Balance",
    value: (one) => one.balance,
    cell: (one) => credits(one.balance),
    end: true,
  },
];
