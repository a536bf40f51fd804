/** All counters of all limits now, the fullest first; one tenant's, or one limit's. */

import { useDeferredValue, useMemo } from "react";
import { Async, Card, Empty, Loading, Segments, Select } from "@/design/basics";
import { useView } from "@/lib/view";
import { useLimits, useStates } from "./api";
import { CounterTable } from "./CounterTable";
import { NEAR } from "./standing";

const SHARES = { all: 0, near: NEAR, over: 1 } as const;
type Shares = keyof typeof SHARES;

export function ScopesTab() {
  const view = useView();
  const tenant = view.text("tenant");
  const limit = view.text("limit");
  const least = view.text("least", "all") as Shares;
  const asked = useDeferredValue(tenant.trim());
  const states = useStates(asked);
  const limits = useLimits();
  const known = useMemo(
    () => new Map((limits.data?.limits ?? []).map((one) => [one.id, one])),
    [limits.data],
  );
  const counters = (states.data?.counters ?? []).filter(
    (one) => (!limit || one.limit === limit) && one.share >= (SHARES[least] ?? 0),
  );
  return (
    <>
      <div className="toolbar">
        <input
          className="input plain"
          type="search"
          style={{ width: "min(16rem, 100%)" }}
          aria-label="Tenant"
          placeholder="Tenant"
          value={tenant}
          onChange={(event) => view.set({ tenant: event.target.value || undefined })}
        />
        <Select
          label="Limit"
          value={limit}
          choices={[["", "All limits"], ...[...known.keys()].map((id) => [id, id] as const)]}
          onChange={(id) => view.set({ limit: id || undefined })}
        />
        <Segments
          label="How full"
          value={least}
          choices={[
            ["all", "All"],
            ["near", "From 80 %"],
            ["over", "Over"],
          ]}
          onChange={(one) => view.set({ least: one === "all" ? undefined : one })}
        />
      </div>
      <Card flush>
        <Async query={states} loading={<Loading lines={10} height={400} />}>
          {(found) => (
            <CounterTable
              counters={counters}
              limits={known}
              now={found.now}
              csv="scopes"
              more={found.more}
              empty={
                <Empty title="No scope matches" icon="limits">
                  {asked
                    ? `Nothing that is limited was used for ${asked} in a period that still runs.`
                    : "Nothing that is limited was used in a period that still runs."}
                </Empty>
              }
            />
          )}
        </Async>
      </Card>
    </>
  );
}
