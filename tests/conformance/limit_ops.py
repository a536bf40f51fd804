"""Counters, needs and operations for the tests of the limit books, short to write."""

from __future__ import annotations

import hashlib
import json

from outlay.core.limits.holds import (
    CounterKey,
    Meter,
    Need,
    Post,
    PostLine,
    Reserve,
    Settle,
    Sync,
    Want,
)

SUM = Meter()
ROLLING = Meter("rolling", 60_000_000)
RATE = Meter("rate", 60_000_000, 600)
GAUGE = Meter("gauge")

TTL = 1_000_000


def key(name: str, starts_at: int = 0, ends_at: int = 0, tenant: str = "acme") -> CounterKey:
    """Name the counter of a limit, a tenant and a period."""
    scope = json.dumps([["tenant", tenant]], separators=(",", ":"))
    digest = hashlib.blake2b(scope.encode(), digest_size=8).hexdigest()
    series = f"{name}|{digest}"
    return CounterKey(f"{series}|{starts_at}", series, name, scope, starts_at, ends_at)


def need(
    of: CounterKey, amount: int, cap: int | None = None, *, metric: str = "cost", meter: Meter = SUM
) -> Need:
    return Need(of, metric, amount, cap, meter)


def reserve(
    hold_id: str, *needs: Need, at: int = 100, owner: str = "p", digest: str = ""
) -> Reserve:
    return Reserve(hold_id, owner, needs, at, at + TTL, 5, digest)


def settle(hold_id: str, amount: int, *, at: int = 200) -> Settle:
    return Settle(hold_id, {"cost": amount}, at)


def sync(owner: str, *wants: Want, at: int = 100, closing: bool = False) -> Sync:
    return Sync(owner, wants, at, at + TTL, closing)


def want(of: Need, *, reported: int = 0, calls: int = 0, flying: int = 0, ahead: int = 0) -> Want:
    return Want(of, reported, calls, flying, ahead)


def post(hold_id: str, of: CounterKey, amount: int, *, at: int = 300, create: bool = True) -> Post:
    return Post(hold_id, (PostLine(of, "cost", amount, 1, at, SUM, create),))
