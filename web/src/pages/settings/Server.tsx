/** The server's settings as they are in force. They are changed where the server is started. */

import { useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import type { components } from "@/api/schema";
import { Async, Badge, Card } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";

type Setting = components["schemas"]["ServerSetting"];

export function Server() {
  const found = useQuery({ queryKey: ["settings"], queryFn: () => data(api.GET("/v1/settings")) });
  const columns: TableColumn<Setting>[] = [
    {
      id: "name",
      header: "Setting",
      value: (one) => one.name,
      cell: (one) => <code>{one.name}</code>,
    },
    { id: "value", header: "Value", value: (one) => text(one), cell: (one) => <Value one={one} /> },
    {
      id: "meaning",
      header: "Meaning",
      value: (one) => one.meaning,
      cell: (one) => <span style={{ whiteSpace: "normal" }}>{one.meaning}</span>,
      sortable: false,
      wide: true,
    },
    {
      id: "env",
      header: "Environment",
      value: (one) => one.env,
      cell: (one) => <code>{one.env}</code>,
      wide: true,
    },
  ];
  return (
    <Card flush title="Settings in force" note="set by the environment or a TOML file">
      <Async query={found}>
        {(list) => (
          <DataTable
            label="Settings"
            rows={list.settings}
            columns={columns}
            keyOf={(one) => one.name}
            page={100}
          />
        )}
      </Async>
    </Card>
  );
}

function text(one: Setting): string {
  if (one.secret) return one.set ? "set" : "not set";
  const { value } = one;
  if (value === null || value === undefined || value === "") return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function Value({ one }: { one: Setting }) {
  const shown = text(one);
  return (
    <span className="toolbar" style={{ gap: "0.5rem" }}>
      {shown ? <code className="clip">{shown}</code> : <span className="faint">default</span>}
      {one.set && <Badge tone="accent">changed</Badge>}
    </span>
  );
}
