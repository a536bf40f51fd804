"""The arithmetic of slices: whatever happens in whatever order, no more is taken than there is."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.capture.limits.gate import Gate
from outlay.capture.limits.lines import Line
from outlay.capture.limits.steps import Admitted
from outlay.capture.limits.wants import IDLE_S, KEPT_S, Want, draft, wanted
from outlay.core.limits.limit import Limit
from tests.unit.capture.limits.authority import CENT, Authority, ask, gate, month

CAP = 20 * CENT
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(("call", "call", "call", "settle", "void", "sync", "lose", "lapse")),
        st.integers(0, 3000),
    ),
    max_size=60,
)


def still(authority: Authority) -> Gate:
    """Return a gate whose thread does not run: the test syncs by itself."""
    made = gate(authority)
    made.client.running = True
    made.client._fetch()
    return made


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_processes_together_never_take_more_than_the_cap(steps: list[Any]) -> None:
    authority = Authority(month("0.20"))
    doors = [still(authority) for _ in range(3)]
    tickets: list[list[Any]] = [[], [], []]
    for place, action, size in steps:
        door, own = doors[place], tickets[place]
        if action == "call":
            step = door.enter(ask(tokens=size + 1))
            if isinstance(step, Admitted):
                own.append(step.ticket)
        elif action == "settle" and own:
            ticket = own.pop(size % len(own))
            ticket.settle({"cost": ticket.estimate_nanos * size // 3000, "output_tokens": size})
        elif action == "void" and own:
            own.pop(size % len(own)).void()
        elif action == "lapse":
            door.client.valid_until = 0.0
        elif action in ("sync", "lose"):
            authority.lose_answers = action == "lose"
            with suppress(ConnectionError):
                door.client._sync()
        taken = 0
        for one in doors:
            for line in one.table.lines.values():
                taken += line.now.reported + line.now.flying
        assert taken <= CAP
        assert authority.used + authority.held <= CAP
    authority.lose_answers = False
    for door, own in zip(doors, tickets, strict=True):
        for ticket in own:
            ticket.void()
        door.client._sync(closing=True)
    assert authority.held == 0
    reported = sum(line.now.reported for door in doors for line in door.table.lines.values())
    assert authority.used == reported


def test_calls_are_asked_for_in_order_as_far_as_there_is_room() -> None:
    line = Line(Limit("a", "cost", "month", 100), "[]")
    wants = [Want([(line, amount)], 0.0) for amount in (30, 30, 30, 30)]
    assert wanted(wants, valid=True) == {line: (30, 90)}
    period = line.now
    period.seen_at = 1.0
    period.allow(100, 100)
    period.used = 20
    assert wanted(wants, valid=True) == {line: (60, 60)}


def test_after_a_refusal_less_is_asked_for() -> None:
    line = Line(Limit("a", "cost", "month", 100), "[]")
    period = line.now
    period.seen_at = 1.0
    period.allow(100, 100)
    period.most = 40
    wants = [Want([(line, 20)], 0.0) for _ in range(4)]
    assert wanted(wants, valid=True) == {line: (40, 40)}


def test_the_first_call_is_asked_for_whatever_is_known() -> None:
    line = Line(Limit("a", "cost", "month", 100), "[]")
    line.now.seen_at = 1.0
    line.now.allow(100, 100)
    line.now.used = 100
    assert wanted([Want([(line, 20)], 0.0)], valid=True) == {line: (20, 0)}


def test_a_call_asks_of_all_its_lines_or_of_none() -> None:
    wide, narrow = (Line(Limit(name, "cost", "month", 100), "[]") for name in "ab")
    for line, cap in ((wide, 100), (narrow, 20)):
        line.now.seen_at = 1.0
        line.now.allow(cap, cap)
    wants = [Want([(wide, 20), (narrow, 20)], 0.0) for _ in range(4)]
    assert wanted(wants, valid=True) == {wide: (20, 60), narrow: (20, 60)}


def granted(amount: int, *, largest: int, exact: bool) -> Line:
    """Return a line with an unused grant, last used at 0."""
    line = Line(Limit("a", "cost", "month", 1000), "[]")
    line.now.seen_at = 1.0
    line.now.allow(1000, 1000)
    line.now.ceiling, line.now.exact = amount, exact
    line.largest = largest
    return line


def test_near_the_limit_no_part_of_a_call_is_kept() -> None:
    line = granted(15, largest=20, exact=True)
    sent = draft(line, (20, 0), 0.1, closing=False)
    assert (sent.flying, sent.need, sent.ahead) == (0, 20, 0)
    assert line.free() == 0
    line = granted(15, largest=20, exact=False)
    sent = draft(line, (20, 0), 0.1, closing=False)
    assert (sent.flying, sent.need) == (15, 5), "far from it, what is there is kept"


def test_who_has_taken_nothing_for_a_while_keeps_one_call_then_none() -> None:
    kept = []
    for now in (KEPT_S / 2, KEPT_S, IDLE_S):
        line = granted(600, largest=20, exact=False)
        line.taken = 600
        kept.append(draft(line, (0, 0), now, closing=False).flying)
    assert kept == [200, 20, 0]
