"""What is PostgreSQL's own about the books' database: the driver, its settings, its error codes."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event

from outlay.errors import OutlayError, StorageBusyError, StorageFullError

DRIVER: Final = "postgresql+psycopg"
CONNECT_TIMEOUT_S: Final = 5
UNANSWERED_MS: Final = 15_000
"""A server that confirms nothing for so long is gone."""
LOCK_TIMEOUT_MS: Final = 5000
"""How long a statement waits for rows that another transaction has locked."""
IDLE_TIMEOUT_MS: Final = 60_000
"""A transaction left open for so long, by a process that hangs, is ended by the server."""
WRITERS_LOCK: Final = 0x6F75746C6179
"""Number of the advisory lock that lets one writer in at a time, migrations too."""

_TRY_AGAIN: Final = ("40001", "40P01")  # serialization failure, deadlock
_BUSY: Final = ("55P03", "57014")  # lock not available, canceled for time
_FULL: Final = ("53100",)  # disk full


class TryAgainError(StorageBusyError):
    """The database undid a transaction because of another one; the same again may pass."""


def is_postgres(url: sa.URL) -> bool:
    """Tell whether a URL is of a PostgreSQL database."""
    return url.get_backend_name() == "postgresql"


def with_driver(url: sa.URL) -> sa.URL:
    """Return the URL with our driver, where it names none."""
    return url.set(drivername=DRIVER) if url.drivername == "postgresql" else url


def connect_args() -> dict[str, Any]:
    """Return what the driver is told, so that a dead server is noticed in bounded time."""
    return {"connect_timeout": CONNECT_TIMEOUT_S, "tcp_user_timeout": UNANSWERED_MS}


def prepare(engine: sa.Engine) -> None:
    """Give each new connection its bounds."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, false),"
                " set_config('idle_in_transaction_session_timeout', %s, false)",
                (str(LOCK_TIMEOUT_MS), str(IDLE_TIMEOUT_MS)),
            )
        connection.commit()


def one_writer(connection: sa.Connection) -> None:
    """Wait until no other writer is in; the end of the transaction lets the next one in."""
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (WRITERS_LOCK,))


def our_error(error: Exception) -> OutlayError | None:
    """Return the error of ours that a server's error code stands for, if there is one."""
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    if code in _FULL:
        return StorageFullError("The books' disk is full; nothing was written.")
    if code in _TRY_AGAIN:
        return TryAgainError("Another transaction stood in the way of this one.")
    if code in _BUSY:
        return StorageBusyError("Another process holds the books.")
    return None
