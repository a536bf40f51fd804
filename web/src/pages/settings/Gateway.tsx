/** The gateway in the server's own process: its upstreams, and how each of them is. */

import { useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Badge, Card, Empty } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { count } from "@/lib/numbers";

type Upstream = components["schemas"]["GatewayUpstream"];
type Alias = components["schemas"]["GatewayAlias"];

const EVERY_MS = 3_000;

export function Gateway() {
  const found = useQuery({
    queryKey: ["gateway"],
    queryFn: () => data(api.GET("/v1/gateway")),
    refetchInterval: EVERY_MS,
  });
  return (
    <Async query={found}>
      {(state) =>
        state.on ? (
          <>
            <Card flush title="Upstreams" note="the first part of the path">
              <DataTable
                label="Upstreams"
                rows={state.upstreams}
                columns={UPSTREAMS}
                keyOf={(one) => one.name}
                empty={<Empty title="No upstream">The gateway's file names none.</Empty>}
              />
            </Card>
            <Card flush title="Aliases" note="a model name of your own, and where it leads">
              <DataTable
                label="Aliases"
                rows={state.aliases}
                columns={ALIASES}
                keyOf={(one) => one.name}
                empty={
                  <Empty title="No alias">
                    The gateway's file may name models of your own, with fallbacks.
                  </Empty>
                }
              />
            </Card>
          </>
        ) : (
          <Empty title="No gateway runs in this server">
            It is switched on by <code>OUTLAY_GATEWAY</code>, or runs by itself with{" "}
            <code>outlay serve --role gateway</code>.
          </Empty>
        )
      }
    </Async>
  );
}

function Credential({ one }: { one: Upstream }) {
  if (one.client_credentials) return <span className="faint">the client's own</span>;
  if (one.credential === "none") return <span className="faint">none needed</span>;
  if (one.credential === "when_needed") {
    return <span className="faint">looked up when needed</span>;
  }
  return <Badge tone={one.credential === "set" ? "good" : "warn"}>{one.credential}</Badge>;
}

const BREAKER = { closed: "good", "half-open": "warn", half_open: "warn", open: "bad" } as const;

const UPSTREAMS: TableColumn<Upstream>[] = [
  {
    id: "name",
    header: "Upstream",
    value: (one) => one.name,
    cell: (one) => <code>/{one.name}</code>,
  },
  { id: "vendor", header: "Vendor", value: (one) => one.vendor, wide: true },
  {
    id: "url",
    header: "Leads to",
    value: (one) => one.url,
    cell: (one) => <span className="clip">{one.url}</span>,
    wide: true,
  },
  {
    id: "credential",
    header: "Credential",
    value: (one) => one.credential,
    cell: (one) => <Credential one={one} />,
  },
  {
    id: "breaker",
    header: "Circuit",
    value: (one) => one.breaker,
    cell: (one) => (
      <Badge tone={BREAKER[one.breaker as keyof typeof BREAKER] ?? "plain"}>
        {one.breaker}
        {one.opens_again_in_s > 0 ? `, ${Math.ceil(one.opens_again_in_s)} s` : ""}
      </Badge>
    ),
  },
  {
    id: "flight",
    header: "In flight",
    value: (one) => one.in_flight,
    cell: (one) =>
      `${count(one.in_flight)}${one.max_concurrency ? ` of ${count(one.max_concurrency)}` : ""}`,
    end: true,
  },
  {
    id: "waiting",
    header: "Waiting",
    value: (one) => one.waiting,
    cell: (one) => count(one.waiting),
    end: true,
  },
];

const ALIASES: TableColumn<Alias>[] = [
  { id: "name", header: "Alias", value: (one) => one.name, cell: (one) => <code>{one.name}</code> },
  { id: "strategy", header: "Strategy", value: (one) => one.strategy },
  {
    id: "targets",
    header: "Leads to",
    sortable: false,
    value: (one) => one.targets.map((to) => `${to.upstream}/${to.model}`).join(" "),
    cell: (one) => one.targets.map((to) => `${to.upstream}/${to.model}`).join(" → "),
  },
];
