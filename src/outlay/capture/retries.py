"""Which attempts belong to one call: the memory of what just failed in this context.

An attempt that repeats a failed one (same URL, same body, same task, soon after) is its retry; the
next call to another model after a failure is its fallback. Parallel calls are kept apart by body
and by the task or thread that made them. Clocks are passed in; it keeps hashes, never bodies.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Any, Final

RETRY_WINDOW_S: Final = 120.0
"""A repeat later than this is a new call."""
FALLBACK_WINDOW_S: Final = 60.0
"""A call to another model later than this is no fallback."""
MAX_FAILURES: Final = 64
"""Failures remembered in one context; the oldest are forgotten first."""
MAX_SHARED_FAILURES: Final = 256
"""Likewise, where many clients share a memory."""
MAX_ATTEMPT: Final = 255

RETRYABLE: Final = frozenset({408, 409, 429})
"""HTTP statuses that clients try again, besides every 5xx."""

Owner = int | weakref.ref[Any]


def owner() -> Owner:
    """Name the running task, or the thread where there is none."""
    asyncio = sys.modules.get("asyncio")  # never imported for a caller who does not use it
    if asyncio is not None:
        # Asking for the task without a loop would raise, and most callers have none.
        task = asyncio.current_task() if asyncio._get_running_loop() else None  # noqa: SLF001
        if task is not None:
            return weakref.ref(task)
    return threading.get_ident()


@dataclass(slots=True, eq=False)
class Failure:
    """One failed attempt that something may follow."""

    key: tuple[str, int]
    owner: Owner
    at: float
    call_id: str
    attempt: int
    provider: str
    model: str | None
    span_id: str | None
    retryable: bool
    fallback_from: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where an attempt stands: its call, its number, and what failed before it."""

    call_id: str | None = None
    """`None`: the first attempt of a new call."""
    attempt: int = 0
    fallback_from: str | None = None
    before: Failure | None = None
    """The failure this call may be the fallback of, once its model is known."""


FIRST: Final = Place()
"""The place of a call that nothing failed before."""


class Memory:
    """Recent failures of one context, shared by its tasks and threads.

    Without a lock, so that neither a fork nor a garbage collection in the middle can block: the
    operations of a deque are atomic, and whoever removes a failure has it.
    """

    __slots__ = ("failures",)

    def __init__(self, most: int = MAX_FAILURES) -> None:
        self.failures: deque[Failure] = deque(maxlen=most)
        """Without any, an attempt without a retry count is `FIRST`."""

    def begin(
        self, key: tuple[str, int], *, span_id: str | None, retry_count: int, now: float
    ) -> Place:
        """Place a new attempt; `retry_count` is what the client's own header says, else 0.

        Args:
            key: URL and body hash.
            span_id: the agent node it runs in.
            retry_count: 0 for a first attempt.
            now: a monotonic clock in seconds.
        """
        if not self.failures:
            return Place(attempt=min(retry_count, MAX_ATTEMPT)) if retry_count else FIRST
        me = owner()
        mine = [f for f in tuple(self.failures)[::-1] if _same_or_over(f.owner, me)]
        for failure in mine:
            # A client that counts knows better than the status whether this is a repeat.
            repeats = failure.key == key and (failure.retryable or retry_count > 0)
            if repeats and now - failure.at <= RETRY_WINDOW_S and self._take(failure):
                number = max(retry_count, failure.attempt + 1)
                return Place(failure.call_id, min(number, MAX_ATTEMPT), failure.fallback_from)
        if retry_count:
            return Place(attempt=min(retry_count, MAX_ATTEMPT))
        for failure in mine:
            near = failure.span_id == span_id and now - failure.at <= FALLBACK_WINDOW_S
            if near and self._take(failure):
                return Place(before=failure)
        return FIRST

    def failed(self, failure: Failure) -> None:
        """Remember an attempt that failed."""
        self.failures.append(failure)

    def _take(self, failure: Failure) -> bool:
        try:
            self.failures.remove(failure)
        except ValueError:
            return False  # another task was faster
        return True


class SharedMemory(Memory):
    """Recent failures of all clients that a server knows by one name, whose requests are tasks.

    A repeat is known by what it asks for, whichever task it comes in. That another request came
    soon after tells nothing, so there are no fallbacks here; and a retry count that no failure
    backs is a stranger's word, and begins a new call.
    """

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(MAX_SHARED_FAILURES)

    def begin(
        self,
        key: tuple[str, int],
        *,
        span_id: str | None,  # noqa: ARG002 - where it runs tells nothing here
        retry_count: int,
        now: float,
    ) -> Place:
        """Place a new attempt, as `Memory.begin` does."""
        if not self.failures:
            return FIRST
        me = owner()
        for failure in tuple(self.failures)[::-1]:
            if now - failure.at > RETRY_WINDOW_S:
                break
            # Without a count, a like request beside one at work is another client's.
            repeats = retry_count > 0 or (failure.retryable and _same_or_over(failure.owner, me))
            if failure.key == key and repeats and self._take(failure):
                number = max(retry_count, failure.attempt + 1)
                return Place(failure.call_id, min(number, MAX_ATTEMPT), failure.fallback_from)
        return FIRST


def is_retryable(status: str, http_status: int | None) -> bool:
    """Tell whether clients try again after such an end."""
    if http_status is None or http_status < 400:
        # No answer at all, or an error inside a stream that began well.
        return status in ("error", "timeout")
    return http_status in RETRYABLE or http_status >= 500


def _same_or_over(other: Owner, me: Owner) -> bool:
    """The same task or thread, or a task that has ended: one still at work retries by itself."""
    if other == me:
        return True
    if isinstance(other, int):
        return False
    task = other()
    return task is None or bool(task.done())
