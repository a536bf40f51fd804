"""The embedded OLAP store: one DuckDB file, its event details, and one writer.

Owns the connections, the commit of a batch with its log offset, recovery, and the reading of
answers. Questions run on a cursor of their own and see one snapshot. The file can always be
rebuilt from the log or the warehouse, so a damaged or older file is refused, never repaired.

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

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import duckdb
import pyarrow as pa

from outlay.errors import OutlayError, UnavailableError
from outlay.store.base import Answer, Column, EstimateGroup, EventFilter, UnpricedGroup
from outlay.store.lockfile import LockFile
from outlay.store.olap import (
    duckdb_read,
    duckdb_rollup,
    duckdb_scan,
    duckdb_schema,
    duckdb_spent,
    duckdb_sql,
)
from outlay.store.olap.chunks import ChunkFiles, encode
from outlay.store.olap.duckdb_errors import REBUILD, as_outlay
from outlay.store.query.dimensions import METRICS, TIME_COLUMN
from outlay.store.query.model import Query
from outlay.store.query.plan import plan
from outlay.store.query.zones import local_to_utc

ROW_GROUP_ROWS: Final = 16_384
CHECKPOINT_LIVE: Final = "16MB"
CHECKPOINT_BULK: Final = "384MB"
BULK_EVENTS: Final = ROW_GROUP_ROWS
"""Batches of at least this many events are bulk."""
CLOSE_WAIT_S: Final = 0.05
CLOSE_ATTEMPTS: Final = 200


class DuckDbStore:
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
        self._path = Path(path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._config: dict[str, Any] = {
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "checkpoint_threshold": CHECKPOINT_LIVE,
            "temp_directory": f"{self._path}.tmp",
            "max_vacuum_tasks": 0,
        }
        self._write_lock = threading.Lock()
        self._readers = threading.Condition()
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._closed = False
        self._offset = 0
        self._rewound = False
        """The file was opened again with a lower offset than was known."""
        self._threshold = CHECKPOINT_LIVE
        self._rollups = duckdb_rollup.Rollups()
        self._chunks = ChunkFiles(Path(f"{self._path}.chunks"))
        self._holder = LockFile(Path(f"{self._path}.lock"), what=str(self._path))
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
            (folded,) = _one(cursor, "SELECT folded FROM meta")
            statement = duckdb_sql.build(query, parts, folded=folded)
            rows = cursor.execute(statement.sql, statement.params).fetchall()
        if query.grain in {"day", "month"}:
            rows = [(local_to_utc(query.timezone, row[0]), *row[1:]) for row in rows]
        columns = [Column(name, "dimension") for name in query.by]
        if query.grain != "none":
            columns.insert(0, Column(TIME_COLUMN, "time"))
        columns += [Column(name, "metric", METRICS[name].unit) for name in query.metrics]
        return Answer(tuple(columns), rows, parts[0].table, start, end)

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
            return int(_one(cursor, "SELECT count(*) FROM events")[0])

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

    @contextmanager
    def _recovering(self) -> Iterator[None]:
        """Undo what a failed step left behind, and raise what the caller can act on."""
        try:
            yield
        except (duckdb.Error, OSError) as error:
            self._undo()
            raise as_outlay(error, self._path) from error
        except BaseException:
            self._undo()
            raise

    def _undo(self) -> None:
        """Go back to what is durable, by opening the file again; if that fails, it is done later.

        What a failed connection shows is not believed: with a full disk DuckDB was seen to report
        an error of a commit, to show its rows, and to lose them with the next checkpoint.
        """
        self._disconnect()
        try:
            self._open()
        except (duckdb.Error, OSError, OutlayError):
            self._disconnect()

    # -- opening and reading -------------------------------------------------------------------

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._closed:
            raise UnavailableError("The OLAP store is closed.")
        if self._con is None:
            self._open()
        assert self._con is not None, "an open store has a connection"
        return self._con

    def _open(self) -> None:
        con = duckdb.connect(":memory:", config=self._config)
        self._threshold = CHECKPOINT_LIVE
        try:
            quoted = str(self._path).replace("'", "''")
            con.execute(f"ATTACH '{quoted}' AS store (ROW_GROUP_SIZE {ROW_GROUP_ROWS})")
            con.execute("USE store")
            self._prepare(con)
            self._load(con)
        except duckdb.Error as error:
            con.close()
            raise as_outlay(error, self._path) from error
        except BaseException:
            con.close()
            raise
        with self._readers:
            self._con = con

    def _prepare(self, con: duckdb.DuckDBPyConnection) -> None:
        tables = {
            name for (name,) in con.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        }
        if not tables:
            con.execute("BEGIN")
            for statement in duckdb_schema.DDL:
                con.execute(statement)
            con.execute("COMMIT")
            return
        version = _one(con, "SELECT schema_version FROM meta")[0] if "meta" in tables else None
        while version in duckdb_schema.UPGRADES:
            con.execute("BEGIN")
            for statement in duckdb_schema.UPGRADES[version]:
                con.execute(statement)
            con.execute("COMMIT")
            version += 1
        if version != duckdb_schema.SCHEMA_VERSION:
            raise UnavailableError(
                f"{self._path} has schema version {version}; this outlay writes "
                f"{duckdb_schema.SCHEMA_VERSION}.",
                hint=REBUILD.format(path=self._path),
            )

    def _load(self, con: duckdb.DuckDBPyConnection) -> None:
        offset, tail = _one(con, "SELECT max(log_offset), max(tail) FROM commits")
        # Whoever writes next may have asked for the offset before this: it would leave a gap.
        self._rewound = self._rewound or offset < self._offset
        self._offset = offset
        self._rollups = duckdb_rollup.Rollups.load(con)
        self._chunks.rewind(tail)

    @contextmanager
    def _snapshot(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor of its own, in a transaction, so that several reads see one state."""
        if self._con is None and not self._closed:
            with self._write_lock:
                self._connection()
        with self._readers:
            if self._closed or self._con is None:
                raise UnavailableError("The OLAP store is closed.")
            cursor = self._con.cursor()
            self._cursors.add(cursor)
        try:
            cursor.execute("USE store")
            cursor.execute("BEGIN")
            yield cursor
        except duckdb.Error as error:
            raise as_outlay(error, self._path) from error
        finally:
            cursor.close()
            with self._readers:
                self._cursors.discard(cursor)
                self._readers.notify_all()

    def _disconnect(self) -> None:
        with self._readers:
            con, self._con = self._con, None
            for _ in range(CLOSE_ATTEMPTS):
                # A cursor that is just about to begin does not notice: interrupt it again.
                for cursor in self._cursors:
                    cursor.interrupt()
                if self._readers.wait_for(lambda: not self._cursors, CLOSE_WAIT_S):
                    break
        if con is not None:
            with suppress(duckdb.Error):
                con.close()

    def _release(self) -> None:
        self._chunks.close()
        self._holder.release()


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = con.execute(sql).fetchone()
    assert row is not None, "an aggregate or a one-row table gives a row"
    return tuple(row)
