"""What a month will have cost by its end: from its days so far, and from how days usually are.

Weekdays differ, so a day to come costs what its weekday cost on average of late. Today goes on
partly at its own pace and partly as usual, its own counting more the more of it has passed. All
amounts are integers of one unit, such as nano-dollars; it reads no clock and knows no zones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

HISTORY_DAYS: Final = 28
"""Full days that are looked at: four of each weekday."""
WEEKLY_DAYS: Final = 14
"""With fewer, weekdays are not told apart: one odd day would stand for all of its name."""
_Z2: Final = (16_384, 10_000)
"""The square of 1.28: four of five months end between low and high, if days vary as they did."""


@dataclass(frozen=True, slots=True)
class PastDay:
    """A full day before today: its weekday (Monday is 0) and what it cost."""

    weekday: int
    cost: int


@dataclass(frozen=True, slots=True)
class Today:
    """The day so far; of its `length` (microseconds, 23 to 25 hours) `passed` are over."""

    weekday: int
    cost: int
    passed: int
    length: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the month will have cost, and between what amounts it will most likely end.

    `today` is the whole day, `ahead` are the days behind it; with what is spent on the days before
    they add up to `total`.
    """

    total: int
    low: int
    high: int
    today: int
    ahead: tuple[int, ...]


def forecast(
    history: Sequence[PastDay], spent: int, today: Today, ahead: Sequence[int]
) -> Forecast:
    """Foresee a month.

    Args:
        history: the last full days, the oldest first; days before anything was ever spent are none.
        spent: what the days of this month before today cost.
        today: the day so far.
        ahead: weekdays of the days behind today.
    """
    days = history[-HISTORY_DAYS:]
    known = spent + today.cost
    if not days:
        return Forecast(known, known, known, today.cost, (0,) * len(ahead))
    usual = _Usual(days)
    left = today.length - min(today.passed, today.length)
    own = max(0, today.cost) * left * today.length
    rest = (own + max(0, usual.of(today.weekday)) * left * left) // today.length**2
    coming = tuple(max(0, usual.of(weekday)) for weekday in ahead)
    total = known + rest + sum(coming)
    band = usual.band(left, today.length, len(ahead))
    return Forecast(total, max(known, total - band), total + band, today.cost + rest, coming)


class _Usual:
    """How days are, by what they were."""

    def __init__(self, days: Sequence[PastDay]) -> None:
        self._count = len(days)
        self._all = _mean([day.cost for day in days])
        self._by: dict[int, int] = {}
        if self._count >= WEEKLY_DAYS:
            for weekday in {day.weekday for day in days}:
                self._by[weekday] = _mean([d.cost for d in days if d.weekday == weekday])
        self._squares = sum((day.cost - self.of(day.weekday)) ** 2 for day in days)

    def of(self, weekday: int) -> int:
        """Return what such a day costs."""
        return self._by.get(weekday, self._all)

    def band(self, left: int, length: int, ahead: int) -> int:
        """Return how far the rest of the month may be off, of today's part `left` of `length`.

        Days vary by themselves, and what is usual is only known from so many of them.
        """
        days = left + ahead * length
        top = self._squares * days * (length * self._count + days) * _Z2[0]
        return math.isqrt(top // ((self._count * length) ** 2 * _Z2[1]))


def _mean(values: Sequence[int]) -> int:
    return sum(values) // len(values)
