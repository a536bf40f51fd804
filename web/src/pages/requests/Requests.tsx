/** The requests of a window: search them, order them, open one. */

import { useState } from "react";
import { Button, Card, Empty, Failed, Loading, Page } from "@/design/basics";
import { count } from "@/lib/numbers";
import { moment, nowMicros, short } from "@/lib/time";
import { useView, type View } from "@/lib/view";
import { WindowPicker } from "@/shell/Scope";
import { MAX_NEWER, MAX_PAGES, PAGE, type RequestsAnswer, useNewer, useRequests } from "./api";
import { CostOverTime } from "./CostOverTime";
import { RequestTable } from "./RequestTable";
import css from "./requests.module.css";
import { SearchBar } from "./SearchBar";
import { bodyOf, isNarrowed, merged, widened } from "./search";

export default function Requests() {
  const view = useView();
  return (
    <Page title="Requests" actions={<WindowPicker />}>
      <SearchBar />
      <CostOverTime />
      <List view={view} />
    </Page>
  );
}

/**
 * When the list was last asked for anew, kept so that the way back from a request leads to the
 * rows as they were.
 */
let asked = 0;
const KEPT_US = 60_000_000;

const nextVersion = () => {
  asked = nowMicros();
  return asked;
};
const currentVersion = () => (nowMicros() - asked > KEPT_US ? nextVersion() : asked);

function List({ view }: { view: View }) {
  const [version, setVersion] = useState(currentVersion);
  const body = bodyOf(view);
  const found = useRequests(body, version);
  const pages = found.data?.pages ?? [];
  const rows = merged(pages);
  const first = pages[0];
  const renew = () => {
    setVersion(nextVersion());
    document.getElementById("requests")?.scrollIntoView({ block: "nearest" });
  };
  if (found.error && !first)
    return (
      <Card>
        <Failed error={found.error} again={() => found.refetch()} />
      </Card>
    );
  if (!first)
    return (
      <Card>
        <Loading lines={12} height={520} />
      </Card>
    );
  return (
    <section className="card" id="requests" aria-label="Requests found">
      <Bar view={view} first={first} rows={rows.length} onRenew={renew} />
      <div className={found.isPlaceholderData ? css.stale : undefined}>
        {rows.length ? (
          <RequestTable rows={rows} zone={view.zone} now={nowMicros()} />
        ) : (
          <Nothing view={view} searched={found.hasNextPage ? first : null} />
        )}
      </div>
      <Foot found={found} rows={rows.length} pages={pages} zone={view.zone} />
    </section>
  );
}

interface BarProps {
  view: View;
  first: RequestsAnswer;
  rows: number;
  onRenew: () => void;
}

/** What the list is of, and the way to what came since. */
function Bar({ view, first, rows, onRenew }: BarProps) {
  const body = bodyOf(view);
  const newest = body.order === "newest";
  const open = !view.text("to");
  const until = instant(first.to);
  const newer = useNewer(body, open ? ((newest && first.requests[0]?.started_at) || until) + 1 : 0);
  const came = open ? (newer.data?.requests.length ?? 0) : 0;
  const many = came >= MAX_NEWER ? `${MAX_NEWER}+` : count(came);
  return (
    <div className={css.bar}>
      <span>
        {rows ? `${count(rows)} shown` : "None shown"}
        {open && <span title={moment(until, view.zone)}>, as of {short(until, view.zone)}</span>}
      </span>
      <span aria-live="polite">
        {came > 0 ? (
          <Button small look="primary" onClick={onRenew}>
            {many} newer
          </Button>
        ) : (
          open && <span className="faint">Up to date</span>
        )}
      </span>
    </div>
  );
}

/** No rows: say why, and what to do. */
function Nothing({ view, searched }: { view: View; searched: RequestsAnswer | null }) {
  const narrowed = isNarrowed(view);
  return (
    <Empty
      title="No requests here"
      actions={
        narrowed && (
          <Button small onClick={() => view.set(widened(view))}>
            Clear the search
          </Button>
        )
      }
    >
      {searched
        ? "None was found in the part that was searched so far; the search can go on below."
        : narrowed
          ? "Nothing in this window matches. Take out a filter, or choose a longer window."
          : "Nothing ran in this window. Choose a longer one."}
    </Empty>
  );
}

interface FootProps {
  found: ReturnType<typeof useRequests>;
  rows: number;
  pages: RequestsAnswer[];
  zone: string;
}

function Foot({ found, rows, pages, zone }: FootProps) {
  const last = pages.at(-1);
  const full = pages.length >= MAX_PAGES && Boolean(last?.next);
  const ends = !found.hasNextPage && !full && rows > 0 && last?.complete;
  if (!found.hasNextPage && !full && !ends && last?.complete !== false) return null;
  const range = last && `Searched from ${short(instant(last.from), zone)} on.`;
  return (
    <div className="table-foot">
      <span>
        {last && !last.complete && `${range} `}
        {full && `The list ends at ${MAX_PAGES * PAGE} rows: narrow the window to see others. `}
        {ends && "That is all of this window."}
        {found.isFetchNextPageError && "The next rows could not be loaded."}
      </span>
      {found.hasNextPage && (
        <Button small disabled={found.isFetchingNextPage} onClick={() => found.fetchNextPage()}>
          {found.isFetchingNextPage
            ? "Loading…"
            : last && !last.complete
              ? "Search further back"
              : "Load more"}
        </Button>
      )}
    </div>
  );
}

/** An answer's window is RFC 3339 text or microseconds. */
function instant(at: string | number): number {
  return typeof at === "number" ? at : Date.parse(at) * 1000;
}
