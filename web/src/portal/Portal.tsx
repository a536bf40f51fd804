/** The portal of one tenant: its usage, its charges or credits, its limits. */

import { useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { ApiError, api, data } from "@/api/client";
import { useCurrencies, useCurrency } from "@/api/currencies";
import { Empty, Failed, Loading, Select } from "@/design/basics";
import { Toasts } from "@/design/dialog";
import { prefer } from "@/lib/preferences";
import { Credits } from "./Credits";
import { tellHost } from "./host";
import { Limits } from "./Limits";
import { go, usePortalState } from "./state";
import { applyTheme } from "./theme";
import { Usage, WindowChoice } from "./Usage";
import type { Me } from "./usage";
import "./portal.css";

export function Portal() {
  const me = useQuery({
    queryKey: ["me"],
    queryFn: () => data(api.GET("/v1/portal/me")),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const theme = me.data?.theme;
  useEffect(() => {
    if (theme) applyTheme(theme);
  }, [theme]);
  const refused =
    me.error instanceof ApiError && (me.error.status === 401 || me.error.status === 403);
  if (refused) return <Expired />;
  if (me.error) return <Failed error={me.error} again={() => me.refetch()} />;
  if (!me.data)
    return (
      <div className="portal">
        <Loading lines={8} height={400} />
      </div>
    );
  return <Pages me={me.data} />;
}

/** The link was for a short time: whoever made it makes another. */
export function Expired() {
  useEffect(() => tellHost({ type: "outlay:expired" }), []);
  return (
    <main className="portal">
      <h1 className="sr-only">Usage</h1>
      <Empty title="This link has expired" icon="clock">
        Open your usage again from the application that led you here.
      </Empty>
    </main>
  );
}

function Pages({ me }: { me: Me }) {
  const state = usePortalState();
  const tabs = [
    ["usage", "Usage"],
    ...(me.shows.credits ? [["credits", "Credits"]] : []),
    ...(me.shows.limits ? [["limits", "Limits"]] : []),
  ] as [string, string][];
  const tab = tabs.find(([id]) => id === state("tab", "usage"))?.[0] ?? "usage";
  const title = me.theme.name || me.tenant.name || me.tenant.tenant_id;
  return (
    <main className="portal">
      <header className="page-head">
        <div className="titles">
          <h1>{title}</h1>
          {me.theme.name && <p className="sub">{me.tenant.name || me.tenant.tenant_id}</p>}
        </div>
        <div className="toolbar">
          {tab === "usage" && <WindowChoice />}
          {me.shows.charges && <CurrencyChoice />}
        </div>
      </header>
      {tabs.length > 1 && (
        <nav className="tabs" aria-label="Parts">
          {tabs.map(([id, label]) => (
            <button
              key={id}
              type="button"
              aria-current={id === tab ? "page" : undefined}
              onClick={() => go({ tab: id === "usage" ? undefined : id })}
            >
              {label}
            </button>
          ))}
        </nav>
      )}
      {tab === "credits" ? <Credits /> : tab === "limits" ? <Limits /> : <Usage me={me} />}
      <Toasts />
    </main>
  );
}

function CurrencyChoice() {
  const all = useCurrencies();
  const chosen = useCurrency();
  if (all.length < 2) return null;
  return (
    <Select
      label="Currency"
      value={chosen.code}
      choices={all.map((one) => [one.code, one.code] as const)}
      onChange={(currency) => prefer({ currency })}
    />
  );
}
