"""Opens the books' database: connections, transactions, migrations, and its errors in our words.

Everything that differs between databases is here; the statements elsewhere are portable.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import event, exc

from outlay.errors import (
    ConfigError,
    OutlayError,
    StorageBusyError,
    StorageFullError,
    UnavailableError,
)
from outlay.store.books import postgres

BUSY_TIMEOUT_MS: Final = 5000
"""How long a statement waits for another process's write."""
POOL_CONNECTIONS: Final = 5
POOL_OVERFLOW: Final = 10
POOL_TIMEOUT_S: Final = 10.0
_WRITES: Final = "outlay_writes"


class Database:
    """A migrated database. `read`, `write` and `rows` give one transaction each; thread-safe."""

    def __init__(self, url: str) -> None:
        try:
            parsed = postgres.with_driver(sa.make_url(url))
            self._postgres = postgres.is_postgres(parsed)
            self._engine = sa.create_engine(
                parsed,
                pool_size=POOL_CONNECTIONS,
                max_overflow=POOL_OVERFLOW,
                pool_timeout=POOL_TIMEOUT_S,
                hide_parameters=True,
                # A connection that died while it lay idle is replaced, not handed out.
                pool_pre_ping=self._postgres,
                connect_args=postgres.connect_args() if self._postgres else {},
            )
        except ImportError as error:
            raise ConfigError(
                f"The driver of the books' database is not installed: {error.name}.",
                where="books_url",
                hint="For PostgreSQL: pip install 'outlay[postgres]'.",
            ) from error
        except (exc.ArgumentError, exc.NoSuchModuleError) as error:
            raise ConfigError(
                f"The books' URL cannot be used: {type(error).__name__}.", where="books_url"
            ) from error
        # One writer at a time in this process; the database's own lock orders processes.
        self._writer = threading.Lock()
        self._reader = self._engine
        if self._postgres:
            postgres.prepare(self._engine)
            self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")
        elif self._engine.dialect.name == "sqlite":
            _prepare_sqlite(self._engine)
        try:
            self._migrate()
        except OutlayError:
            self._engine.dispose()
            raise

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Give a connection whose statements see one state."""
        with _our_errors(), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Give a connection that commits at the end, or rolls back on any error.

        It is the only one of `write`, in all processes, so what it reads stays as it is.
        """
        with _our_errors(), self._writer, self._engine.connect() as opened:
            connection = opened.execution_options(**{_WRITES: True})
            with connection.begin():
                if self._postgres:
                    postgres.one_writer(connection)
                yield connection

    @contextmanager
    def rows(self) -> Iterator[sa.Connection]:
        """Give a connection to write with, as `write`, beside others where the database can.

        The caller locks the rows that it reads and changes, always in the same order. Raises
        `TryAgainError` when the database undid it because of another transaction.
        """
        if not self._postgres:
            with self.write() as connection:
                yield connection
            return
        with _our_errors(), self._engine.connect() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Close every connection; a second call does nothing."""
        self._engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        folder = str(Path(__file__).with_name("migrations"))
        config.set_main_option("script_location", folder.replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        with self.write() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise UnavailableError(
                    "The books were made by a newer version of outlay.",
                    where="books_url",
                    hint="Run the version of outlay that made them, or a newer one.",
                ) from error


def _prepare_sqlite(engine: sa.Engine) -> None:
    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions on its own; `begun` does.
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "foreign_keys = ON",
            "synchronous = FULL",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def begun(connection: sa.Connection) -> None:
        # A writer takes the lock first: a read turned write fails at once if another wrote.
        writes = connection.get_execution_options().get(_WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turn the driver's failures into ours; the statement and its values are never shown."""
    try:
        yield
    except (exc.DBAPIError, exc.TimeoutError) as error:
        if hasattr(getattr(error, "orig", None), "sqlstate"):
            _raise_postgres(error)
        text = str(getattr(error, "orig", error)).lower()
        if "full" in text or "disk i/o" in text or "no space" in text:
            raise StorageFullError(
                "The books' disk is full or failing; nothing was written."
            ) from error
        if "locked" in text or "busy" in text:
            raise StorageBusyError("Another process holds the books.") from error
        if isinstance(error, _OUR_DEFECTS):
            raise
        raise _unreachable() from error


_OUR_DEFECTS: Final = (exc.IntegrityError, exc.ProgrammingError, exc.DataError)


def _raise_postgres(error: Exception) -> None:
    """Raise what a server's error stands for; its texts may be in any language."""
    ours = postgres.our_error(error)
    if ours is not None:
        raise ours from error
    if isinstance(error, _OUR_DEFECTS):
        raise error
    raise _unreachable() from error


def _unreachable() -> UnavailableError:
    return UnavailableError(
        "The books cannot be read or written: the database is unreachable or damaged.",
        where="books_url",
    )
