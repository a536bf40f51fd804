/** People who sign in, and their roles. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { type ApiError, api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { useSession } from "@/api/session";
import { Async, Badge, Button, Card, Empty, Field } from "@/design/basics";
import { Dialog, toast } from "@/design/dialog";
import { Refused } from "@/design/refused";
import { DataTable, type TableColumn } from "@/design/table";
import { ago, nowMicros } from "@/lib/time";
import { Secret } from "./Secret";

type User = components["schemas"]["User"];
type Role = User["role"];

const LIST = ["users"];
const ROLES: readonly (readonly [Role, string])[] = [
  ["admin", "Admin: everything"],
  ["engineer", "Engineer: sees everything, changes limits and virtual keys"],
  ["finance", "Finance: sees everything, changes nothing"],
  ["tenant", "Tenant: sees the portal of one tenant, never our cost"],
];

export function People() {
  const client = useQueryClient();
  const own = useSession()?.user?.user_id;
  const [editing, setEditing] = useState<User | "new" | null>(null);
  const [link, setLink] = useState<string | null>(null);
  const found = useQuery({ queryKey: LIST, queryFn: () => data(api.GET("/v1/users")) });
  const change = useMutation<unknown, ApiError, User>({
    mutationFn: (user) =>
      api.PUT("/v1/users/{user_id}", {
        params: { path: { user_id: user.user_id } },
        body: { disabled: !user.disabled },
      }),
    onSuccess: () => client.invalidateQueries({ queryKey: LIST }),
    onError: (error) => toast(error.message, { bad: true }),
  });
  const now = nowMicros();
  const columns: TableColumn<User>[] = [
    {
      id: "email",
      header: "E-mail",
      value: (user) => user.email,
      cell: (user) => (
        <>
          {user.email} {user.user_id === own && <span className="faint">you</span>}
        </>
      ),
    },
    { id: "name", header: "Name", value: (user) => user.name, wide: true },
    {
      id: "role",
      header: "Role",
      value: (user) => user.role,
      cell: (user) => (
        <Badge tone={user.role === "admin" ? "warn" : "plain"}>
          {user.role}
          {user.tenant_id ? ` · ${user.tenant_id}` : ""}
        </Badge>
      ),
    },
    { id: "way", header: "Signs in by", value: (user) => user.way, wide: true },
    {
      id: "seen",
      header: "Last seen",
      value: (user) => user.last_seen_at ?? 0,
      cell: (user) => ago(user.last_seen_at, now),
      wide: true,
    },
    {
      id: "state",
      header: "State",
      value: (user) => (user.disabled ? "disabled" : "active"),
      cell: (user) => (
        <Badge tone={user.disabled ? "plain" : "good"}>
          {user.disabled ? "disabled" : "active"}
        </Badge>
      ),
    },
    {
      id: "act",
      header: "",
      value: () => "",
      sortable: false,
      end: true,
      cell: (user) => (
        <span className="toolbar" style={{ justifyContent: "flex-end", flexWrap: "nowrap" }}>
          <Button small onClick={() => setEditing(user)}>
            Change
          </Button>
          {user.user_id !== own && (
            <Button
              small
              look="danger"
              disabled={change.isPending}
              onClick={() => change.mutate(user)}
            >
              {user.disabled ? "Enable" : "Disable"}
            </Button>
          )}
        </span>
      ),
    },
  ];
  return (
    <>
      <Card
        flush
        title="People"
        actions={
          <Button look="primary" small icon="plus" onClick={() => setEditing("new")}>
            Add a person
          </Button>
        }
      >
        <Async query={found}>
          {(list) => (
            <DataTable
              label="People"
              rows={list.users}
              columns={columns}
              keyOf={(user) => user.user_id}
              empty={<Empty title="Nobody yet" />}
            />
          )}
        </Async>
      </Card>
      {editing && (
        <Person
          user={editing === "new" ? null : editing}
          onClose={() => setEditing(null)}
          onLink={setLink}
        />
      )}
      <Secret title="A link for the first sign-in" secret={link} onClose={() => setLink(null)}>
        It works once. Send it to the person by a way that you trust.
      </Secret>
    </>
  );
}

interface PersonProps {
  user: User | null;
  onClose: () => void;
  onLink: (link: string) => void;
}

function Person({ user, onClose, onLink }: PersonProps) {
  const client = useQueryClient();
  const [email, setEmail] = useState(user?.email ?? "");
  const [name, setName] = useState(user?.name ?? "");
  const [role, setRole] = useState<Role>(user?.role ?? "engineer");
  const [tenant, setTenant] = useState(user?.tenant_id ?? "");
  const save = useMutation<string | null, ApiError>({
    mutationFn: async () => {
      const tenant_id = role === "tenant" ? tenant : null;
      if (!user) {
        return (await data(api.POST("/v1/users", { body: { email, name, role, tenant_id } }))).link;
      }
      await api.PUT("/v1/users/{user_id}", {
        params: { path: { user_id: user.user_id } },
        body: {
          name,
          ...(role === user.role ? {} : { role }),
          ...(role === "tenant" ? { tenant_id: tenant } : {}),
        },
      });
      return null;
    },
    onSuccess: (link) => {
      void client.invalidateQueries({ queryKey: LIST });
      onClose();
      if (link) onLink(link);
      else toast("Saved.");
    },
  });
  const wrong = (field: string) => (save.error?.where === field ? save.error.message : null);
  const placed = ["email", "name", "role", "tenant_id"].includes(save.error?.where ?? "");
  return (
    <Dialog
      title={user ? `Change ${user.email}` : "Add a person"}
      open
      onClose={onClose}
      foot={
        <Button look="primary" disabled={!email || save.isPending} onClick={() => save.mutate()}>
          {user ? "Save" : "Add"}
        </Button>
      }
    >
      {!user && (
        <Field label="E-mail" wrong={wrong("email")}>
          {(id, described) => (
            <input
              id={id}
              className="input"
              type="email"
              aria-describedby={described}
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
          )}
        </Field>
      )}
      <Field label="Name" wrong={wrong("name")}>
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
      <Field
        label="Role"
        wrong={wrong("role")}
        hint={user ? "Another role ends the person's sessions." : undefined}
      >
        {(id, described) => (
          <select
            id={id}
            className="select"
            aria-describedby={described}
            value={role}
            onChange={(event) => setRole(event.target.value as Role)}
          >
            {ROLES.map(([one, meaning]) => (
              <option key={one} value={one}>
                {meaning}
              </option>
            ))}
          </select>
        )}
      </Field>
      {role === "tenant" && (
        <Field label="Tenant" wrong={wrong("tenant_id")}>
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
      )}
      {!placed && <Refused error={save.error} />}
    </Dialog>
  );
}
