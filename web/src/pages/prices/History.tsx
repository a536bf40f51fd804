/** Everything ever believed of a model, the newest belief first; what was superseded is struck. */

import type { UseQueryResult } from "@tanstack/react-query";
import { useState } from "react";
import type { components } from "@/api/schema";
import { Async, Button, Card, Empty, Segments } from "@/design/basics";
import { day, moment } from "@/lib/time";
import { useView } from "@/lib/view";
import { LayerBadge, RatePrice } from "./parts";
import styles from "./prices.module.css";
import { conditions, type Rate, unitLabel } from "./rates";
import { type Belief, beliefs } from "./steps";

type History = components["schemas"]["PriceHistory"];
const SHOWN_ROWS = 8;

export function HistoryCard({ history }: { history: UseQueryResult<History> }) {
  const view = useView();
  const every = view.text("past") === "all";
  return (
    <Card
      title="History"
      note="what the book believed, and since when"
      actions={
        <Segments
          label="Which rows"
          value={every ? "all" : "plain"}
          choices={[
            ["plain", "Without conditions"],
            ["all", "All rows"],
          ]}
          onChange={(one) => view.set({ past: one === "all" ? "all" : undefined })}
        />
      }
    >
      <Async
        query={history}
        isEmpty={(found) => !found.rates.length}
        empty={
          <Empty title="Nothing was ever believed of this model" icon="clock">
            Its first price begins its history.
          </Empty>
        }
      >
        {(found) => {
          const rows = every ? found.rates : found.rates.filter((row) => !conditions(row).length);
          return (
            <ol className={styles.timeline}>
              {beliefs(rows.length ? rows : found.rates).map((one) => (
                <Moment key={`${one.at}${one.layer}${one.source}`} belief={one} />
              ))}
            </ol>
          );
        }}
      </Async>
    </Card>
  );
}

function Moment({ belief }: { belief: Belief }) {
  const { zone } = useView();
  const [open, setOpen] = useState(false);
  const rows = open ? belief.rows : belief.rows.slice(0, SHOWN_ROWS);
  const gone = belief.superseded
    ? `, ${belief.superseded === belief.rows.length ? "all" : belief.superseded} superseded since`
    : "";
  return (
    <li>
      <p className={styles.when}>
        <b className="num">{moment(belief.at, zone)}</b>
        <LayerBadge layer={belief.layer} />
        <span className="faint">
          {belief.source || "by hand"} · {belief.rows.length}{" "}
          {belief.rows.length === 1 ? "row" : "rows"} recorded{gone}
        </span>
      </p>
      <div className="table-wrap">
        <table className={styles.rows}>
          <caption className="sr-only">Rows recorded {moment(belief.at, zone)}</caption>
          <thead className="sr-only">
            <tr>
              <th scope="col">Unit</th>
              <th scope="col">Price</th>
              <th scope="col">Holds</th>
              <th scope="col">Only for</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((row) => (
              <Row key={`${row.rate_id}${row.recorded_at}`} row={row} zone={zone} />
            ))}
          </tbody>
        </table>
      </div>
      {belief.rows.length > SHOWN_ROWS && (
        <Button small look="quiet" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Show fewer" : `Show all ${belief.rows.length}`}
        </Button>
      )}
    </li>
  );
}

function Row({ row, zone }: { row: Rate; zone: string }) {
  const gone = row.superseded_at !== null;
  const only = [row.tenant && `tenant ${row.tenant}`, ...conditions(row)].filter(Boolean);
  return (
    <tr className={gone ? styles.gone : undefined}>
      <td>{unitLabel(row.unit)}</td>
      <td className="end num">
        <RatePrice rate={row} per />
      </td>
      <td className="num">
        {row.valid_from ? `from ${day(row.valid_from, zone)}` : "always"}
        {row.valid_to ? ` until ${day(row.valid_to, zone)}` : ""}
      </td>
      <td className={styles.note}>
        {only.join(", ")}
        {gone && <span className={styles.ended}>superseded {moment(row.superseded_at, zone)}</span>}
      </td>
    </tr>
  );
}
