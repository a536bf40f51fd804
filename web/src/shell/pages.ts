/** The pages in the navigation: one list for the sidebar, the palette and the shortcuts. */

export interface NavPage {
  path: string;
  label: string;
  icon: string;
  /** The second key after `g`. */
  key: string;
  group: "Look" | "Control" | "Set up";
}

export const PAGES: readonly NavPage[] = [
  { path: "/", label: "Overview", icon: "overview", key: "o", group: "Look" },
  { path: "/tenants", label: "Tenants", icon: "tenants", key: "t", group: "Look" },
  { path: "/requests", label: "Requests", icon: "requests", key: "r", group: "Look" },
  { path: "/agents", label: "Agents & features", icon: "agents", key: "a", group: "Look" },
  { path: "/explore", label: "Explore", icon: "explore", key: "e", group: "Look" },
  { path: "/prices", label: "Prices", icon: "prices", key: "p", group: "Control" },
  { path: "/limits", label: "Limits", icon: "limits", key: "l", group: "Control" },
  { path: "/connect", label: "Connect", icon: "connect", key: "c", group: "Set up" },
  { path: "/settings", label: "Settings", icon: "settings", key: "s", group: "Set up" },
];
