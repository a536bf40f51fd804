"""The durable queue between the caller's thread and the shipper: one SQLite file per process.

An event is one committed insert, so it survives `kill -9` of the process. The file is bounded;
what does not fit is refused with a reason. When SQLite fails, a bounded queue in memory takes
over. Whoever holds the lock beside a file owns it: files of dead processes are continued by the
next one. It knows nothing of the network and nothing of what is in an event.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from outlay.capture import forks
from outlay.capture.guard import caught
from outlay.capture.spool_files import Claim, claim_new, claim_orphans

MAX_EVENT_BYTES: Final = 64 * 1024
ROW_BYTES: Final = 32
"""What SQLite needs for a row besides its text, about."""
MAX_MEMORY_EVENTS: Final = 10_000
MAX_MEMORY_BYTES: Final = 16 * 1024 * 1024
RETRY_S: Final = 1.0
"""After SQLite failed, it is left alone for this long."""
BUSY_MS: Final = 2
"""Longest wait of a caller for a lock on the file."""
CHECKPOINT_BYTES: Final = 1024 * 1024
"""Length of the write-ahead log from which housekeeping moves it into the file."""

STORED: Final = ""
FULL: Final = "spool_full"
MEMORY_FULL: Final = "memory_full"
TOO_LARGE: Final = "event_too_large"
CLOSED: Final = "shut_down"

_TABLE: Final = "CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, body TEXT NOT NULL)"
_INSERT: Final = "INSERT INTO events (body) VALUES (?)"

_inherited: list[object] = []
"""Handles that a fork copied: never closed here, since closing would act on the parent's file."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stored event; `id` 0 says that it is in memory."""

    id: int
    body: str


