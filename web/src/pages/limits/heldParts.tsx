/** The state of a hold or a lease, and when it ends. */

import { Badge } from "@/design/basics";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";

const STATES = {
  open: ["good", "open"],
  settled: ["plain", "settled"],
  void: ["plain", "void"],
  closed: ["plain", "closed"],
  expired: ["warn", "expired"],
} as const;

export function StateBadge({ state, late }: { state: string; late?: boolean }) {
  const [tone, text] = STATES[state as keyof typeof STATES] ?? ["plain", state];
  return (
    <>
      <Badge tone={tone}>{text}</Badge>
      {late && (
        <Badge tone="warn" title="Settled after it had ended; counted all the same">
          late
        </Badge>
      )}
    </>
  );
}

export function Ends({ at, open }: { at: number; open: boolean }) {
  const { zone } = useView();
  return (
    <span title={moment(at, zone)}>
      {open ? ago(at, nowMicros()) : <span className="faint">{ago(at, nowMicros())}</span>}
    </span>
  );
}
