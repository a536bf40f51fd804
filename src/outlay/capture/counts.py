"""Counts of what happened to every event: nothing is lost without a number that says so."""

from __future__ import annotations

import threading
from typing import Any, Final

TOO_LARGE_TO_SHIP: Final = "too_large_to_ship"
REFUSED: Final = "refused"
LOST_LATER: Final = frozenset((TOO_LARGE_TO_SHIP, REFUSED))
"""Reasons for which an event is lost that was in the spool already."""

MAX_REASONS: Final = 64
"""Different reasons counted by name; further ones are counted under `other`."""


class Stats:
    """Running counts of one process: shipments by the shipper alone, drops by anybody."""

    __slots__ = ("_contexts", "_dropped", "_lock", "_rejected", "acknowledged", "shipped")

    def __init__(self) -> None:
        self.shipped = 0
        self.acknowledged = 0
        self._dropped: dict[str, int] = {}
        self._rejected: dict[str, int] = {}
        self._contexts: dict[str, int] = {}
        # Re-entrant: a stream collected as garbage may end, and count, on top of us.
        self._lock = threading.RLock()

    def drop(self, reason: str) -> None:
        """Count an event that is lost, by reason."""
        self._count(self._dropped, reason)

    def reject(self, code: str) -> None:
        """Count an event that the server refused, by its code."""
        self._count(self._rejected, code)

    def context(self, outcome: str) -> None:
        """Count a context that came from another process, by what became of it."""
        self._count(self._contexts, outcome)

    def _count(self, counts: dict[str, int], reason: str) -> None:
        with self._lock:
            if reason not in counts and len(counts) >= MAX_REASONS:
                reason = "other"
            counts[reason] = counts.get(reason, 0) + 1

    def snapshot(self, spooled: int) -> dict[str, Any]:
        """Return all counts as they are now; `spooled` is what the spool took."""
        with self._lock:
            dropped, rejected = dict(self._dropped), dict(self._rejected)
            contexts = dict(self._contexts)
        refused = sum(n for reason, n in dropped.items() if reason not in LOST_LATER)
        return {
            "captured": spooled + refused,
            "spooled": spooled,
            "shipped": self.shipped,
            "acknowledged": self.acknowledged,
            "rejected": sum(rejected.values()),
            "rejected_by_code": rejected,
            "dropped": dropped,
            **({"contexts": contexts} if contexts else {}),
        }
