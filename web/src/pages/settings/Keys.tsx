/** API keys: made, listed, revoked. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Badge, Button, Card, Empty, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { DataTable, type TableColumn } from "@/design/table";
import { ago, moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { Confirm } from "./Confirm";
import { Secret } from "./Secret";

type Key = components["schemas"]["Key"];

const LIST = ["keys"];
const SCOPES = [
  ["ingest", "send events, hold and lease"],
  ["read", "read everything"],
  ["operate", "change limits and virtual keys"],
  ["gateway", "run a gateway"],
  ["portal", "read one tenant's portal"],
  ["admin", "everything"],
] as const;

export function Keys() {
  const { zone } = useView();
  const client = useQueryClient();
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const [ending, setEnding] = useState<Key | null>(null);
  const found = useQuery({ queryKey: LIST, queryFn: () => data(api.GET("/v1/keys")) });
  const revoke = useMutation<unknown, ApiError, Key>({
    mutationFn: (key) =>
      api.DELETE("/v1/keys/{key_id}", { params: { path: { key_id: key.key_id } } }),
    onSuccess: (_, key) => {
      void client.invalidateQueries({ queryKey: LIST });
      setEnding(null);
      toast(`${key.name} is revoked.`);
    },
  });
  const now = nowMicros();
  const columns: TableColumn<Key>[] = [
    { id: "name", header: "Name", value: (key) => key.name },
    {
      id: "prefix",
      header: "Begins with",
      value: (key) => key.prefix,
      cell: (key) => <code>{key.prefix}…</code>,
      wide: true,
    },
    {
      id: "scopes",
      header: "May",
      value: (key) => key.scopes.join(" "),
      cell: (key) => <Scopes scopes={key.scopes} />,
    },
    {
      id: "tenant",
      header: "Tenant",
      value: (key) => key.tenant_id ?? "",
      cell: (key) => key.tenant_id ?? <span className="faint">all</span>,
    },
    {
      id: "used",
      header: "Last used",
      value: (key) => key.last_used_at ?? 0,
      cell: (key) => ago(key.last_used_at, now),
      wide: true,
    },
    {
      id: "made",
      header: "Made",
      value: (key) => key.created_at,
      cell: (key) => moment(key.created_at, zone),
      wide: true,
    },
    {
      id: "state",
      header: "State",
      value: (key) => stateOf(key, now),
      cell: (key) => <State state={stateOf(key, now)} />,
    },
    {
      id: "act",
      header: "",
      value: () => "",
      sortable: false,
      end: true,
      cell: (key) =>
        key.revoked_at ? null : (
          <Button small look="danger" onClick={() => setEnding(key)}>
            Revoke
          </Button>
        ),
    },
  ];
  return (
    <>
      <Card
        flush
        title="API keys"
        actions={
          <Button look="primary" small icon="plus" onClick={() => setMaking(true)}>
            New key
          </Button>
        }
      >
        <Async query={found}>
          {(list) => (
            <DataTable
              label="API keys"
              rows={list.keys}
              columns={columns}
              keyOf={(key) => key.key_id}
              sort={{ id: "made" }}
              empty={<Empty title="There is no key yet" />}
            />
          )}
        </Async>
      </Card>
      {making && (
        <NewKey
          onClose={() => setMaking(false)}
          onMade={(made) => {
            setMaking(false);
            setSecret(made);
          }}
        />
      )}
      <Secret title="The new key" secret={secret} onClose={() => setSecret(null)}>
        It is shown this once; only its hash is kept.
      </Secret>
      {ending && (
        <Confirm
          title={`Revoke ${ending.name}?`}
          act="Revoke"
          busy={revoke.isPending}
          error={revoke.error}
          onAct={() => revoke.mutate(ending)}
          onClose={() => setEnding(null)}
        >
          Its next request is refused. This cannot be taken back.
        </Confirm>
      )}
    </>
  );
}

function stateOf(key: Key, now: number): string {
  if (key.revoked_at) return "revoked";
  return key.expires_at && key.expires_at <= now ? "expired" : "in use";
}

export function State({ state }: { state: string }) {
  return <Badge tone={state === "in use" ? "good" : "plain"}>{state}</Badge>;
}

function Scopes({ scopes }: { scopes: string[] }) {
  return (
    <span className="toolbar" style={{ gap: "0.25rem" }}>
      {scopes.map((scope) => (
        <Badge key={scope} tone={scope === "admin" ? "warn" : "plain"}>
          {scope}
        </Badge>
      ))}
    </span>
  );
}

function NewKey({ onClose, onMade }: { onClose: () => void; onMade: (secret: string) => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["ingest"]);
  const [tenant, setTenant] = useState("");
  const make = useMutation<{ secret: string }, ApiError>({
    mutationFn: () =>
      data(api.POST("/v1/keys", { body: { name, scopes, tenant_id: tenant || null } })),
    onSuccess: (made) => {
      void client.invalidateQueries({ queryKey: LIST });
      onMade(made.secret);
    },
  });
  const wrong = (field: string) =>
    make.error?.where?.startsWith(field) ? make.error.message : null;
  const known = ["name", "scopes", "tenant_id"].some((field) => wrong(field));
  return (
    <Dialog
      title="New API key"
      open
      onClose={onClose}
      foot={
        <Button
          look="primary"
          disabled={!name || !scopes.length || make.isPending}
          onClick={() => make.mutate()}
        >
          Make the key
        </Button>
      }
    >
      <Field label="Name" hint="What uses it, such as billing-service." wrong={wrong("name")}>
        {(id, described) => (
          <input
            id={id}
            className="input"
            aria-describedby={described}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        )}
      </Field>
      <Field label="It may" wrong={wrong("scopes")}>
        {() => (
          <div className="checks">
            {SCOPES.map(([scope, meaning]) => (
              <label key={scope} title={meaning}>
                <input
                  type="checkbox"
                  checked={scopes.includes(scope)}
                  onChange={(event) =>
                    setScopes(
                      event.target.checked
                        ? [...scopes, scope]
                        : scopes.filter((one) => one !== scope),
                    )
                  }
                />
                {meaning}
              </label>
            ))}
          </div>
        )}
      </Field>
      <Field label="Only for tenant" hint="Left out: for all of them." wrong={wrong("tenant_id")}>
        {(id, described) => (
          <input
            id={id}
            className="input"
            aria-describedby={described}
            value={tenant}
            onChange={(event) => setTenant(event.target.value)}
          />
        )}
      </Field>
      {!known && <Refused error={make.error} />}
    </Dialog>
  );
}
