/** What an action costs: by feature, agent or workflow, and how its costs are distributed. */

import { Async, Card, Empty, Loading, Page, Segments } from "@/design/basics";
import { percent } from "@/lib/numbers";
import { useView, type View } from "@/lib/view";
import { FilterBar, WindowPicker } from "@/shell/Scope";
import { ActionTable } from "./ActionTable";
import { AgentTree } from "./AgentTree";
import {
  type ActionsAnswer,
  type By,
  byOf,
  chosenOf,
  DIMENSIONS,
  ONE,
  useActions,
} from "./actions";
import { CostBy } from "./CostBy";
import { Distribution } from "./Distribution";
import { Totals } from "./Totals";

const HEIGHT = 280;

export default function Agents() {
  const view = useView();
  const by = byOf(view);
  const found = useActions(view, by);
  return (
    <Page title="Agents & features" actions={<WindowPicker />}>
      <div className="toolbar">
        <Segments
          label="Actions by"
          value={by}
          choices={DIMENSIONS}
          onChange={(one) =>
            view.set(
              { by: one === "feature" ? undefined : one, row: undefined },
              { replace: false },
            )
          }
        />
        <FilterBar />
      </div>
      <Totals view={view} />
      <Pictures view={view} by={by} answer={found.data} />
      <Card title={`Cost per action by ${ONE[by]}`} note={<Sample answer={found.data} />} flush>
        <Async
          query={found}
          isEmpty={(answer) => !answer.rows.length}
          empty={<NoAction view={view} />}
          loading={<Loading lines={8} height={320} />}
        >
          {(answer) => <ActionTable answer={answer} by={by} view={view} />}
        </Async>
      </Card>
      {(by === "agent" || by === "agent_root") && <AgentTree view={view} />}
    </Page>
  );
}

interface PicturesProps {
  view: View;
  by: By;
  answer: ActionsAnswer | undefined;
}

/** Cost over time, and the distribution of the chosen row: the dearest unless one was chosen. */
function Pictures({ view, by, answer }: PicturesProps) {
  const chosen = answer && chosenOf(answer.rows, view.text("row"));
  return (
    <div className="grid">
      <CostBy view={view} by={by} height={HEIGHT} className="span-7" />
      <Distribution
        view={view}
        by={by}
        row={chosen}
        loading={!answer}
        height={HEIGHT}
        className="span-5"
      />
    </div>
  );
}

function Sample({ answer }: { answer: ActionsAnswer | undefined }) {
  if (!answer || answer.sample >= 1) return "an action is a request";
  return (
    <span title="Costs and calls are of everything. The number of actions, retries and loops are estimated; averages, p50, p95 and max are those of the actions looked at.">
      from actions in {percent(answer.sample)} of the time
    </span>
  );
}

function NoAction({ view }: { view: View }) {
  return (
    <Empty title="No actions in this window">
      {view.filters.length
        ? "Nothing matches these filters. Take one out, or choose a longer window."
        : "Choose a longer window. Actions are told apart by the request id of their events."}
    </Empty>
  );
}
