"""A store's batches do what a desk does in memory: the same answers, the same rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.core.limits.desk import Desk
from outlay.core.limits.holds import (
    Counter,
    CounterKey,
    Expire,
    Extend,
    Hold,
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
)
from outlay.store.books.sql import SqlBooks
from tests.conformance.limit_ops import GAUGE, RATE, ROLLING, SUM, key

HOUR = 3_600_000_000
METERS = {"sum": SUM, "rolling": ROLLING, "rate": RATE, "gauge": GAUGE}
NAMES = ["h0", "h1", "h2", "h3"]
OWNERS = ["p0", "p1"]
EXAMPLES = count()

T = TypeVar("T")

DRAWN = st.lists(st.integers(0, 59), min_size=24, max_size=24)
"""An operation as numbers, which hypothesis can make fast and make small."""


@pytest.fixture
def books(books_url: str) -> Iterator[SqlBooks]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


class Drawn:
    """Reads numbers one after the other, as choices."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)

    def number(self, below: int = 60) -> int:
        return next(self._numbers, 0) % below

    def of(self, choices: Sequence[T]) -> T:
        return choices[self.number(len(choices))]

    def scope(self) -> tuple[CounterKey, Meter]:
        """One counter: of a meter, and for sums of one of three periods."""
        name = self.of(["sum", "sum", "rolling", "rate", "gauge"])
        start = self.of([0, HOUR, 2 * HOUR]) if name == "sum" else 0
        return key(f"{{}}{name}", start, start + HOUR if name == "sum" else 0), METERS[name]

    def need(self) -> Need:
        of, meter = self.scope()
        cap = self.of([None, 0, 40, 100, 100, 1000])
        return Need(of, self.of(["cost", "tokens"]), self.number(), cap, meter)

    def needs(self) -> tuple[Need, ...]:
        found = [self.need() for _ in range(self.number(4))]
        return tuple({need.key.counter_id: need for need in found}.values())


def operation(numbers: list[int]) -> Op:
    """Return the operation that numbers stand for."""
    draw = Drawn(numbers)
    kind = draw.of(["reserve", "sync", "settle", "post", "reserve", "sync", "settle", "post",
                    "extend", "void", "expire"])  # fmt: skip
    name, owner, at = draw.of(NAMES), draw.of(OWNERS), draw.number(40) * 10_000_000
    until = at + 50_000_000
    match kind:
        case "reserve":
            return Reserve(name, owner, draw.needs(), at, until, 7, draw.of(["", "", "x"]))
        case "extend":
            return Extend(name, draw.needs(), at, until)
        case "settle":
            return Settle(name, {"cost": draw.number(), "tokens": draw.number()}, at)
        case "void":
            return Void(name, at)
        case "expire":
            return Expire(draw.of(NAMES + OWNERS), at)
        case "sync":
            closing, seq = draw.number(6) == 5, draw.of([0, 0, 1, 2, 3, 4])
            wants = tuple(
                Want(need, draw.number(), draw.number(4), draw.number(), draw.number())
                for need in draw.needs()
            )
            return Sync(owner, wants, at, until, closing, seq)
        case _:
            hold_id = draw.of(["", "none", *NAMES, *OWNERS])
            lines = []
            for _ in range(draw.number(4)):
                of, meter = draw.scope()
                create = draw.number(2) == 0
                lines.append(PostLine(of, "cost", draw.number(), draw.number(3), at, meter, create))
            return Post(hold_id, tuple(lines))


def of_example(op: Op, example: str) -> Op:
    """Return the operation on holds and counters that only this example has."""

    def own(of: CounterKey) -> CounterKey:
        return CounterKey(
            of.counter_id.format(example), of.series.format(example), of.limit_id.format(example),
            of.scope_key, of.starts_at, of.ends_at,
        )  # fmt: skip

    def own_need(need: Need) -> Need:
        return replace(need, key=own(need.key))

    match op:
        case Post():
            lines = tuple(replace(line, key=own(line.key)) for line in op.lines)
            return Post(op.hold_id and example + op.hold_id, lines)
        case Sync():
            wants = tuple(replace(want, need=own_need(want.need)) for want in op.wants)
            return replace(op, owner=example + op.owner, wants=wants)
        case Reserve():
            changed = replace(op, hold_id=example + op.hold_id, owner=example + op.owner)
            return replace(changed, needs=tuple(own_need(need) for need in op.needs))
        case Extend():
            own_needs = tuple(own_need(need) for need in op.needs)
            return replace(op, hold_id=example + op.hold_id, needs=own_needs)
        case _:
            return replace(op, hold_id=example + op.hold_id)


def in_order(outcome: Outcome) -> Outcome:
    """Return the answer with its counters sorted: a lease's lines are in no order."""
    stands = sorted(outcome.stands, key=lambda stand: stand.key.counter_id)
    return replace(outcome, stands=tuple(stands))


def plain(rows: dict[str, Any], example: str) -> dict[str, Any]:
    return {i: replace(row, changed=False) for i, row in rows.items() if i.startswith(example)}


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(DRAWN, max_size=6), max_size=8))
def test_batches_do_what_the_desk_does(books: SqlBooks, batches: list[list[list[int]]]) -> None:
    example = f"e{next(EXAMPLES)}."
    desk = Desk({}, {})
    for batch in batches:
        ops = [of_example(operation(numbers), example) for numbers in batch]
        expected = [desk.apply(op) for op in ops]
        assert list(map(in_order, books.apply(ops))) == list(map(in_order, expected))
    stored: dict[str, Counter] = {c.key.counter_id: c for c in books.counters(limit=10_000)}
    assert plain(stored, example) == plain(desk.counters, example)
    holds: dict[str, Hold] = {h.hold_id: h for h in books.holds(state="", limit=10_000)}
    assert plain(holds, example) == plain(desk.holds, example)
    assert books.check_holds() == []
