"""Which grants a charge drains, and which ones get it back. Integers, no clock.

Owns the order of draining and the rule of the overdraft: as long as any grant has something left,
nothing is owed; what is given while something is owed repays it first. So what grants have left
is always the balance, or nothing where the balance is below zero.

Amounts are micro-credits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from outlay.core.limits.limit import PPM

OVERDRAFT: Final = ""
"""In place of a grant's id: what no grant paid, or what repaid it."""

Part = tuple[str, int]
"""A grant's id and an amount: above zero it is given to the grant, below it is drained from it."""


@dataclass(slots=True)
class Pot:
    """A grant as far as draining goes; `number` orders those of one time."""

    grant_id: str
    amount: int
    remaining: int
    promotional: bool
    priority: int
    expires_at: int | None
    created_at: int
    number: int

    @property
    def room(self) -> int:
        """What may be given back to it at most."""
        return self.amount - self.remaining


def drain_order(pot: Pot) -> tuple[int, bool, int, bool, int, int]:
    """Sort grants as they drain.

    By priority, then what expires first (never is last), then promotional before paid, then the
    oldest.
    """
    never = pot.expires_at is None
    return (
        pot.priority, never, pot.expires_at or 0, not pot.promotional, pot.created_at, pot.number,
    )  # fmt: skip


def drain(pots: Iterable[Pot], amount: int) -> list[Part]:
    """Take an amount out of grants, given as they drain; the rest is overdraft. Changes them."""
    parts: list[Part] = []
    for pot in pots:
        if not amount:
            break
        taken = min(pot.remaining, amount)
        if taken:
            pot.remaining -= taken
            amount -= taken
            parts.append((pot.grant_id, -taken))
    if amount:
        parts.append((OVERDRAFT, -amount))
    return parts


def undo(parts: Sequence[Part], undone: int, amount: int) -> list[Part]:
    """Return what an amount of a charge goes back to, the part that was drained last first.

    Args:
        parts: what the charge drained.
        undone: how much of the charge went back before.
        amount: how much goes back now; no more than is left of the charge comes out.
    """
    back: list[Part] = []
    for grant_id, drained in reversed(parts):
        left = -drained
        skipped = min(undone, left)
        undone -= skipped
        given = min(left - skipped, amount)
        amount -= given
        if given > 0:
            back.append((grant_id, given))
    return back


def refill(pots: Iterable[Pot], wanted: Sequence[Part], amount: int) -> tuple[list[Part], int]:
    """Give an amount back to the grants that are wanted; changes them.

    A grant never has more left than it was given. Parts of grants that are not among `pots`, and
    of the overdraft, are left over. Returns what was given, and what is left.
    """
    known = {pot.grant_id: pot for pot in pots}
    parts: list[Part] = []
    for grant_id, most in wanted:
        pot = known.get(grant_id)
        given = 0 if pot is None else min(most, pot.room, amount)
        if pot is not None and given > 0:
            pot.remaining += given
            amount -= given
            parts.append((grant_id, given))
    return parts, amount


def expirable(remaining: int, posted: int, held: int, rolled: int) -> int:
    """Return how much of a grant whose time is over may go now.

    What is held is covered by what stays, without the overdraft; `rolled` is what is left of this
    grant's own rollover, which must not make room for more of it.
    """
    return max(0, min(remaining, posted - held - rolled))


def rolled_over(amount: int, ppm: int) -> int:
    """Return how much of an expired amount becomes a new grant, rounded down."""
    return amount * ppm // PPM
