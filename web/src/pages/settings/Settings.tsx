/** Setting up: one page with a part for each thing, named in the path. */

import { Link, useParams } from "@tanstack/react-router";
import type { ComponentType } from "react";
import { useMay } from "@/api/session";
import { Empty, Page } from "@/design/basics";
import { Audit } from "./Audit";
import { Currencies } from "./Currencies";
import { Gateway } from "./Gateway";
import { Health } from "./Health";
import { Keys } from "./Keys";
import { People } from "./People";
import { Server } from "./Server";
import "./settings.css";
import { VirtualKeys } from "./VirtualKeys";

interface Part {
  id: string;
  label: string;
  sub: string;
  needs: "read" | "operate" | "admin";
  body: ComponentType;
}

const PARTS: readonly Part[] = [
  {
    id: "keys",
    label: "API keys",
    sub: "For applications, gateways and scripts.",
    needs: "admin",
    body: Keys,
  },
  {
    id: "virtual-keys",
    label: "Virtual keys",
    sub: "For callers of the gateway: each stands for a tenant.",
    needs: "operate",
    body: VirtualKeys,
  },
  {
    id: "gateway",
    label: "Gateway",
    sub: "The providers that this server passes calls on to.",
    needs: "operate",
    body: Gateway,
  },
  {
    id: "people",
    label: "People",
    sub: "Who signs in, and what they may do.",
    needs: "admin",
    body: People,
  },
  {
    id: "currencies",
    label: "Currencies",
    sub: "Rates that amounts are shown at. Costs are kept in US dollars.",
    needs: "read",
    body: Currencies,
  },
  {
    id: "health",
    label: "Health",
    sub: "The running parts, their lag, and what could not be stored.",
    needs: "admin",
    body: Health,
  },
  {
    id: "server",
    label: "Server",
    sub: "The settings in force: retention, bounds, addresses.",
    needs: "admin",
    body: Server,
  },
  {
    id: "audit",
    label: "Audit log",
    sub: "Who changed what, when and why.",
    needs: "admin",
    body: Audit,
  },
];

export default function Settings() {
  const { part: id } = useParams({ strict: false }) as { part?: string };
  const may = { read: useMay("read"), operate: useMay("operate"), admin: useMay("admin") };
  const open = PARTS.filter((part) => may[part.needs]);
  const part = id ? PARTS.find((one) => one.id === id) : open[0];
  const Body = part?.body;
  return (
    <Page title="Settings" sub={part?.sub}>
      <div className="settings">
        <nav className="settings-nav" aria-label="Settings">
          {open.map((one) => (
            <Link
              key={one.id}
              to="/settings/$part"
              params={{ part: one.id }}
              aria-current={one.id === part?.id ? "page" : undefined}
            >
              {one.label}
            </Link>
          ))}
        </nav>
        <div className="settings-body">
          {!part || !Body ? (
            <Empty title="There is no such part of the settings" />
          ) : may[part.needs] ? (
            <Body />
          ) : (
            <Empty title="This part is for admins" icon="user">
              Your role may not see it. Ask an admin.
            </Empty>
          )}
        </div>
      </div>
    </Page>
  );
}
