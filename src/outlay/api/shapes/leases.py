"""Shapes of leases."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from outlay.api.leases import LeaseBody
from outlay.api.shape import Shape
from outlay.api.shapes.holds import HeldLine
from outlay.api.shapes.units import LimitAmount, Micros, ScopeKey


class LeaseLine(Struct):
    """How one counter stands: `granted` may be used for `ttl_s`. `ends_at` 0: nothing resets."""

    limit: str
    scope: ScopeKey
    counter: str
    starts_at: Micros
    ends_at: Micros
    used: LimitAmount
    held: LimitAmount
    amount: LimitAmount | None
    cap: LimitAmount | None
    granted: LimitAmount
    exact: bool
    verdict: Literal["ok", "busy", "over", "gone"]


class LeaseSynced(Struct):
    """The answer to a sync; `policy` is the revision in force."""

    now: Micros
    ttl_s: int
    policy: str
    lines: list[LeaseLine]


class Lease(Struct):
    """A lease as it is kept; `more_lines` are not shown."""

    owner: str
    state: Literal["open", "closed", "settled", "void", "expired"]
    opened_at: Micros
    expires_at: Micros
    lines: list[HeldLine]
    more_lines: int


class LeaseList(Struct):
    """The newest first."""

    leases: list[Lease]


SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/leases": Shape(LeaseSynced, LeaseBody),
    "GET /v1/leases": Shape(LeaseList),
}
