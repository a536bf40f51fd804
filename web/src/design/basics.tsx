/** The small parts of every page: cards, fields, badges, states. */

import type { ButtonHTMLAttributes, ReactNode } from "react";
import { useId } from "react";
import { ApiError } from "@/api/client";
import { Icon } from "./icons";

interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: "usual" | "primary" | "quiet" | "danger";
  small?: boolean;
  /** An icon alone; `aria-label` says what it does. */
  icon?: string;
}

export function Button({ look = "usual", small, icon, children, className, ...rest }: ButtonProps) {
  const classes = [
    "button", look === "usual" ? "" : look, small ? "small" : "", icon && !children ? "icon" : "", className ?? "",
  ]; // biome-ignore format: a list of class names
  return (
    <button type="button" className={classes.filter(Boolean).join(" ")} {...rest}>
      {icon && <Icon name={icon} size={small ? 14 : 16} />}
      {children}
    </button>
  );
}

interface CardProps {
  title?: ReactNode;
  /** A few words after the title. */
  note?: ReactNode;
  actions?: ReactNode;
  /** The body touches the edges, as a table does. */
  flush?: boolean;
  className?: string;
  children: ReactNode;
}

export function Card({ title, note, actions, flush, className = "", children }: CardProps) {
  const id = useId();
  return (
    <section className={`card ${className}`} aria-labelledby={title ? id : undefined}>
      {(title || actions) && (
        <div className="head">
          <h2 id={id}>
            {title}
            {note && <span className="note">{note}</span>}
          </h2>
          {actions}
        </div>
      )}
      <div className={`body ${flush ? "flush" : ""}`}>{children}</div>
    </section>
  );
}

interface PageProps {
  title: ReactNode;
  sub?: ReactNode;
  crumbs?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A page: its heading, what can be done with it, and its content. */
export function Page({ title, sub, crumbs, actions, children }: PageProps) {
  return (
    <div className="page">
      <header className="page-head">
        <div className="titles">
          {crumbs && (
            <nav className="crumbs" aria-label="Breadcrumb">
              {crumbs}
            </nav>
          )}
          <h1>{title}</h1>
          {sub && <p className="sub">{sub}</p>}
        </div>
        {actions && <div className="toolbar">{actions}</div>}
      </header>
      {children}
    </div>
  );
}

type Tone = "plain" | "good" | "warn" | "bad" | "accent";

export function Badge({
  tone = "plain",
  children,
  title,
}: {
  tone?: Tone;
  children: ReactNode;
  title?: string;
}) {
  return (
    <span className={`badge ${tone === "plain" ? "" : tone}`} title={title}>
      {children}
    </span>
  );
}

const STATUS: Record<string, Tone> = {
  ok: "good",
  error: "bad",
  timeout: "bad",
  blocked: "warn",
  refused: "warn",
  aborted: "warn",
  incomplete: "warn",
};

/** The status of a call, in the API's own word. */
export function Status({ value }: { value: string | null | undefined }) {
  return <Badge tone={STATUS[value ?? ""] ?? "plain"}>{value ?? "unknown"}</Badge>;
}

interface FieldProps {
  label: ReactNode;
  hint?: ReactNode;
  wrong?: string | null | undefined;
  children: (id: string, described: string | undefined) => ReactNode;
}

/** A labelled field; `children` gets the id to use and what describes it. */
export function Field({ label, hint, wrong, children }: FieldProps) {
  const id = useId();
  const described = wrong ? `${id}-wrong` : hint ? `${id}-hint` : undefined;
  return (
    <div className="field">
      <label className="label" htmlFor={id}>
        {label}
      </label>
      {children(id, described)}
      {hint && !wrong && (
        <span className="hint" id={`${id}-hint`}>
          {hint}
        </span>
      )}
      {wrong && (
        <span className="wrong" id={`${id}-wrong`} role="alert">
          {wrong}
        </span>
      )}
    </div>
  );
}

interface MeterProps {
  /** Share of the whole, 1 is all of it. */
  share: number;
  held?: number;
  label: string;
}

/** A bar of how much is used; its colour changes near the end. */
export function Meter({ share, held = 0, label }: MeterProps) {
  const tone = share >= 1 ? "bad" : share >= 0.8 ? "warn" : "";
  const width = (part: number) => `${Math.min(100, Math.max(0, part * 100))}%`;
  return (
    <span
      className={`meter ${tone}`}
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(Math.min(1, share) * 100)}
      aria-valuetext={`${Math.round(share * 100)} %`}
    >
      {held > 0 && <i className="held" style={{ width: width(share + held) }} />}
      <i style={{ width: width(share) }} />
    </span>
  );
}

