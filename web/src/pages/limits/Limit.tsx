/** One limit: its definition and ladder, how its scopes stand, overrides, what-if, history. */

import { Link, useParams } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { ApiError } from "@/api/client";
import { useCurrency } from "@/api/currencies";
import type { components } from "@/api/schema";
import { useMay } from "@/api/session";
import { Async, Button, Card, Empty, Failed, Loading, Page } from "@/design/basics";
import { Item, Menu } from "@/design/menu";
import { Stat, Stats } from "@/design/money";
import { Tabs } from "@/design/tabs";
import { count, percent } from "@/lib/numbers";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { useLimit, useNotices } from "./api";
import { CounterTable } from "./CounterTable";
import { DefinitionCard } from "./Definition";
import { EnforceDialog } from "./EnforceDialog";
import { LadderCard } from "./LadderCard";
import { LimitDialog } from "./LimitDialog";
import styles from "./limits.module.css";
import { NoticeTable } from "./Notices";
import { OverrideDialog } from "./OverrideDialog";
import { OverridesCard } from "./Overrides";
import { ModeBadge } from "./parts";
import { RemoveDialog } from "./RemoveDialog";
import { standings } from "./standing";
import { HistoryTab } from "./Versions";
import { WhatIfTab } from "./WhatIf";
import { counterWords, sentence } from "./words";

type Details = components["schemas"]["LimitDetails"];
export type Asked = "override" | "edit" | "remove" | "enforce";

export default function LimitPage() {
  const { limit: id } = useParams({ strict: false }) as { limit: string };
  const found = useLimit(id);
  if (!found.data) {
    const gone = found.error instanceof ApiError && found.error.status === 404;
    return (
      <Page title={id} crumbs={<Crumb />}>
        {gone ? (
          <Card>
            <Empty title={`There is no limit ${id}`} icon="limits">
              It may have been removed. Its history stays in the audit log.
            </Empty>
          </Card>
        ) : found.error ? (
          <Failed error={found.error} again={() => found.refetch()} />
        ) : (
          <Loading lines={10} height={480} />
        )}
      </Page>
    );
  }
  return <Loaded details={found.data} />;
}

function Crumb({ name }: { name?: string }) {
  return (
    <>
      <Link to="/limits" className="link">
        Limits
      </Link>
      {name && <span>{name}</span>}
    </>
  );
}

function Loaded({ details }: { details: Details }) {
  const view = useView();
  const currency = useCurrency();
  const { limit } = details;
  const tab = view.text("tab", "now");
  const [asked, setAsked] = useState<Asked | null>(null);
  const close = () => setAsked(null);
  return (
    <Page
      title={
        <span className={styles.title}>
          {limit.id} <ModeBadge mode={limit.mode} />
        </span>
      }
      sub={sentence(limit, currency)}
      crumbs={<Crumb name={limit.name} />}
      actions={<Actions mode={limit.mode} onAsk={setAsked} />}
    >
      <Tabs
        label="Parts of the limit"
        value={tab}
        tabs={[
          ["now", "Now"],
          ["check", "What it would refuse"],
          ["history", "History"],
        ]}
      />
      {tab === "check" ? (
        <WhatIfTab limit={limit} />
      ) : tab === "history" ? (
        <HistoryTab id={limit.id} />
      ) : (
        <NowTab details={details} onAsk={setAsked} />
      )}
      {asked === "edit" && <LimitDialog limit={limit} onClose={close} />}
      {asked === "override" && <OverrideDialog details={details} onClose={close} />}
      {asked === "remove" && <RemoveDialog id={limit.id} onClose={close} />}
      {asked === "enforce" && <EnforceDialog limit={limit} onClose={close} />}
    </Page>
  );
}

function Actions({ mode, onAsk }: { mode: string; onAsk: (what: Asked) => void }) {
  const may = useMay("operate");
  const why = may ? undefined : "Limits are changed by engineers and admins";
  return (
    <>
      {mode === "shadow" && (
        <Button look="primary" disabled={!may} title={why} onClick={() => onAsk("enforce")}>
          Enforce…
        </Button>
      )}
      <Button disabled={!may} title={why} onClick={() => onAsk("override")}>
        Override…
      </Button>
      <Button disabled={!may} title={why} onClick={() => onAsk("edit")}>
        Edit
      </Button>
      {may && (
        <Menu label="More" icon="more" end>
          {(shut) => (
            <Item
              onClick={() => {
                shut();
                onAsk("remove");
              }}
            >
              Remove…
            </Item>
          )}
        </Menu>
      )}
    </>
  );
}

function NowTab({ details, onAsk }: { details: Details; onAsk: (what: Asked) => void }) {
  const { limit, counters, overrides } = details;
  const notices = useNotices(limit.id);
  const known = useMemo(() => new Map([[limit.id, limit]]), [limit]);
  return (
    <>
      <Head details={details} refused={notices.data?.notices} />
      <div className="grid">
        <div className="span-8">
          <LadderCard limit={limit} counters={counters} />
        </div>
        <div className="span-4">
          <DefinitionCard limit={limit} />
        </div>
      </div>
      <OverridesCard limit={limit} overrides={overrides} onNew={() => onAsk("override")} />
      <Card title="Scopes" note="periods that run now, the fullest first" flush>
        <CounterTable
          counters={counters}
          limits={known}
          now={nowMicros()}
          one
          csv={`scopes-${limit.id}`}
          empty={
            <Empty title="Nothing was used yet" icon="limits">
              A scope begins to count with its first call in the period.
            </Empty>
          }
        />
      </Card>
      <Card title="What it did" flush>
        <Async query={notices}>{(found) => <NoticeTable notices={found.notices} one />}</Async>
      </Card>
    </>
  );
}

interface HeadProps {
  details: Details;
  refused: { kind: string; times: number }[] | undefined;
}

function Head({ details, refused }: HeadProps) {
  const { zone } = useView();
  const { limit, counters } = details;
  const found = standings(counters).get(limit.id);
  const times = (refused ?? [])
    .filter((one) => one.kind === "refused")
    .reduce((sum, one) => sum + one.times, 0);
  const shadow = limit.mode === "shadow";
  return (
    <Stats label="How it stands">
      <Stat
        label="Fullest scope"
        more={found?.fullest ? counterWords(found.fullest.scope) : "nothing used yet"}
      >
        {percent(found?.fullest?.share ?? 0)}
      </Stat>
      <Stat
        label="Scopes"
        more={`${count(found?.near ?? 0)} from 80 %, ${count(found?.over ?? 0)} over`}
      >
        {count(found?.scopes ?? 0)}
      </Stat>
      <Stat
        label={shadow ? "Would have refused" : "Refused"}
        more={shadow ? "as noted while watching" : "calls, as noted"}
      >
        {refused ? count(times) : "–"}
      </Stat>
      <Stat
        label="Resets"
        more={found?.resetsAt ? moment(found.resetsAt, zone) : "never, or call by call"}
      >
        {found?.resetsAt ? ago(found.resetsAt, nowMicros()) : "–"}
      </Stat>
    </Stats>
  );
}
