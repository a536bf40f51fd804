"""Prices for what had none: when the book has changed, events without a price are looked at again.

It only decides when and which; `rerate` does the pricing. Owns no storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from outlay.act.rerate import NotSettledError, Rerater
from outlay.errors import ConflictError
from outlay.store.base import Books, EventFilter, OlapStore

ARRIVED_REASON: Final = "a rate arrived"
MAX_PART_EVENTS: Final = 1_000_000
"""Events without a price that one run takes; where there are more, their time is halved."""
SETTLE_S: Final = 5.0
"""How long a look waits for events on their way; when it is in vain, the next look tries again."""


class LatePrices:
    """Prices, once after each change of the book, the events that have no price yet.

    Args:
        olap: where those events are.
        books: tells that prices have changed.
        rerater: does the pricing.
        settled: waits until everything captured so far can be read; tells whether it can.
        clock: microseconds UTC.
        past_us: how long before now events may have started, in microseconds.
        future_us: the same after now, since clocks differ.
    """

    def __init__(
        self,
        olap: OlapStore,
        books: Books,
        rerater: Rerater,
        *,
        settled: Callable[[float], bool],
        clock: Callable[[], int],
        past_us: int,
        future_us: int,
    ) -> None:
        self._olap = olap
        self._books = books
        self._rerater = rerater
        self._settled = settled
        self._clock = clock
        self._past_us = past_us
        self._future_us = future_us
        self._revision = -1

    def run(self) -> int:
        """Price what has no price if the book has changed since the last look; return how many.

        When events are still on their way, or another re-rating is going on, nothing is done and
        the next call looks again.
        """
        # Read first: what is priced by an older book than this is on its way or stored already.
        revision = self._books.revision("prices")
        if revision == self._revision or not self._settled(SETTLE_S):
            return 0
        now = self._clock()
        which = EventFilter(now - self._past_us, now + self._future_us, unpriced=True)
        written = 0
        try:
            for part in self._parts(which):
                done = self._rerater.run(part, reason=ARRIVED_REASON, actor="server", apply=True)
                written += done.written
        except (ConflictError, NotSettledError):
            return written
        self._revision = revision
        return written

    def _parts(self, which: EventFilter) -> Iterator[EventFilter]:
        """Yield parts of a window that hold any event, but not too many for one run."""
        waiting = [which]
        while waiting:
            part = waiting.pop()
            found = self._olap.matching(part)
            if found > MAX_PART_EVENTS and part.end - part.start > 1:
                middle = (part.start + part.end) // 2
                waiting += [replace(part, start=middle), replace(part, end=middle)]
            elif found:
                yield part
