/** What is under a stacked chart as a list: each series with its colour, amount and share. */

import { Link } from "@tanstack/react-router";
import { Money } from "@/design/money";
import { percent } from "@/lib/numbers";
import { NONE, type Search } from "@/lib/view";
import { SERIES } from "./palette";
import css from "./Ranking.module.css";
import { REST } from "./series";
import { labelOf, type Part } from "./stacked";

interface RankingProps {
  by: string;
  parts: Part[];
  total: number;
  /** The search of the requests behind a value of the dimension. */
  behind: (by: Search) => Search;
}

/** Return the part of a URL that filters by a value. */
export function filterBy(by: string, value: Part["value"]): Search {
  return { [by]: value === null || value === undefined ? NONE : String(value) };
}

export function Ranking({ by, parts, total, behind }: RankingProps) {
  return (
    <>
      <ul className={css.list}>
        {parts.map((part, at) => {
          const rest = part.value === undefined;
          const colour = rest ? "var(--data-rest)" : `var(--data-${(at % SERIES) + 1})`;
          const share = total ? part.amount / total : 0;
          const content = (
            <>
              <i className={css.mark} style={{ background: colour }} />
              <span className="clip">{rest ? REST : labelOf(by, part.value)}</span>
              <Money nanos={part.amount} look="compact" />
              <span className={`num ${css.share}`}>{percent(share)}</span>
              <span className={css.bar} aria-hidden="true">
                <i style={{ width: `${share * 100}%`, background: colour }} />
              </span>
            </>
          );
          return (
            <li key={rest ? REST : String(part.value)}>
              {rest ? (
                <div className={css.row}>{content}</div>
              ) : (
                <Link
                  className={css.row}
                  to="/requests"
                  search={behind(filterBy(by, part.value)) as never}
                  title={`Requests: ${by.replaceAll("_", " ")} ${labelOf(by, part.value)}`}
                >
                  {content}
                </Link>
              )}
            </li>
          );
        })}
      </ul>
      <p className={css.foot}>
        <span>All</span>
        <Money nanos={total} look="compact" />
      </p>
    </>
  );
}
