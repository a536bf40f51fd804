/** How the server is: its parts and their lag, its logs and disk, what could not be stored. */

import { useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Badge, Card, Empty } from "@/design/basics";
import { Stat, Stats } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { compact, count } from "@/lib/numbers";
import { moment } from "@/lib/time";
import { useView } from "@/lib/view";

const EVERY_MS = 3_000;
const MAX_LETTERS = 200;

interface Part {
  name: string;
  ok: boolean;
  lag: number | null;
  error: string | null;
  counts: string;
}

export function Health() {
  const found = useQuery({
    queryKey: ["status"],
    queryFn: () => data(api.GET("/v1/status")),
    refetchInterval: EVERY_MS,
  });
  return (
    <Async query={found}>
      {(status) => {
        const parts: Part[] = Object.entries(status.consumers).map(([name, one]) => ({
          name,
          ok: one.ok,
          lag: one.lag_events,
          error: one.last_error,
          counts: Object.entries(one.counts)
            .map(([key, n]) => `${key.replaceAll("_", " ")} ${count(n)}`)
            .join(" · "),
        }));
        const lost = Object.values(status.dead_letters).reduce((sum, n) => sum + n, 0);
        const lag = Math.max(0, ...parts.map((part) => part.lag ?? 0));
        const logs = Object.values(status.logs).reduce((sum, log) => sum + log.bytes, 0);
        return (
          <>
            <Stats label="The server">
              <Stat label="Events stored" more={`outlay ${status.versions.outlay}`}>
                {compact(status.events)}
              </Stat>
              <Stat label="Largest lag" more="events behind the head">
                {count(lag)}
              </Stat>
              <Stat label="Free disk" more={`logs take ${bytes(logs)}`}>
                {bytes(status.disk.free_bytes)}
              </Stat>
              <Stat label="Could not be stored" more="since the beginning">
                {count(lost)}
              </Stat>
            </Stats>
            <Card flush title="Parts">
              <DataTable label="Parts" rows={parts} columns={PARTS} keyOf={(part) => part.name} />
            </Card>
            <DeadLetters />
          </>
        );
      }}
    </Async>
  );
}

const PARTS: TableColumn<Part>[] = [
  { id: "name", header: "Part", value: (part) => part.name },
  {
    id: "ok",
    header: "State",
    value: (part) => (part.ok ? "works" : "failed"),
    cell: (part) => <Badge tone={part.ok ? "good" : "bad"}>{part.ok ? "works" : "failed"}</Badge>,
  },
  {
    id: "lag",
    header: "Lag",
    value: (part) => part.lag,
    cell: (part) => count(part.lag),
    end: true,
  },
  {
    id: "counts",
    header: "Counts",
    value: (part) => part.counts,
    cell: (part) => (
      <span className="faint" style={{ whiteSpace: "normal" }}>
        {part.error ?? part.counts}
      </span>
    ),
    sortable: false,
    wide: true,
  },
];

type Letter = components["schemas"]["DeadLetter"];

function DeadLetters() {
  const { zone } = useView();
  const found = useQuery({
    queryKey: ["dead-letters"],
    queryFn: () => data(api.GET("/v1/dead-letters", { params: { query: { limit: MAX_LETTERS } } })),
  });
  const columns: TableColumn<Letter>[] = [
    { id: "at", header: "When", value: (one) => one.at, cell: (one) => moment(one.at, zone) },
    {
      id: "code",
      header: "Code",
      value: (one) => one.code,
      cell: (one) => <Badge tone="warn">{one.code}</Badge>,
    },
    {
      id: "message",
      header: "What was wrong",
      value: (one) => one.message,
      cell: (one) => <span style={{ whiteSpace: "normal" }}>{one.message}</span>,
      sortable: false,
    },
  ];
  return (
    <Card flush title="What could not be stored" note="kept, never dropped in silence">
      <Async query={found}>
        {(list) => (
          <DataTable
            label="Dead letters"
            rows={list.dead_letters}
            columns={columns}
            keyOf={(one, at) => `${one.at}-${at}`}
            empty={
              <Empty title="Everything was stored" icon="check">
                Refused events would be here, with the reason.
              </Empty>
            }
          />
        )}
      </Async>
    </Card>
  );
}

/** Return a number of bytes in a unit that fits. */
function bytes(size: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  let left = size;
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024;
    at += 1;
  }
  return `${left.toFixed(left < 10 && at ? 1 : 0)} ${units[at]}`;
}
