"""One response, one event: however often, and by whom, it is seen.

Two ways lead there. A response that may be read again (in the background, stored, in a batch) gets
an event id made of its identity and its time, which any process makes alike, and the server drops
an id it has. And this process remembers what it has recorded, so that its live totals and its
spool do not take the same response twice, be it a second look or a framework's own report of a
call that a tap saw. The memory is bounded and keeps no event, and no tap waits for a lock.

The id's time must be one that ingest accepts. Where the provider names no time, or one longer ago
than `MAX_AGE_DAYS`, it is the beginning of the running period of `PERIOD_DAYS`: a response read
again in the same period is one event, and one read again in a later period is a second one.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final, Generic, TypeVar

from outlay.capture.ids import new_id, once_id
from outlay.core.match import canonical_provider
from outlay.wire.base import Reading

MAX_RECENT: Final = 4096
"""Calls of taps that a framework's first report may still be about."""
MAX_KEPT: Final = 2 * MAX_RECENT
"""Ids remembered before the older half is forgotten; there are at most twice as many."""
MAX_JOBS: Final = 512
"""The same for batch jobs whose time is known."""
MAX_ID_CHARACTERS: Final = 256
"""A longer id of a provider is not remembered."""
MAX_AGE_DAYS: Final = 31
PERIOD_DAYS: Final = 28
"""Both leave an event days to reach the server, which refuses ids older than 35 days."""
MAX_AHEAD_S: Final = 3600
"""A time further in the future is no time."""

_DAY_US: Final = 86_400_000_000

_K = TypeVar("_K")
_V = TypeVar("_V")

_Call = tuple[str, str | None, str | None, str]
"""Provider, its ids of the response and of the request, and the event."""


class _Memory(Generic[_K, _V]):
    """A dictionary that forgets the older half of its keys whenever the newer half is full."""

    __slots__ = ("_lock", "_most", "_new", "_old")

    def __init__(self, most: int) -> None:
        self._most = most
        self._new: dict[_K, _V] = {}
        self._old: dict[_K, _V] = {}
        self._lock = threading.Lock()

    def get(self, key: _K) -> _V | None:
        """Return what is kept under a key."""
        found = self._new.get(key)
        return self._old.get(key) if found is None else found

    def claim(self, key: _K, value: _V) -> _V:
        """Keep the value unless the key is taken, and return what is kept; atomic."""
        old, new = self._old, self._new
        found = old.get(key) if old else None
        found = new.setdefault(key, value if found is None else found)
        if len(new) >= self._most:
            self._turn(new)
        return found

    def put(self, key: _K, value: _V) -> None:
        """Keep the value, whatever was there."""
        new = self._new
        new[key] = value
        if len(new) >= self._most:
            self._turn(new)

    def _turn(self, full: dict[_K, _V]) -> None:
        # Never waits: who turns is done soon, and a garbage collection may have led here twice.
        if self._lock.acquire(blocking=False):
            try:
                if self._new is full:
                    self._old, self._new = full, {}
            finally:
                self._lock.release()

    def __len__(self) -> int:
        return len(self._new) + len(self._old)


class _Told(str):
    """The id of an event that a framework reported, before any tap saw the call."""

    __slots__ = ()


class Once:
    """What one process remembers of the responses it has recorded."""

    __slots__ = ("_events", "_indexed", "_indexing", "_jobs", "_listening", "_owners", "_recent")

    def __init__(self) -> None:
        self._recent: deque[_Call] = deque(maxlen=MAX_RECENT)
        """Calls that taps recorded. Nothing is looked up in it until a framework first reports."""
        self._listening = False
        """A framework reports calls, so taps look into `_owners` from now on."""
        self._indexed = False
        self._indexing = threading.RLock()
        self._owners: _Memory[tuple[str, str], str] = _Memory(MAX_KEPT)
        """Event ids by provider and the provider's id of the response or of the request."""
        self._events: _Memory[str, object] = _Memory(MAX_KEPT)
        self._jobs: _Memory[tuple[str, str], int] = _Memory(MAX_JOBS)

    def first(self, event_id: str) -> bool:
        """Tell whether this is the first sight of a derived id; every later one is told `False`."""
        mark = object()
        return self._events.claim(event_id, mark) is mark

    def tapped(self, reading: Reading, event_id: str) -> str:
        """Note what a tap read and return the event that stands for it.

        That is `event_id` itself, or the event of a framework that reported the same call before.
        """
        one, two = _kept(reading.response_id), _kept(reading.provider_request_id)
        call = (reading.provider, one, two, event_id)
        self._recent.append(call)
        # In this order: whoever begins to listen now finds the call.
        return self._own(call) if self._listening else event_id

    def told(self, provider: str, names: tuple[str | None, ...], event_id: str) -> str:
        """Note what a framework reports and return the event that stands for it.

        That is `event_id` itself, or the event that was recorded for one of the names before.
        """
        if not self._indexed:
            self._index()
        owner, mine = canonical_provider(provider), _Told(event_id)
        keys = [(owner, name) for name in map(_kept, names) if name]
        for key in keys:
            found = self._owners.claim(key, mine)
            if found is not mine:
                for other in keys:
                    self._owners.put(other, found)
                return str(found)
        return event_id

    def _index(self) -> None:
        with self._indexing:
            if not self._indexed:
                self._listening = True
                for provider, one, two, event_id in reversed(self._recent.copy()):
                    for name in (one, two):
                        if name:
                            self._owners.claim((canonical_provider(provider), name), event_id)
                self._indexed = True

    def _own(self, call: _Call) -> str:
        provider, one, two, event_id = call
        owner = canonical_provider(provider)
        keys = [(owner, name) for name in (one, two) if name]
        winner = event_id
        for key in keys:
            found = self._owners.claim(key, event_id)
            if type(found) is _Told:
                winner = str(found)
        # Found and no report: a server that counts its ids from 1 again. The last call has the id.
        for key in keys:
            self._owners.put(key, winner)
        return winner

    def job_made(self, provider: str, job: str, created_at: int) -> None:
        """Remember when a batch job was made, microseconds UTC."""
        self._jobs.put((provider, job), created_at)

    def job_time(self, provider: str, job: str) -> int | None:
        """Return when a batch job was made, if it was looked at."""
        return self._jobs.get((provider, job))

    def sizes(self) -> dict[str, int]:
        """Return how much is remembered."""
        return {
            "recent": len(self._recent),
            "owners": len(self._owners),
            "events": len(self._events),
            "jobs": len(self._jobs),
        }


def _kept(name: str | None) -> str | None:
    return name if name is None or len(name) <= MAX_ID_CHARACTERS else None


def derive(reading: Reading, now: int) -> tuple[str, int]:
    """Return the event id that everybody gives to this reading, and its event's start.

    A reading that cannot be read again gets a new id. `now` and the start are microseconds UTC.
    """
    unix_ms, start = place(reading.created_at, now)
    if not reading.once:
        return new_id(), start
    return once_id(reading.provider, reading.once, unix_ms), start


def place(created_at: int | None, now: int) -> tuple[int, int]:
    """Return the time inside a derived id, in milliseconds, and the event's start.

    All other times are microseconds UTC.
    """
    if created_at is not None and created_at <= now + MAX_AHEAD_S * 1_000_000:
        if created_at >= now - MAX_AGE_DAYS * _DAY_US:
            return created_at // 1000, created_at
        start = now - MAX_AGE_DAYS * _DAY_US
    else:
        start = now
    period = PERIOD_DAYS * _DAY_US
    return (now - now % period) // 1000, start
