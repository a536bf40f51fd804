"""The values of holding: counters, holds with their lines, operations and their outcomes.

What the operations do to the rows is in `desk`. Times are microseconds UTC, amounts are in the unit
of the limit's metric.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MeterKind = Literal["sum", "rolling", "rate", "gauge"]
HoldState = Literal["open", "settled", "void", "expired", "closed"]
Verdict = Literal["ok", "busy", "over"]
"""`busy`: it would fit if nothing were held; `over`: it does not fit what is used already."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How a counter forgets what was used.

    Never (`sum`), after `span_us` (`rolling`), by leaking `amount` per `span_us` (`rate`), or at
    once (`gauge`, which counts only what is held).
    """

    kind: MeterKind = "sum"
    span_us: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class CounterKey:
    """Names a counter: one limit, one scope, one period. `series` leaves out the period."""

    counter_id: str
    series: str
    limit_id: str
    scope_key: str
    starts_at: int = 0
    ends_at: int = 0
    """0: open."""


@dataclass(slots=True)
class Counter:
    """What one scope of a limit has used and holds in a period.

    `folded` is the part of `used` that no line tells of (any more). `hard` marks a balance: then
    `used` is the balance below zero, and never passes `ceiling`; `short` could not be charged, and
    no line tells of it (any more).
    """

    key: CounterKey
    meter: Meter = Meter()
    used: int = 0
    held: int = 0
    folded: int = 0
    as_of: int = 0
    buckets: dict[int, int] = field(default_factory=dict)
    hard: bool = False
    ceiling: int = 0
    short: int = 0
    changed: bool = False


@dataclass(slots=True)
class Line:
    """A hold's part in one counter.

    `granted` may be used; `reported` and `calls` were said by the holder, `evented` and `events`
    came with events; `booked` is counted in the counter's `used`, `short` could not be charged.
    """

    key: CounterKey
    metric: str
    granted: int = 0
    reported: int = 0
    calls: int = 0
    evented: int = 0
    events: int = 0
    booked: int = 0
    short: int = 0
    gauge: bool = False

    def target(self) -> int:
        """Return what counts as used."""
        if self.gauge:
            return 0
        if self.events >= self.calls:
            return self.evented
        return max(self.reported, self.evented)

    def held(self) -> int:
        """Return what an open hold still holds."""
        return max(0, self.granted - self.target())


@dataclass(slots=True)
class Hold:
    """A reservation of one call (`lease` false), or the slices that a process holds.

    `digest` is that of what was asked for; of a lease the number of its latest sync.
    """

    hold_id: str
    owner: str
    lease: bool
    state: HoldState
    opened_at: int
    expires_at: int
    estimate_nanos: int = 0
    actual_nanos: int | None = None
    digest: str = ""
    lines: dict[str, Line] = field(default_factory=dict)
    """By counter id; of a lease, those that were loaded."""
    late: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """An amount wanted of a counter; `cap` is `None` where nothing bounds it."""

    key: CounterKey
    metric: str
    amount: int
    cap: int | None = None
    meter: Meter = Meter()


@dataclass(frozen=True, slots=True)
class Reserve:
    """Hold what a call may use, in all its scopes or in none."""

    hold_id: str
    owner: str
    needs: tuple[Need, ...]
    at: int
    expires_at: int
    estimate_nanos: int = 0
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Extend:
    """Hold more, in all of the scopes or in none, and for longer."""

    hold_id: str
    needs: tuple[Need, ...]
    at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class Settle:
    """Say what a call used, by metric; metrics that are not named used nothing."""

    hold_id: str
    amounts: Mapping[str, int]
    at: int


@dataclass(frozen=True, slots=True)
class Void:
    """Give a reservation back: the call used nothing."""

    hold_id: str
    at: int


@dataclass(frozen=True, slots=True)
class Want:
    """What a lease reports and asks of one counter.

    `need.amount` must be had by calls that wait (0: none), `flying` is what calls on their way
    hold, `ahead` would be nice to have. `reported` and `calls` are totals since the lease began.
    """

    need: Need
    reported: int
    calls: int
    flying: int
    ahead: int


@dataclass(frozen=True, slots=True)
class Sync:
    """Renew a lease: report, give back what is not wanted, take slices.

    `closing` ends it and gives everything back. `seq` counts the owner's syncs from 1 up: one that
    comes again, or after a newer one, changes nothing; 0: they come once and in order.
    """

    owner: str
    wants: tuple[Want, ...]
    at: int
    expires_at: int
    closing: bool = False
    seq: int = 0


@dataclass(frozen=True, slots=True)
class PostLine:
    """What events of one counter used; `create` is false where only a known counter counts."""

    key: CounterKey
    metric: str
    amount: int
    events: int
    at: int
    meter: Meter = Meter()
    create: bool = True


@dataclass(frozen=True, slots=True)
class Post:
    """Count events that carried a hold's id, or none (empty)."""

    hold_id: str
    lines: tuple[PostLine, ...]


@dataclass(frozen=True, slots=True)
class Expire:
    """End an open hold whose time is over; nothing if it was renewed."""

    hold_id: str
    at: int


Op = Reserve | Extend | Settle | Void | Sync | Post | Expire


@dataclass(frozen=True, slots=True)
class Stand:
    """How a counter stands after an operation, and what the operation got of it."""

    key: CounterKey
    used: int
    held: int
    verdict: Verdict = "ok"
    granted: int = 0
    """Of a lease: what its holder may use from here on, calls on their way included."""
    exact: bool = False
    """Of a lease: nothing is given ahead."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one operation.

    `status` is `ok`, `busy`, `over`, `conflict` (the same id with other content), `unknown` (no
    such hold), `ended` (the hold is over) or `already` (done before, the answer is the same).
    """

    status: str
    stands: tuple[Stand, ...] = ()
    late: bool = False
    short: int = 0


@dataclass(frozen=True, slots=True)
class Booking:
    """A change of a balance that the ledger has to write down.

    `amount` is charged, or given back if negative; `short` could not be charged or, if negative,
    need not be after all.
    """

    counter_id: str
    hold_id: str
    amount: int
    short: int
    at: int
