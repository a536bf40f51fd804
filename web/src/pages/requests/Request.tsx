/** One request: what it cost, where in its tree of agents, calls and attempts, and why. */

import { Link, useParams } from "@tanstack/react-router";
import { useMemo } from "react";
import { ApiError } from "@/api/client";
import { Card, Empty, Failed, Loading, Page } from "@/design/basics";
import { Copy } from "@/design/code";
import { Icon } from "@/design/icons";
import { Money, Stat, Stats } from "@/design/money";
import { compact, count, micros } from "@/lib/numbers";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { type RequestRow, type RequestTree, useRowOf, useTree } from "./api";
import { CostTree } from "./CostTree";
import { NodePanel } from "./NodePanel";
import { Outcome } from "./RequestTable";
import css from "./request.module.css";
import { brief } from "./search";
import { every, isBad, isEvent, type Part, partOf } from "./tree";
import { Where } from "./Where";

export default function Request() {
  const { request = "" } = useParams({ strict: false });
  const found = useTree(request);
  const row = useRowOf(request, found.data?.started_at).data;
  if (found.error && !found.data) return <NotThere error={found.error} again={found.refetch} />;
  if (!found.data)
    return (
      <Page title="Request" crumbs={<Crumbs />}>
        <Card>
          <Loading height={88} lines={2} />
        </Card>
        <Card>
          <Loading height={420} lines={10} />
        </Card>
      </Page>
    );
  return <Found tree={found.data} row={row} />;
}

function Crumbs() {
  return <Link to="/requests">Requests</Link>;
}

function NotThere({ error, again }: { error: unknown; again: () => unknown }) {
  const missing = error instanceof ApiError && error.status === 404;
  return (
    <Page title="Request" crumbs={<Crumbs />}>
      <Card>
        {missing ? (
          <Empty
            title="No request of this id"
            actions={
              <Link className="button small" to="/requests">
                Search requests
              </Link>
            }
          >
            It was never recorded, its events are no longer kept, or it has not arrived yet.
          </Empty>
        ) : (
          <Failed error={error} again={again} />
        )}
      </Card>
    </Page>
  );
}

function Found({ tree, row }: { tree: RequestTree; row: RequestRow | undefined }) {
  const view = useView();
  const root = useMemo(() => partOf(tree.root), [tree]);
  const parts = useMemo(() => every(root), [root]);
  const wanted = view.text("node");
  const chosen = wanted ? parts.find((part) => part.id === wanted) : undefined;
  return (
    <Page
      crumbs={<Crumbs />}
      title={
        <span className={css.title}>
          Request <code title={tree.request_id}>{brief(tree.request_id)}</code>
          <Copy text={tree.request_id} label="request id" />
          {row && <Outcome value={row.status} />}
        </span>
      }
      sub={<Sub tree={tree} row={row} />}
    >
      <Head tree={tree} parts={parts} zone={view.zone} />
      {tree.truncated && (
        <p className="notice warn">
          <Icon name="warn" />
          <span>
            This request has more than {count(tree.attempts)} events. The tree and its sums are of
            the first ones.
          </span>
        </p>
      )}
      <div className={chosen ? css.split : undefined}>
        <div className={css.left}>
          <CostTree root={root} parts={parts} chosen={chosen} />
          <Where parts={parts} total={tree.cost_nanos} narrow={Boolean(chosen)} />
        </div>
        {chosen && (
          <NodePanel
            key={chosen.id}
            part={chosen}
            total={tree.cost_nanos}
            onClose={() => view.set({ node: undefined })}
            onChoose={(part) => view.set({ node: part.id })}
          />
        )}
      </div>
    </Page>
  );
}

/** Whose request it is, and what for. */
function Sub({ tree, row }: { tree: RequestTree; row: RequestRow | undefined }) {
  const tenant = tree.tenant ?? tree.tenants[0];
  const others = tree.tenants.length - 1;
  const by = row?.user ? `${row.initiator ?? "user"} ${row.user}` : row?.initiator;
  return (
    <span className={css.sub}>
      {tenant && (
        <Link to="/tenants/$tenant" params={{ tenant }} className="link">
          {tenant}
          {others > 0 && ` and ${others} more`}
        </Link>
      )}
      {row?.feature && <span>{row.feature}</span>}
      {row?.workflow && <span>workflow {row.workflow}</span>}
      {row?.environment && <span>{row.environment}</span>}
      {by && <span>begun by {by}</span>}
    </span>
  );
}

function Head({ tree, parts, zone }: { tree: RequestTree; parts: Part[]; zone: string }) {
  const root = parts[0];
  const bad = parts.filter((part) => isEvent(part) && isBad(part));
  const lost = bad.reduce((sum, part) => sum + part.node.cost_nanos, 0);
  const length = (tree.ended_at ?? 0) - (tree.started_at ?? 0);
  const again = tree.attempts - tree.calls;
  return (
    <Stats label="The request in numbers">
      <Stat label="Cost" more={<Charged tree={tree} />}>
        <Money nanos={tree.cost_nanos} />
      </Stat>
      <Stat
        label="Calls"
        more={
          again ? `${count(tree.attempts)} attempts, ${count(again)} of them retries` : "no retries"
        }
      >
        {count(tree.calls)}
      </Stat>
      <Stat
        label="Errors"
        more={
          bad.length ? (
            <>
              <Money nanos={lost} /> paid for them
            </>
          ) : (
            `of ${count(tree.attempts)} attempts`
          )
        }
      >
        {count(bad.length)}
      </Stat>
      <Stat label="Tokens in" more={`${compact(root?.tokensOut)} out`}>
        <span title={`${count(root?.tokensIn)} in, ${count(root?.tokensOut)} out`}>
          {compact(root?.tokensIn)}
        </span>
      </Stat>
      <Stat
        label="Duration"
        more={
          <span title={`${moment(tree.started_at, zone)} – ${moment(tree.ended_at, zone)}`}>
            began {ago(tree.started_at, nowMicros())}
          </span>
        }
      >
        {micros(length)}
      </Stat>
    </Stats>
  );
}

/** What part of the cost is not certain. */
function Charged({ tree }: { tree: RequestTree }) {
  const mean = tree.attempts ? Math.round(tree.cost_nanos / tree.attempts) : 0;
  return (
    <>
      <Money nanos={mean} /> an attempt
    </>
  );
}
