"""Whose turn it is when many tenants wait for one thing: a fair share of cost, by weight.

Each of two priorities has its own rounds (`core.rounds`). Interactive calls go first, but for one
turn in `BACKGROUND_EVERY` while background calls wait. What that promises, costs being known:

* Over any span in which two tenants both wait at a priority, what they have had per weight differs
  by less than one call of each, per weight, and two quanta. Estimates that are still open add
  their error.
* A call of a tenant that keeps to its share waits for one turn of each other tenant that waits at
  most: no more calls in all than the sum of their weights.
* Nothing is saved up: a tenant that comes back begins where the others are.
* While somebody waits, somebody has the next turn.
* When all places to wait are taken, a tenant that has few of them gets one from whoever has the
  most, in proportion to their weights.

Pure: it knows no clock and waits for nothing. It must not decide whether there is room.
"""

from __future__ import annotations

from typing import Final, Generic

from outlay.core.rounds import MAX_WEIGHT, Charge, Item, Priority, Rounds, Ticket, parts_of

__all__ = ["BACKGROUND_EVERY", "Full", "Priority", "Turns"]

BACKGROUND_EVERY: Final = 10
"""While both wait, one turn in so many is the background's, and no more."""


class Full(Exception):  # noqa: N818 - a state of the queue, not a mistake
    """No place is left to wait: for this tenant (`of_tenant`), or for anybody."""

    def __init__(self, *, of_tenant: bool) -> None:
        super().__init__("the tenant's places are taken" if of_tenant else "all places are taken")
        self.of_tenant = of_tenant


class Turns(Generic[Item]):
    """Who waits, and who is next. Not for several threads.

    `most` and `most_per_tenant` bound who may wait; both can be changed, and take nobody's place
    away that has one.
    """

    def __init__(self, *, most: int, most_per_tenant: int) -> None:
        self.most = most
        self.most_per_tenant = most_per_tenant
        self._rings: dict[Priority, Rounds[Item]] = {
            "interactive": Rounds(),
            "background": Rounds(),
        }
        self._since_background = 0

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return self._rings["interactive"].size + self._rings["background"].size

    def waiting_of(self, tenant: str) -> int:
        """Return how many calls of a tenant wait."""
        return sum(ring.size_of(tenant) for ring in self._rings.values())

    def join(
        self, tenant: str, weight: int, priority: Priority, cost_nanos: int | None, item: Item
    ) -> Ticket[Item]:
        """Begin to wait, behind the tenant's own calls of that priority; `next` hands `item` back.

        A weight out of 1 to `MAX_WEIGHT` counts as the bound. `cost_nanos` is the estimate; where
        nobody knows (`None`), a call counts as the typical one.

        Raises:
            Full: as many wait as may.
        """
        if self.waiting_of(tenant) >= self.most_per_tenant:
            raise Full(of_tenant=True)
        if self.waiting >= self.most:
            raise Full(of_tenant=False)
        ticket = Ticket(tenant, priority, cost_nanos, item)
        self._rings[priority].join(ticket, weight)
        return ticket

    def leave(self, ticket: Ticket[Item]) -> bool:
        """Wait no more; false if it had its turn, or had left, before."""
        return self._rings[ticket.priority].leave(ticket)

    def make_room(self, tenant: str, weight: int, priority: Priority) -> Item | None:
        """Take a call out for a tenant that finds all places taken; return it, if there is one.

        It is the latest call, a background one if there is one, of the tenant that has the most
        places per weight, as long as that one does not have fewer than the other then. Interactive
        calls make no room for the background.
        """
        if self.waiting != self.most:
            return None
        most = (self.waiting_of(tenant) + 1) / max(1, min(weight, MAX_WEIGHT))
        found: Ticket[Item] | None = None
        rings = [self._rings["background"]]
        if priority == "interactive":
            rings.append(self._rings["interactive"])
        for ring in rings:
            for ticket, its_weight in ring.latest():
                left = (self.waiting_of(ticket.tenant) - 1) / its_weight
                better = left > most or (left == most and found is None)
                if better and ticket.tenant != tenant:
                    most, found = left, ticket
        if found is None:
            return None
        self.leave(found)
        return found.item

    def next(self) -> tuple[Item, Charge[Item]] | None:
        """Give the next turn, and charge it; `None` when nobody waits."""
        interactive, background = self._rings["interactive"], self._rings["background"]
        if not background.size:
            self._since_background = 0
            return interactive.next() if interactive.size else None
        if interactive.size and self._since_background < BACKGROUND_EVERY - 1:
            self._since_background += 1
            return interactive.next()
        self._since_background = 0
        return background.next()

    def go(
        self, tenant: str, weight: int, priority: Priority, cost_nanos: int | None
    ) -> Charge[Item]:
        """Charge a call that need not wait; only while nobody waits."""
        assert not self.waiting
        return self._rings[priority].go(tenant, weight, priority, cost_nanos)

    def settle(self, charge: Charge[Item], cost_nanos: int | None) -> None:
        """Charge what a call cost in truth in the place of the estimate; `None` leaves that."""
        ring = self._rings[charge.priority]
        if cost_nanos is None:
            ring.change(charge, charge.parts)
            return
        ring.learn(cost_nanos)
        ring.change(charge, parts_of(cost_nanos, charge.weight))

    def undo(self, charge: Charge[Item]) -> None:
        """Take a charge back: the call did not use its turn."""
        self._rings[charge.priority].change(charge, 0)
