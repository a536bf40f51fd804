/** What each plan may use; what a plan does not list is open. */

import { Link } from "@tanstack/react-router";
import type { components } from "@/api/schema";
import { Async, Card, Empty } from "@/design/basics";
import { DataTable, type TableColumn } from "@/design/table";
import { useLimits } from "./api";

type Entitlement = components["schemas"]["Entitlement"];

const EXAMPLE = `entitlements:
  - plan: free
    models: [gpt-5-mini, claude-haiku-*]`;

const list = (
  id: "models" | "agents" | "features" | "names",
  header: string,
): TableColumn<Entitlement> => ({
  id,
  header,
  sortable: false,
  value: (one) => (one[id] ?? []).join(" "),
  cell: (one) =>
    one[id]?.length ? (
      <span className="toolbar" style={{ gap: "0.25rem" }}>
        {one[id]?.map((value) => (
          <code key={value} className="badge">
            {value}
          </code>
        ))}
      </span>
    ) : (
      <span className="faint">any</span>
    ),
});

const COLUMNS: TableColumn<Entitlement>[] = [
  {
    id: "plan",
    header: "Plan",
    value: (one) => one.plan,
    cell: (one) => (
      <Link to="/tenants" search={{ plan: one.plan } as never} className="link">
        {one.plan}
      </Link>
    ),
  },
  list("models", "Models"),
  list("features", "Features"),
  list("agents", "Agents"),
  list("names", "Named rights"),
];

export function PlansTab() {
  const limits = useLimits();
  return (
    <Card title="Entitlements" note="a call that is not included is refused" flush>
      <Async query={limits}>
        {(found) => (
          <DataTable
            label="What each plan may use"
            rows={found.entitlements}
            columns={COLUMNS}
            keyOf={(one) => one.plan}
            csv="entitlements"
            empty={
              <Empty
                title="Every plan may use everything"
                icon="limits"
                actions={
                  <pre className="code" style={{ textAlign: "left" }}>
                    {EXAMPLE}
                  </pre>
                }
              >
                An entitlement lists what a plan may use. It is part of the document that{" "}
                <code>outlay limits apply</code> takes.
              </Empty>
            }
          />
        )}
      </Async>
    </Card>
  );
}
