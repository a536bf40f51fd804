"""The live totals of requests, agents and the process, priced when somebody looks.

What a call costs is looked up neither on the caller's way nor under a lock of his: finished
attempts wait in a bounded queue until `current` is asked or the shipper has time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from outlay.capture.rates import Rates
from outlay.capture.scope import Counter
from outlay.core.units import EVENT_UNITS
from outlay.wire.base import Reading

MAX_WAITING: Final = 512
"""Attempts that wait to be counted; the next one counts them all."""

UNKNOWN: Final = -1
"""Nobody has looked the cost up yet; `None` is a cost that no price is known for."""

_Entry = tuple[
    tuple[Counter, ...], Reading | Mapping[str, Any], int, int, str, int, int | None
]  # fmt: skip


class Tally:
    """Counts events into the totals of their scopes, in order."""

    def __init__(self, rates: Rates) -> None:
        self.process = Counter()
        self._rates = rates
        self._waiting: deque[_Entry] = deque()
        # Re-entrant, with a flag: a stream collected as garbage may end on top of us.
        self._lock = threading.RLock()
        self._busy = False

    def add(
        self,
        counters: tuple[Counter, ...],
        what: Reading | Mapping[str, Any],
        at: int,
        attempt: int = 0,
        tenant: str = "",
        took_us: int = 0,
        cost: int | None = UNKNOWN,
    ) -> None:
        """Count one event: a reading, or the fields of a recorded event, begun at `at`.

        Who has looked its cost up already gives it.
        """
        self._waiting.append((counters, what, at, attempt, tenant, took_us, cost))
        if len(self._waiting) > MAX_WAITING:
            self.settle()

    def settle(self) -> None:
        """Count all that waits."""
        with self._lock:
            if self._busy:
                return
            self._busy = True
            try:
                while self._waiting:
                    self._count(*self._waiting.popleft())
            finally:
                self._busy = False

    def _count(
        self,
        counters: tuple[Counter, ...],
        what: Reading | Mapping[str, Any],
        at: int,
        attempt: int,
        tenant: str,
        took_us: int,
        cost: int | None,
    ) -> None:
        if isinstance(what, Reading):
            if cost == UNKNOWN:
                cost = self._rates.cost(what, at, tenant, took_us)
            status = what.status
            tokens = what.input_total + what.output_total
        else:
            cost, status = self._rates.cost_of_fields(what, at, tenant), what["status"]
            tokens = sum(what.get(unit, 0) for unit in EVENT_UNITS)
        for counter in (*counters, self.process):
            counter.add(
                cost_nanos=cost,
                tokens=tokens,
                calls=0 if attempt else 1,
                errors=1 if status in ("error", "timeout") else 0,
            )
