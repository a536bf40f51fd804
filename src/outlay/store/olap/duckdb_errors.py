"""Turning DuckDB's errors into ours: busy, full, too large, lost or damaged."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb

from outlay.errors import OutlayError, StorageBusyError, UnavailableError
from outlay.store.diskerrors import from_os_error, is_full

_LOST_TEXT: Final = ("invalidated", "connection already closed", "connection has been closed")
REBUILD: Final = (
    "Stop the server, delete {path}* and start it again: it is rebuilt from the warehouse or log."
)


def as_outlay(error: duckdb.Error | OSError, path: Path) -> OutlayError:
    """Turn an engine's or the system's error into one that says what to do."""
    text = str(error)
    lower = text.lower()
    if not isinstance(error, duckdb.Error) or is_full(error):
        return from_os_error(error, path)
    if "lock" in lower and isinstance(error, duckdb.IOException):
        return StorageBusyError(f"Another process holds {path}: {text.splitlines()[0]}")
    if isinstance(error, duckdb.OutOfMemoryException):
        return UnavailableError(
            "The question needs more memory than OLAP may use.",
            hint="Ask for a shorter window or fewer dimensions, or raise OUTLAY_DUCKDB_MEMORY_MB.",
        )
    if isinstance(error, duckdb.InterruptException):
        return UnavailableError("The OLAP store was closed while the question ran.")
    if any(part in lower for part in _LOST_TEXT):
        return UnavailableError(f"{path} had to be reopened: {text.splitlines()[0]}")
    return UnavailableError(
        f"{path} is damaged or not an outlay file: {text.splitlines()[0]}",
        hint=REBUILD.format(path=path),
    )
