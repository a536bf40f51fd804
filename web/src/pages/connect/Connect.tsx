/** Connecting an application: a key, the snippet for what it is written with, and the first event. */

import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import { named } from "@/api/question";
import { useMay } from "@/api/session";
import { Badge, Button, Card, Failed, Page } from "@/design/basics";
import { Code } from "@/design/code";
import { Icon } from "@/design/icons";
import { usePreferences } from "@/lib/preferences";
import { moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import "./connect.css";
import { environment, SNIPPETS } from "./snippets";

const POLL_MS = 1_500;

export default function Connect() {
  const view = useView();
  const [key, setKey] = useState("");
  const [since] = useState(nowMicros);
  const chosen = SNIPPETS.find((one) => one.id === view.text("for", "openai")) ?? SNIPPETS[0];
  const endpoint = window.location.origin;
  if (!chosen) return null;
  return (
    <Page
      title="Connect an application"
      sub="Three steps; nothing of your code changes but its start."
    >
      <Card title="1. A key for the application">
        <KeyStep secret={key} onMade={setKey} />
        <Code label="Environment" text={environment(endpoint, key)} />
      </Card>
      <Card title="2. The start of your code">
        <div className="tabs connect-tabs" role="tablist" aria-label="Written with">
          {SNIPPETS.map((one) => (
            <button
              key={one.id}
              type="button"
              role="tab"
              aria-selected={one.id === chosen.id}
              onClick={() => view.set({ for: one.id })}
            >
              {one.label}
            </button>
          ))}
        </div>
        <div className="connect-code">
          <Code label="Install" text={chosen.install} />
          <Code label={chosen.label} text={chosen.code.replace("{endpoint}", endpoint)} />
          <p className="faint">{chosen.note}</p>
          {chosen.id === "gateway" && (
            <p>
              <Link className="link" to="/settings/$part" params={{ part: "virtual-keys" }}>
                Make a virtual key
              </Link>
            </p>
          )}
        </div>
      </Card>
      <Card title="3. The first event">
        <FirstEvent since={since} />
      </Card>
    </Page>
  );
}

function KeyStep({ secret, onMade }: { secret: string; onMade: (secret: string) => void }) {
  const may = useMay("admin");
  const make = useMutation<{ secret: string }, ApiError>({
    mutationFn: () =>
      data(api.POST("/v1/keys", { body: { name: "application", scopes: ["ingest"] } })),
    onSuccess: (made) => onMade(made.secret),
  });
  if (secret) {
    return (
      <p className="notice good" role="status">
        <Icon name="check" /> The key is below, and is shown this once. It can only send events.
      </p>
    );
  }
  if (!may) return <p className="notice">Ask an admin for a key with the scope ingest.</p>;
  return (
    <>
      {make.error && <Failed error={make.error} />}
      <p>
        <Button look="primary" disabled={make.isPending} onClick={() => make.mutate()}>
          Make a key
        </Button>
      </p>
    </>
  );
}

/** Waits for an event that was captured after the page was opened, and turns green. */
function FirstEvent({ since }: { since: number }) {
  const { zone } = usePreferences();
  const found = useQuery({
    queryKey: ["first-event", since],
    queryFn: async () => {
      const answer = named(
        (await data(
          api.POST("/v1/query", {
            body: {
              metrics: ["attempts", "cost"],
              by: ["tenant", "feature", "provider", "model", "request"],
              from: new Date(since / 1000).toISOString(),
              filters: [{ field: "environment", op: "ne", value: "demo" }],
              limit: 1,
            } as never,
          }),
        )) as never,
      );
      return answer.rows[0] ?? null;
    },
    // Asked until it is there.
    refetchInterval: (query) => (query.state.data ? false : POLL_MS),
  });
  const row = found.data;
  if (!row) {
    return (
      <div className="connect-wait" role="status">
        <i className="dot warn" />
        <div>
          <p>
            <b>Waiting for an event</b> since {moment(since, zone)}.
          </p>
          <p className="faint">
            Nothing comes? <code>outlay doctor</code>, run where the application runs, says what is
            missing.
          </p>
        </div>
      </div>
    );
  }
  return (
    <div className="connect-wait done" role="status">
      <Icon name="check" size={20} />
      <div>
        <p>
          <b>It works.</b> The first event is from tenant{" "}
          <Badge tone="good">{String(row.tenant)}</Badge>
          {row.model ? `, model ${row.model}` : ""}.
        </p>
        <p>
          {row.request ? (
            <Link
              className="link"
              to="/requests/$request"
              params={{ request: String(row.request) }}
            >
              See what it cost
            </Link>
          ) : (
            <Link className="link" to="/">
              See the overview
            </Link>
          )}
        </p>
      </div>
    </div>
  );
}
