"""Short ways to write operations on one or two counters, for tests of the desk."""

from __future__ import annotations

from outlay.core.limits.desk import Desk
from outlay.core.limits.holds import (
    Counter,
    CounterKey,
    Extend,
    Meter,
    Need,
    Outcome,
    Post,
    PostLine,
    Reserve,
    Settle,
    Sync,
    Want,
)

SECOND = 1_000_000
NOW = 1_000_000 * SECOND
TTL = 60 * SECOND
SUM = Meter()


def key(name: str = "a", starts_at: int = 0) -> CounterKey:
    return CounterKey(f"{name}|{starts_at}", name, name, "[]", starts_at)


def need(
    amount: int, cap: int | None = 100, name: str = "a", *, meter: Meter = SUM, starts_at: int = 0
) -> Need:
    return Need(key(name, starts_at), "cost", amount, cap, meter)


def reserve(
    desk: Desk, hold_id: str, *needs: Need, at: int = NOW, owner: str = "p", digest: str = ""
) -> Outcome:
    return desk.apply(Reserve(hold_id, owner, needs, at, at + TTL, digest=digest))


def extend(desk: Desk, hold_id: str, *needs: Need, at: int = NOW) -> Outcome:
    return desk.apply(Extend(hold_id, needs, at, at + 2 * TTL))


def settle(desk: Desk, hold_id: str, cost: int, at: int = NOW) -> Outcome:
    return desk.apply(Settle(hold_id, {"cost": cost}, at))


def want(
    amount: int = 0,
    cap: int | None = 100,
    name: str = "a",
    *,
    reported: int = 0,
    calls: int = 0,
    flying: int = 0,
    ahead: int = 0,
) -> Want:
    return Want(need(amount, cap, name), reported, calls, flying, ahead)


def sync(
    desk: Desk, owner: str, *wants: Want, at: int = NOW, closing: bool = False, seq: int = 0
) -> Outcome:
    return desk.apply(Sync(owner, wants, at, at + TTL, closing=closing, seq=seq))


def post(
    desk: Desk,
    hold_id: str,
    amount: int,
    name: str = "a",
    *,
    events: int = 1,
    at: int = NOW,
    meter: Meter = SUM,
    starts_at: int = 0,
    create: bool = True,
) -> Outcome:
    line = PostLine(key(name, starts_at), "cost", amount, events, at, meter, create)
    return desk.apply(Post(hold_id, (line,)))


def stands(desk: Desk, name: str = "a", starts_at: int = 0) -> tuple[int, int]:
    """Return what a counter has used and holds."""
    counter = desk.counters[key(name, starts_at).counter_id]
    return counter.used, counter.held


def balance(ceiling: int, used: int = 0) -> Desk:
    """Return a desk with a prepaid balance, `a`, of so much."""
    counter = Counter(key(), used=used, folded=used, hard=True, ceiling=ceiling)
    return Desk({key().counter_id: counter}, {})
