/** Who holds what: leases of processes, and holds of single calls. */

import { Async, Button, Card, Select } from "@/design/basics";
import { useView } from "@/lib/view";
import { useHolds, useLeases } from "./api";
import { HoldTable } from "./Holds";
import { LeaseTable, Lines } from "./Leases";

export function HeldTab() {
  const view = useView();
  const leased = view.text("leases", "open");
  const held = view.text("holds", "open");
  const leases = useLeases(leased === "all" ? "" : leased);
  const holds = useHolds(held === "all" ? "" : held);
  const open = view.text("owner");
  const opened = leases.data?.leases.find((one) => one.owner === open);
  return (
    <>
      <Card
        title="Leases"
        note="slices that processes decide within, without asking"
        flush
        actions={
          <Select
            label="State of leases"
            value={leased}
            choices={[
              ["open", "Open"],
              ["closed", "Closed"],
              ["expired", "Expired"],
              ["all", "All states"],
            ]}
            onChange={(one) => view.set({ leases: one === "open" ? undefined : one })}
          />
        }
      >
        <Async query={leases}>{(found) => <LeaseTable leases={found.leases} />}</Async>
      </Card>
      {opened && (
        <Card
          title="What it holds"
          note={opened.owner}
          flush
          actions={
            <Button
              small
              look="quiet"
              icon="close"
              aria-label="Close"
              onClick={() => view.set({ owner: undefined })}
            />
          }
        >
          <Lines lines={opened.lines} more={opened.more_lines} />
        </Card>
      )}
      <Card
        title="Holds"
        note="single calls that reserve before they are made"
        flush
        actions={
          <Select
            label="State of holds"
            value={held}
            choices={[
              ["open", "Open"],
              ["settled", "Settled"],
              ["void", "Void"],
              ["expired", "Expired"],
              ["all", "All states"],
            ]}
            onChange={(one) => view.set({ holds: one === "open" ? undefined : one })}
          />
        }
      >
        <Async query={holds}>{(found) => <HoldTable holds={found.holds} />}</Async>
      </Card>
    </>
  );
}
