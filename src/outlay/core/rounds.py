"""Deficit round robin, weighted, by cost: the rounds of one priority.

A round gives every tenant that waits its weight times `QUANTUM_NANOS`. A tenant has its turn as
long as what its calls cost is within what its rounds have given it; then the others have theirs,
until rounds enough have passed to pay for what it took beyond. A call is charged with its estimate
when it goes, and with what it cost in truth once that is known: who estimates too little pays
later, who estimates too much gets it back. Rounds in which nobody could go are skipped at once.

`core.fairness` says what that promises. Pure: it knows no clock and waits for nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Final, Generic, Literal, TypeVar

from outlay.core.money import NANOS_PER_USD

Priority = Literal["interactive", "background"]

MIN_COST_NANOS: Final = 10_000
"""What a call counts for at least; so free calls take turns too, by their number."""
MAX_COST_NANOS: Final = 25 * NANOS_PER_USD
"""What a call counts for at most, and how far (per weight) a tenant may be behind its debts: no
mistaken number locks a tenant out for long."""
QUANTUM_NANOS: Final = MIN_COST_NANOS
"""What a round gives per weight; as small as a call can be, so that turns are short."""
MAX_WEIGHT: Final = 10_000
MAX_IDLE_TENANTS: Final = 10_000
"""Tenants that wait for nothing and are remembered, for what they owe; the oldest goes first."""

_PARTS: Final = 1 << 20
"""Marks count in parts of a nano-dollar, so that dividing by a weight loses nothing to speak of."""
_ROUND: Final = QUANTUM_NANOS * _PARTS
_MOST_AHEAD: Final = MAX_COST_NANOS * _PARTS
_SPARE: Final = 64
"""Outdated entries that the heap may have beside as many as there are good ones."""
_TYPICAL_OF: Final = 32
"""About so many of the latest known costs make the typical one."""

Item = TypeVar("Item")


@dataclass(slots=True, eq=False)
class Ticket(Generic[Item]):
    """One call that waits."""

    tenant: str
    priority: Priority
    cost_nanos: int | None
    item: Item
    account: _Account[Item] | None = None
    """`None` once it waits no more."""


@dataclass(slots=True, eq=False)
class _Account(Generic[Item]):
    """One tenant at one priority."""

    tenant: str
    mark: int
    """How far it has come: what it was charged, per weight, from where it began."""
    weight: int = 1
    waiting: OrderedDict[Ticket[Item], None] = field(default_factory=OrderedDict)
    turn: int = -1
    """The round in which it may go next."""
    order: int = 0
    """Its place in that round."""
    entry: int = 0
    """Number of its good entry in the heap."""
    spell: int = 0
    began: int = 0
    """The spell that last began where the others were; it had come less far before."""
    gap: int = 0
    """How far it was ahead of the others when its spell began; below zero: behind them."""
    open: int = 0
    """Its charges that are not settled."""


@dataclass(slots=True, eq=False)
class Charge(Generic[Item]):
    """What a call that had its turn counts for; `open` until it is settled or undone."""

    account: _Account[Item]
    priority: Priority
    weight: int
    parts: int
    spell: int
    open: bool = True


class Rounds(Generic[Item]):
    """Whose turn it is among the calls of one priority; `size` of them wait.

    The tenants that wait lie in a heap by the round in which each can go next, and in a round by
    who came into it first. An entry that was overtaken stays in it until it comes up.
    """

    def __init__(self) -> None:
        self.size = 0
        self._level = 0
        """The mark of the tenant that went last: where the others are. It never goes back."""
        self._typical = 0
        self._busy: dict[str, _Account[Item]] = {}
        self._idle: OrderedDict[str, _Account[Item]] = OrderedDict()
        self._heap: list[tuple[int, int, int, _Account[Item]]] = []
        self._numbers = count(1)

    def size_of(self, tenant: str) -> int:
        """Return how many calls of a tenant wait."""
        account = self._busy.get(tenant)
        return 0 if account is None else len(account.waiting)

    def latest(self) -> Iterable[tuple[Ticket[Item], int]]:
        """Return of each tenant that waits its last call in the row, and the tenant's weight."""
        return (
            (next(reversed(account.waiting)), account.weight) for account in self._busy.values()
        )

    def join(self, ticket: Ticket[Item], weight: int) -> None:
        """Let a call wait behind its tenant's others."""
        account = self._busy.get(ticket.tenant)
        if account is None:
            account = self._busy[ticket.tenant] = self._begin(ticket.tenant)
            account.turn = -1
            self._stand(account)
        account.weight = max(1, min(weight, MAX_WEIGHT))
        account.waiting[ticket] = None
        ticket.account = account
        self.size += 1

    def leave(self, ticket: Ticket[Item]) -> bool:
        """Let a call wait no more; false if it did not wait."""
        account = ticket.account
        if account is None:
            return False
        del account.waiting[ticket]
        ticket.account = None
        self.size -= 1
        if not account.waiting:
            self._rest(account)
        return True

    def next(self) -> tuple[Item, Charge[Item]]:
        """Give a turn; there must be a call that waits."""
        _, _, entry, account = heappop(self._heap)
        while account.entry != entry:
            _, _, entry, account = heappop(self._heap)
        ticket, _ = account.waiting.popitem(last=False)
        ticket.account = None
        self.size -= 1
        charge = self._charge(account, ticket.priority, ticket.cost_nanos)
        if account.waiting:
            self._stand(account)
        else:
            self._rest(account)
        return ticket.item, charge

    def go(
        self, tenant: str, weight: int, priority: Priority, cost_nanos: int | None
    ) -> Charge[Item]:
        """Charge a call of a tenant that does not wait."""
        account = self._begin(tenant)
        account.weight = max(1, min(weight, MAX_WEIGHT))
        charge = self._charge(account, priority, cost_nanos)
        self._rest(account)
        return charge

    def learn(self, cost_nanos: int) -> None:
        """Let a known cost count in the typical one."""
        cost_nanos = _bounded(cost_nanos)
        if self._typical:
            self._typical += (cost_nanos - self._typical) // _TYPICAL_OF
        else:
            self._typical = cost_nanos

    def change(self, charge: Charge[Item], parts: int) -> None:
        """Let a charge count for so much instead.

        As if it had been known from the start: if the tenant has begun a new spell since, only
        what the old ones' marks were ahead there counts.
        """
        account = charge.account
        if charge.open:
            charge.open = False
            account.open -= 1
        more = parts - charge.parts
        charge.parts = parts
        if charge.spell != account.spell:
            if more < 0 and charge.spell < account.began:
                return
            before = account.gap
            account.gap += more
            more = max(account.gap, 0) - max(before, 0)
        if more > 0:
            bound = self._level + _MOST_AHEAD
            more = min(more, max(0, bound - account.mark))
        account.mark += more
        if account.waiting and account.mark // _ROUND != account.turn:
            self._stand(account)

    def _begin(self, tenant: str) -> _Account[Item]:
        """Return the account of a tenant that waited for nothing, where a new spell begins."""
        account = self._idle.pop(tenant, None) or _Account(tenant, self._level)
        account.spell = next(self._numbers)
        account.gap = account.mark - self._level
        if account.gap <= 0:
            account.mark = self._level
            account.began = account.spell
        return account

    def _charge(
        self, account: _Account[Item], priority: Priority, cost_nanos: int | None
    ) -> Charge[Item]:
        parts = parts_of(self._typical if cost_nanos is None else cost_nanos, account.weight)
        self._level = max(self._level, account.mark)
        account.mark += parts
        account.open += 1
        return Charge(account, priority, account.weight, parts, account.spell)

    def _stand(self, account: _Account[Item]) -> None:
        """Put an account that waits where its mark says."""
        turn = account.mark // _ROUND
        if turn != account.turn:
            account.turn = turn
            account.order = next(self._numbers)
        account.entry = next(self._numbers)
        heappush(self._heap, (turn, account.order, account.entry, account))
        if len(self._heap) > 2 * len(self._busy) + _SPARE:
            self._heap = [entry for entry in self._heap if entry[3].entry == entry[2]]
            heapify(self._heap)

    def _rest(self, account: _Account[Item]) -> None:
        """Remember an account that waits for nothing while it is ahead, or has charges open."""
        account.entry = 0
        self._busy.pop(account.tenant, None)
        self._idle[account.tenant] = account
        while self._idle:
            oldest = next(iter(self._idle.values()))
            matters = oldest.open or oldest.mark > self._level
            if matters and len(self._idle) <= MAX_IDLE_TENANTS:
                break
            self._idle.popitem(last=False)


def _bounded(cost_nanos: int) -> int:
    return max(MIN_COST_NANOS, min(cost_nanos, MAX_COST_NANOS))


def parts_of(cost_nanos: int, weight: int) -> int:
    """Return what a cost adds to the mark of a tenant with that weight, rounded up."""
    return -(-_bounded(cost_nanos) * _PARTS // weight)
