"""A small world around a desk: processes that hold and lease, a network that cannot be trusted.

Everything random comes from one seed. A message may be late, twice, overtaken or lost; a process
may die with calls in flight; clocks step; periods roll over. Events of one process come in the
order in which its calls ended, if they come late or only after its death.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from outlay.core.limits.desk import Desk
from outlay.core.limits.holds import (
    Counter,
    CounterKey,
    Expire,
    Extend,
    Meter,
    Need,
    Op,
    Outcome,
    Post,
    PostLine,
    Reserve,
    Settle,
    Sync,
    Void,
    Want,
)  # fmt: skip

SECOND = 1_000_000
START = 1_000_000 * SECOND
FACTOR = {"cost": 1, "credits": 2}


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit of the world: what it counts by, how it forgets, what it allows."""

    name: str
    by: str
    metric: str
    cap: int | None
    meter: Meter = Meter()  # noqa: RUF009
    period: int = 0


@dataclass(slots=True)
class Call:
    number: int
    owner: str
    by: dict[str, str]
    at: int
    reserved: int
    actual: int
    priced: int
    leased: bool
    hold_id: str
    keys: tuple[tuple[Rule, CounterKey], ...] = ()
    state: str = "asked"
    posted: int = -1
    """At which operation its event came."""
    told: int = -1
    """At which operation its process, which holds a lease, said that it ended."""
    exposed: bool = False
    """What it held was let go before it was known what it used."""


@dataclass(slots=True)
class Slice:
    """What a process knows of one line of its lease."""

    rule: Rule
    key: CounterKey
    reported: int = 0
    calls: int = 0
    flying: int = 0
    base: int = 0
    granted: int = 0
    wanted: int = 0

    def free(self) -> int:
        return self.granted - (self.reported - self.base) - self.flying


@dataclass(slots=True)
class Process:
    name: str
    leases: bool
    skew: int
    tenant: str
    slices: dict[str, Slice] = field(default_factory=dict)
    seq: int = 0
    valid_until: int = 0
    dead: bool = False
    events: list[Call] = field(default_factory=list)
    running: list[Call] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Mode:
    """What may happen in a world."""

    strict: bool = False
    """Calls hold their worst case, and the process knows the price."""
    calm: bool = False
    """No crash, no expiry before its time, no step of the clock."""
    shuffled: bool = False
    """Events of one process come in any order."""


