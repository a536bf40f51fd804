"""The authority: everything that holds, settles or leases goes through it, in batches.

Group commit: while one batch is written, the next gathers, so that many callers on one hot tenant
share a transaction. It decides nothing itself; the arithmetic is the desk's, the rows the books'.
Every future that it gave is resolved in the end, whatever fails.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass
from typing import Final

from outlay.core.limits.holds import Op, Outcome, Sync
from outlay.errors import OutlayError, UnavailableError
from outlay.store.limits import LimitBooks

MAX_BATCH_OPS: Final = 256
MAX_BATCH_WEIGHT: Final = 10_000
"""Of a batch: operations, and lines of leases, each counting one."""
WRITERS: Final = 1
"""Threads that write batches. A second one would wait for the same rows on a hot tenant."""
STOP_S: Final = 10.0
"""How long the end waits for what is queued; what is left then is refused."""
FAILING_S: Final = 10.0
"""How long a failure counts when nothing is written after it, which would show that it is over."""

Watch = Callable[[Sequence[Op], Sequence[Outcome]], None]
Measure = Callable[[int, float], None]


@dataclass(slots=True)
class AuthorityState:
    """How the authority is: counts since the start, and the last failure in words."""

    running: bool
    waiting: int
    batches: int
    ops: int
    failures: int
    failing: bool
    last_error: str | None


@dataclass(slots=True)
class _Job:
    ops: tuple[Op, ...]
    weight: int
    done: Future[list[Outcome]]


class _NotWrittenError(Exception):
    """The books have not taken a batch."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


class Authority:
    """Writes operations in the order they come. Thread-safe.

    Args:
        books: where counters and holds are.
        queue: how many operations may wait; more are refused at once.
        watch: told of every batch that was written, on the writer's thread; must be quick.
    """

    def __init__(self, books: LimitBooks, *, queue: int, watch: Watch | None = None) -> None:
        self._books = books
        self._room = queue
        self._watch = watch
        self.measure: Measure | None = None
        """Told operations and seconds of each batch."""
        self._jobs: deque[_Job] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._threads: list[threading.Thread] = []
        self._failed_at = float("-inf")
        self._state = AuthorityState(
            running=False, waiting=0, batches=0, ops=0, failures=0, failing=False, last_error=None
        )

    def start(self) -> None:
        """Start the writer."""
        for number in range(WRITERS):
            thread = threading.Thread(target=self._run, name=f"outlay-authority-{number}")
            thread.start()
            self._threads.append(thread)

    def submit(self, ops: Sequence[Op]) -> Future[list[Outcome]]:
        """Queue operations that are written together, in order; the future has their answers.

        Where it fails with an `OutlayError`, nothing of them was written, but for a failure while
        the books were committing, which nobody can tell. All but `Post` may be sent again.

        Raises:
            UnavailableError: too many are waiting, or the authority is stopping.
        """
        weight = sum(1 + len(op.wants) if isinstance(op, Sync) else 1 for op in ops)
        job = _Job(tuple(ops), weight, Future())
        with self._changed:
            if self._stopping or not self._threads:
                raise UnavailableError("The authority of limits is not running.")
            if self._waiting and self._waiting + weight > self._room:
                raise UnavailableError("Too many holds and leases are waiting to be written.")
            self._jobs.append(job)
            self._waiting += weight
            self._changed.notify()
        return job.done

    def state(self) -> AuthorityState:
        """Return how it is."""
        with self._changed:
            state = self._state
            return AuthorityState(
                running=any(thread.is_alive() for thread in self._threads),
                waiting=self._waiting,
                batches=state.batches,
                ops=state.ops,
                failures=state.failures,
                failing=time.monotonic() - self._failed_at < FAILING_S,
                last_error=state.last_error,
            )

    def stop(self) -> None:
        """Write what is queued, end the writer, refuse the rest; a second call does nothing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        until = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        with self._changed:
            left, self._jobs, self._waiting = list(self._jobs), deque(), 0
        for job in left:
            _fail(job, UnavailableError("The server is shutting down."))

    def _run(self) -> None:
        while True:
            jobs = self._take()
            if jobs is None:
                return
            try:
                self._write(jobs)
            except BaseException as error:
                # Whatever it is: those who wait must get an answer, and the next batch its turn.
                for job in jobs:
                    _fail(job, _as_ours(error))
                self._note_failure(error)

    def _take(self) -> list[_Job] | None:
        """Wait for jobs and take as many as make a batch; nothing when it is the end."""
        with self._changed:
            while not self._jobs:
                if self._stopping:
                    return None
                self._changed.wait()
            jobs: list[_Job] = []
            ops = weight = 0
            while self._jobs:
                first = self._jobs[0]
                over = ops + len(first.ops) > MAX_BATCH_OPS
                if jobs and (over or weight + first.weight > MAX_BATCH_WEIGHT):
                    break
                jobs.append(self._jobs.popleft())
                ops += len(first.ops)
                weight += first.weight
            self._waiting -= weight
        return jobs

    def _write(self, jobs: list[_Job]) -> None:
        # A caller that has gone away wants nothing any more.
        wanted = [job for job in jobs if job.done.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            self._apply(wanted)
        except _NotWrittenError as error:
            if isinstance(error.cause, UnavailableError) or len(wanted) == 1:
                raise error.cause from None
            # Each for itself, so that what is wrong with one does not fail the others.
            for job in wanted:
                try:
                    self._apply([job])
                except _NotWrittenError as alone:
                    _fail(job, _as_ours(alone.cause))
                    self._note_failure(alone.cause)

    def _apply(self, jobs: list[_Job]) -> None:
        """Write jobs in one batch, and give each its answers once everybody knows of them."""
        ops = [op for job in jobs for op in job.ops]
        began = time.perf_counter()
        try:
            outcomes = self._books.apply(ops)
        except Exception as error:
            raise _NotWrittenError(error) from error
        seconds = time.perf_counter() - began
        with self._changed:
            self._state.batches += 1
            self._state.ops += len(ops)
            self._failed_at = float("-inf")
        if self.measure is not None:
            self.measure(len(ops), seconds)
        if self._watch is not None:
            self._watch(ops, outcomes)
        place = 0
        for job in jobs:
            job.done.set_result(outcomes[place : place + len(job.ops)])
            place += len(job.ops)

    def _note_failure(self, error: BaseException) -> None:
        with self._changed:
            self._state.failures += 1
            self._failed_at = time.monotonic()
            self._state.last_error = (
                error.message if isinstance(error, OutlayError) else type(error).__name__
            )


def _as_ours(error: BaseException) -> OutlayError:
    if isinstance(error, OutlayError):
        return error
    made = UnavailableError("The books could not write holds and leases.")
    made.__cause__ = error
    return made


def _fail(job: _Job, error: OutlayError) -> None:
    with contextlib.suppress(InvalidStateError):  # it has its answer, or its caller went away
        job.done.set_exception(error)
