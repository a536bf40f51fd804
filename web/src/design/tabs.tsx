/** Tabs of a page, each a link: which one is open is in the URL. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useView } from "@/lib/view";

interface TabsProps {
  label: string;
  value: string;
  /** Id and text; the first one is what a bare URL means. */
  tabs: readonly (readonly [string, ReactNode])[];
  /** Its name in the URL. */
  param?: string;
}

/** Window and filters go along to another tab; what belongs to one tab alone does not. */
export function Tabs({ label, value, tabs, param = "tab" }: TabsProps) {
  const view = useView();
  return (
    <nav className="tabs" aria-label={label}>
      {tabs.map(([id, text], at) => (
        <Link
          key={id}
          to="."
          search={view.carried({ [param]: at ? id : undefined }) as never}
          aria-current={id === value ? "page" : undefined}
          // The link itself would count the first tab as open on every other one.
          activeOptions={{ exact: true, includeSearch: true, explicitUndefined: true }}
        >
          {text}
        </Link>
      ))}
    </nav>
  );
}
