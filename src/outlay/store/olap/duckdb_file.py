"""One DuckDB file that is open: its connection, the snapshots of who reads, and recovery.

Questions run on a cursor of their own and see one snapshot. The file can always be rebuilt from the
log or the warehouse, so a damaged or older file is refused, never repaired. What the tables hold is
the store's part.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import duckdb

from outlay.errors import OutlayError, UnavailableError
from outlay.store.lockfile import LockFile
from outlay.store.olap import duckdb_schema
from outlay.store.olap.duckdb_errors import REBUILD, as_outlay

ROW_GROUP_ROWS: Final = 16_384
CHECKPOINT_LIVE: Final = "16MB"
CLOSE_WAIT_S: Final = 0.05
CLOSE_ATTEMPTS: Final = 200


class DuckDbFile(ABC):
    """A file that one store of one process has open; its owner calls `_open` once it is made.

    Args:
        path: The database file; `<path>.lock` goes beside it.
        memory_mb: Bound of DuckDB's memory; larger work spills to `<path>.tmp`.
        threads: Threads of one question.

    Raises:
        StorageBusyError: Another process, or another store of this one, has it open.
    """

    def __init__(self, path: Path, *, memory_mb: int, threads: int) -> None:
        self._path = path
        self._config: dict[str, Any] = {
            "memory_limit": f"{memory_mb}MB",
            "threads": threads,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "checkpoint_threshold": CHECKPOINT_LIVE,
            "temp_directory": f"{path}.tmp",
            "max_vacuum_tasks": 0,
        }
        self._write_lock = threading.Lock()
        self._readers = threading.Condition()
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self._con: duckdb.DuckDBPyConnection | None = None
        self._closed = False
        self._holder = LockFile(Path(f"{path}.lock"), what=str(path))

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

    def _connection(self) -> duckdb.DuckDBPyConnection:
        if self._closed:
            raise UnavailableError("The OLAP store is closed.")
        if self._con is None:
            self._open()
        assert self._con is not None, "an open store has a connection"
        return self._con

    def _open(self) -> None:
        con = duckdb.connect(":memory:", config=self._config)
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
        version = one_row(con, "SELECT schema_version FROM meta")[0] if "meta" in tables else None
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

    @abstractmethod
    def _load(self, con: duckdb.DuckDBPyConnection) -> None:
        """Take up the state of a file that was just opened."""

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


def one_row(con: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    """Return the row of an aggregate or of a one-row table."""
    row = con.execute(sql).fetchone()
    assert row is not None, "an aggregate or a one-row table gives a row"
    return tuple(row)
