"""How much of a window is searched, and in what slices, by how many events lie in each hour.

Without a bound, one question about months would hold the engine for minutes. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from outlay.core.rollup import DAY_US, HOUR_US

GROUP_EVENTS: Final = 6_000_000
"""Events that are grouped by request at once: about 0.3 s on two cores."""
FIRST_EVENTS: Final = 250_000
"""Events of the first slice of a walk; each next one has `GROWTH` times as many."""
GROWTH: Final = 4
WALK_EVENTS: Final = 40_000_000
"""Events that one walk looks at."""
SKIPPED: Final = 16
"""Events that are only read to find they are another tenant's cost about so much less."""


@dataclass(frozen=True, slots=True)
class Load:
    """Events of an hour: those that are read, and those of them that count."""

    read: int
    own: int

    @property
    def weight(self) -> int:
        """What the hour costs, in events that are grouped."""
        return self.own + (self.read - self.own) // SKIPPED


Hours = Mapping[int, Load]
"""Load by the start of an hour, microseconds UTC."""


def weight(hours: Hours) -> int:
    """Return what all hours cost."""
    return sum(load.weight for load in hours.values())


def periods(start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a window into its last day and the rest: mostly the day is enough to fill a page."""
    middle = max(start, end - DAY_US)
    yield middle, end
    if start < middle:
        yield start, middle


def bounded_start(hours: Hours, start: int, end: int, *, most: int) -> int:
    """Return from when on a window can be searched at once; within an hour as if it were even."""
    left = most
    for hour in sorted(hours, reverse=True):
        low, high = max(hour, start), min(hour + HOUR_US, end)
        if low >= high:
            continue
        # What the window leaves out at its beginning does not count; at its end it may be to come.
        load = hours[hour].weight * (hour + HOUR_US - low) // HOUR_US
        if load > left:
            return high - max(1, (high - low) * left // load)
        left -= load
    return start


def slices(hours: Hours, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cut a window into growing slices, the last in time first, until the walk's bound is passed.

    They are contiguous; whoever takes them all without reaching `start` was stopped by the bound.
    """
    budget, walked, taken, top = FIRST_EVENTS, 0, 0, end
    for low, high, events in _pieces(hours, start, end):
        if taken and taken + events > budget:
            yield high, top
            walked, taken, top = walked + taken, 0, high
            budget = min(budget * GROWTH, GROUP_EVENTS)
            if walked >= WALK_EVENTS:
                return
        taken += events
        if low <= start:
            break
    if start < top:
        yield start, top


def _pieces(hours: Hours, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Give the hours that hold something, the last first, those with very much cut evenly."""
    for hour in sorted(hours, reverse=True):
        low, high = max(hour, start), min(hour + HOUR_US, end)
        if low >= high:
            continue
        load = hours[hour].weight
        parts = load // GROUP_EVENTS + 1
        step = -(-(high - low) // parts)
        while high > low:
            yield max(low, high - step), high, load // parts
            high -= step
