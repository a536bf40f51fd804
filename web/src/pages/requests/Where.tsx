/** Where a request's cost went: the same events by agent and by model. */

import { useMemo } from "react";
import { Card } from "@/design/basics";
import { Money } from "@/design/money";
import { DataTable, type TableColumn } from "@/design/table";
import { compact, count, percent } from "@/lib/numbers";
import { type Group, groupsOf, type Part } from "./tree";

interface Props {
  parts: Part[];
  /** Cost of the request. */
  total: number;
  /** One under the other. */
  narrow: boolean;
}

export function Where(props: Props) {
  return (
    <div className="grid">
      <By title="By agent" name="agent" {...props} />
      <By title="By model and tool" name="model" {...props} />
    </div>
  );
}

interface ByProps extends Props {
  title: string;
  name: "agent" | "model";
}

function By({ title, name, parts, total, narrow }: ByProps) {
  const groups = useMemo(() => groupsOf(parts, name), [parts, name]);
  return (
    <Card title={title} flush className={narrow ? "" : "span-6"}>
      <DataTable
        label={`Cost ${title.toLowerCase()}`}
        rows={groups}
        columns={columnsOf(name, total).filter((one) => narrow || one.id !== "errors")}
        keyOf={(group) => group.key}
        sort={{ id: "cost" }}
        page={8}
      />
    </Card>
  );
}

function columnsOf(name: "agent" | "model", total: number): TableColumn<Group>[] {
  return [
    {
      id: "key",
      header: name === "agent" ? "Agent" : "Model or tool",
      value: (group) => group.key,
      cell: (group) =>
        group.key ? (
          <span className="clip" title={group.key} style={{ display: "block", maxWidth: "12rem" }}>
            {group.key}
          </span>
        ) : (
          <span className="faint">(none)</span>
        ),
    },
    {
      id: "events",
      header: "Attempts",
      title: "Attempts of calls and tools",
      end: true,
      wide: true,
      value: (group) => group.events,
      cell: (group) => count(group.events),
    },
    {
      id: "errors",
      header: "Errors",
      title: "Attempts that ended in an error or a timeout",
      end: true,
      wide: true,
      value: (group) => group.errors,
      cell: (group) => (group.errors ? count(group.errors) : <span className="faint">0</span>),
    },
    {
      id: "tokens",
      header: "Tokens",
      title: "In and out",
      end: true,
      wide: true,
      value: (group) => group.tokensIn + group.tokensOut,
      cell: (group) => (
        <span title={`${count(group.tokensIn)} in, ${count(group.tokensOut)} out`}>
          {compact(group.tokensIn)} <span className="faint">→</span> {compact(group.tokensOut)}
        </span>
      ),
    },
    {
      id: "share",
      header: "Share",
      end: true,
      value: (group) => (total ? group.cost / total : 0),
      cell: (group) => percent(total ? group.cost / total : 0),
    },
    {
      id: "cost",
      header: "Cost",
      end: true,
      value: (group) => group.cost,
      cell: (group) => <Money nanos={group.cost} />,
    },
  ];
}
