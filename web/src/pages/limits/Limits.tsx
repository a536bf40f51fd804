/** Limits: what there is and how it stands, who holds what, what limits did, what plans may use. */

import { useState } from "react";
import { useMay } from "@/api/session";
import { Button, Page } from "@/design/basics";
import { Tabs } from "@/design/tabs";
import { useView } from "@/lib/view";
import { HeldTab } from "./Held";
import { LimitDialog } from "./LimitDialog";
import { LimitList } from "./LimitList";
import { NoticesTab } from "./Notices";
import { PlansTab } from "./Plans";
import { ScopesTab } from "./Scopes";

export default function Limits() {
  const view = useView();
  const tab = view.text("tab", "limits");
  const may = useMay("operate");
  const [making, setMaking] = useState(false);
  return (
    <Page
      title="Limits"
      sub="How much somebody may use, until when, and what happens on the way there"
      actions={
        <Button
          look="primary"
          icon="plus"
          disabled={!may}
          title={may ? undefined : "Limits are changed by engineers and admins"}
          onClick={() => setMaking(true)}
        >
          New limit
        </Button>
      }
    >
      <Tabs
        label="Parts of limits"
        value={tab}
        tabs={[
          ["limits", "Limits"],
          ["scopes", "Scopes now"],
          ["held", "Holds & leases"],
          ["notices", "What limits did"],
          ["plans", "Plans"],
        ]}
      />
      {tab === "scopes" ? (
        <ScopesTab />
      ) : tab === "held" ? (
        <HeldTab />
      ) : tab === "notices" ? (
        <NoticesTab />
      ) : tab === "plans" ? (
        <PlansTab />
      ) : (
        <LimitList onNew={may ? () => setMaking(true) : null} />
      )}
      {making && <LimitDialog limit={null} onClose={() => setMaking(false)} />}
    </Page>
  );
}
