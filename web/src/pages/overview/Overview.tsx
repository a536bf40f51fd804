/** The overview: what is being spent, whether that is usual, what drives it, what needs somebody. */

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { sessionQuery, useSession } from "@/api/session";
import { CostOverTime } from "@/charts/CostOverTime";
import { useStack } from "@/charts/stacked";
import { Card, Empty, Page } from "@/design/basics";
import { useView } from "@/lib/view";
import { FilterBar, WindowPicker } from "@/shell/Scope";
import { Attention, NeedsLine, useNeeds } from "./Attention";
import { Head } from "./Head";
import { MonthChart } from "./MonthChart";
import { Movers } from "./Movers";

const SPLITS = [
  ["model", "Model"],
  ["provider", "Provider"],
  ["feature", "Feature"],
  ["agent_root", "Agent"],
  ["tenant", "Tenant"],
] as const;

export default function Overview() {
  const session = useSession();
  return session?.first_start ? <FirstStart /> : <Filled />;
}

/** Nothing has ever arrived: the way to the first event; the page fills itself once it is here. */
function FirstStart() {
  useQuery({ ...sessionQuery, refetchInterval: 3_000 });
  return (
    <Page title="Overview">
      <Card>
        <Empty
          icon="connect"
          title="No event has arrived yet"
          actions={
            <Link className="button primary" to="/connect">
              Connect your app
            </Link>
          }
        >
          Two lines in your app, and this page shows what each tenant, feature and agent costs.
        </Empty>
      </Card>
    </Page>
  );
}

const Scope = () => (
  <>
    <FilterBar />
    <WindowPicker />
  </>
);

function Filled() {
  const view = useView();
  const asked = view.text("split", SPLITS[0][0]);
  const by = SPLITS.find(([id]) => id === asked)?.[0] ?? SPLITS[0][0];
  const stack = useStack(view.question, {
    by,
    metric: "cost",
    grain: view.window.grain,
    zone: view.zone,
    beside: ["calls", "attempts", "errors", "unpriced"],
  });
  const needs = useNeeds();
  const narrowed = view.filters.some(({ field }) => field !== "tenant");
  return (
    <Page title="Overview" sub={<NeedsLine needs={needs} />} actions={<Scope />}>
      <Head view={view} totals={stack.data?.totals} error={stack.data ? null : stack.error} />
      {narrowed && (
        <p className="faint">
          Burn rate, today and month to date are of{" "}
          {view.list("tenant").length === 1 ? "all that this tenant does" : "everything"}; the
          filters narrow the last two numbers and what is below.
        </p>
      )}
      <CostOverTime
        view={view}
        title="Cost over time"
        file="cost"
        choices={SPLITS}
        by={by}
        stack={stack}
      />
      <div className="grid">
        <MonthChart view={view} className="span-5" />
        <Movers view={view} className="span-7" />
      </div>
      <Attention needs={needs} />
    </Page>
  );
}