class World:
    """One run of one seed."""

    def __init__(self, seed: int, mode: Mode) -> None:
        self.rng = Random(seed)
        self.mode = mode
        self.now = START
        self.mono = 0
        self.ttl = self.rng.choice((15, 60)) * SECOND
        self.desk = Desk({}, {})
        self.rules = self._rules()
        self.processes = [
            Process(
                f"p{n}",
                self.rng.random() < 0.7,
                self.rng.randrange(-SECOND, SECOND),
                self.rng.choice("ab"),
            )
            for n in range(self.rng.randrange(1, 4))
        ]
        self.calls: list[Call] = []
        self.by_hold: dict[str, Call] = {}
        self.wire: list[tuple[int, int, Callable[[], None]]] = []
        self.step = self.sent = self.applied = 0
        self.admitted: dict[str, int] = {}
        """By counter id: when something was granted last."""

    def _rules(self) -> list[Rule]:
        rng = self.rng
        cap = rng.choice((60, 200, 1000, 5000))
        rules = [
            Rule("tenant", "tenant", "cost", cap, period=rng.choice((30, 120)) * SECOND),
            Rule("total", "", "cost", rng.choice((cap, cap * 2, None))),
        ]
        if rng.random() < 0.5:
            rules.append(Rule("feature", "feature", "cost", cap * 2))
        if rng.random() < 0.3:
            rules.append(Rule("rolling", "tenant", "cost", cap, Meter("rolling", 60 * SECOND)))
        if rng.random() < 0.3:
            rules.append(Rule("rate", "", "cost", cap, Meter("rate", 10 * SECOND, cap // 4)))
        if rng.random() < 0.3:
            rules.append(Rule("gauge", "tenant", "concurrent_calls", 4, Meter("gauge")))
        if rng.random() < 0.4:
            rule = Rule("credits", "tenant", "credits", None)
            rules.append(rule)
            for tenant in ("a", "b"):
                key = self.key(rule, {"tenant": tenant}, 0)
                self.desk.counters[key.counter_id] = Counter(key, hard=True, ceiling=2 * cap)
        return rules

    # what calls need

    def key(self, rule: Rule, by: dict[str, str], at: int) -> CounterKey:
        starts_at = at - at % rule.period if rule.period else 0
        series = f"{rule.name}|{by.get(rule.by, '')}"
        ends_at = starts_at + rule.period if rule.period else 0
        return CounterKey(f"{series}|{starts_at}", series, rule.name, "", starts_at, ends_at)

    def keys(self, by: dict[str, str], at: int) -> tuple[tuple[Rule, CounterKey], ...]:
        return tuple((rule, self.key(rule, by, at)) for rule in self.rules)

    def ceiling(self, counter_id: str, rule: Rule) -> int | None:
        counter = self.desk.counters.get(counter_id)
        return counter.ceiling if counter is not None and counter.hard else rule.cap

    @staticmethod
    def need(rule: Rule, key: CounterKey, cost: int) -> Need:
        return Need(key, rule.metric, amount_of(rule, cost), rule.cap, rule.meter)

    # the network

    def later(self, do: Callable[[], None], most: int = 12) -> None:
        self.sent += 1
        heapq.heappush(self.wire, (self.step + self.rng.randrange(1, most), self.sent, do))

    def send(self, make: Callable[[], Op], answer: Callable[[Outcome], None] | None = None) -> None:
        """Send an operation, made when it comes; it may come late, twice, or not at all."""
        rng = self.rng
        luck = rng.random()

        def come() -> None:
            outcome = self.apply(make())
            if answer is None or luck > 0.95:
                return
            if rng.random() < 0.7:
                answer(outcome)
            else:
                self.later(lambda: answer(outcome))

        if luck < 0.05:
            return
        if luck < 0.65:
            come()
        else:
            self.later(come)
        if rng.random() < 0.1:
            self.later(lambda: void(self.apply(make())), 30)

    def deliver(self) -> None:
        while self.wire and self.wire[0][0] <= self.step:
            heapq.heappop(self.wire)[2]()

    # the desk

    def apply(self, op: Op) -> Outcome:
        self.applied += 1
        own = self._own(op)
        outcome = self.desk.apply(op)
        if isinstance(op, Reserve | Extend) and outcome.status == "ok":
            for stand in outcome.stands:
                self._granted(stand.key)
        elif isinstance(op, Sync) and outcome.status == "ok":
            for stand in outcome.stands:
                if stand.granted > own.get(stand.key.counter_id, 0):
                    self._granted(stand.key)
        elif isinstance(op, Expire) and outcome.status == "ok":
            self._expose(op.hold_id)
        self.check()
        return outcome

    def _own(self, op: Op) -> dict[str, int]:
        """Return what of a lease's slices is no news: what its calls on their way hold."""
        if not isinstance(op, Sync):
            return {}
        lease = self.desk.holds.get(op.owner)
        if lease is not None and lease.state != "open":
            return {}
        return {want.need.key.counter_id: want.flying for want in op.wants}

    def _granted(self, key: CounterKey) -> None:
        counter = self.desk.counters[key.counter_id]
        rule = next(rule for rule in self.rules if rule.name == key.limit_id)
        cap = counter.ceiling if counter.hard else rule.cap
        assert cap is None or counter.used + counter.held <= cap
        self.admitted[key.counter_id] = self.applied

    def _expose(self, hold_id: str) -> None:
        if hold_id in self.by_hold:
            self.by_hold[hold_id].exposed = True
        for call in self.calls:
            if call.leased and call.owner == hold_id and call.posted < 0:
                call.exposed = True

    def check(self) -> None:
        """Hold what must be true after every operation."""
        held: dict[str, int] = {}
        booked: dict[str, int] = {}
        for hold in self.desk.holds.values():
            is_open = hold.state == "open"
            for counter_id, line in hold.lines.items():
                booked[counter_id] = booked.get(counter_id, 0) + line.booked
                assert line.short >= 0
                if is_open:
                    held[counter_id] = held.get(counter_id, 0) + line.held()
        for counter_id, counter in self.desk.counters.items():
            assert counter.held == held.get(counter_id, 0), "held is what open lines hold"
            assert counter.used >= 0
            if counter.meter.kind == "sum":
                assert counter.used == counter.folded + booked.get(counter_id, 0)
            elif counter.meter.kind == "rolling":
                assert counter.used == sum(counter.buckets.values())
            if counter.hard:
                assert counter.used + counter.held <= counter.ceiling
        if not self.mode.shuffled:
            self._check_slices()

    def _check_slices(self) -> None:
        """No process goes by more than the desk holds for it."""
        for process in self.processes:
            lease = self.desk.holds.get(process.name)
            if lease is None or lease.state != "open" or process.dead:
                continue
            for counter_id, one in process.slices.items():
                line = lease.lines.get(counter_id)
                if line is None or self.ceiling(counter_id, one.rule) is None:
                    continue
                if self.mode.strict and self.mode.calm:
                    assert line.granted >= one.base + one.granted, "a slice was given away"


def amount_of(rule: Rule, cost: int) -> int:
    return 1 if rule.metric == "concurrent_calls" else cost * FACTOR[rule.metric]


def used_of(rule: Rule, cost: int) -> int:
    return 0 if rule.metric == "concurrent_calls" else cost * FACTOR[rule.metric]


def void(_: Any) -> None:
    """Take an answer that nobody waits for."""


def posts_of(call: Call, keys: tuple[tuple[Rule, CounterKey], ...]) -> Post:
    """Return what the event of a call counts for."""
    lines = tuple(
        PostLine(key, rule.metric, used_of(rule, call.actual), 1, call.at, rule.meter)
        for rule, key in keys
    )
    return Post(call.hold_id, lines)


def settle_of(call: Call, at: int) -> Settle:
    """Return what the process of a call says that it used."""
    amounts = {metric: call.priced * factor for metric, factor in FACTOR.items()}
    return Settle(call.hold_id, amounts, at)


def want_of(one: Slice, flying: int, ahead: int) -> Want:
    """Return what a process says of one line of its lease, and asks."""
    need = Need(one.key, one.rule.metric, one.wanted, one.rule.cap, one.rule.meter)
    return Want(need, one.reported, one.calls, flying, ahead)


__all__ = [
    "SECOND", "Call", "Extend", "Mode", "Process", "Reserve", "Rule", "Slice", "Sync", "Void",
    "World", "amount_of", "posts_of", "settle_of", "used_of", "want_of",
]  # fmt: skip
