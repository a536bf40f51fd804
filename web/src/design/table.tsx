/** A dense, sortable table: TanStack Table holds the model, this file the markup. */

import {
  createSortedRowModel,
  rowSortingFeature,
  type SortingState,
  sortFn_basic,
  tableFeatures,
  useTable,
} from "@tanstack/react-table";
import { type ReactNode, useMemo, useState } from "react";
import { type Cell, download, toCsv } from "@/lib/csv";
import { Button, Empty } from "./basics";
import { Icon } from "./icons";

export interface TableColumn<Row> {
  id: string;
  header: string;
  /** What is sorted by and written to CSV. */
  value: (row: Row) => Cell;
  /** The unit of the values, such as `nano-dollars`; it stands in the head of the CSV. */
  unit?: string;
  /** What is shown; the value itself where this is left out. */
  cell?: (row: Row) => ReactNode;
  /** Numbers stand at the end of their column. */
  end?: boolean;
  /** Hidden on a phone. */
  wide?: boolean;
  sortable?: boolean;
  /** Explains the column. */
  title?: string;
  foot?: ReactNode;
}

interface TableProps<Row> {
  label: string;
  rows: Row[];
  columns: TableColumn<Row>[];
  keyOf: (row: Row, at: number) => string;
  sort?: { id: string; desc?: boolean };
  /** The order kept elsewhere, such as in the URL: a column, with `-` in front when descending. */
  order?: string;
  onOrder?: (order: string) => void;
  /** Rows in sight before "show more". */
  page?: number;
  /** File name of the CSV; none: no download. */
  csv?: string;
  empty?: ReactNode;
  isOpen?: (row: Row) => boolean;
  foot?: ReactNode;
}

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { basic: sortFn_basic },
});

const PAGE = 50;

export function DataTable<Row extends object>(props: TableProps<Row>) {
  const { label, rows, columns, keyOf, sort, page = PAGE, csv, empty, isOpen, foot } = props;
  const { order: said, onOrder } = props;
  const [own, setOwn] = useState<SortingState>(
    sort ? [{ id: sort.id, desc: sort.desc ?? true }] : [],
  );
  const sorting = useMemo(() => (said === undefined ? own : orderOf(said)), [said, own]);
  const setSorting = (change: SortingState | ((before: SortingState) => SortingState)) => {
    const next = typeof change === "function" ? change(sorting) : change;
    if (onOrder) onOrder(next.map((one) => (one.desc ? `-${one.id}` : one.id)).join(""));
    else setOwn(next);
  };
  const [shown, setShown] = useState(page);
  const known = useMemo(() => new Map(columns.map((column) => [column.id, column])), [columns]);
  const defs = useMemo(
    () =>
      columns.map((column) => ({
        id: column.id,
        header: column.header,
        accessorFn: (row: Row) => column.value(row) ?? undefined,
        enableSorting: column.sortable !== false,
        sortFn: "basic" as const,
        sortUndefined: "last" as const,
        sortDescFirst: column.end ?? false,
      })),
    [columns],
  );
  const table = useTable({
    features,
    columns: defs as never,
    data: rows as never[],
    state: { sorting },
    onSortingChange: setSorting as never,
    enableMultiSort: false,
  } as never) as unknown as {
    getRowModel: () => { rows: { id: string; index: number; original: Row }[] };
    getColumn: (id: string) => { toggleSorting: () => void; getCanSort: () => boolean } | undefined;
  };
  const sorted = table.getRowModel().rows;
  const save = () => {
    const header = columns.map((one) => (one.unit ? `${one.header} (${one.unit})` : one.header));
    const lines = sorted.map((row) => columns.map((column) => column.value(row.original)));
    download(`${csv}.csv`, toCsv(header, lines));
  };
  if (!rows.length)
    return <>{empty ?? <Empty title="Nothing here">No row matches this view.</Empty>}</>;
  const order = sorting[0];
  return (
    <>
      <div className="table-wrap">
        <table className="table">
          <caption className="sr-only">{label}</caption>
          <thead>
            <tr>
              {columns.map((column) => {
                const active = order?.id === column.id;
                const direction = active ? (order.desc ? "descending" : "ascending") : undefined;
                const can = column.sortable !== false;
                return (
                  <th
                    key={column.id}
                    scope="col"
                    className={classes(column)}
                    title={column.title}
                    {...(direction ? { "aria-sort": direction as "ascending" } : {})}
                  >
                    {can ? (
                      <button
                        type="button"
                        onClick={() => table.getColumn(column.id)?.toggleSorting()}
                      >
                        {column.header}
                        {active && (
                          <span
                            style={{
                              rotate: order.desc ? "0deg" : "180deg",
                              display: "inline-flex",
                            }}
                          >
                            <Icon name="down" size={12} />
                          </span>
                        )}
                      </button>
                    ) : (
                      column.header
                    )}
                  </th>
                );
              })}
            </tr>
          </thead>
          <tbody>
            {sorted.slice(0, shown).map((row) => (
              <tr
                key={keyOf(row.original, row.index)}
                data-open={isOpen?.(row.original) || undefined}
              >
                {columns.map((column) => (
                  <td key={column.id} className={classes(known.get(column.id) ?? column)}>
                    {column.cell
                      ? column.cell(row.original)
                      : String(column.value(row.original) ?? "–")}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
          {columns.some((column) => column.foot !== undefined) && (
            <tfoot>
              <tr>
                {columns.map((column) => (
                  <td key={column.id} className={classes(column)}>
                    {column.foot}
                  </td>
                ))}
              </tr>
            </tfoot>
          )}
        </table>
      </div>
      {(sorted.length > shown || csv || foot) && (
        <div className="table-foot">
          <span>
            {sorted.length > shown
              ? `${shown} of ${sorted.length} rows`
              : `${sorted.length} ${sorted.length === 1 ? "row" : "rows"}`}
            {foot && <> · {foot}</>}
          </span>
          <span className="toolbar">
            {sorted.length > shown && (
              <Button small look="quiet" onClick={() => setShown(shown + page)}>
                Show more
              </Button>
            )}
            {csv && (
              <Button small look="quiet" icon="download" onClick={save}>
                CSV
              </Button>
            )}
          </span>
        </div>
      )}
    </>
  );
}

function orderOf(said: string): SortingState {
  if (!said) return [];
  return said.startsWith("-") ? [{ id: said.slice(1), desc: true }] : [{ id: said, desc: false }];
}

function classes<Row>(column: TableColumn<Row>): string | undefined {
  return (
    [column.end ? "end" : "", column.wide ? "wide" : ""].filter(Boolean).join(" ") || undefined
  );
}
