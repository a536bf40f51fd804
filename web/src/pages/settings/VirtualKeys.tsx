/** Virtual keys of the gateway: made, rotated, revoked. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Button, Card, Empty, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { DataTable, type TableColumn } from "@/design/table";
import { moment, nowMicros } from "@/lib/time";
import { useView } from "@/lib/view";
import { Confirm } from "./Confirm";
import { State } from "./Keys";
import { Secret } from "./Secret";

type VirtualKey = components["schemas"]["VirtualKey"];
type Act = { kind: "revoke" | "rotate"; key: VirtualKey };

const LIST = ["virtual-keys"];
const GRACE_S = 3_600;

export function VirtualKeys() {
  const view = useView();
  const client = useQueryClient();
  const [making, setMaking] = useState(false);
  const [secret, setSecret] = useState<string | null>(null);
  const [act, setAct] = useState<Act | null>(null);
  const found = useQuery({
    queryKey: [...LIST, view.text("tenant")],
    queryFn: () =>
      data(api.GET("/v1/virtual-keys", { params: { query: { tenant: view.text("tenant") } } })),
  });
  const done = () => {
    void client.invalidateQueries({ queryKey: LIST });
    setAct(null);
  };
  const run = useMutation<string | null, ApiError, Act>({
    mutationFn: async ({ kind, key }) => {
      const params = { path: { key_id: key.key_id } };
      if (kind === "revoke") {
        await api.DELETE("/v1/virtual-keys/{key_id}", { params });
        return null;
      }
      const made = await data(
        api.POST("/v1/virtual-keys/{key_id}/rotate", { params, body: { grace_s: GRACE_S } }),
      );
      return made.secret;
    },
    onSuccess: (made, { key }) => {
      done();
      if (made) setSecret(made);
      else toast(`${key.name} is revoked.`);
    },
  });
  const now = nowMicros();
  const any = (list: string[]) =>
    list.length ? list.join(", ") : <span className="faint">any</span>;
  const columns: TableColumn<VirtualKey>[] = [
    { id: "name", header: "Name", value: (key) => key.name },
    {
      id: "prefix",
      header: "Begins with",
      value: (key) => key.prefix,
      cell: (key) => <code>{key.prefix}…</code>,
      wide: true,
    },
    {
      id: "tenant",
      header: "Tenant",
      value: (key) => key.tenant_id ?? "",
      cell: (key) =>
        key.tenant_id ? (
          <Link className="behind" to="/tenants/$tenant" params={{ tenant: key.tenant_id }}>
            {key.tenant_id}
          </Link>
        ) : (
          <span className="faint" title="A service key: the tenant comes from the signed context">
            by context
          </span>
        ),
    },
    {
      id: "feature",
      header: "Feature",
      value: (key) => key.feature,
      cell: (key) => key.feature || <span className="faint">–</span>,
      wide: true,
    },
    {
      id: "upstreams",
      header: "Upstreams",
      value: (key) => key.upstreams.join(" "),
      cell: (key) => any(key.upstreams),
      wide: true,
    },
    {
      id: "models",
      header: "Models",
      value: (key) => key.models.join(" "),
      cell: (key) => <span className="clip">{any(key.models)}</span>,
      wide: true,
    },
    {
      id: "made",
      header: "Made",
      value: (key) => key.created_at,
      cell: (key) => moment(key.created_at, view.zone),
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
        stateOf(key, now) !== "in use" ? null : (
          <span className="toolbar" style={{ justifyContent: "flex-end", flexWrap: "nowrap" }}>
            <Button small onClick={() => setAct({ kind: "rotate", key })}>
              Rotate
            </Button>
            <Button small look="danger" onClick={() => setAct({ kind: "revoke", key })}>
              Revoke
            </Button>
          </span>
        ),
    },
  ];
  return (
    <>
      <Card
        flush
        title="Virtual keys"
        actions={
          <Button look="primary" small icon="plus" onClick={() => setMaking(true)}>
            New virtual key
          </Button>
        }
      >
        <Async query={found}>
          {(list) => (
            <DataTable
              label="Virtual keys"
              rows={list.virtual_keys}
              columns={columns}
              keyOf={(key) => key.key_id}
              sort={{ id: "made" }}
              empty={
                <Empty title="No virtual key yet">
                  A caller of the gateway shows one in place of the provider's key.
                </Empty>
              }
            />
          )}
        </Async>
      </Card>
      {making && (
        <NewVirtualKey
          onClose={() => setMaking(false)}
          onMade={(made) => {
            done();
            setMaking(false);
            setSecret(made);
          }}
        />
      )}
      <Secret title="The virtual key" secret={secret} onClose={() => setSecret(null)}>
        It is shown this once; only its hash is kept. It goes where the provider's own key stood.
      </Secret>
      {act && (
        <Confirm
          title={act.kind === "revoke" ? `Revoke ${act.key.name}?` : `Rotate ${act.key.name}?`}
          act={act.kind === "revoke" ? "Revoke" : "Rotate"}
          busy={run.isPending}
          error={run.error}
          onAct={() => run.mutate(act)}
          onClose={() => setAct(null)}
        >
          {act.kind === "revoke"
            ? "Every gateway refuses it within moments. This cannot be taken back."
            : "A new secret with the same terms is made; the old one works for an hour more."}
        </Confirm>
      )}
    </>
  );
}

function stateOf(key: VirtualKey, now: number): string {
  if (key.revoked_at) return key.revoked_at <= now ? "revoked" : "in use";
  return key.expires_at && key.expires_at <= now ? "expired" : "in use";
}

const list = (text: string) =>
  text
    .split(",")
    .map((one) => one.trim())
    .filter(Boolean);

function NewVirtualKey({
  onClose,
  onMade,
}: {
  onClose: () => void;
  onMade: (secret: string) => void;
}) {
  const [terms, setTerms] = useState({
    name: "",
    tenant_id: "",
    feature: "",
    agent: "",
    upstreams: "",
    models: "",
  });
  const set = (part: Partial<typeof terms>) => setTerms({ ...terms, ...part });
  const make = useMutation<{ secret: string }, ApiError>({
    mutationFn: () =>
      data(
        api.POST("/v1/virtual-keys", {
          body: {
            ...terms,
            tenant_id: terms.tenant_id || null,
            upstreams: list(terms.upstreams),
            models: list(terms.models),
          } as never,
        }),
      ),
    onSuccess: (made) => onMade(made.secret),
  });
  const wrong = (field: string) =>
    make.error?.where?.startsWith(field) ? make.error.message : null;
  const fields = [
    ["name", "Name", "What shows it, such as support-chat."],
    ["tenant_id", "Tenant", "Left out: a service key, whose calls bring a signed context."],
    ["feature", "Feature", "What its calls count for, unless the context says another."],
    ["agent", "Agent", "A path such as orchestrator/research."],
    ["upstreams", "Only these upstreams", "Names by commas; left out: any."],
    ["models", "Only these models", "Names by commas, * at the end; left out: any."],
  ] as const;
  const placed = fields.some(([field]) => wrong(field));
  return (
    <Dialog
      title="New virtual key"
      open
      onClose={onClose}
      foot={
        <Button
          look="primary"
          disabled={!terms.name || make.isPending}
          onClick={() => make.mutate()}
        >
          Make the key
        </Button>
      }
    >
      <div className="form-grid">
        {fields.map(([field, label, hint]) => (
          <Field key={field} label={label} hint={hint} wrong={wrong(field)}>
            {(id, described) => (
              <input
                id={id}
                className="input"
                aria-describedby={described}
                value={terms[field]}
                onChange={(event) => set({ [field]: event.target.value })}
              />
            )}
          </Field>
        ))}
      </div>
      {!placed && <Refused error={make.error} />}
    </Dialog>
  );
}
