"""What is metered without being one HTTP attempt: a socket's conversation, and the recording of it.

A tap calls `Follower.begin`, then `sent` and `received` for each message, then `end`; every method
swallows its own errors. It owns who pays and how long work took: the scope is the one that was
handed in, else the one in which work was asked for, else that in which its messages came, else that
in which the socket was opened.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from outlay.capture import events, forks
from outlay.capture.attempt_events import spend
from outlay.capture.attempt_facts import error_class
from outlay.capture.guard import caught, warn_once
from outlay.capture.ids import new_id
from outlay.capture.once import derive
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope, current_scope, working_scope
from outlay.wire.base import Endpoint, Reading
from outlay.wire.sessions import Message, Session, SessionReading, open_session

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry

MAX_SESSIONS: Final = 1024
"""Sockets followed at once in one process; further ones pass unmetered, and are counted so."""


class Mark(NamedTuple):
    """Where and when a message passed."""

    scope: Scope | None
    at: int
    """Microseconds UTC."""
    ticks: int
    """`time.perf_counter_ns`."""


def mark() -> Mark:
    """Return the mark of a message that passes now."""
    return Mark(current_scope(), time.time_ns() // 1000, time.perf_counter_ns())


def record(
    runtime: Runtime,
    reading: Reading,
    scope: Scope,
    began: Mark | None,
    first: Mark | None = None,
    entry: Entry | None = None,
) -> None:
    """Make and store the event of a reading.

    Args:
        runtime: the guest.
        reading: what was used; one of an endpoint that is free makes no event.
        scope: who and where.
        began: when the work began; `None` when that is not known.
        first: when the first output came.
        entry: the way past the limits of a call that they let pass.
    """
    if reading.surface.endswith(".free"):
        return
    ended = time.perf_counter_ns()
    now = time.time_ns() // 1000
    derived, made_at = derive(reading, now) if reading.once else (new_id(), now)
    if reading.once and not runtime.once.first(derived):
        return
    if reading.billed != "no" and runtime.once.tapped(reading, derived) != derived:
        return
    started_at = made_at if began is None else began.at
    elapsed = 0 if began is None else max(0, ended - began.ticks)
    fields: dict[str, Any] = {}
    if began is not None and first is not None:
        fields["ttft_ms"] = round((first.ticks - began.ticks) / 1e6, 3)
    events.fill(fields, reading)
    if entry is not None:
        entry.fill(fields, started_at)
        entry.settle(reading, started_at, elapsed // 1000)
    elif scope.run is not None:
        spend(runtime, scope, reading, started_at, elapsed // 1000)
    head = events.head(derived, derived, started_at, elapsed)
    runtime.submit(fields, scope, f"{head},{events.words(reading)}")
    tenant, took_us = runtime.tenant(scope), elapsed // 1000
    runtime.tally.add(scope.counters, reading, started_at, 0, tenant, took_us)


class Follower:
    """Follows one socket to a known provider, from any number of threads."""

    __slots__ = (
        "__weakref__", "_ended", "_lock", "_payer", "_runtime", "_scope", "_session",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        session: Session,
        scope: Scope | None = None,
    ) -> None:
        self._runtime = runtime
        self._session = session
        self._payer = scope
        """Who pays for all of it, where somebody has said it."""
        self._scope = scope or working_scope()
        self._ended = False
        # Re-entrant: a socket collected as garbage may end on top of us.
        self._lock = threading.RLock()

    @classmethod
    def begin(cls, runtime: Runtime, url: str, scope: Scope | None = None) -> Follower | None:
        """Start following a socket that is open; `None` when it goes to no known provider.

        Args:
            runtime: the guest.
            url: where it goes.
            scope: who and where, for all of it; the running code's own each time if not said.
        """
        try:
            with forks.gate:  # the first socket of a kind imports its codec
                session = open_session(url, hosts=runtime.hosts)
            if session is None:
                return None
            if len(_open) >= MAX_SESSIONS:
                runtime.stats.drop("too_many_sessions")
                warn_once(
                    "sessions", "outlay: %d sockets are open; more are not metered", len(_open)
                )
                return None
            runtime.wake()
            follower = cls(runtime, session, scope)
        except Exception as error:
            caught("session.begin", error)
            return None
        _open.add(follower)
        forks.register(follower)
        return follower

    @property
    def endpoint(self) -> Endpoint:
        """Where the socket goes, in the words of its codec."""
        return self._session.endpoint

    @property
    def under_way(self) -> bool:
        """Whether the provider is at work that a message of its own will end and count."""
        try:
            return not self._ended and self._session.under_way
        except Exception as error:
            caught("session.under_way", error)
            return False

    def sent(self, message: Message) -> None:
        """Take a message that is about to leave."""
        try:
            with self._lock:
                self._session.sent(message, mark())
        except Exception as error:
            caught("session.sent", error)

    def received(self, message: Message) -> None:
        """Take a message that came, and store the events that it completes."""
        try:
            with self._lock:
                for reading in self._session.received(message, mark()):
                    self._record(reading)
        except Exception as error:
            caught("session.received", error)

    def end(self, error: BaseException | None = None) -> None:
        """End the session and store the events of what was under way; later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        try:
            _open.discard(self)
            with self._lock:
                for reading in self._session.finish(
                    error=None if error is None else error_class(error)
                ):
                    self._record(reading)
        except Exception as problem:
            caught("session.end", problem)
            self._runtime.stats.drop("internal_error")

    def __del__(self) -> None:
        # Abandoned without being closed: the last place to hear of it.
        self.end()

    def _record(self, reading: SessionReading) -> None:
        try:
            began: Mark | None = reading.began
            asked = None if began is None else began.scope
            scope = self._payer or asked or current_scope() or self._scope
            record(self._runtime, reading, scope, began, reading.first)
        except Exception as error:
            caught("session.record", error)
            self._runtime.stats.drop("internal_error")

    # -- at a fork -----------------------------------------------------------------------------

    def hold(self, timeout_s: float) -> bool:
        """Come to rest."""
        return self._lock.acquire(timeout=timeout_s)

    def go_on(self) -> None:
        """Undo `hold`."""
        self._lock.release()

    def forget(self) -> None:
        """In the child: the socket is the parent's to meter."""
        self._ended = True


_open: weakref.WeakSet[Follower] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """End what is open when the process exits; the runtime closes after it."""
    for follower in list(_open):
        follower.end()
