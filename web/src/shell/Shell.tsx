/** The frame of every page: navigation, live state, the viewer's own settings. */

import { Link, Outlet, useLocation } from "@tanstack/react-router";
import { Suspense, useEffect, useRef, useState } from "react";
import { type LiveState, useLive } from "@/api/live";
import { useSession } from "@/api/session";
import { Button, Loading } from "@/design/basics";
import { Toasts } from "@/design/dialog";
import { Icon } from "@/design/icons";
import { useView } from "@/lib/view";
import { Palette } from "./Palette";
import { PAGES } from "./pages";
import { useShortcuts } from "./shortcuts";
import "./shell.css";
import { ViewerMenu } from "./ViewerMenu";

/** The keys of the palette, as this system names them. */
const JUMP = /Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘K" : "Ctrl K";

const LIVE: Record<LiveState, [string, string]> = {
  live: ["good", "Live"],
  connecting: ["warn", "Connecting"],
  lost: ["bad", "Not connected: shown is what was last known"],
};

export function Shell() {
  const [open, setOpen] = useState(false);
  const [palette, setPalette] = useState(false);
  const { pathname } = useLocation();
  const live = useLive();
  const main = useRef<HTMLElement>(null);
  useShortcuts(() => setPalette(true));
  // biome-ignore lint/correctness/useExhaustiveDependencies: another page closes the drawer
  useEffect(() => setOpen(false), [pathname]);
  return (
    <div className="shell" data-open={open || undefined}>
      <a className="skip" href="#main" onClick={() => main.current?.focus()}>
        Skip to content
      </a>
      <div className="bar">
        <Button
          look="quiet"
          icon="menu"
          aria-label="Navigation"
          aria-expanded={open}
          onClick={() => setOpen(!open)}
        />
        <Brand />
      </div>
      <aside className="side" aria-label="Navigation">
        <div className="brand-row">
          <Brand />
          <LiveMark state={live} />
        </div>
        <button type="button" className="jump" onClick={() => setPalette(true)}>
          <Icon name="search" size={14} />
          <span>Go to…</span>
          <kbd>{JUMP}</kbd>
        </button>
        <Nav />
        <ViewerMenu />
      </aside>
      {open && (
        <button
          type="button"
          className="veil"
          aria-label="Close navigation"
          onClick={() => setOpen(false)}
        />
      )}
      <main id="main" ref={main} tabIndex={-1}>
        <DemoNote />
        <Suspense
          fallback={
            <div className="page">
              <Loading lines={8} height={400} />
            </div>
          }
        >
          <Outlet />
        </Suspense>
      </main>
      <Palette open={palette} onClose={() => setPalette(false)} />
      <Toasts />
    </div>
  );
}

function Brand() {
  return (
    <Link to="/" className="brand" aria-label="outlay, overview">
      <img src="/app/icon.svg" alt="" width="20" height="20" />
      outlay
    </Link>
  );
}

function LiveMark({ state }: { state: LiveState }) {
  const [tone, text] = LIVE[state];
  return (
    <span className="live" title={text} role="status">
      <i className={`dot ${tone}`} />
      <span className={state === "live" ? "sr-only" : ""}>
        {state === "lost" ? "Offline" : text}
      </span>
    </span>
  );
}

function Nav() {
  const view = useView();
  const { pathname } = useLocation();
  const groups = [...new Set(PAGES.map((page) => page.group))];
  return (
    <nav className="nav" aria-label="Pages">
      {groups.map((group) => (
        <ul key={group}>
          {PAGES.filter((page) => page.group === group).map((page) => {
            const active = page.path === "/" ? pathname === "/" : pathname.startsWith(page.path);
            return (
              <li key={page.path}>
                <Link
                  to={page.path as never}
                  search={(group === "Look" ? view.carried() : {}) as never}
                  aria-current={active ? "page" : undefined}
                >
                  <Icon name={page.icon} />
                  {page.label}
                </Link>
              </li>
            );
          })}
        </ul>
      ))}
    </nav>
  );
}

function DemoNote() {
  const session = useSession();
  if (!session?.demo) return null;
  return (
    <p className="demo-note">
      Demo: invented tenants, real metering.{" "}
      <Link to="/connect" className="link">
        Connect your own app
      </Link>
    </p>
  );
}
