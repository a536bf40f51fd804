/** Go anywhere by typing: pages, tenants, a request or an event by its id. */

import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { type KeyboardEvent, useMemo, useState } from "react";
import { api, data } from "@/api/client";
import { Dialog } from "@/design/dialog";
import { Icon } from "@/design/icons";
import { PAGES } from "./pages";

interface Target {
  id: string;
  label: string;
  kind: string;
  icon: string;
  go: { to: string; params?: Record<string, string>; search?: Record<string, string> };
}

const MAX_FOUND = 12;
const ID_LENGTH = 12;

export function Palette({ open, onClose }: { open: boolean; onClose: () => void }) {
  return (
    <Dialog title="Go to" open={open} onClose={onClose}>
      {open && <Finder onClose={onClose} />}
    </Dialog>
  );
}

function Finder({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const navigate = useNavigate();
  const tenants = useQuery({
    queryKey: ["tenants"],
    queryFn: () => data(api.GET("/v1/tenants")),
    staleTime: 60_000,
  });
  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    const all: Target[] = [
      ...PAGES.map((page) => ({
        id: page.path,
        label: page.label,
        kind: "Page",
        icon: page.icon,
        go: { to: page.path },
      })),
      ...(tenants.data?.tenants ?? []).map((tenant) => ({
        id: `t:${tenant.tenant_id}`,
        label: tenant.name || tenant.tenant_id,
        kind: "Tenant",
        icon: "tenants",
        go: { to: "/tenants/$tenant", params: { tenant: tenant.tenant_id } },
      })),
    ];
    const hits = all.filter((one) => `${one.label} ${one.id}`.toLowerCase().includes(wanted));
    if (wanted.length >= ID_LENGTH && !wanted.includes(" ")) {
      const request = text.trim();
      hits.push({
        id: "r",
        label: request,
        kind: "Request",
        icon: "requests",
        go: { to: "/requests/$request", params: { request } },
      });
    }
    return hits.slice(0, MAX_FOUND);
  }, [text, tenants.data]);
  const go = (target: Target | undefined) => {
    if (!target) return;
    onClose();
    void navigate(target.go as never);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      setAt((at + step + found.length) % Math.max(1, found.length));
    } else if (event.key === "Enter") {
      event.preventDefault();
      go(found[at]);
    }
  };
  return (
    <>
      <input
        className="input"
        type="search"
        aria-label="Page, tenant or request"
        placeholder="Page, tenant, or the id of a request"
        role="combobox"
        aria-expanded="true"
        aria-controls="palette-list"
        aria-activedescendant={found[at] ? `palette-${at}` : undefined}
        // biome-ignore lint/a11y/noAutofocus: the dialog was opened to type here
        autoFocus
        value={text}
        onChange={(event) => {
          setText(event.target.value);
          setAt(0);
        }}
        onKeyDown={onKey}
      />
      <div className="palette-list" id="palette-list" role="listbox" aria-label="Places">
        {found.map((target, place) => (
          <button
            key={target.id}
            id={`palette-${place}`}
            type="button"
            role="option"
            tabIndex={-1}
            aria-selected={place === at}
            onMouseMove={() => setAt(place)}
            onClick={() => go(target)}
          >
            <Icon name={target.icon} />
            <span className="clip">{target.label}</span>
            <span className="kind">{target.kind}</span>
          </button>
        ))}
        {!found.length && <p className="faint">Nothing of this name.</p>}
      </div>
    </>
  );
}
