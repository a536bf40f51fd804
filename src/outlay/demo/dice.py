"""The chances of one action, drawn by name: the same seed gives the same traffic.

A draw depends on its name and not on the order of draws, so that agents may run at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from outlay.demo import shapes
from outlay.demo.faults import NONE, Fault
from outlay.demo.prose import fraction, prose

STREAM_FAULTS: Final = (
    (0.035, Fault("stall", after=4)),
    (0.06, Fault("cut", after=3)),
    (0.10, Fault("rate_limit", times=1)),
    (0.12, Fault("server_error", times=2)),
    (0.15, Fault("slow", ms=150)),
)
"""Upper edge of the fraction of streams that meet the fault."""
PLAIN_FAULTS: Final = (
    (0.04, Fault("rate_limit", times=1)),
    (0.055, Fault("server_error", times=2)),
    (0.075, Fault("slow", ms=150)),
)
FINAL_FAILURE: Final = Fault("overloaded", times=3)
"""Fails every attempt that the SDKs make, so that the application falls back."""
FINAL_FAILURES: Final = 0.06


@dataclass(frozen=True, slots=True)
class Dice:
    """Draws under a path such as `7/12/research/0`."""

    path: str

    def child(self, name: object) -> Dice:
        """Return the dice of a part of the work."""
        return Dice(f"{self.path}/{name}")

    def fraction(self, name: str) -> float:
        """Draw a number in [0, 1)."""
        return fraction(self.path, name)

    def between(self, name: str, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return low + int(self.fraction(name) * (high - low + 1))

    def text(self, name: str, service: str, *, most_tokens: int = 8000) -> str:
        """Write a prompt of a size that real requests have."""
        size = min(shapes.context_tokens(service, self.fraction(f"{name} size")), most_tokens)
        return prose(f"{self.path}/{name}", size * 4 - int(self.fraction(f"{name} rest") * 4))

    def fault(self, *, streamed: bool) -> Fault:
        """Draw what goes wrong with a call; mostly nothing."""
        drawn = self.fraction("fault")
        for edge, fault in STREAM_FAULTS if streamed else PLAIN_FAULTS:
            if drawn < edge:
                return fault
        return NONE

    def fails_for_good(self) -> bool:
        """Draw whether the first model of a call is down."""
        return self.fraction("final failure") < FINAL_FAILURES
