/** One chart: ECharts in a card that can be saved as PNG or CSV and read as a table. */

import { type ReactNode, useEffect, useRef, useState } from "react";
import { Card, Empty, Failed, Loading, Segments, Skeleton } from "@/design/basics";
import { Item, Menu } from "@/design/menu";
import { type Cell, download, toCsv } from "@/lib/csv";
import { onScheme, type Palette, palette } from "./palette";

/** An ECharts option; its own type is too wide to help here. */
export type Option = Record<string, unknown>;

/** The data of a chart as a table: what CSV and screen readers get. */
export interface Sheet {
  header: string[];
  rows: Cell[][];
}

interface PictureProps {
  option: (colours: Palette) => Option;
  height: number;
  label: string;
  /** A point was chosen: its name, series and data as ECharts has them. */
  onPick?: (picked: { name: string; seriesName: string; data: unknown }) => void;
  /** Any place over the chart picks its column, by the name on the axis below. */
  onColumn?: (name: string) => void;
  hold?: (save: () => string | null) => void;
}

type Engine = typeof import("./engine")["echarts"];

/** New data takes the place of the old; what the viewer has chosen in the legend stays. */
const KEPT = { replaceMerge: ["series", "xAxis", "yAxis"] };

/** The canvas itself. Its option is rebuilt when `option` or the scheme changes, without flicker. */
export function Picture({ option, height, label, onPick, onColumn, hold }: PictureProps) {
  const [drawn, setDrawn] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<ReturnType<Engine["init"]> | null>(null);
  const pick = useRef(onPick);
  pick.current = onPick;
  const column = useRef(onColumn);
  column.current = onColumn;
  const make = useRef(option);
  make.current = option;

  useEffect(() => {
    let ended = false;
    let stop = () => {};
    void import("./engine").then(({ echarts }) => {
      if (ended || !place.current) return;
      const made = echarts.init(place.current, undefined, { renderer: "canvas" });
      chart.current = made;
      const draw = () => made.setOption(dressed(make.current(palette())), KEPT);
      draw();
      setDrawn(true);
      made.on("click", (event) => {
        pick.current?.({
          name: String(event.name),
          seriesName: String(event.seriesName ?? ""),
          data: event.data,
        });
      });
      made.getZr().on("click", ({ offsetX, offsetY }) => {
        if (!column.current || !made.containPixel({ gridIndex: 0 }, [offsetX, offsetY])) return;
        const at = made.convertFromPixel({ xAxisIndex: 0 }, offsetX);
        const axis = (made.getOption().xAxis as { data?: string[] }[] | undefined)?.[0];
        const name = axis?.data?.[Math.round(at)];
        if (name !== undefined) column.current(name);
      });
      const sized = new ResizeObserver(() => made.resize());
      sized.observe(place.current);
      const unwatch = onScheme(() => requestAnimationFrame(draw));
      hold?.(() => made.getDataURL({ pixelRatio: 2, backgroundColor: palette().raised }));
      stop = () => {
        sized.disconnect();
        unwatch();
        made.dispose();
        chart.current = null;
      };
    });
    return () => {
      ended = true;
      stop();
    };
  }, [hold]);

  useEffect(() => {
    chart.current?.setOption(dressed(option(palette())), KEPT);
  }, [option]);

  return (
    <div style={{ position: "relative" }}>
      {!drawn && <Skeleton height={`${height}px`} />}
      <div
        ref={place}
        className="chart"
        role="img"
        aria-label={label}
        style={{ height, ...(drawn ? {} : { position: "absolute", inset: 0 }) }}
      />
    </div>
  );
}

/** What all charts share: font, no animation (data moves often), tooltips inside of the page. */
function dressed(option: Option): Option {
  const colours = palette();
  return {
    animation: false,
    aria: { enabled: false },
    ...option,
    textStyle: { fontFamily: colours.font, fontSize: 11, color: colours.faint },
    tooltip: {
      confine: true,
      backgroundColor: colours.raised,
      borderColor: colours.line,
      textStyle: { color: colours.text, fontSize: 12, fontFamily: colours.font },
      extraCssText: "box-shadow: var(--shadow-l); border-radius: 8px; padding: 8px 12px;",
      ...(option.tooltip as Option | undefined),
    },
  };
}

