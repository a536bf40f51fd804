/** Any metric by any dimensions: as a table, over time, as parts of a whole, or as a flow. */

import { useQuery } from "@tanstack/react-query";
import { api, data } from "@/api/client";
import { useQuestion } from "@/api/question";
import { Async, Card, Loading, Page, Segments, Select } from "@/design/basics";
import { useView } from "@/lib/view";
import { FilterBar, WindowPicker } from "@/shell/Scope";
import { AnswerTable } from "./AnswerTable";
import { Picker } from "./Picker";
import { FlowPicture, TimePicture, TreePicture } from "./Pictures";
import { SavedViews } from "./SavedViews";
import {
  askedOf,
  MAX_DIMENSIONS,
  MAX_METRICS,
  MAX_ROWS,
  MAX_TIMED_ROWS,
  questionOf,
  SHAPES,
} from "./state";

const GRAINS = [
  ["none", "Whole window"],
  ["minute", "By minute"],
  ["hour", "By hour"],
  ["day", "By day"],
  ["month", "By month"],
] as const;

export default function Explore() {
  const view = useView();
  const asked = askedOf(view);
  const question = questionOf(view, asked);
  const answer = useQuestion(question);
  const known = useQuery({
    queryKey: ["query-schema"],
    queryFn: () => data(api.GET("/v1/query/schema")),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const picture = asked.shape !== "table";
  const cut = answer.data && answer.data.rows.length >= (asked.timed ? MAX_TIMED_ROWS : MAX_ROWS);
  return (
    <Page
      title="Explore"
      actions={
        <>
          <SavedViews path="/explore" />
          <WindowPicker />
        </>
      }
    >
      <FilterBar />
      <Card>
        <div className="toolbar" style={{ gap: "0.75rem 1.5rem", paddingTop: "0.75rem" }}>
          <Picker
            label={picture ? "Metric" : "Metrics"}
            chosen={picture ? asked.metrics.slice(0, 1) : asked.metrics}
            choices={known.data?.metrics ?? []}
            most={picture ? 1 : MAX_METRICS}
            onChange={(metric) => view.set({ metric: metric.length ? metric : undefined })}
          />
          <Picker
            label="By"
            chosen={asked.by}
            choices={(known.data?.dimensions ?? []).filter((one) => !one.name.includes("<"))}
            most={MAX_DIMENSIONS}
            none="nothing: one total"
            onChange={(by) => view.set({ by: by.length ? by : "-" })}
          />
          <Segments
            label="Shape"
            value={asked.shape}
            choices={SHAPES}
            onChange={(shape) => view.set({ shape: shape === "table" ? undefined : shape })}
          />
          {(asked.timed || asked.shape === "table") && (
            <Select
              label="Time buckets"
              value={asked.timed ? asked.grain : "none"}
              choices={picture ? GRAINS.slice(1) : GRAINS}
              onChange={(grain) => view.set({ grain: grain === "none" ? undefined : grain })}
            />
          )}
        </div>
      </Card>
      {cut && (
        <p className="notice warn" role="status">
          Only the first {answer.data?.rows.length.toLocaleString()} rows are here. A filter, fewer
          dimensions or larger time buckets show all of it.
        </p>
      )}
      {asked.shape === "table" ? (
        <Card flush>
          <Async query={answer} loading={<Loading lines={10} height={420} />}>
            {(found) => (
              <AnswerTable answer={found} asked={asked} stale={answer.isPlaceholderData} />
            )}
          </Async>
        </Card>
      ) : asked.shape === "treemap" ? (
        <TreePicture query={answer} asked={asked} />
      ) : asked.shape === "sankey" ? (
        <FlowPicture query={answer} asked={asked} />
      ) : (
        <TimePicture query={answer} asked={asked} />
      )}
      {answer.data && (
        <p className="faint">
          Answered from {answer.data.source}, {answer.data.from.slice(0, 16).replace("T", " ")} to{" "}
          {answer.data.to.slice(0, 16).replace("T", " ")} UTC.
        </p>
      )}
    </Page>
  );
}
