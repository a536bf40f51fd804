"""The embedded log: one SQLite file in WAL mode, for several appending processes and readers.

It owns the file, its group commit and its errors. Appends that wait at the same moment share one
commit: whoever gets the writer writes for all. An append returns after the commit is synced to
disk (`synchronous=FULL`). It must not look inside payloads.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final, TypeVar

from outlay.errors import ConfigError, StorageBusyError, StorageFullError, UnavailableError
from outlay.stream.base import Chunk, Record

PAGE_BYTES: Final = 16 * 1024
WAL_PAGES: Final = 1000
"""Pages in the write-ahead file before it is folded into the data file."""
POLL_S: Final = 0.05
"""How often `wait` looks for appends by other processes."""
BUSY_TIMEOUT_S: Final = 5.0
MAX_GROUP_BYTES: Final = 64 * 1024 * 1024
TRIM_STEP: Final = 200
"""Records forgotten in one transaction, so that appends are never stalled for long."""
OPEN_TRIES: Final = 50

_FULL: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_TOOBIG})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_TRIM: Final = (
    "DELETE FROM record WHERE offset IN (SELECT offset FROM record "
    "WHERE offset <= ? AND appended_at < ? ORDER BY offset LIMIT ?)"
)
_T = TypeVar("_T")


class _Pending:
    """One caller's append on its way into a shared commit."""

    __slots__ = ("appended_at", "chunks", "done", "error", "last", "size")

    def __init__(self, chunks: Sequence[Chunk], appended_at: int) -> None:
        self.chunks = chunks
        self.appended_at = appended_at
        self.size = sum(len(chunk.payload) for chunk in chunks)
        self.done = False
        self.last = 0
        self.error: BaseException | None = None


