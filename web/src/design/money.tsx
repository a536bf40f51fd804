/** Amounts, changes and links to the events behind a number. */

import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import { useCurrency } from "@/api/currencies";
import { type MoneyStyle, money } from "@/lib/money";
import { change, signed } from "@/lib/numbers";
import { type Search, useView } from "@/lib/view";

/** An amount of nano-dollars in the viewer's currency; its title has every digit. */
export function Money({
  nanos,
  look = "auto",
}: {
  nanos: number | null | undefined;
  look?: MoneyStyle;
}) {
  const currency = useCurrency();
  const exact = money(nanos, currency, "exact");
  return (
    <span className="num" title={exact}>
      {money(nanos, currency, look)}
    </span>
  );
}

/** How an amount moved against the time before. For costs, more is worse. */
export function Delta({
  now,
  before,
  good = "down",
}: {
  now: number;
  before: number;
  good?: "down" | "up" | "none";
}) {
  const share = change(now, before);
  if (share === null && now === 0) return null;
  const rising = share === null || share > 0.005;
  const falling = share !== null && share < -0.005;
  let tone = "flat";
  if (good !== "none" && (rising || falling)) tone = rising === (good === "up") ? "down" : "up";
  return <span className={`delta ${tone}`}>{signed(share)}</span>;
}

interface BehindProps {
  /** Filters beyond those of the view: dimension to value. */
  by?: Search;
  children: ReactNode;
  /** What the link leads to, for screen readers, such as "requests of acme". */
  label?: string;
}

/** A number that leads to the requests behind it, with the view's window and filters. */
export function Behind({ by = {}, children, label }: BehindProps) {
  const view = useView();
  return (
    <Link className="behind" to="/requests" search={view.carried(by) as never}>
      {children}
      {label && <span className="sr-only">, {label}</span>}
    </Link>
  );
}

interface StatProps {
  label: ReactNode;
  children: ReactNode;
  more?: ReactNode;
}

/** One large number with its label and a line of context. */
export function Stat({ label, children, more }: StatProps) {
  return (
    <div className="stat">
      <span className="label">{label}</span>
      <span className="value">{children}</span>
      {more && <span className="more">{more}</span>}
    </div>
  );
}

export function Stats({ children, label }: { children: ReactNode; label: string }) {
  return (
    <section className="stats" aria-label={label}>
      {children}
    </section>
  );
}
