"""What the API is given to work with, and the bounded threads its blocking work runs in."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from outlay.act.authority import Authority
from outlay.act.limit_notices import LimitNotices
from outlay.act.policy_cache import PolicyCache
from outlay.act.rerate import Rerater
from outlay.config import Settings
from outlay.errors import UnavailableError
from outlay.store.base import Books, OlapStore
from outlay.stream.base import Log

QUERY_THREADS: Final = 4
QUERY_WAITING: Final = 64
INGEST_THREADS: Final = 1
"""One: decoding holds the interpreter's lock, and a second thread only starves enrichment."""
INGEST_WAITING: Final = 64
BOOKS_THREADS: Final = 4
BOOKS_WAITING: Final = 256
PASSWORD_THREADS: Final = 1
PASSWORD_WAITING: Final = 16
"""Hashing a password takes a tenth of a second and 64 MiB: who guesses must not slow others."""

P = ParamSpec("P")
R = TypeVar("R")


class Workers:
    """A fixed number of threads and a bounded number of waiting jobs; more are refused at once."""

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self._name = name
        self._places = threading.BoundedSemaphore(threads + waiting)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"outlay-{name}")

    async def run(self, job: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a job off the event loop and return its result.

        Raises:
            UnavailableError: the threads are busy and the waiting room is full, or closed.
        """
        if not self._places.acquire(blocking=False):
            raise UnavailableError(f"The server has too much work of one kind ({self._name}).")
        try:
            future = self._pool.submit(job, *args, **kwargs)
        except RuntimeError as error:
            self._places.release()
            raise UnavailableError("The server is shutting down.") from error
        # The place is free when the job ends, not when its caller stops waiting.
        future.add_done_callback(self._done)
        return await asyncio.wrap_future(future)

    def _done(self, _job: Future[Any]) -> None:
        self._places.release()

    def close(self) -> None:
        """Wait for running jobs and end the threads."""
        self._pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class PartState:
    """How one running part of the server is.

    `lag_events` is how many log records it has yet to take, `None` where that has no meaning.
    `ok` says whether it works at all; `error` is the last failure in words, without data.
    """

    name: str
    ok: bool
    offset: int | None = None
    lag_events: int | None = None
    error: str | None = None
    counts: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Services:
    """Everything the API works with. `clock` gives microseconds UTC."""

    settings: Settings
    books: Books
    captured: Log
    enriched: Log
    olap: OlapStore
    clock: Callable[[], int]
    parts: Callable[[], Sequence[PartState]]
    data: Path
    rerater: Rerater
    authority: Authority
    policy: PolicyCache
    limit_notices: LimitNotices
    own_key: str = field(default="", repr=False)
    """What the gateway in this process shows; it lives only as long as the process."""
    backends: dict[str, str] = field(default_factory=dict)
    query_workers: Workers = field(
        default_factory=lambda: Workers("query", threads=QUERY_THREADS, waiting=QUERY_WAITING)
    )
    ingest_workers: Workers = field(
        default_factory=lambda: Workers("ingest", threads=INGEST_THREADS, waiting=INGEST_WAITING)
    )
    books_workers: Workers = field(
        default_factory=lambda: Workers("books", threads=BOOKS_THREADS, waiting=BOOKS_WAITING)
    )
    password_workers: Workers = field(
        default_factory=lambda: Workers(
            "password", threads=PASSWORD_THREADS, waiting=PASSWORD_WAITING
        )
    )

    def close_workers(self) -> None:
        """End the API's threads; the parts it was given stay open."""
        for workers in (
            self.ingest_workers, self.query_workers, self.password_workers, self.books_workers,
        ):  # fmt: skip
            workers.close()
