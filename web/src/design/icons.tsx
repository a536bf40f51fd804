/** Line icons on a 16 px grid, drawn for this product. */

import type { ReactNode } from "react";

const paths: Record<string, ReactNode> = {
  overview: <path d="M2.5 9.5h3l2-6 2.5 9 2-5h1.5" />,
  tenants: (
    <path d="M2.5 13.5v-9l5-2v11M7.5 6.5l6 2v5M2 13.5h12M4.7 6.2v.1M4.7 9v.1M10.5 10.5v.1" />
  ),
  requests: <path d="M2.5 3.5h6M5 8h7M7.5 12.5h6" />,
  agents: (
    <path d="M8 2.5v3M8 5.5 3.8 10M8 5.5l4.2 4.5M8 5.5V10M2.5 10h2.6v3H2.5zM6.7 10h2.6v3H6.7zM10.9 10h2.6v3h-2.6z" />
  ),
  explore: <path d="M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM10.3 5.7 9 9l-3.3 1.3L7 7z" />,
  prices: <path d="M8.5 2.5h5v5L7.3 13.7 2.3 8.7zM11 5v.1" />,
  limits: <path d="M2.5 11.5a5.5 5.5 0 1 1 11 0M8 11.5 10.8 7" />,
  settings: (
    <path d="M3 4.5h4M11 4.5h2M3 11.5h2M9 11.5h4M9 2.7a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6zM7 9.7a1.8 1.8 0 1 1 0 3.6 1.8 1.8 0 0 1 0-3.6z" />
  ),
  connect: (
    <path d="M6.5 9.5 9.5 6.5M7 4.5l1.5-1.5a3 3 0 0 1 4.5 4.5L11.5 9M9 11.5 7.5 13A3 3 0 0 1 3 8.5L4.5 7" />
  ),
  menu: <path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11" />,
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  down: <path d="m4 6.5 4 4 4-4" />,
  right: <path d="m6.5 4 4 4-4 4" />,
  search: <path d="M7 2.5a4.5 4.5 0 1 1 0 9 4.5 4.5 0 0 1 0-9zM10.3 10.3l3.2 3.2" />,
  download: <path d="M8 2.5v7.5M4.8 7 8 10.2 11.2 7M2.5 13.5h11" />,
  more: <path d="M3.5 8h.1M8 8h.1M12.4 8h.1" strokeWidth="2" />,
  plus: <path d="M8 3v10M3 8h10" />,
  check: <path d="m3 8.5 3.2 3.2L13 5" />,
  copy: <path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3" />,
  warn: <path d="M8 2.5 14 13H2zM8 6.5v3M8 11.2v.1" />,
  user: (
    <path d="M8 2.5a2.7 2.7 0 1 1 0 5.4 2.7 2.7 0 0 1 0-5.4zM2.8 13.5c.7-2.3 2.7-3.6 5.2-3.6s4.5 1.3 5.2 3.6" />
  ),
  save: <path d="M4 2.5h8v11L8 10.6l-4 2.9z" />,
  filter: <path d="M2.5 3.5h11L9.3 8.6v4.9L6.7 12V8.6z" />,
  call: <path d="M2.5 3.5h11v7h-6L4.5 13v-2.5h-2z" />,
  tool: (
    <path d="M9.6 3a3.4 3.4 0 0 0-1 4.2L3 12.8 4.2 14l5.6-5.6A3.4 3.4 0 0 0 14 4.9l-2 1-1.5-.4-.4-1.5 1-2a3.4 3.4 0 0 0-1.5 1z" />
  ),
  retry: <path d="M12.6 6A5 5 0 1 0 13 9M12.8 2.8V6H9.6" />,
  clock: <path d="M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM8 5v3.2l2 1.3" />,
};

export type IconName = keyof typeof paths;

export function Icon({ name, size = 16 }: { name: string; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.4"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
      style={{ flex: "none" }}
    >
      {paths[name]}
    </svg>
  );
}
