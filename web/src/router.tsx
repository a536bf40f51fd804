/** Every page by its path. Pages are loaded when they are first visited. */

import type { QueryClient } from "@tanstack/react-query";
import {
  createRootRouteWithContext,
  createRoute,
  createRouter,
  lazyRouteComponent,
  Outlet,
  redirect,
} from "@tanstack/react-router";
import { sessionQuery } from "@/api/session";
import { Failed } from "@/design/basics";
import { parseSearch, type Search, writeSearch } from "@/lib/view";
import { Missing } from "@/shell/Missing";
import { Shell } from "@/shell/Shell";

interface Context {
  client: QueryClient;
}

const root = createRootRouteWithContext<Context>()({
  validateSearch: (search: Record<string, unknown>): Search => search as Search,
  component: Outlet,
  notFoundComponent: Missing,
  errorComponent: ({ error, reset }) => <Failed error={error} again={reset} />,
});

const login = createRoute({
  getParentRoute: () => root,
  path: "/login",
  component: lazyRouteComponent(() => import("@/pages/login/Login")),
});

const shell = createRoute({
  getParentRoute: () => root,
  id: "shell",
  component: Shell,
  beforeLoad: async ({ context, location }) => {
    const session = await context.client.ensureQueryData(sessionQuery);
    const next = location.href === "/" ? {} : { next: location.href };
    if (!session.user) throw redirect({ to: "/login", search: next as never });
    // A tenant's own people have pages of their own.
    if (session.user.role === "tenant") window.location.replace("/portal/");
  },
});

const page = <Path extends string>(path: Path, load: Parameters<typeof lazyRouteComponent>[0]) =>
  createRoute({ getParentRoute: () => shell, path, component: lazyRouteComponent(load) });

const pages = [
  page("/", () => import("@/pages/overview/Overview")),
  page("/tenants", () => import("@/pages/tenants/Tenants")),
  page("/tenants/$tenant", () => import("@/pages/tenants/Tenant")),
  page("/requests", () => import("@/pages/requests/Requests")),
  page("/requests/$request", () => import("@/pages/requests/Request")),
  page("/agents", () => import("@/pages/agents/Agents")),
  page("/explore", () => import("@/pages/explore/Explore")),
  page("/prices", () => import("@/pages/prices/Prices")),
  page("/limits", () => import("@/pages/limits/Limits")),
  page("/limits/$limit", () => import("@/pages/limits/Limit")),
  page("/connect", () => import("@/pages/connect/Connect")),
  page("/settings", () => import("@/pages/settings/Settings")),
  page("/settings/$part", () => import("@/pages/settings/Settings")),
];

export function makeRouter(client: QueryClient) {
  return createRouter({
    routeTree: root.addChildren([login, shell.addChildren(pages)]),
    basepath: "/app",
    context: { client },
    parseSearch,
    stringifySearch: writeSearch,
    defaultPreload: "intent",
    scrollRestoration: true,
  });
}

declare module "@tanstack/react-router" {
  interface Register {
    router: ReturnType<typeof makeRouter>;
  }
}
