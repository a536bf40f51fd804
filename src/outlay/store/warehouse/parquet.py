"""The embedded warehouse: every column of every event as Parquet files, a folder per UTC day.

A batch counts when its manifest transaction commits, never before, so a replay of any range
changes nothing. Small batches wait in a durable journal (Arrow files) and become Parquet together:
files of a useful size, and still no event outside the committed offset. `compact` merges what
slow traffic leaves. Readers take the file list from `files`; anything in the folders that the
manifest does not name is left over from a crash and is removed at open.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from outlay.core.rollup import DAY_US
from outlay.errors import UnavailableError
from outlay.store.diskerrors import from_os_error, is_full
from outlay.store.lockfile import LockFile
from outlay.store.warehouse.files import (
    LOG_OFFSET,
    SCHEMA,
    WAITING_SCHEMA,
    day_text,
    read_pieces,
    write_file,
    write_parquet,
)
from outlay.store.warehouse.manifest import SCHEMA_VERSION, DataFile, JournalFile, Manifest
from outlay.stream.columns import ENRICHED_SCHEMA

FILE_EVENTS: Final = 32_768
"""Waiting events that become Parquet; larger batches do at once."""
JOURNAL_SECONDS: Final = 60.0
"""Age of the oldest waiting batch at which the next write makes Parquet of all."""
MERGE_FILES: Final = 64
"""Most files one `compact` call reads."""
MERGE_MIN_FILES: Final = 8
MERGE_BYTES: Final = 64 * 1024 * 1024
"""Most bytes one `compact` call reads, in about two seconds; files of half of it are left alone."""


class ParquetWarehouse:
    """A `Sink` that keeps all events under one folder.

    Args:
        root: The folder; it is made if it does not exist.
        clock: Seconds that only grow, for the age of waiting batches.

    Raises:
        StorageBusyError: Another process holds the folder.
        UnavailableError: The manifest is damaged or of another version.
    """

    name = "warehouse"

    def __init__(self, root: str | Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._root = Path(root)
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._committed = self._published = self._last_file = 0
        self._journal: list[JournalFile] = []
        self._waiting_since = clock()
        self._journal_dir = self._root / "journal"
        self._journal_dir.mkdir(parents=True, exist_ok=True)
        self._holder = LockFile(self._root / "warehouse.lock", what=str(self._root))
        try:
            self._open()
        except BaseException:
            self._holder.release()
            raise

    def offset(self) -> int:
        """Return the last log offset that is durably in the warehouse."""
        return self._committed

    def published(self) -> int:
        """Return the log offset up to which events are in Parquet files."""
        return self._published

    def write(self, events: pa.Table, *, offset: int) -> None:
        """Take events that end at `offset`; see `Sink.write`."""
        if not events.schema.equals(ENRICHED_SCHEMA):
            raise ValueError("events must have exactly the columns of ENRICHED_SCHEMA")
        with self._lock, self._storage():
            self._check_open()
            if offset <= self._committed:
                return
            batch = events.append_column(
                WAITING_SCHEMA.field(LOG_OFFSET),
                pa.repeat(pa.scalar(offset, pa.int64()), len(events)),
            )
            waiting = sum(entry.rows for entry in self._journal) + len(batch)
            if waiting >= FILE_EVENTS or self._waited_too_long():
                self._publish(batch, offset)
            else:
                self._wait(batch, offset)

    def publish(self) -> None:
        """Make Parquet of everything that waits."""
        with self._lock, self._storage():
            self._check_open()
            self._publish(WAITING_SCHEMA.empty_table(), self._committed)

    def compact(self) -> bool:
        """Do one step of upkeep; tell whether there may be more.

        A step makes Parquet of batches that waited too long, or merges small files of one day into
        one, at most `MERGE_FILES` and `MERGE_BYTES` of them.
        """
        with self._lock, self._storage():
            self._check_open()
            if self._waited_too_long():
                self._publish(WAITING_SCHEMA.empty_table(), self._committed)
                return True
            for day, group in groupby(self._manifest.files(), key=lambda file: file.day):
                chosen = _mergeable(list(group))
                if len(chosen) >= MERGE_MIN_FILES:
                    self._merge(day, chosen)
                    return True
            return False

    def files(self, day_from: str | None = None, day_to: str | None = None) -> list[str]:
        """Return the Parquet files of days (`YYYY-MM-DD`, both included) that count now."""
        with self._lock:
            self._check_open()
            return [str(self._root / f.path) for f in self._manifest.files(day_from, day_to)]

    def glob(self) -> str:
        """Return a pattern of all files, for readers without the manifest.

        While a merge swaps files, both the old and the new ones match; `files` is exact.
        """
        return str(self._root / "day=*" / "*.parquet")

    def read_table(
        self,
        day_from: str | None = None,
        day_to: str | None = None,
        *,
        columns: Sequence[str] | None = None,
    ) -> pa.Table:
        """Return the events of days as one table of `SCHEMA`, or of some of its columns."""
        names = list(SCHEMA.names if columns is None else columns)
        tables = [self._read(path, names) for path in self.files(day_from, day_to)]
        schema = pa.schema([SCHEMA.field(name) for name in names])
        return pa.concat_tables([schema.empty_table(), *tables])

    def totals(self) -> dict[str, tuple[int, int]]:
        """Return (events, cost_nanos) by UTC day of everything in Parquet."""
        by_day: dict[str, tuple[int, int]] = {}
        for (day, _), (events, cost) in self.daily_totals(up_to=self.published()).items():
            before = by_day.get(day, (0, 0))
            by_day[day] = (before[0] + events, before[1] + cost)
        return by_day

    def daily_totals(self, *, up_to: int) -> dict[tuple[str, str], tuple[int, int]]:
        """Return (events, cost_nanos) by (UTC day, tenant) of events up to a log offset."""
        totals: dict[tuple[str, str], tuple[int, int]] = {}
        for path in self.files():
            day = Path(path).parent.name.removeprefix("day=")
            table = self._read(path, ["tenant_id", "cost_nanos", LOG_OFFSET])
            table = table.filter(pc.field(LOG_OFFSET) <= up_to)
            # Decimal, because Arrow's integer sums wrap around silently.
            cost = table["cost_nanos"].cast(pa.decimal128(38, 0))
            sums = (
                table.set_column(1, "cost_nanos", cost)
                .group_by("tenant_id")
                .aggregate([("cost_nanos", "sum"), ("cost_nanos", "count")])
            )
            for row in sums.to_pylist():
                before = totals.get((day, row["tenant_id"]), (0, 0))
                added = (row["cost_nanos_count"], int(row["cost_nanos_sum"] or 0))
                totals[day, row["tenant_id"]] = (before[0] + added[0], before[1] + added[1])
        return totals

    def size_bytes(self) -> int:
        """Return the bytes of all Parquet files."""
        with self._lock:
            self._check_open()
            return sum(file.bytes for file in self._manifest.files())

    def close(self) -> None:
        """Make Parquet of what waits and release the folder; idempotent."""
        with self._lock:
            if self._closed:
                return
            try:
                with self._storage():
                    self._publish(WAITING_SCHEMA.empty_table(), self._committed)
            except UnavailableError:
                pass  # what waits is durable in the journal and is published after the next open
            finally:
                self._closed = True
                self._manifest.close()
                self._holder.release()

    # -- writing -------------------------------------------------------------------------------

    def _waited_too_long(self) -> bool:
        age = self._clock() - self._waiting_since
        return bool(self._journal) and age >= JOURNAL_SECONDS

    def _wait(self, batch: pa.Table, offset: int) -> None:
        path = self._journal_dir / f"{offset:020d}.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4")

        def fill(temporary: Path) -> None:
            with pa.ipc.new_file(str(temporary), batch.schema, options=options) as writer:
                writer.write_table(batch)

        write_file(path, fill)
        entry = JournalFile(str(path.relative_to(self._root)), len(batch), offset)
        self._manifest.add_journal(entry)
        if not self._journal:
            self._waiting_since = self._clock()
        self._journal.append(entry)
        self._committed = offset

    def _publish(self, batch: pa.Table, offset: int) -> None:
        waiting = [self._read_journal(entry) for entry in self._journal]
        table = pa.concat_tables([*waiting, batch]).combine_chunks()
        if not len(table) and offset == self._published:
            return
        days = pc.divide(table["started_at"].cast(pa.int64()), DAY_US)
        made: list[DataFile] = []
        try:
            for day in sorted(pc.unique(days).to_pylist()):
                part = table.filter(pc.equal(days, day))
                number = self._file_number()
                made.append(write_parquet(self._root, day_text(day), number, [part]))
            self._manifest.publish(made, offset=offset)
        except Exception:
            for file in made:
                (self._root / file.path).unlink(missing_ok=True)
            raise
        done, self._journal = self._journal, []
        self._committed = self._published = offset
        for entry in done:
            (self._root / entry.path).unlink(missing_ok=True)

    def _merge(self, day: str, old: list[DataFile]) -> None:
        pieces = read_pieces(self._root, old)
        new = write_parquet(self._root, day, self._file_number(), pieces)
        self._manifest.replace(old, new)
        for file in old:
            (self._root / file.path).unlink(missing_ok=True)

    def _file_number(self) -> int:
        self._last_file += 1
        return self._last_file

    # -- opening and reading -------------------------------------------------------------------

    def _open(self) -> None:
        with self._storage():
            self._manifest = Manifest(self._root / "manifest.sqlite")
            try:
                self._load()
            except BaseException:
                self._manifest.close()
                raise

    def _load(self) -> None:
        version = self._manifest.version()
        if version != SCHEMA_VERSION:
            raise UnavailableError(
                f"{self._root} has manifest version {version}; this outlay writes "
                f"{SCHEMA_VERSION}.",
                hint="Open it with the outlay that wrote it, or name another warehouse.",
            )
        self._committed, self._published = self._manifest.offsets()
        self._journal = self._manifest.journal()
        self._waiting_since = self._clock()
        self._last_file = self._sweep()

    def _sweep(self) -> int:
        """Remove what no manifest names, and return the highest file number ever seen."""
        known = {file.path for file in self._manifest.files()}
        known |= {entry.path for entry in self._journal}
        highest = max((int(Path(p).stem) for p in known if p.endswith(".parquet")), default=0)
        for folder in (self._journal_dir, *self._root.glob("day=*")):
            for path in folder.iterdir():
                if str(path.relative_to(self._root)) not in known:
                    path.unlink()
        missing = [path for path in known if not (self._root / path).exists()]
        if missing:
            raise UnavailableError(
                f"{len(missing)} files of {self._root} are missing, such as {min(missing)}.",
                hint="Restore them from a backup: the warehouse is the record for finance.",
            )
        return highest

    def _read_journal(self, entry: JournalFile) -> pa.Table:
        with pa.OSFile(str(self._root / entry.path)) as source:
            return pa.ipc.open_file(source).read_all()

    def _read(self, path: str, columns: list[str]) -> pa.Table:
        try:
            return pq.ParquetFile(path).read(columns=columns)
        except FileNotFoundError:
            raise UnavailableError(
                f"{path} was merged while it was read.", hint="Try again."
            ) from None

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("The warehouse is closed.")

    @contextmanager
    def _storage(self) -> Iterator[None]:
        """Raise what the caller can act on; whatever was not committed is swept or overwritten."""
        try:
            yield
        except sqlite3.Error as error:
            if is_full(error):
                raise from_os_error(error, self._root) from error
            raise UnavailableError(f"The manifest of {self._root} failed: {error}") from error
        except OSError as error:
            raise from_os_error(error, self._root) from error


def _mergeable(files: list[DataFile]) -> list[DataFile]:
    chosen, size = [], 0
    for file in sorted(files, key=lambda file: file.bytes):
        if file.bytes > MERGE_BYTES // 2 or size + file.bytes > MERGE_BYTES:
            break
        chosen.append(file)
        size += file.bytes
    return chosen[:MERGE_FILES]
