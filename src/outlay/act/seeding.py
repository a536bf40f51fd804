"""Gives a new or reshaped limit what its current period has used already, once and exactly.

`settle` says at which offset a limit began to count; this reads what was used up to there and adds
it to the counters, in a thread of its own, so that no other limit waits for the reading. Where a
limit of the same id counted by another shape before, its counters hold what that counted: only the
difference is added. A limit that was removed and put back misses nothing either.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from outlay.act.ceilings import Ceilings
from outlay.act.spans import REMOVED, Span, read_spans, seeds, shape_of
from outlay.act.used_before import MissingRecordsError, Used, UsedBefore
from outlay.core.limits.limit import Limit
from outlay.core.limits.period import meter_of
from outlay.enrich.loop import STOP_TIMEOUT_S, Loop
from outlay.errors import OutlayError
from outlay.store.base import Books, OlapStore
from outlay.store.limits import Seed
from outlay.stream.base import Log

RETRY_S: Final = 0.5
"""How soon it looks again while a limit waits for the live store."""
LOOK_S: Final = 60.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SeederState:
    """What was done and what waits; counts are since it was made."""

    running: bool = False
    seeded: int = 0
    waiting: int = 0
    inexact: int = 0
    """Limits that began without what they had used: the log had forgotten a part of it."""
    last_error: str = ""


class Seeder:
    """Looks up what limits had used; `run_once` does so in the caller's thread.

    Args:
        log: the enriched log.
        books: where limits and counters are.
        olap: knows what was used.
        clock: microseconds UTC.
    """

    def __init__(
        self,
        log: Log,
        books: Books,
        olap: OlapStore,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
    ) -> None:
        self._books = books
        self._olap = olap
        self._used = UsedBefore(log, olap, Ceilings(books, olap))
        self._clock = clock
        self._wake = threading.Event()
        self._ending = False
        self._state = SeederState()
        self._loop = Loop("outlay-seed", self._turn, self._failed)

    def start(self) -> None:
        """Begin to look in a thread."""
        self._ending = False
        self._loop.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the thread after the limit it is at; tell whether it ended in time."""
        self._ending = True
        self._wake.set()
        return self._loop.stop(timeout_s)

    def wake(self) -> None:
        """Look now: a limit may have begun."""
        self._wake.set()

    def state(self) -> SeederState:
        """Return the present state."""
        return replace(self._state, running=self._loop.running)

    def _turn(self) -> None:
        self._wake.clear()
        self.run_once()
        if not self._ending:
            self._wake.wait(RETRY_S if self._state.waiting else LOOK_S)

    def _failed(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}" if isinstance(error, OutlayError) else ""
        text = text or type(error).__name__
        if text != self._state.last_error:
            _log.warning("what limits had used cannot be looked up: %s", text)
        self._state = replace(self._state, last_error=text)

    def run_once(self) -> int:
        """Seed every limit that can be seeded now and return how many were.

        A limit that fails leaves the others to be tried; its error is raised at the end.

        Raises:
            UnavailableError: the books or the live store cannot answer now.
        """
        limits = {limit.limit_id: limit for limit in self._books.limits()}
        todo = {
            limit_id: spans
            for limit_id, spans in read_spans(self._books.seeded()).items()
            if any(not span.seeded and span.shape != REMOVED for span in spans)
        }
        reached = self._olap.offset() if todo else 0
        done, waiting = 0, 0
        failure: Exception | None = None
        for limit_id, spans in todo.items():
            shapes = self._shapes(limit_id, limits.get(limit_id))
            for place, span in enumerate(spans):
                if span.seeded or span.shape == REMOVED:
                    continue
                if span.offset > reached:
                    waiting += 1
                    break  # the later ones stand on this one
                try:
                    self._seed(spans[:place], span, shapes)
                    done += 1
                except Exception as error:
                    failure = error
                    waiting += 1
                    break
        self._state = replace(self._state, seeded=self._state.seeded + done, waiting=waiting)
        if failure is not None:
            raise failure
        self._state = replace(self._state, last_error="")
        return done

    def _shapes(self, limit_id: str, limit: Limit | None) -> dict[str, Limit]:
        """Return the limit as it was in each of its shapes, the latest of each."""
        found = {} if limit is None else {shape_of(limit): limit}
        for version in self._books.limit_history(limit_id):
            if version.limit is not None:
                found.setdefault(shape_of(version.limit), version.limit)
        return found

    def _seed(self, before: Sequence[Span], span: Span, shapes: Mapping[str, Limit]) -> None:
        now = self._clock()
        limit = shapes.get(span.shape)
        made: list[Seed] = []
        if limit is not None and seeds(limit):
            try:
                used = self._used.of(limit, at=now, offset=span.offset)
                counted = self._counted(before, span, shapes, now)
                made = _differences(limit, used, counted, now)
            except MissingRecordsError:
                _log.warning("limit %s begins without what it had used", limit.limit_id)
                self._state = replace(self._state, inexact=self._state.inexact + 1)
        self._books.seed(span.seed_key, made, offset=span.offset, at=now)

    def _counted(
        self, before: Sequence[Span], span: Span, shapes: Mapping[str, Limit], now: int
    ) -> dict[str, Used]:
        """Return what the limit's counters hold from an earlier shape of it."""
        ended = span.offset
        for earlier in reversed(before):
            if earlier.shape == REMOVED:
                ended = earlier.offset
                continue
            limit = shapes.get(earlier.shape)
            if limit is None or not seeds(limit):
                return {}
            return self._used.of(limit, at=now, offset=ended)
        return {}


def _differences(
    limit: Limit, used: Mapping[str, Used], counted: Mapping[str, Used], now: int
) -> list[Seed]:
    made = []
    meter = meter_of(limit, limit.amount)
    for counter_id in sorted({*used, *counted}):
        new, old = used.get(counter_id), counted.get(counter_id)
        key = new.key if new is not None else old.key if old is not None else None
        assert key is not None, "it is in one of them"
        amount = (new.amount if new else 0) - (old.amount if old else 0)
        steps = dict(new.buckets) if new else {}
        for step, count in (old.buckets if old else {}).items():
            steps[step] = steps.get(step, 0) - count
        steps = {step: count for step, count in steps.items() if count}
        if amount or steps:
            made.append(Seed(key, meter, amount, now, steps))
    return made