interface StateProps {
  title: string;
  children?: ReactNode;
  actions?: ReactNode;
  icon?: string;
}

/** Nothing to show, and what to do about it. */
export function Empty({ title, children, actions, icon = "search" }: StateProps) {
  return (
    <div className="state">
      <Icon name={icon} size={22} />
      <p className="what">{title}</p>
      {children && <p>{children}</p>}
      {actions && <div className="actions">{actions}</div>}
    </div>
  );
}

/** Something failed: what, and the way on. */
export function Failed({ error, again }: { error: unknown; again?: () => void }) {
  const known = error instanceof ApiError ? error : null;
  return (
    <div className="state" role="alert">
      <Icon name="warn" size={22} />
      <p className="what">{known?.message ?? "This part of the page failed."}</p>
      {known?.hint && <p>{known.hint}</p>}
      {again && (
        <div className="actions">
          <Button small onClick={again}>
            Try again
          </Button>
        </div>
      )}
    </div>
  );
}

export function Skeleton({
  width = "100%",
  height = "0.75rem",
}: {
  width?: string;
  height?: string;
}) {
  return <span className="skeleton" style={{ width, height }} aria-hidden="true" />;
}

/** Lines in the place of what is loading; said once to screen readers. */
export function Loading({ lines = 4, height }: { lines?: number; height?: number }) {
  return (
    <div
      role="status"
      style={{ display: "grid", gap: "0.75rem", minHeight: height, alignContent: "center" }}
    >
      <span className="sr-only">Loading</span>
      {Array.from({ length: lines }, (_, line) => (
        <Skeleton key={line} width={`${92 - ((line * 17) % 40)}%`} />
      ))}
    </div>
  );
}

interface AsyncProps<T> {
  query: { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  empty?: ReactNode;
  isEmpty?: (found: T) => boolean;
  loading?: ReactNode;
  children: (found: T) => ReactNode;
}

/** A query's content in each of its states: loading, failed, empty, there. */
export function Async<T>({ query, empty, isEmpty, loading, children }: AsyncProps<T>) {
  if (query.data !== undefined) {
    if (empty && isEmpty?.(query.data)) return <>{empty}</>;
    return <>{children(query.data)}</>;
  }
  if (query.error) return <Failed error={query.error} again={() => query.refetch()} />;
  return <>{loading ?? <Loading />}</>;
}

interface SegmentsProps<T extends string> {
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}

/** A choice of few, all in sight. */
export function Segments<T extends string>({ label, value, choices, onChange }: SegmentsProps<T>) {
  return (
    <fieldset className="segments" style={{ border: 0, margin: 0 }} aria-label={label}>
      {choices.map(([id, text]) => (
        <button key={id} type="button" aria-pressed={id === value} onClick={() => onChange(id)}>
          {text}
        </button>
      ))}
    </fieldset>
  );
}

interface SelectProps<T extends string> {
  label: string;
  value: T;
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
  plain?: boolean;
}

/** A choice of many, under a label that is only read out. */
export function Select<T extends string>({
  label,
  value,
  choices,
  onChange,
  plain = true,
}: SelectProps<T>) {
  return (
    <select
      className={`select ${plain ? "plain" : ""}`}
      aria-label={label}
      value={value}
      onChange={(event) => onChange(event.target.value as T)}
    >
      {choices.map(([id, text]) => (
        <option key={id} value={id}>
          {text}
        </option>
      ))}
    </select>
  );
}
