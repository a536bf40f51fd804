"""The contract of where limits, holds and notices are kept; part of the books.

Definitions are few and read whole. Counters and holds are many: operations on them come in batches,
each batch one transaction. Thread-safe; times are microseconds UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from outlay.core.limits.holds import Counter, CounterKey, Hold, Meter, Op, Outcome, Post
from outlay.core.limits.limit import Entitlement, Limit, Override


@dataclass(frozen=True, slots=True)
class LimitChange:
    """Limits and entitlements to have from now on, written as a whole or not at all."""

    limits: tuple[Limit, ...] = ()
    removed: tuple[str, ...] = ()
    entitlements: tuple[Entitlement, ...] = ()
    removed_plans: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LimitVersion:
    """One version of a limit: what it said (`None`: it was removed), since when and by whom."""

    limit_id: str
    version: int
    limit: Limit | None
    at: int
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Notice:
    """Something a limit did: `kind` is `crossed`, `refused`, `late`, `short`, `seeded` or `denied`.

    One per counter, kind and rung (`at_ppm`, `action`); again means `times` more. `mode` tells
    whether it was enforced or only in the shadow. `tenant` is empty where the scope names none.
    """

    limit_id: str
    counter_id: str
    scope_key: str
    tenant: str
    kind: str
    at_ppm: int
    action: str
    mode: str
    at: int
    used: int
    amount: int
    times: int = 1
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seed:
    """What a counter starts with: usage of its period from before it was counted."""

    key: CounterKey
    meter: Meter
    amount: int
    at: int
    buckets: Mapping[int, int] = field(default_factory=dict)


class LimitBooks(Protocol):
    """Definitions, counters, holds and notices."""

    def limits(self) -> list[Limit]:
        """Return all limits, by priority and id."""

    def entitlements(self) -> list[Entitlement]:
        """Return what plans may use, by plan."""

    def change_limits(self, change: LimitChange, *, reason: str, actor: str, at: int) -> int:
        """Write a change with its audit entry; return how many things changed.

        Equal content changes nothing. The topic `limits` of `revision` moves. Usage stays.
        Raises `NotFoundError` for an unknown limit or plan to remove, `BadRequestError` without a
        reason or past `MAX_LIMITS`.
        """

    def limit_history(self, limit_id: str) -> list[LimitVersion]:
        """Return every version of a limit, the newest first."""

    def overrides(self, *, at: int | None = None) -> list[Override]:
        """Return the overrides that hold at a time, or all that ever were, the newest first."""

    def put_override(self, override: Override, *, at: int) -> Override:
        """Write an override with its audit entry; the same id and content again changes nothing.

        Raises `NotFoundError` for an unknown limit, `ConflictError` for other content.
        """

    def revoke_override(self, override_id: str, *, reason: str, actor: str, at: int) -> Override:
        """End an override now. Raises `NotFoundError`."""

    def apply(self, ops: Sequence[Op]) -> list[Outcome]:
        """Apply operations in order, in one transaction, and return their answers.

        What one of them refuses leaves the others as they are. Balances change with their ledger
        entries in the same transaction.
        """

    def posted(self) -> int:
        """Return the enriched-log offset up to which events were counted."""

    def post(self, posts: Sequence[Post], *, after: int, offset: int) -> list[Outcome]:
        """Count events and move the offset from `after` to `offset` in the same transaction.

        Raises `ConflictError` when the offset is not at `after`: somebody else has counted them.
        """

    def seeded(self) -> dict[str, int]:
        """Return the log offset from which on each seeded limit counts events, by `seed_key`."""

    def seed(self, seed_key: str, seeds: Sequence[Seed], *, offset: int, at: int) -> None:
        """Give counters what was used before, once per `seed_key`; events count after `offset`."""

    def counters(
        self, *, limit_id: str = "", series: str = "", scope_like: str = "",
        at: int | None = None, limit: int = 1000,
    ) -> list[Counter]:  # fmt: skip
        """Return counters, those with most used first; `scope_like` is a part of the scope key.

        With `at` only those whose period that time lies in.
        """

    def holds(
        self, *, state: str = "open", owner: str = "", leases: bool | None = None, limit: int = 1000
    ) -> list[Hold]:
        """Return holds with their lines, the newest first; state "" means any."""

    def hold(self, hold_id: str) -> Hold | None:
        """Return a hold or lease with all its lines."""

    def due(self, *, at: int, limit: int) -> list[str]:
        """Return ids of open holds and leases whose time is over, the oldest first."""

    def forget_holds(self, *, before: int, limit: int) -> int:
        """Drop ended holds and counters of ended periods last touched before a time.

        What their lines count as used stays in the counters. Returns how many rows went.
        """

    def notice(self, notices: Sequence[Notice]) -> list[Notice]:
        """Write notices; return those that were not there before."""

    def notices(
        self, *, limit_id: str = "", tenant: str = "", since: int = 0, limit: int = 1000
    ) -> list[Notice]:
        """Return notices, the newest first."""

    def check_holds(self) -> list[str]:
        """Prove that counters equal their lines: a line of text per difference, empty when equal.

        Held of every counter equals what the lines of open holds hold; used of every counter that
        does not forget equals `folded` plus what lines have booked; nothing is negative.
        """
