"""The embedded OLAP store: one DuckDB file, its event details, and one writer.

Owns the commit of a batch with its log offset, and the reading of answers. Its connections and how
it recovers are in `duckdb_file`.

How batches reach the file was measured on DuckDB 2.0 (54 columns, CPU per event, compression and
checkpoint included): DuckDB writes row groups that one batch fills straight to the file and only
the rest through the write-ahead log. With its default of 122,880 rows a group, 20,000-event batches
cost 6.1 us; with `ROW_GROUP_ROWS` they cost 3.5 us, and scans are as fast. Merging small row groups
at checkpoints (`max_vacuum_tasks`) would double that again, so it is off.

Checkpoints stall the writer while they compress what the write-ahead log holds: about 0.15 s a
16 MB. Small batches (the log is near its head, freshness matters) get that as threshold, large
ones (bulk, throughput matters) a large one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import duckdb
import pyarrow as pa

from outlay.errors import UnavailableError
from outlay.store.base import Answer, Column, EventFilter
from outlay.store.groups import EstimateGroup, UnpricedGroup
from outlay.store.olap import (
    duckdb_actions,
    duckdb_read,
    duckdb_requests,
    duckdb_rollup,
    duckdb_scan,
    duckdb_schema,
    duckdb_spent,
    duckdb_sql,
)
from outlay.store.olap.chunks import ChunkFiles, encode
from outlay.store.olap.duckdb_file import CHECKPOINT_LIVE, ROW_GROUP_ROWS, DuckDbFile, one_row
from outlay.store.query.actions import ActionsAnswer, ActionsQuestion
from outlay.store.query.dimensions import METRICS, TIME_COLUMN
from outlay.store.query.model import Query
from outlay.store.query.plan import plan
from outlay.store.query.requests import RequestsPage, RequestsQuestion
from outlay.store.query.zones import local_to_utc

CHECKPOINT_BULK: Final = "384MB"
BULK_EVENTS: Final = ROW_GROUP_ROWS
"""Batches of at least this many events are bulk."""


class DuckDbStore(DuckDbFile):
    """An `OlapStore` in one DuckDB file (`path`), with chunk files beside it.

    Args:
        path: The database file; `<path>.chunks/` and `<path>.lock` go beside it.
        memory_mb: Bound of DuckDB's memory; larger work spills to `<path>.tmp`.
        threads: Threads of one question.

    Raises:
        StorageBusyError: Another process, or another store of this one, has it open.
        UnavailableError: The file is damaged or of another version; the hint says what to do.
    """

    name = "olap"

    def __init__(self, path: str | Path, *, memory_mb: int = 2048, threads: int = 2) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._offset = 0
        self._rewound = False
        """The file was opened again with a lower offset than was known."""
        self._threshold = CHECKPOINT_LIVE
        self._rollups = duckdb_rollup.Rollups()
        self._chunks = ChunkFiles(Path(f"{path}.chunks"))
        super().__init__(path, memory_mb=memory_mb, threads=threads)
        try:
            self._open()
        except BaseException:
            self._release()
            raise

    def offset(self) -> int:
        """Return the last log offset that is durably in the store.

        Raises:
            UnavailableError: a failure closed the file, and it cannot be opened again yet.
        """
        if self._con is None and not self._closed:
            with self._write_lock:
                self._connection()
        return self._offset

    def published(self) -> int:
        """Return the log offset up to which answers hold every event: all that is committed."""
        return self._offset

    def write(self, events: pa.Table, *, offset: int) -> None:
        """Take events that end at `offset`; see `Sink.write`."""
        with self._write_lock:
            con = self._connection()
            if self._rewound:
                self._rewound = False
                raise UnavailableError("The OLAP store went back: ask for its offset again.")
            if offset <= self._offset:
                return
            events = duckdb_schema.check(events)
            with self._recovering():
                self._tune(con, len(events))
                self._insert(con, events, offset)
            with suppress(UnavailableError), self._recovering():
                # The batch is committed: upkeep that fails now is tried again with the next one.
                self._upkeep(con, bulk=len(events) >= BULK_EVENTS)

    def compact(self, *, everything: bool = False) -> bool:
        """Do one bounded step of roll-up upkeep; tell whether there may be more.

        `everything` folds and merges whatever there is, however little it brings.
        """
        with self._write_lock:
            con = self._connection()
            with self._recovering():
                return self._upkeep(con, everything=everything)

    def query(self, query: Query, *, now: int) -> Answer:
        """Answer a question; `now` is microseconds UTC. Times in rows are microseconds UTC."""
        return self._answer(query, now=now, rollups=True)

    def _answer(self, query: Query, *, now: int, rollups: bool) -> Answer:
        start, end = query.window(now)
        parts = plan(query, start, end, rollups=rollups)
        with self._snapshot() as cursor:
            (folded,) = one_row(cursor, "SELECT folded FROM meta")
            statement = duckdb_sql.build(query, parts, folded=folded)
            rows = cursor.execute(statement.sql, statement.params).fetchall()
        if query.grain in {"day", "month"}:
            rows = [(local_to_utc(query.timezone, row[0]), *row[1:]) for row in rows]
        columns = [Column(name, "dimension") for name in query.by]
        if query.grain != "none":
            columns.insert(0, Column(TIME_COLUMN, "time"))
        columns += [Column(name, "metric", METRICS[name].unit) for name in query.metrics]
        return Answer(tuple(columns), rows, parts[0].table, start, end)

    def requests(self, question: RequestsQuestion) -> RequestsPage:
        """Return one page of requests; see `OlapStore.requests`."""
        with self._snapshot() as cursor:
            return duckdb_requests.requests(cursor, question)

    def actions(self, question: ActionsQuestion) -> ActionsAnswer:
        """Return what requests cost by a dimension; see `OlapStore.actions`."""
        with self._snapshot() as cursor:
            return duckdb_actions.actions(cursor, question)

    def event(self, event_id: str) -> dict[str, Any] | None:
        """Return one event with all its fields; corrections of it are in `adjustments`."""
        try:
            key = UUID(event_id)
        except ValueError:
            return None
        with self._snapshot() as cursor:
            found = duckdb_read.by_event_id(cursor, key)
            adjusting = duckdb_read.adjusting(cursor, key) if found else []
        events = duckdb_read.whole_events([*found, *adjusting], self._chunks)
        return {**events[0], "adjustments": events[1:]} if events else None

    def request_events(self, request_id: str, *, tenant: str | None) -> list[dict[str, Any]]:
        """Return a request's events by start, at most `duckdb_read.MAX_REQUEST_EVENTS`."""
        with self._snapshot() as cursor:
            found = duckdb_read.by_request(cursor, request_id, tenant)
        return duckdb_read.whole_events(found, self._chunks)

    def scan(self, which: EventFilter) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield usage events with the adjustments of them, some thousands at a time.

        Both tables have `ENRICHED_SCHEMA`, in the order of the log. What comes in after the first
        step is not seen.
        """
        with self._snapshot() as cursor:
            found = duckdb_scan.addresses(cursor, which)
        for step in duckdb_scan.steps(found):
            with self._snapshot() as cursor:
                events = duckdb_scan.read(cursor, step, self._chunks)
                adjustments = duckdb_scan.adjustments(
                    cursor, events, self._chunks, up_to=which.up_to
                )
            # The caller takes its time: no snapshot is held open meanwhile.
            yield events, adjustments

    def matching(self, which: EventFilter) -> int:
        """Return how many usage events a filter finds."""
        with self._snapshot() as cursor:
            return duckdb_scan.count(cursor, which)

    def unpriced(self, which: EventFilter, *, limit: int) -> list[UnpricedGroup]:
        """Return what still has no price, by provider, model and reason."""
        with self._snapshot() as cursor:
            return duckdb_scan.unpriced(cursor, replace(which, unpriced=True), limit=limit)

    def stored_up_to(self, offset: int) -> int:
        """Return the end of the last batch that ends at or before an offset of the log."""
        with self._snapshot() as cursor:
            return duckdb_spent.stored_up_to(cursor, offset)

    def spent(self, which: EventFilter, by: Sequence[str], *, step_us: int = 0) -> pa.Table:
        """Return what usage and its adjustments add up to; see `OlapStore.spent`."""
        with self._snapshot() as cursor:
            return duckdb_spent.spent(cursor, which, by, step_us=step_us)

    def find(self, event_ids: Sequence[bytes], *, start: int, end: int) -> pa.Table:
        """Return events by id in ENRICHED_SCHEMA; all started in the window."""
        with self._snapshot() as cursor:
            return duckdb_scan.by_ids(cursor, event_ids, start=start, end=end, chunks=self._chunks)

    def estimates(self, which: EventFilter, *, limit: int) -> list[EstimateGroup]:
        """Return how estimates and costs compare, by model and agent, the dearest first."""
        with self._snapshot() as cursor:
            return duckdb_spent.estimates(cursor, which, limit=limit)

    def count(self) -> int:
        """Return how many events are stored."""
        with self._snapshot() as cursor:
            return int(one_row(cursor, "SELECT count(*) FROM events")[0])

    def verify(self) -> list[str]:
        """Compare every sum of the roll-ups with events; a line per difference."""
        with self._snapshot() as cursor:
            return duckdb_rollup.verify(cursor)

    def daily_totals(self, *, up_to: int) -> dict[tuple[str, str], tuple[int, int]]:
        """Return (events, cost_nanos) by (UTC day, tenant) of events up to a log offset."""
        with self._snapshot() as cursor:
            return duckdb_rollup.daily_totals(cursor, up_to=up_to)

    def size_bytes(self) -> int:
        """Return the bytes on disk, write-ahead log and event details included."""
        files = (self._path, Path(f"{self._path}.wal"))
        return self._chunks.size_bytes() + sum(f.stat().st_size for f in files if f.exists())

    def close(self) -> None:
        """Stop questions that run, checkpoint and release the file; idempotent."""
        with self._write_lock:
            if self._closed:
                return
            self._closed = True
            self._disconnect()
            self._release()

    # -- writing -------------------------------------------------------------------------------

    def _insert(self, con: duckdb.DuckDBPyConnection, events: pa.Table, offset: int) -> None:
        chunks = [encode(part) for part in duckdb_schema.detail_tables(events)]
        addresses = self._chunks.append(chunks)
        con.execute("BEGIN")
        if addresses:
            batch = duckdb_schema.rows(events, offset=offset, addresses=addresses)
            con.register("batch", batch)
            con.execute("INSERT INTO events BY NAME SELECT * FROM batch")
        con.execute("INSERT INTO commits VALUES (?, ?)", [offset, self._chunks.tail])
        con.execute("COMMIT")
        self._offset = offset
        self._rollups.pending += len(events)

    def _upkeep(
        self, con: duckdb.DuckDBPyConnection, *, bulk: bool = False, everything: bool = False
    ) -> bool:
        """Do one step: short ones near the head of the log, large and cheap ones in bulk."""
        step = duckdb_rollup.FOLD_BULK_EVENTS if bulk else duckdb_rollup.FOLD_EVENTS
        if self._rollups.pending >= (1 if everything else step):
            self._rollups.fold(con, at_most=step, head=self._offset)
            return True
        return not bulk and self._rollups.merge_step(con, everything=everything)

    def _tune(self, con: duckdb.DuckDBPyConnection, batch: int) -> None:
        threshold = CHECKPOINT_BULK if batch >= BULK_EVENTS else CHECKPOINT_LIVE
        if threshold != self._threshold:
            con.execute(f"SET checkpoint_threshold = '{threshold}'")
            self._threshold = threshold

    def _load(self, con: duckdb.DuckDBPyConnection) -> None:
        self._threshold = CHECKPOINT_LIVE
        offset, tail = one_row(con, "SELECT max(log_offset), max(tail) FROM commits")
        # Whoever writes next may have asked for the offset before this: it would leave a gap.
        self._rewound = self._rewound or offset < self._offset
        self._offset = offset
        self._rollups = duckdb_rollup.Rollups.load(con)
        self._chunks.rewind(tail)

    def _release(self) -> None:
        self._chunks.close()
        self._holder.release()
