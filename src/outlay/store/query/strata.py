"""Which parts of a window a report reads when it holds more events than can be grouped at once.

The window is cut into equal stretches, and a slice of each is looked at. Where in its stretch a
slice lies goes by a hash of its number: at an even distance, slices would meet what happens
every hour always or never. The same window and load give the same slices. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from outlay.core.rollup import MINUTE_US

MIN_SLICES: Final = 8
MAX_SLICES: Final = 16
"""Each slice is a read of its own, and planning one takes about 2 ms."""
READ_US: Final = 25 * MINUTE_US
"""Least time that is read at once, unless `MIN_SLICES` of it would be too many events."""
BEFORE_US: Final = 5 * MINUTE_US
"""Read before a slice: what is quiet for longer and then goes on is taken to begin."""
AFTER_US: Final = 10 * MINUTE_US
"""Read behind a slice: what goes on for longer is cut off."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What begins in `[low, high)` counts; its events are read in `[first, last)`. Microseconds."""

    first: int
    low: int
    high: int
    last: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The slices, in order of time: together `part` of `whole` microseconds; `read` are read."""

    slices: tuple[Slice, ...]
    part: int
    read: int
    whole: int

    @property
    def exact(self) -> bool:
        """Tell whether everything is looked at."""
        return self.part == self.whole


def everything(start: int, end: int) -> Sample:
    """Return a window in one slice."""
    return Sample((Slice(start, start, end, end),), 1, 1, 1)


def strata(start: int, end: int, *, events: int, most: int) -> Sample:
    """Return slices of a window that holds `events`, of which at most about `most` are read."""
    span = end - start
    budget = span * most // events if events else span
    count = min(max(budget // READ_US, MIN_SLICES), MAX_SLICES)
    read = budget // count
    before, after = min(BEFORE_US, read // 5), min(AFTER_US, read * 2 // 5)
    stretch = span // count
    if read >= stretch or before + after >= read:
        return everything(start, end)
    slices = []
    for index in range(count):
        place = int.from_bytes(blake2b(index.to_bytes(8, "big"), digest_size=4).digest(), "big")
        first = start + index * stretch + ((stretch - read) * place >> 32)
        slices.append(Slice(first, first + before, first + read - after, first + read))
    return Sample(tuple(slices), count * (read - before - after), count * read, span)
