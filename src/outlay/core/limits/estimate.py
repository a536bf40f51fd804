"""Guesses what a call will use by what calls like it have used: integers only, bounded memory.

Of each key (say tenant, agent and model) it keeps a decaying mean and a decaying mean deviation.
A guess is the mean and two deviations, which most calls stay below, and never above the worst case.
Not safe for threads: whoever uses one from several holds a lock.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

MIN_SAMPLES: Final = 3
"""Calls that are learnt from before a guess is anything but the worst case."""
MAX_KEYS: Final = 4096
"""Keys that are kept; the one that was not used for longest goes."""
MAX_VALUE: Final = 10**18

_WEIGHT: Final = 8
"""One part in so many of a mean is the newest value's."""
_DEVIATIONS: Final = 2
_SCALE: Final = 1 << 16
"""Means are kept in parts of this, so that small values move them, too."""


@dataclass(slots=True)
class _Learnt:
    mean: int
    deviation: int
    samples: int = 1


class Estimator:
    """What calls of each key have used of one thing, such as output tokens or nano-dollars."""

    def __init__(self, *, max_keys: int = MAX_KEYS) -> None:
        self._learnt: dict[Hashable, _Learnt] = {}
        self._max_keys = max_keys

    def __len__(self) -> int:
        """Return how many keys are known."""
        return len(self._learnt)

    def learn(self, key: Hashable, actual: int) -> None:
        """Take in what a call used; what is negative or absurd counts as the nearest bound."""
        value = min(max(0, actual), MAX_VALUE) * _SCALE
        known = self._learnt.pop(key, None)
        if known is None:
            if len(self._learnt) >= self._max_keys:
                del self._learnt[next(iter(self._learnt))]
            self._learnt[key] = _Learnt(value, 0)
            return
        self._learnt[key] = known
        known.samples += 1
        # The first few count alike, so that the very first does not stay in the mean for long.
        weight = min(known.samples, _WEIGHT)
        distance = abs(value - known.mean)
        known.deviation += (distance - known.deviation) // weight
        known.mean += (value - known.mean) // weight

    def guess(self, key: Hashable, worst: int) -> int:
        """Return what a call will hardly use more than: between 1 and the worst case.

        The worst case itself until enough was learnt; 0 only if that is 0.
        """
        known = self._learnt.get(key)
        if known is None or known.samples < MIN_SAMPLES or worst <= 1:
            return max(0, worst)
        likely = -(-(known.mean + _DEVIATIONS * known.deviation) // _SCALE)
        return max(1, min(worst, likely))

    def samples(self, key: Hashable) -> int:
        """Return how many calls of a key were learnt from."""
        known = self._learnt.get(key)
        return 0 if known is None else known.samples
