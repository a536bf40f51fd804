"""Faults that a caller asks the simulator for, in the request header `x-demo-fault`.

`rate_limit`, `server_error` and `overloaded` fail the first `times` attempts of a call before
generation. `slow` delays the first byte by `ms`. `cut` drops the connection after `after` deltas
of a stream; `stall` stops there and waits until the caller walks away. Attempts of one call are
told apart by the header `x-demo-call`, since not every SDK numbers its retries on the wire.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_CALLS: Final = 50_000
"""Calls whose attempts are remembered; the oldest are forgotten."""
MAX_SLOW_MS: Final = 5_000

REFUSALS: Final = ("rate_limit", "server_error", "overloaded")
INTERRUPTIONS: Final = ("cut", "stall")
_KINDS: Final = ("slow", *REFUSALS, *INTERRUPTIONS)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with an attempt; `kind` is empty when nothing does."""

    kind: str = ""
    times: int = 1
    after: int = 5
    ms: int = 300

    @property
    def interrupts(self) -> bool:
        """Whether a stream ends before its end."""
        return self.kind in INTERRUPTIONS

    def header(self) -> str:
        """Write the fault as its header value."""
        return f"{self.kind};times={self.times};after={self.after};ms={self.ms}"


NONE: Final = Fault()


def parse(text: str) -> Fault:
    """Read a header value such as `cut;after=7`.

    Raises:
        ValueError: the kind or a parameter is unknown.
    """
    if not text:
        return NONE
    kind, *rest = text.split(";")
    values = dict(part.strip().split("=", 1) for part in rest)
    unknown = set(values) - {"times", "after", "ms"}
    if kind not in _KINDS or unknown:
        raise ValueError(f"x-demo-fault must be one of {', '.join(_KINDS)} with times, after or ms")
    numbers = {name: int(value) for name, value in values.items()}
    fault = Fault(kind, **numbers)
    if fault.times < 1 or fault.after < 1 or not 0 <= fault.ms <= MAX_SLOW_MS:
        raise ValueError(f"x-demo-fault needs times and after from 1, ms from 0 to {MAX_SLOW_MS}")
    return fault


class Attempts:
    """Counts the attempts of each call, forgetting the oldest calls."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, int] = OrderedDict()

    def next(self, headers: Mapping[str, str]) -> int:
        """Return the 0-based number of this attempt of its call."""
        call = headers.get("x-demo-call", "")
        if not call:
            told = headers.get("x-stainless-retry-count", "0")
            return int(told) if told.isdigit() else 0
        number = self._seen.pop(call, 0)
        self._seen[call] = number + 1
        if len(self._seen) > MAX_CALLS:
            self._seen.popitem(last=False)
        return number


def applies(fault: Fault, attempt: int) -> Fault:
    """Return the fault that this attempt meets: refusals stop after `times` attempts."""
    if fault.kind in REFUSALS and attempt >= fault.times:
        return NONE
    return fault
