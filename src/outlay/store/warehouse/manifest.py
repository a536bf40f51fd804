"""The manifest of a Parquet warehouse: which files count, and up to which log offset.

A small SQLite file in the root (WAL, fsync on every commit). One transaction swaps files and
offset together, so a file exists for readers exactly when its events are committed. It must not
touch the Parquet files themselves.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SCHEMA_VERSION: Final = 1
BUSY_TIMEOUT_S: Final = 10.0
_DDL: Final = """
CREATE TABLE state (version INTEGER, committed INTEGER, published INTEGER);
CREATE TABLE files (path TEXT PRIMARY KEY, day TEXT, rows INTEGER, bytes INTEGER,
                    first INTEGER, last INTEGER);
CREATE INDEX files_by_day ON files (day, path);
CREATE TABLE journal (path TEXT PRIMARY KEY, rows INTEGER, log_offset INTEGER);
"""


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file: path under the root, its day, and the log offsets of its events."""

    path: str
    day: str
    rows: int
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class JournalFile:
    """A batch that waits to become Parquet."""

    path: str
    rows: int
    log_offset: int


class Manifest:
    """The SQLite file; the caller serialises the calls."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'state'").fetchone():
            state = f"INSERT INTO state VALUES ({SCHEMA_VERSION}, 0, 0);"
            self._db.executescript(f"BEGIN; {_DDL} {state} COMMIT;")

    def version(self) -> int:
        """Return the schema version of the file."""
        return int(self._db.execute("SELECT version FROM state").fetchone()[0])

    def offsets(self) -> tuple[int, int]:
        """Return the committed offset and the one up to which events are in Parquet."""
        committed, published = self._db.execute("SELECT committed, published FROM state").fetchone()
        return committed, published

    def files(self, day_from: str | None = None, day_to: str | None = None) -> list[DataFile]:
        """Return the files of the days from `day_from` to `day_to`, both included."""
        rows = self._db.execute(
            "SELECT path, day, rows, bytes, first, last FROM files "
            "WHERE day >= ? AND day <= ? ORDER BY day, path",
            (day_from or "", day_to or "9999-99-99"),
        )
        return [DataFile(*row) for row in rows]

    def journal(self) -> list[JournalFile]:
        """Return the batches that wait, in log order."""
        rows = self._db.execute("SELECT path, rows, log_offset FROM journal ORDER BY log_offset")
        return [JournalFile(*row) for row in rows]

    def add_journal(self, entry: JournalFile) -> None:
        """Commit a waiting batch and its offset."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.execute(
                "INSERT INTO journal VALUES (?, ?, ?)", (entry.path, entry.rows, entry.log_offset)
            )
            self._db.execute("UPDATE state SET committed = ?", (entry.log_offset,))

    def publish(self, files: Sequence[DataFile], *, offset: int) -> None:
        """Commit files that hold everything up to an offset, the waiting batches included."""
        with self._db:
            self._db.execute("BEGIN")
            self._insert(files)
            self._db.execute("DELETE FROM journal")
            self._db.execute("UPDATE state SET committed = ?, published = ?", (offset, offset))

    def replace(self, old: Sequence[DataFile], new: DataFile) -> None:
        """Swap files for one with the same events."""
        with self._db:
            self._db.execute("BEGIN")
            self._db.executemany("DELETE FROM files WHERE path = ?", [(f.path,) for f in old])
            self._insert([new])

    def _insert(self, files: Sequence[DataFile]) -> None:
        self._db.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?)",
            [(f.path, f.day, f.rows, f.bytes, f.first, f.last) for f in files],
        )

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._db.close()
