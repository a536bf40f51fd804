"""A circuit that opens when an upstream fails again and again, and is tried by one call at a time.

Closed, everything passes. After `rule.failures` failures in a row inside `rule.window_s` it is open
and nothing passes for `rule.open_s`. Then one call may try (half open): if that goes well the
circuit closes, if not it is open again. A try of which nothing is heard for `rule.open_s` gives way
to the next.

It knows no clock: times are seconds of a clock of the caller's that never goes back. It must not
decide what a failure is. Not for several threads.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from outlay.gateway.config import BreakerRule

State = Literal["closed", "open", "half_open"]


class Breaker:
    """One upstream's circuit; a rule of 0 failures never opens it. `openings` counts how often."""

    __slots__ = ("_failed_at", "_rule", "_until", "openings", "state")

    def __init__(self, rule: BreakerRule) -> None:
        self.state: State = "closed"
        self.openings = 0
        self._rule = rule
        self._until = 0.0
        """When the next call may try, while it is not closed."""
        self._failed_at: deque[float] = deque(maxlen=max(1, rule.failures))
        """The failures since the last success, the latest `rule.failures` of them."""

    def allows(self, now: float) -> bool:
        """Tell whether a call may go; when it is time for a try, this call is the one."""
        if self.state == "closed":
            return True
        if now < self._until:
            return False
        self.state = "half_open"
        self._until = now + self._rule.open_s
        return True

    def opens_again_in(self, now: float) -> float:
        """Return in how many seconds a call may go; 0: now. Takes no try."""
        return 0.0 if self.state == "closed" else max(0.0, self._until - now)

    def succeeded(self, now: float) -> None:  # noqa: ARG002 - told alike, whatever came of a call
        """Count a call that went well: it ends a row of failures, and closes what is half open.

        While it is open nothing does: such a call began before.
        """
        if self.state == "open":
            return
        if self._failed_at:
            self._failed_at.clear()
        self.state = "closed"

    def failed(self, now: float) -> None:
        """Count a call that failed; while it is open it changes nothing, as it began before."""
        if self.state == "half_open":
            self._open(now)
        elif self.state == "closed":
            failed_at = self._failed_at
            failed_at.append(now)
            enough = len(failed_at) >= self._rule.failures > 0
            if enough and now - failed_at[0] <= self._rule.window_s:
                self._open(now)

    def undecided(self, now: float) -> None:
        """Say that a call ended and tells nothing of the upstream; was it the try, another may."""
        if self.state == "half_open":
            self._until = now

    def change(self, rule: BreakerRule) -> None:
        """Follow another rule; a circuit that is open stays so for as long as it was said."""
        if rule != self._rule:
            self._rule = rule
            self._failed_at = deque(self._failed_at, maxlen=max(1, rule.failures))
            if rule.failures <= 0:
                self.state = "closed"

    def _open(self, now: float) -> None:
        self.state = "open"
        self.openings += 1
        self._until = now + self._rule.open_s
        self._failed_at.clear()
