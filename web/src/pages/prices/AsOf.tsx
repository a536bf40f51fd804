/** Time travel: when a price is valid, and when the book believed it; both in the URL. */

import { useState } from "react";
import { Button, Field } from "@/design/basics";
import { Dialog } from "@/design/dialog";
import { Icon } from "@/design/icons";
import { fromWall, moment, wallTime } from "@/lib/time";
import { useView, type View } from "@/lib/view";

/** Return the two instants of the URL, RFC 3339 text or nothing for now. */
export function useAsOf(): { view: View; at: string; known: string; past: boolean } {
  const view = useView();
  const at = view.text("at");
  const known = view.text("known");
  return { view, at, known, past: Boolean(at || known) };
}

const said = (iso: string, zone: string) => moment(Date.parse(iso) * 1000, zone);

/** The button that opens the choice of a time. */
export function AsOfButton() {
  const { view, at, known, past } = useAsOf();
  const [open, setOpen] = useState(false);
  const label = at || known ? said(at || known, view.zone) : "now";
  return (
    <>
      <Button icon="clock" aria-haspopup="dialog" onClick={() => setOpen(true)}>
        As of {label}
        <Icon name="down" size={12} />
      </Button>
      <Dialog title="Prices as of" open={open} onClose={() => setOpen(false)}>
        <AsOfForm onDone={() => setOpen(false)} past={past} />
      </Dialog>
    </>
  );
}

function AsOfForm({ onDone, past }: { onDone: () => void; past: boolean }) {
  const { view, at, known } = useAsOf();
  const shown = (iso: string) => (iso ? wallTime(Date.parse(iso) * 1000, view.zone) : "");
  const [valid, setValid] = useState(shown(at));
  const [belief, setBelief] = useState(shown(known));
  const [more, setMore] = useState(Boolean(known));
  const kept = (text: string) => {
    const found = text ? fromWall(text, view.zone) : null;
    return found === null ? undefined : new Date(found / 1000).toISOString();
  };
  const apply = (one: string, other: string) => {
    view.set({ at: kept(one), known: kept(other) }, { replace: false });
    onDone();
  };
  return (
    <form
      style={{ display: "grid", gap: "1rem" }}
      onSubmit={(event) => {
        event.preventDefault();
        apply(valid, belief);
      }}
    >
      <Field
        label="Valid at"
        hint={`Which prices held at the provider then. Empty: now. In ${view.zone}.`}
      >
        {(id, described) => (
          <input
            id={id}
            aria-describedby={described}
            className="input"
            type="datetime-local"
            value={valid}
            onChange={(event) => setValid(event.target.value)}
          />
        )}
      </Field>
      {more ? (
        <Field
          label="As we knew it at"
          hint="What the book believed then, before later corrections. Empty: what it believes now."
        >
          {(id, described) => (
            <input
              id={id}
              aria-describedby={described}
              className="input"
              type="datetime-local"
              value={belief}
              onChange={(event) => setBelief(event.target.value)}
            />
          )}
        </Field>
      ) : (
        <div>
          <Button small look="quiet" icon="plus" onClick={() => setMore(true)}>
            More: as we knew it at
          </Button>
        </div>
      )}
      <div className="toolbar" style={{ justifyContent: "flex-end" }}>
        {past && <Button onClick={() => apply("", "")}>Back to now</Button>}
        <Button look="primary" type="submit">
          Show
        </Button>
      </div>
    </form>
  );
}

/** Says that what is shown is not the present, and leads back. */
export function AsOfBanner() {
  const { view, at, known, past } = useAsOf();
  if (!past) return null;
  return (
    <div className="notice warn" role="status" style={{ alignItems: "center" }}>
      <Icon name="clock" />
      <span style={{ flex: 1 }}>
        {at ? (
          <>
            Prices that hold on <b>{said(at, view.zone)}</b>
          </>
        ) : (
          "Prices that hold now"
        )}
        {known ? (
          <>
            , as the book believed on <b>{said(known, view.zone)}</b>.
          </>
        ) : (
          ", as believed today."
        )}
      </span>
      <Button small onClick={() => view.set({ at: undefined, known: undefined })}>
        Back to now
      </Button>
    </div>
  );
}
