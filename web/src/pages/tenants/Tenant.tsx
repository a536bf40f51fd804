/** One tenant: what it costs and why, who its people are, its limits and its credits. */

import { Link, useParams } from "@tanstack/react-router";
import { useState } from "react";
import { useMay } from "@/api/session";
import { Badge, Button, Page } from "@/design/basics";
import { FilterBar, WindowPicker } from "@/shell/Scope";
import { useTenant } from "./api";
import { Breakdown } from "./Breakdown";
import { Credits } from "./Credits";
import { Limits } from "./Limits";
import { People } from "./People";
import { PortalLink } from "./PortalLink";
import { UNATTRIBUTED } from "./rows";
import { Summary } from "./Summary";
import { TABS, type TenantView, useTenantView } from "./scope";
import css from "./tenants.module.css";

export default function Tenant() {
  const { tenant = "" } = useParams({ strict: false }) as { tenant?: string };
  const view = useTenantView(tenant);
  const known = useTenant(tenant);
  const name = known.data?.tenant.name || (tenant === UNATTRIBUTED ? "No tenant named" : tenant);
  const timed = view.tab !== "limits" && view.tab !== "credits";
  return (
    <Page
      title={name}
      crumbs={
        <>
          <Link
            className="link"
            to="/tenants"
            search={view.carried({ tenant: undefined }) as never}
          >
            Tenants
          </Link>
          <span aria-hidden="true">/</span>
          <span className="clip">{tenant}</span>
        </>
      }
      sub={<Facts tenant={tenant} known={known.data} />}
      actions={
        <>
          {tenant !== UNATTRIBUTED && <PortalButton tenant={tenant} />}
          {timed && (
            <>
              <FilterBar />
              <WindowPicker />
            </>
          )}
        </>
      }
    >
      <Tabs view={view} />
      {view.tab === "overview" && <Summary view={view} />}
      {view.tab === "breakdown" && <Breakdown view={view} />}
      {view.tab === "people" && <People view={view} />}
      {view.tab === "limits" && <Limits tenant={tenant} />}
      {view.tab === "credits" && <Credits view={view} />}
    </Page>
  );
}

function Facts({ tenant, known }: { tenant: string; known: ReturnType<typeof useTenant>["data"] }) {
  if (tenant === UNATTRIBUTED) return <>Calls that name no tenant.</>;
  if (known === undefined) return <>&nbsp;</>;
  if (known === null) return <>It has usage, but was never registered: it has no plan.</>;
  const { plan, tier, contract_type: contract, contract_id: id } = known.tenant;
  return (
    <span className={css.under}>
      {plan && <Badge title="Plan">{plan}</Badge>}
      <span>
        {[tier && tier !== "none" && `${tier} tier`, contract && `${contract} contract`]
          .filter(Boolean)
          .join(" · ")}
      </span>
      {id && <span className="mono">{id}</span>}
      {known.history.length > 1 && (
        <span title="Plan, tier or contract have changed since it was registered">
          {known.history.length} versions
        </span>
      )}
    </span>
  );
}

function Tabs({ view }: { view: TenantView }) {
  return (
    <nav className="tabs" aria-label={`Parts of ${view.tenant}`}>
      {TABS.map(([id, label]) => (
        <Link
          key={id}
          to="/tenants/$tenant"
          params={{ tenant: view.tenant }}
          search={view.carried(id === "overview" ? {} : { tab: id }) as never}
          activeOptions={{ exact: true, includeSearch: true }}
          aria-current={view.tab === id ? "page" : undefined}
        >
          {label}
        </Link>
      ))}
      <Link to="/requests" search={view.carried(view.own) as never}>
        Requests
      </Link>
    </nav>
  );
}

function PortalButton({ tenant }: { tenant: string }) {
  const may = useMay("operate");
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button
        disabled={!may}
        title={may ? undefined : "Your role may not make portal links."}
        icon="connect"
        onClick={() => setOpen(true)}
      >
        Portal link
      </Button>
      <PortalLink tenant={tenant} open={open} onClose={() => setOpen(false)} />
    </>
  );
}
