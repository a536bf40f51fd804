"""The contract every log backend keeps; `tests/conformance/test_log.py` is its suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Chunk:
    """Events on their way into a log: an Arrow IPC stream and how many events it holds."""

    payload: bytes
    count: int


@dataclass(frozen=True, slots=True)
class Record:
    """A chunk in a log. Offsets start at 1 and grow; `appended_at` is microseconds UTC."""

    offset: int
    appended_at: int
    count: int
    payload: bytes


class Log(Protocol):
    """A durable, ordered log with one or more appenders and any number of readers.

    Thread-safe. Errors: `StorageFullError` when the disk or the size bound is full and
    `StorageBusyError` when another process holds a lock; after either, nothing of the call is in
    the log.
    """

    def append(self, chunks: Sequence[Chunk], *, appended_at: int) -> int:
        """Write all chunks or none, durably, and return the last offset."""

    def read(self, after: int, *, max_events: int) -> list[Record]:
        """Return records behind `after` in order: one if there is one, else up to `max_events`."""

    def head(self) -> int:
        """Return the last offset, 0 for an empty log."""

    def wait(self, after: int, timeout_s: float) -> bool:
        """Wait until there is a record behind `after`, or the time is over; tell which."""

    def trim(self, up_to: int, *, appended_before: int) -> int:
        """Forget records up to an offset that are older than a time; return how many."""

    def size_bytes(self) -> int:
        """Return the bytes on disk."""

    def close(self) -> None:
        """Release everything; a second call does nothing."""
