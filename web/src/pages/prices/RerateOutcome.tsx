/** What pricing again found: sums of the events that change, and the same by model. */

import { useMemo } from "react";
import { useCurrency } from "@/api/currencies";
import type { components } from "@/api/schema";
import { Button, Card, Empty } from "@/design/basics";
import { Delta, Money, Stat, Stats } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { type Currency, money } from "@/lib/money";
import { count, credits } from "@/lib/numbers";
import type { Repriced } from "./api";

type Model = components["schemas"]["RepricedModel"];

const signed = (nanos: number, currency: Currency) =>
  `${nanos > 0 ? "+" : ""}${money(nanos, currency)}`;

interface OutcomeProps {
  outcome: Repriced;
  may: boolean;
  /** Only events without a price were looked at. */
  unpricedOnly: boolean;
  onApply: () => void;
}

export function Outcome({ outcome, may, unpricedOnly, onApply }: OutcomeProps) {
  const currency = useCurrency();
  const change = outcome.now_nanos - outcome.was_nanos;
  const applied = outcome.applied;
  return (
    <div className="page" style={{ padding: 0, maxWidth: "none" }}>
      <Stats label="What pricing again finds">
        <Stat
          label={applied ? "Events changed" : "Events that change"}
          more={`of ${count(outcome.examined)} looked at`}
        >
          {count(outcome.changed)}
        </Stat>
        <Stat
          label="Cost"
          more={
            <>
              <Money nanos={outcome.was_nanos} /> → <Money nanos={outcome.now_nanos} />{" "}
              <Delta now={outcome.now_nanos} before={outcome.was_nanos} />
            </>
          }
        >
          {signed(change, currency)}
        </Stat>
        <Stat
          label="Sold for"
          more={
            outcome.credits_change_micros
              ? `${credits(outcome.credits_change_micros)} credits`
              : "charges of tenants"
          }
        >
          {signed(outcome.sell_change_nanos, currency)}
        </Stat>
        <Stat label="First price" more={`${count(outcome.still_unpriced)} still have none`}>
          {count(outcome.priced_late)}
        </Stat>
      </Stats>
      <Card
        title={applied ? "Written" : "Preview, by model"}
        note={applied ? `${count(outcome.written)} adjustments` : "nothing is written yet"}
        flush
        actions={
          !applied &&
          outcome.changed > 0 && (
            <Button
              look="primary"
              disabled={!may}
              title={may ? undefined : "Events are priced again by admins"}
              onClick={onApply}
            >
              Apply {signed(change, currency)}…
            </Button>
          )
        }
      >
        <Models
          models={outcome.models}
          unpriced={outcome.still_unpriced}
          unpricedOnly={unpricedOnly}
        />
      </Card>
    </div>
  );
}

interface ModelsProps {
  models: Model[];
  unpriced: number;
  unpricedOnly: boolean;
}

function Models({ models, unpriced, unpricedOnly }: ModelsProps) {
  const currency = useCurrency();
  const columns = useMemo(
    (): TableColumn<Model>[] => [
      {
        id: "model",
        header: "Model",
        value: (one) => `${one.provider}/${one.model}`,
        cell: (one) => (
          <>
            <span className="faint">{one.provider}</span> {one.model}
          </>
        ),
      },
      {
        id: "events",
        header: "Events",
        end: true,
        value: (one) => one.events,
        cell: (one) => count(one.events),
      },
      {
        id: "was",
        header: "Was",
        end: true,
        value: (one) => one.was_nanos,
        cell: (one) => <Money nanos={one.was_nanos} />,
      },
      {
        id: "now",
        header: "Now",
        end: true,
        value: (one) => one.now_nanos,
        cell: (one) => <Money nanos={one.now_nanos} />,
      },
      {
        id: "change",
        header: "Change",
        end: true,
        value: (one) => one.now_nanos - one.was_nanos,
        cell: (one) => (
          <span className="num">{signed(one.now_nanos - one.was_nanos, currency)}</span>
        ),
      },
    ],
    [currency],
  );
  return (
    <DataTable
      label="Change by model"
      rows={models}
      columns={columns}
      keyOf={(one) => `${one.provider}/${one.model}`}
      csv="re-rate"
      empty={
        <Empty title="Nothing changes" icon="check">
          {unpriced
            ? `Today's book agrees with what is booked. ${count(unpriced)} events still have no price: set one first.`
            : unpricedOnly
              ? "No event of this time lacks a price: after a change of prices, the server prices such events again by itself."
              : "Today's book agrees with what is booked for these events."}
        </Empty>
      }
    />
  );
}
