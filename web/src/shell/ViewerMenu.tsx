/** What the viewer chooses for himself, and the way out. */

import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { type ApiError, api } from "@/api/client";
import { useCurrencies } from "@/api/currencies";
import { useSession } from "@/api/session";
import { Button, Field, Segments } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Item, Menu } from "@/design/menu";
import { prefer, usePreferences } from "@/lib/preferences";
import { day, ownZone } from "@/lib/time";

export function ViewerMenu() {
  const session = useSession();
  const client = useQueryClient();
  const [open, setOpen] = useState(false);
  const user = session?.user;
  const shown = user?.name || user?.email || "You";
  const leave = async () => {
    const failed = await api.DELETE("/v1/session").then(
      () => null,
      (error: ApiError) => error,
    );
    // Whose session has ended already is out.
    if (failed && failed.status !== 401) {
      toast(failed.message, { bad: true });
      return;
    }
    client.clear();
    window.location.assign("/app/login");
  };
  return (
    <>
      <Menu
        label={`${shown}: your settings`}
        icon="user"
        text={
          <span className="clip" style={{ maxWidth: "8.5rem" }}>
            {shown}
          </span>
        }
        look="quiet"
        above
      >
        {(close) => (
          <>
            <div className="group">{user ? `${user.email} · ${user.role}` : "Not signed in"}</div>
            <Item
              onClick={() => {
                close();
                setOpen(true);
              }}
            >
              Currency, time zone, looks…
            </Item>
            <div className="sep" />
            <Item
              onClick={() => {
                close();
                void leave();
              }}
            >
              Sign out
            </Item>
          </>
        )}
      </Menu>
      <Viewer open={open} onClose={() => setOpen(false)} />
    </>
  );
}

function Viewer({ open, onClose }: { open: boolean; onClose: () => void }) {
  const chosen = usePreferences();
  const currencies = useCurrencies();
  const zones = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];
  const rate = currencies.find((one) => one.code === chosen.currency);
  return (
    <Dialog
      title="How you see things"
      open={open}
      onClose={onClose}
      foot={
        <Button look="primary" onClick={onClose}>
          Done
        </Button>
      }
    >
      <Field label="Looks">
        {() => (
          <Segments
            label="Looks"
            value={chosen.scheme}
            choices={[
              ["auto", "As the system"],
              ["light", "Light"],
              ["dark", "Dark"],
            ]}
            onChange={(scheme) => prefer({ scheme })}
          />
        )}
      </Field>
      <Field label="Rows of tables">
        {() => (
          <Segments
            label="Rows of tables"
            value={chosen.dense ? "dense" : "usual"}
            choices={[
              ["usual", "Usual"],
              ["dense", "Dense"],
            ]}
            onChange={(density) => prefer({ dense: density === "dense" })}
          />
        )}
      </Field>
      <Field
        label="Currency"
        hint={
          rate && rate.code !== "USD" ? (
            `Costs are kept in US dollars and shown at the rate of ${day(rate.validFrom, chosen.zone)}.`
          ) : (
            <>
              More currencies need a rate:{" "}
              <Link
                to="/settings/$part"
                params={{ part: "currencies" }}
                className="link"
                onClick={onClose}
              >
                set one
              </Link>
              .
            </>
          )
        }
      >
        {(id, described) => (
          <select
            id={id}
            aria-describedby={described}
            className="select"
            value={rate?.code ?? "USD"}
            onChange={(event) => prefer({ currency: event.target.value })}
          >
            {currencies.map((one) => (
              <option key={one.code}>{one.code}</option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Time zone" hint={`This browser is in ${ownZone()}.`}>
        {(id, described) => (
          <select
            id={id}
            aria-describedby={described}
            className="select"
            value={chosen.zone}
            onChange={(event) => prefer({ zone: event.target.value })}
          >
            {zones.map((zone) => (
              <option key={zone}>{zone}</option>
            ))}
          </select>
        )}
      </Field>
    </Dialog>
  );
}
