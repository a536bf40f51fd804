/** What a change of prices would do: each new row beside what holds now. */

import type { ReactNode } from "react";
import { useCurrency } from "@/api/currencies";
import { day, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { type PriceChanged, useBook } from "./api";
import { standing } from "./draft";
import { LayerBadge, RatePrice } from "./parts";
import styles from "./prices.module.css";
import { conditions, type Rate, sameSell, sellName, sellText, unitLabel } from "./rates";

export function PlanPreview({ plan }: { plan: PriceChanged }) {
  const { zone } = useView();
  const currency = useCurrency();
  const book = useBook("", "");
  const now = nowMicros();
  if (!plan.added && !plan.superseded) {
    return <p className="notice">Nothing would change: the book says all of this already.</p>;
  }
  return (
    <>
      <p>
        <b className="num">{plan.added}</b> {plan.added === 1 ? "row" : "rows"} would be recorded,{" "}
        <b className="num">{plan.superseded}</b> superseded.
      </p>
      <div className={styles.preview} tabIndex={0} role="region" aria-label="What would change">
        <table className="table">
          <caption className="sr-only">What would change</caption>
          <thead>
            <tr>
              <th scope="col">Row</th>
              <th scope="col" className="end">
                Holds now
              </th>
              <th scope="col" className="end">
                Then
              </th>
              <th scope="col">From</th>
            </tr>
          </thead>
          <tbody>
            {plan.rates.map((rate) => (
              <Line
                key={rate.rate_id}
                what={<RateName rate={rate} />}
                was={<RatePrice rate={standing(book.data?.rates ?? [], rate, now)} />}
                then={<RatePrice rate={rate} per />}
                from={spanText(rate, zone)}
              />
            ))}
            {plan.sells.map((row) => {
              const old = plan.replaced_sells.find((one) => sameSell(one, row));
              return (
                <Line
                  key={row.sell_id}
                  what={sellName(row)}
                  was={old ? sellText(old, currency) : "–"}
                  then={sellText(row, currency)}
                  from={spanText(row, zone)}
                />
              );
            })}
            {plan.aliases.map((alias) => (
              <Line
                key={alias.id}
                what={`alias at ${alias.provider}`}
                was="–"
                then={alias.model}
                from="always"
              />
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function RateName({ rate }: { rate: Rate }) {
  const only = [rate.tenant && `tenant ${rate.tenant}`, ...conditions(rate)].filter(Boolean);
  return (
    <>
      <span className="faint">{rate.provider}</span> {rate.model} · {unitLabel(rate.unit)}{" "}
      <LayerBadge layer={rate.layer} />
      {only.length > 0 && <span className="faint"> {only.join(", ")}</span>}
    </>
  );
}

interface LineProps {
  what: ReactNode;
  was: ReactNode;
  then: ReactNode;
  from: string;
}

function Line({ what, was, then, from }: LineProps) {
  return (
    <tr>
      <td>{what}</td>
      <td className="end faint">{was}</td>
      <td className="end">{then}</td>
      <td className="num">{from}</td>
    </tr>
  );
}

function spanText(
  row: { valid_from: number | null; valid_to: number | null },
  zone: string,
): string {
  const from = row.valid_from ? day(row.valid_from, zone) : "always";
  return row.valid_to ? `${from} – ${day(row.valid_to, zone)}` : from;
}
