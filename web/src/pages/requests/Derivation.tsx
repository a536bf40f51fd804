/** How a price came about: each line's arithmetic, the rate behind it, and what changed later. */

import { Link } from "@tanstack/react-router";
import { Badge } from "@/design/basics";
import { Icon } from "@/design/icons";
import { Money } from "@/design/money";
import { count } from "@/lib/numbers";
import { usePreferences } from "@/lib/preferences";
import { day, moment } from "@/lib/time";
import type { Explained, PricedLine } from "./api";
import { unitName } from "./EventFacts";
import css from "./request.module.css";

const TONES = { exact: "good", estimated: "warn", unknown: "bad" } as const;

export function Derivation({ found }: { found: Explained }) {
  const { derivation, lines, event } = found;
  const { price } = derivation;
  const unpriced = price.basis === "unpriced" && !event.cost_nanos;
  return (
    <>
      <h3 className={css.sectionHead}>
        Price{" "}
        <span className={css.tags}>
          {price.basis && <Badge>{price.basis.replaceAll("_", " ")}</Badge>}
          {price.confidence && <Badge tone={TONES[price.confidence]}>{price.confidence}</Badge>}
        </span>
      </h3>
      {unpriced && <NoPrice />}
      {lines.length > 0 && (
        <Lines lines={lines} total={event.cost_nanos} label="Lines of the price" />
      )}
      {!lines.length && !unpriced && <p className="faint">Nothing of it was priced.</p>}
      {!unpriced && (
        <p className={derivation.adds_up ? css.adds : `${css.adds} ${css.badText}`}>
          <Icon name={derivation.adds_up ? "check" : "warn"} size={14} />
          <span>
            {derivation.adds_up ? `It adds up: ${derivation.total}.` : `${derivation.total}.`}
          </span>
        </p>
      )}
      {price.stated_by_provider_nanos !== undefined && (
        <p className="faint">
          The provider stated <Money nanos={price.stated_by_provider_nanos} />.
        </p>
      )}
      <Adjustments found={found} />
      <Fold title="Arithmetic" show={derivation.arithmetic.length > 0}>
        <pre className={css.text}>{derivation.arithmetic.join("\n")}</pre>
      </Fold>
      <Fold title="Usage as the provider sent it" show={Boolean(derivation.usage_raw)}>
        <pre className={css.text}>{pretty(derivation.usage_raw ?? "")}</pre>
      </Fold>
      <Fold title="How it was read">
        <dl className={`facts ${css.facts}`}>
          <div>
            <dt>Rule</dt>
            <dd>{derivation.model.rule ?? "–"}</dd>
          </div>
          <div>
            <dt>Counting</dt>
            <dd>{derivation.convention}</dd>
          </div>
          <div>
            <dt>Price book</dt>
            <dd>
              <code>{price.book ?? "–"}</code>
            </dd>
          </div>
          <div>
            <dt>Tenant</dt>
            <dd>
              {derivation.tenant.id}, vouched for by {derivation.tenant.vouched_by}
            </dd>
          </div>
        </dl>
      </Fold>
    </>
  );
}

function NoPrice() {
  return (
    <p className={css.warnText}>
      No price is known for it.{" "}
      <Link to="/prices" className="link">
        Set one
      </Link>{" "}
      and it is priced after the fact.
    </p>
  );
}

interface LinesProps {
  lines: PricedLine[];
  total: number;
  label: string;
}

function Lines({ lines, total, label }: LinesProps) {
  return (
    <div className={css.linesWrap}>
      <table className={css.lines}>
        <caption className="sr-only">{label}</caption>
        <thead>
          <tr>
            <th scope="col">Unit</th>
            <th scope="col" className="end">
              Quantity
            </th>
            <th scope="col" className="end" title="Rate for a million units">
              Per million
            </th>
            <th scope="col" className="end">
              Amount
            </th>
          </tr>
        </thead>
        {lines.map((line, at) => (
          <Line key={at} line={line} />
        ))}
        <tfoot>
          <tr className={css.sum}>
            <th scope="row" colSpan={3}>
              Cost
            </th>
            <td className="end">
              <Money nanos={total} look="exact" />
            </td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

/** A line, and under it where its rate comes from. */
function Line({ line }: { line: PricedLine }) {
  return (
    <tbody>
      <tr>
        <th scope="row" title={line.unit}>
          {unitName(line.unit)}
        </th>
        <td className="end">{count(line.quantity)}</td>
        <td className="end">
          <Money nanos={line.nanos_per_million} />
        </td>
        <td className="end">
          {line.basis === "unpriced" ? "not known" : <Money nanos={line.nanos} look="exact" />}
        </td>
      </tr>
      <tr className={css.origin}>
        <td colSpan={4}>
          <Origin line={line} />
        </td>
      </tr>
    </tbody>
  );
}

/** The basis of a line and its rate row: whose word it is, when it holds, since when known. */
function Origin({ line }: { line: PricedLine }) {
  const { zone } = usePreferences();
  const { rate } = line;
  const basis = `${line.basis.replaceAll("_", " ")} · ${line.confidence}`;
  if (!rate) return <span>{basis} · no rate row</span>;
  const from = rate.valid_from ? `from ${day(rate.valid_from, zone)}` : "always";
  const to = rate.valid_to ? ` to ${day(rate.valid_to, zone)}` : "";
  const known = [
    rate.recorded_at ? `recorded ${day(rate.recorded_at, zone)}` : "",
    rate.superseded_at ? `replaced ${day(rate.superseded_at, zone)}` : "",
  ];
  return (
    <>
      <span title={`Rate ${rate.rate_id}, layer ${rate.layer}`}>
        {basis} · {rate.source}
      </span>
      <span title={rate.recorded_at ? `Recorded ${moment(rate.recorded_at, zone)}` : undefined}>
        {[`valid ${from}${to}`, ...known].filter(Boolean).join(" · ")}
      </span>
    </>
  );
}

/** What changed the cost after the fact. */
function Adjustments({ found }: { found: Explained }) {
  const { zone } = usePreferences();
  const { adjustments = [], cost_now_nanos: now } = found.derivation;
  if (!adjustments.length) return null;
  return (
    <>
      <h3 className={css.sectionHead}>Adjusted later</h3>
      <ul className={css.changes}>
        {adjustments.map((one) => (
          <li key={one.event_id}>
            <p>
              <span>{(one.reason ?? "adjustment").replaceAll("_", " ")}</span>
              <span className="num">
                {one.nanos >= 0 ? "+" : ""}
                <Money nanos={one.nanos} look="exact" />
              </span>
            </p>
            <p className="faint">
              {moment(one.at, zone)}
              {one.basis && ` · ${one.basis.replaceAll("_", " ")}`}
              {one.rule && ` · ${one.rule}`}
            </p>
            {one.arithmetic.length > 0 && (
              <Fold title="Arithmetic">
                <pre className={css.text}>{one.arithmetic.join("\n")}</pre>
              </Fold>
            )}
          </li>
        ))}
      </ul>
      <p className={css.now}>
        <span>Cost now</span>
        <Money nanos={now ?? null} look="exact" />
      </p>
    </>
  );
}

interface FoldProps {
  title: string;
  show?: boolean;
  children: React.ReactNode;
}

function Fold({ title, show = true, children }: FoldProps) {
  if (!show) return null;
  return (
    <details className={css.foldout}>
      <summary>{title}</summary>
      {children}
    </details>
  );
}

/** Return JSON text on lines; other text as it is. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
