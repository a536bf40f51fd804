"""A bound of so many calls per minute, as a bucket of tokens.

It knows no clock: times are seconds of a clock of the caller's that never goes back.
"""

from __future__ import annotations

import math
from typing import Final

BURST_S: Final = 1.0
"""What belongs to so many seconds may go at once, and at least one call."""
_EPSILON: Final = 1e-9
"""Times are no exact numbers; a token that is short of so little is whole."""


class Rate:
    """So many calls per minute; 0 is no bound."""

    __slots__ = ("_at", "_most", "_per_second", "_tokens")

    def __init__(self, per_minute: int, now: float) -> None:
        self._at = now
        self._tokens = math.inf
        self.change(per_minute, now)

    def change(self, per_minute: int, now: float) -> None:
        """Follow another bound; what was used of the old one stays used."""
        if self._tokens != math.inf:
            self._fill(now)
        self._per_second = per_minute / 60
        self._most = max(1.0, self._per_second * BURST_S) if per_minute else math.inf
        self._tokens = min(self._tokens, self._most)
        self._at = now

    def wait_s(self, now: float) -> float:
        """Return in how many seconds a call may go."""
        if self._most == math.inf:
            return 0.0
        self._fill(now)
        short = 1.0 - self._tokens
        return short / self._per_second if short > _EPSILON else 0.0

    def take(self, now: float) -> None:
        """Count a call that goes."""
        if self._most != math.inf:
            self._fill(now)
            self._tokens -= 1.0

    def give_back(self) -> None:
        """Forget a call that did not go after all."""
        self._tokens = min(self._tokens + 1.0, self._most)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._per_second)
        self._at = now