class SqliteLog:
    """A `stream.base.Log` in one SQLite file.

    `max_bytes` bounds the data file; the write-ahead file beside it stays near 16 MB. A file that
    is not a log of this version is refused with `ConfigError` and left as it is.
    """

    APPLICATION_ID: ClassVar[int] = 0x4F_4C_4F_47
    VERSION: ClassVar[int] = 1
    TABLES: ClassVar[tuple[str, ...]] = (
        """CREATE TABLE record (
            offset INTEGER PRIMARY KEY AUTOINCREMENT, appended_at INTEGER NOT NULL,
            count INTEGER NOT NULL, payload BLOB NOT NULL) STRICT""",
    )

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        self._path = Path(path)
        self._busy_timeout_s = busy_timeout_s
        self._max_pages = None if max_bytes is None else max(1, max_bytes // PAGE_BYTES)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: list[_Pending] = []
        self._appended = threading.Condition()
        self._closed = False
        self._writer = self._open()
        self._reader = self._connect()
        self._last = self.head()

    def append(self, chunks: Sequence[Chunk], *, appended_at: int) -> int:
        """Write all chunks or none, durably, and return the last offset."""
        if not chunks:
            return self.head()
        mine = _Pending(chunks, appended_at)
        with self._queue_lock:
            self._queue.append(mine)
        with self._write_lock:
            while not mine.done:
                self._commit_group(self._take_group())
        if mine.error is not None:
            raise mine.error
        return mine.last

    def read(self, after: int, *, max_events: int) -> list[Record]:
        """Return records behind `after`: one if there is one, else up to `max_events` events."""
        records: list[Record] = []
        events = 0
        with self._reading() as reader:
            rows = reader.execute(
                "SELECT offset, appended_at, count, payload FROM record WHERE offset > ? "
                "ORDER BY offset",
                (after,),
            )
            try:
                for row in rows:
                    events += row[2]
                    if records and events > max_events:
                        break
                    records.append(Record(*row))
            finally:
                rows.close()  # an open cursor would keep the write-ahead file from folding
        return records

    def head(self) -> int:
        """Return the last offset, 0 for an empty log; trimming does not lower it."""
        with self._reading() as reader:
            return _head(reader)

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is a record behind `after`, or the time is over; tell which."""
        until = time.monotonic() + timeout_s
        while True:
            if self._last > after or self.head() > after:
                return True
            left = until - time.monotonic()
            if left <= 0:
                return False
            with self._appended:
                if self._last <= after:
                    self._appended.wait(min(POLL_S, left))

    def trim(self, up_to: int, *, appended_before: int) -> int:
        """Forget records up to an offset that are older than a time; return how many.

        The freed pages are used again; the file itself does not shrink.
        """
        bounds = (up_to, appended_before, TRIM_STEP)
        trimmed = 0
        while True:
            step = self._transact(lambda db: db.execute(_TRIM, bounds).rowcount)
            trimmed += step
            if step < TRIM_STEP:
                return trimmed

    def size_bytes(self) -> int:
        """Return the bytes on disk: data file and write-ahead file."""
        paths = (self._path, self._path.with_name(self._path.name + "-wal"))
        return sum(path.stat().st_size for path in paths if path.exists())

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        with self._write_lock, self._read_lock:
            if not self._closed:
                self._closed = True
                self._reader.close()
                self._writer.close()

    def _transact(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` in one durable write transaction; on any error nothing of it remains."""
        with self._write_lock:
            return self._write(work)

    def _announce(self, last: int) -> None:
        with self._appended:
            self._last = max(self._last, last)
            self._appended.notify_all()

    @staticmethod
    def _insert(db: sqlite3.Connection, chunks: Sequence[Chunk], appended_at: int) -> int:
        db.executemany(
            "INSERT INTO record (appended_at, count, payload) VALUES (?, ?, ?)",
            [(appended_at, chunk.count, chunk.payload) for chunk in chunks],
        )
        return _head(db)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._read_lock, self._named_errors():
            self._check_open()
            yield self._reader

    def _take_group(self) -> list[_Pending]:
        """Take waiting appends in order of arrival, at least one, up to the size of a group."""
        with self._queue_lock:
            taken, size = 0, 0
            for pending in self._queue:
                size += pending.size
                if taken and size > MAX_GROUP_BYTES:
                    break
                taken += 1
            group, self._queue = self._queue[:taken], self._queue[taken:]
        return group

    def _commit_group(self, group: list[_Pending]) -> None:
        def work(db: sqlite3.Connection) -> list[int]:
            return [self._insert(db, p.chunks, p.appended_at) for p in group]

        try:
            lasts = self._write(work)
        except BaseException as error:
            if len(group) > 1 and isinstance(error, StorageFullError):
                for pending in group:  # a smaller one may still fit
                    self._commit_group([pending])
                return
            known = isinstance(error, Exception)
            for pending in group:
                pending.error = error if known else UnavailableError("the commit was interrupted")
                pending.done = True
            if not known:
                raise
            return
        for pending, last in zip(group, lasts, strict=True):
            pending.last, pending.done = last, True
        self._announce(lasts[-1])

    def _write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        with self._named_errors():
            self._check_open()
            db = self._writer
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(
            self._path,
            timeout=self._busy_timeout_s,
            isolation_level=None,
            check_same_thread=False,
        )
        db.execute("PRAGMA synchronous = FULL")
        db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        db.execute(f"PRAGMA journal_size_limit = {4 * WAL_PAGES * PAGE_BYTES}")
        if self._max_pages is not None:
            db.execute(f"PRAGMA max_page_count = {self._max_pages}")
        return db

    def _open(self) -> sqlite3.Connection:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"the folder of the log cannot be made: {error.strerror}", where=str(self._path)
            ) from error
        with self._named_errors():
            return self._retry_busy(self._open_once)

    def _open_once(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=0.1, isolation_level=None, check_same_thread=False)
        try:
            db.execute("BEGIN")  # one snapshot: another process may be making the log just now
            made = self._is_mine(db)
            db.execute("COMMIT")
            if not made:
                db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("BEGIN IMMEDIATE")
                if not self._is_mine(db):  # another process may have made it meanwhile
                    for statement in self.TABLES:
                        db.execute(statement)
                    db.execute(f"PRAGMA application_id = {self.APPLICATION_ID}")
                    db.execute(f"PRAGMA user_version = {self.VERSION}")
                db.execute("COMMIT")
        finally:
            db.close()
        return self._connect()

    def _is_mine(self, db: sqlite3.Connection) -> bool:
        """Tell whether the file is this log; an empty file is not yet.

        Raises:
            ConfigError: if the file holds something else or another version.
        """
        application = db.execute("PRAGMA application_id").fetchone()[0]
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if application == self.APPLICATION_ID:
            if version != self.VERSION:
                raise ConfigError(
                    f"the log has schema version {version}, this outlay reads {self.VERSION}",
                    where=str(self._path),
                    hint="Use the outlay version that wrote it, or name another file.",
                )
            return True
        if application or db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise ConfigError(
                "the file is a database but not this kind of log",
                where=str(self._path),
                hint="Name another file; outlay does not touch this one.",
            )
        return False

    def _retry_busy(self, work: Callable[[], _T]) -> _T:
        """Turning a new file to WAL ignores SQLite's busy timeout, so try again here."""
        until = time.monotonic() + self._busy_timeout_s
        for _ in range(OPEN_TRIES):
            try:
                return work()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > until:
                    raise
                time.sleep(self._busy_timeout_s / OPEN_TRIES)
        return work()

    def _check_open(self) -> None:
        if self._closed:
            raise UnavailableError("the log is closed", where=str(self._path))

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Give SQLite's errors the names of outlay's error tree."""
        try:
            yield
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            where = str(self._path)
            if code in _FULL:
                raise StorageFullError(
                    f"the log cannot grow ({error}); nothing was written", where=where
                ) from error
            if code in _BUSY:
                raise StorageBusyError(
                    f"another process kept the log locked for {self._busy_timeout_s:g} s",
                    where=where,
                ) from error
            if code == sqlite3.SQLITE_NOTADB:
                raise ConfigError("the file is not a log", where=where) from error
            raise UnavailableError(f"the log failed: {error}", where=where) from error


def _head(db: sqlite3.Connection) -> int:
    row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'record'").fetchone()
    return 0 if row is None else int(row[0])