class Spool:
    """A bounded queue of event texts. Thread-safe; no method raises on a failing disk."""

    def __init__(self, folder: Path, max_bytes: int, *, claim: Claim | None = None) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.claim = claim
        self._bytes = 0
        self._rows = 0
        self.stored = 0
        """Events taken since this object was made."""
        self._memory: deque[str] = deque()
        self._memory_bytes = 0
        self._connection: sqlite3.Connection | None = None
        self._retry_at = 0.0
        # Re-entrant: a stream collected as garbage may end, and store, on top of us.
        self._lock = threading.RLock()
        self._busy = False
        self._checkpoint_lock = threading.Lock()
        self._closed = False
        forks.register(self)

    # -- the caller's side ---------------------------------------------------------------------

    def put(self, body: str) -> str:
        """Store one event; return `STORED` or the reason it was refused."""
        size = len(body)
        if size > MAX_EVENT_BYTES:
            return TOO_LARGE
        with self._lock:
            if self._busy:
                return self._remember(body)
            self._busy = True
            try:
                connection = self._connection
                if connection is None:
                    connection = self._open()
                    if connection is None:
                        return self._remember(body)
                if self._bytes + size + ROW_BYTES > self.max_bytes:
                    return FULL
                try:
                    connection.execute(_INSERT, (body,))
                except sqlite3.Error as error:
                    self._fail(error)
                    return self._remember(body)
                self._bytes += size + ROW_BYTES
                self._rows += 1
                self.stored += 1
                return STORED
            finally:
                self._busy = False

    def _remember(self, body: str) -> str:
        if self._closed:
            return CLOSED
        too_many = len(self._memory) >= MAX_MEMORY_EVENTS
        if too_many or self._memory_bytes + len(body) > min(MAX_MEMORY_BYTES, self.max_bytes):
            return MEMORY_FULL
        self._memory.append(body)
        self._memory_bytes += len(body)
        self.stored += 1
        return STORED

    # -- the shipper's side --------------------------------------------------------------------

    @property
    def pending(self) -> int:
        """How many events wait."""
        return self._rows + len(self._memory)

    @property
    def pending_bytes(self) -> int:
        """How many bytes wait, about."""
        return self._bytes + self._memory_bytes

    @property
    def in_memory(self) -> int:
        """How many events wait in memory and would not survive the process."""
        return len(self._memory)

    def batch(self, max_events: int, max_bytes: int) -> list[Row]:
        """Return the oldest events: at least one if there is one, else within both bounds."""
        with self._exclusive() as connection:
            if connection is not None and self._rows:
                try:
                    found = connection.execute(
                        "SELECT id, body FROM events ORDER BY id LIMIT ?", (max_events,)
                    )
                    rows = _within((Row(*row) for row in found), max_bytes)
                    found.close()
                except sqlite3.Error as error:
                    self._fail(error)
                else:
                    if rows:
                        return rows
                    self._rows = self._bytes = 0
            waiting = tuple(self._memory)[:max_events]
        return _within((Row(0, body) for body in waiting), max_bytes)

    def done(self, rows: Sequence[Row]) -> bool:
        """Forget a run of rows of one `batch`; tell whether it worked."""
        if not rows:
            return True
        if rows[0].id == 0:
            with self._lock:
                for _ in rows:
                    self._memory_bytes -= len(self._memory.popleft())
            return True
        with self._exclusive() as connection:
            if connection is None:
                return False
            try:
                connection.execute(
                    "DELETE FROM events WHERE id BETWEEN ? AND ?", (rows[0].id, rows[-1].id)
                )
            except sqlite3.Error as error:
                self._fail(error)
                return False
            self._rows = max(0, self._rows - len(rows))
            freed = sum(len(row.body) + ROW_BYTES for row in rows)
            self._bytes = max(0, self._bytes - freed) if self._rows else 0
            return True

    def tend(self) -> None:
        """Do the slow work: move memory to the file, keep the write-ahead log short."""
        if self._memory:
            self._settle()
        claim = self.claim
        if claim is None or self._connection is None:
            return
        if claim.log_bytes() > CHECKPOINT_BYTES:
            # A connection of its own: the caller's thread does not wait for the disk to sync.
            with self._checkpoint_lock, contextlib.suppress(sqlite3.Error):
                aside = sqlite3.connect(claim.path, timeout=0.1, isolation_level=None)
                try:
                    aside.execute("PRAGMA wal_checkpoint(PASSIVE)")
                finally:
                    aside.close()

    def _settle(self) -> None:
        with self._exclusive() as connection:
            while connection is not None and self._memory:
                body = self._memory[0]
                if self._bytes + len(body) + ROW_BYTES > self.max_bytes:
                    return
                try:
                    connection.execute(_INSERT, (body,))
                except sqlite3.Error as error:
                    self._fail(error)
                    return
                self._memory.popleft()
                self._memory_bytes -= len(body)
                self._bytes += len(body) + ROW_BYTES
                self._rows += 1

    # -- opening and closing -------------------------------------------------------------------

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[sqlite3.Connection | None]:
        with self._lock:
            self._busy = True
            try:
                yield self._connection or self._open()
            finally:
                self._busy = False

    def _open(self) -> sqlite3.Connection | None:
        now = time.monotonic()
        if self._closed or now < self._retry_at:
            return None
        self._retry_at = now + RETRY_S
        try:
            if self.claim is None:
                self.claim = claim_new(self.folder, max_bytes=self.max_bytes)
            connection = sqlite3.connect(
                self.claim.path, timeout=BUSY_MS / 1000, isolation_level=None,
                check_same_thread=False,
            )  # fmt: skip
            connection.execute("PRAGMA synchronous=OFF")  # nothing is in it yet
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            # The log is moved by `tend`; this is the bound if nothing tends.
            pages = min(4096, max(256, self.max_bytes // 16_384))
            connection.execute(f"PRAGMA wal_autocheckpoint={pages}")
            connection.execute(f"PRAGMA journal_size_limit={4 * CHECKPOINT_BYTES}")
            connection.execute(_TABLE)
            self._rows = connection.execute("SELECT count(*) FROM events").fetchone()[0]
        except (sqlite3.Error, OSError) as error:
            caught("spool.open", error)
            self._leave_damaged(error)
            return None
        # What a dead process left counts with its size on disk: exact enough, and free.
        self._bytes = self.claim.file_bytes() if self._rows else 0
        self._connection = connection
        return connection

    def _fail(self, error: sqlite3.Error) -> None:
        caught("spool.sqlite", error)
        connection, self._connection = self._connection, None
        self._retry_at = time.monotonic() + RETRY_S
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
        self._leave_damaged(error)

    def _leave_damaged(self, error: Exception) -> None:
        """Set a file aside that is no sound database; the next try makes a new one."""
        damaged = type(error) is sqlite3.DatabaseError
        if damaged and self.claim is not None:
            self.claim.set_aside()
            self.claim = None
            self._rows = self._bytes = 0

    def close(self) -> None:
        """Release the file: deleted when empty, else left for the next process."""
        with self._lock, self._checkpoint_lock:
            if self._closed:
                return
            if self._memory:
                self._settle()
            self._closed = True
            connection, self._connection = self._connection, None
            empty = connection is not None and self._rows == 0
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
            if self.claim is not None:
                self.claim.release(delete=empty)

    def hold(self, timeout_s: float) -> bool:
        """Keep SQLite still while the process forks, so that none of its locks is copied held."""
        if not self._lock.acquire(timeout=timeout_s):
            return False
        if not self._checkpoint_lock.acquire(timeout=timeout_s):
            self._lock.release()
            return False
        return True

    def go_on(self) -> None:
        """Undo `hold`."""
        self._checkpoint_lock.release()
        self._lock.release()

    def forget(self) -> None:
        """In a forked child: let go of the parent's file without touching it."""
        self._closed = True
        _inherited.append((self._connection, self))
        self._connection = None
        if self.claim is not None:
            self.claim.forget()


def adopt(folder: Path, max_bytes: int) -> list[Spool]:
    """Return the spools that dead processes left in a folder, owned by this process from now."""
    return [Spool(folder, max_bytes, claim=claim) for claim in claim_orphans(folder)]


def _within(rows: Iterable[Row], max_bytes: int) -> list[Row]:
    kept: list[Row] = []
    size = 0
    for row in rows:
        size += len(row.body)
        if kept and size > max_bytes:
            break
        kept.append(row)
    return kept
