"""The check that the stores agree: the same events and the same money, by day and tenant."""

from __future__ import annotations

from typing import Final, Protocol

MAX_DIFFERENCES: Final = 100


class Comparable(Protocol):
    """A store that can total its events up to a log offset."""

    name: str

    def published(self) -> int:
        """Return the log offset up to which `daily_totals` sees every event."""

    def daily_totals(self, *, up_to: int) -> dict[tuple[str, str], tuple[int, int]]:
        """Return (events, cost_nanos) by (UTC day, tenant) of events up to a log offset."""


def compare(olap: Comparable, warehouse: Comparable) -> list[str]:
    """Return a line per day and tenant in which two stores differ, empty when they agree.

    Only events up to the lower of both offsets count, so a store that lags is no difference.
    """
    up_to = min(olap.published(), warehouse.published())
    left, right = olap.daily_totals(up_to=up_to), warehouse.daily_totals(up_to=up_to)
    found = []
    for day, tenant in sorted(left.keys() | right.keys()):
        mine, theirs = left.get((day, tenant), (0, 0)), right.get((day, tenant), (0, 0))
        if mine != theirs:
            found.append(
                f"{day} {tenant}: {olap.name} has {mine[0]} events and {mine[1]} nano-dollars, "
                f"{warehouse.name} has {theirs[0]} and {theirs[1]}"
            )
        if len(found) == MAX_DIFFERENCES:
            return [*found, "… and maybe more"]
    return found