/** Return a picture as a file. The page's policy does not let it be fetched from its own URL. */
function fromDataUrl(url: string): Blob {
  const [head = "", body = ""] = url.split(",", 2);
  const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.slice("data:".length).split(";")[0] ?? "image/png" });
}

interface ChartProps {
  title: ReactNode;
  note?: ReactNode;
  /** File name of what is saved. */
  name: string;
  option: (colours: Palette) => Option;
  sheet: () => Sheet;
  height?: number;
  query: { data: unknown; error: unknown; isPlaceholderData?: boolean; refetch: () => unknown };
  isEmpty?: boolean;
  empty?: ReactNode;
  actions?: ReactNode;
  className?: string;
  onPick?: PictureProps["onPick"];
  onColumn?: PictureProps["onColumn"];
  /** Text for screen readers: what the chart shows, in a sentence. */
  label: string;
}

/** A card with a chart. */
export function Chart(props: ChartProps) {
  const { title, note, name, option, sheet, height = 260, query, label } = props;
  const [shape, setShape] = useState<"chart" | "table">("chart");
  const save = useRef<() => string | null>(() => null);
  const [hold] = useState(() => (made: () => string | null) => {
    save.current = made;
  });
  const png = () => {
    const url = save.current();
    if (!url) return;
    download(`${name}.png`, fromDataUrl(url));
  };
  const csv = () => {
    const { header, rows } = sheet();
    download(`${name}.csv`, toCsv(header, rows));
  };
  const ready = query.data !== undefined && !props.isEmpty;
  const actions = (
    <>
      {props.actions}
      {ready && (
        <Menu label={`Save ${name}`} icon="more" look="quiet" small end>
          {(close) => (
            <>
              <Item
                onClick={() => {
                  setShape("chart");
                  close();
                  setTimeout(png);
                }}
              >
                Save as PNG
              </Item>
              <Item
                onClick={() => {
                  csv();
                  close();
                }}
              >
                Save as CSV
              </Item>
              <Item
                onClick={() => {
                  setShape(shape === "chart" ? "table" : "chart");
                  close();
                }}
              >
                {shape === "chart" ? "Show as table" : "Show as chart"}
              </Item>
            </>
          )}
        </Menu>
      )}
    </>
  );
  let body: ReactNode;
  if (query.data === undefined && query.error) {
    body = <Failed error={query.error} again={() => query.refetch()} />;
  } else if (query.data === undefined) {
    body = <Loading height={height} />;
  } else if (props.isEmpty) {
    body = props.empty ?? (
      <Empty title="No usage in this window">Choose a longer window, or fewer filters.</Empty>
    );
  } else if (shape === "table") {
    body = <SheetTable sheet={sheet()} label={label} height={height} />;
  } else {
    body = (
      <div className={query.isPlaceholderData ? "chart stale" : "chart"}>
        <Picture
          option={option}
          height={height}
          label={label}
          hold={hold}
          {...(props.onPick ? { onPick: props.onPick } : {})}
          {...(props.onColumn ? { onColumn: props.onColumn } : {})}
        />
      </div>
    );
  }
  return (
    <Card title={title} note={note} actions={actions} className={props.className ?? ""}>
      {body}
    </Card>
  );
}

const MAX_SHEET_ROWS = 500;

function SheetTable({ sheet, label, height }: { sheet: Sheet; label: string; height: number }) {
  return (
    <div
      className="table-wrap"
      style={{ maxHeight: height, overflow: "auto" }}
      tabIndex={0}
      role="region"
      aria-label={label}
    >
      <table className="table">
        <thead>
          <tr>
            {sheet.header.map((text) => (
              <th key={text} scope="col">
                {text}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {sheet.rows.slice(0, MAX_SHEET_ROWS).map((row, at) => (
            <tr key={at}>
              {row.map((cell, place) => (
                <td key={place} className={typeof cell === "number" ? "end" : undefined}>
                  {cell === null || cell === undefined ? "–" : String(cell)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The choice between shapes of one chart. */
export function Shapes<T extends string>(props: {
  value: T;
  choices: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  return <Segments label="Shape of the chart" {...props} />;
}
