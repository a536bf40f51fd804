"""Which grants a charge drains, and which ones get it back."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from outlay.core.limits.drain import (
    OVERDRAFT,
    Pot,
    drain,
    drain_order,
    expirable,
    refill,
    rolled_over,
    undo,
)


def pot(grant_id: str, remaining: int = 10, **terms: Any) -> Pot:
    usual = {
        "amount": max(10, remaining), "promotional": False, "priority": 100, "expires_at": None,
        "created_at": 0, "number": 1,
    }  # fmt: skip
    return Pot(grant_id=grant_id, remaining=remaining, **{**usual, **terms})


def order(*pots: Pot) -> list[str]:
    return [one.grant_id for one in sorted(pots, key=drain_order)]


class TestOrder:
    def test_the_lowest_priority_number_comes_first_whatever_else(self) -> None:
        late = pot("late", priority=1)
        soon = pot("soon", priority=2, expires_at=5, promotional=True)
        assert order(soon, late) == ["late", "soon"]

    def test_then_what_expires_first_and_never_is_last(self) -> None:
        pots = [
            pot("never", promotional=True),
            pot("later", expires_at=9),
            pot("soon", expires_at=0),
        ]
        assert order(*pots) == ["soon", "later", "never"]

    def test_then_promotional_before_paid(self) -> None:
        assert order(pot("paid", created_at=1), pot("free", promotional=True, created_at=2)) == [
            "free", "paid",
        ]  # fmt: skip

    def test_then_the_oldest_then_by_number_not_by_text(self) -> None:
        pots = [pot("g10", number=10), pot("g9", number=9), pot("old", created_at=-1, number=99)]
        assert order(*pots) == ["old", "g9", "g10"]


class TestDrain:
    def test_takes_from_one_grant_after_the_other(self) -> None:
        pots = [pot("a", 10), pot("b", 10), pot("c", 10)]
        assert drain(pots, 15) == [("a", -10), ("b", -5)]
        assert [one.remaining for one in pots] == [0, 5, 10]

    def test_what_no_grant_has_is_overdraft(self) -> None:
        assert drain([pot("a", 10)], 12) == [("a", -10), (OVERDRAFT, -2)]
        assert drain([], 1) == [(OVERDRAFT, -1)]

    def test_spent_grants_take_no_part(self) -> None:
        assert drain([pot("a", 0), pot("b", 10)], 10) == [("b", -10)]

    def test_nothing_drains_nothing(self) -> None:
        assert drain([pot("a")], 0) == []


class TestUndo:
    PARTS = (("a", -10), ("b", -5), (OVERDRAFT, -3))

    def test_goes_back_in_reverse(self) -> None:
        assert undo(self.PARTS, 0, 18) == [(OVERDRAFT, 3), ("b", 5), ("a", 10)]
        assert undo(self.PARTS, 0, 4) == [(OVERDRAFT, 3), ("b", 1)]

    def test_goes_on_where_the_last_one_ended(self) -> None:
        assert undo(self.PARTS, 4, 5) == [("b", 4), ("a", 1)]

    def test_gives_no_more_than_is_left(self) -> None:
        assert undo(self.PARTS, 17, 100) == [("a", 1)]
        assert undo(self.PARTS, 18, 1) == []

    @given(
        st.lists(st.integers(1, 20), min_size=1, max_size=6),
        st.lists(st.integers(1, 20), max_size=8),
    )
    def test_in_any_steps_the_same_grants_get_the_same(
        self, drained: list[int], steps: list[int]
    ) -> None:
        parts = [(f"g{n}", -amount) for n, amount in enumerate(drained)]
        undone, back = 0, dict.fromkeys((name for name, _ in parts), 0)
        for step in steps:
            for name, amount in undo(parts, undone, step):
                back[name] += amount
            undone = min(undone + step, sum(drained))
        assert back == {**dict.fromkeys(back, 0), **dict(undo(parts, 0, sum(steps)))}


class TestRefill:
    def test_gives_to_the_grants_that_are_wanted(self) -> None:
        a, b = pot("a", 0), pot("b", 4)
        assert refill([a, b], [("b", 6), ("a", 10)], 9) == ([("b", 6), ("a", 3)], 0)
        assert (a.remaining, b.remaining) == (3, 10)

    def test_never_gives_a_grant_more_than_it_was(self) -> None:
        a = pot("a", 8, amount=10)
        assert refill([a], [("a", 5)], 5) == ([("a", 2)], 3)

    def test_leaves_over_what_is_of_no_grant(self) -> None:
        assert refill([], [(OVERDRAFT, 3), ("gone", 4)], 7) == ([], 7)


@given(
    st.lists(st.integers(1, 50), max_size=5), st.lists(st.integers(1, 60), max_size=6), st.data()
)
def test_what_was_drained_and_undone_leaves_everything_as_it_was(
    amounts: list[int], charges: list[int], data: st.DataObject
) -> None:
    pots = [pot(f"g{n}", amount, amount=amount) for n, amount in enumerate(amounts)]
    before = [one.remaining for one in pots]
    drained = [drain(pots, charge) for charge in charges]
    owed = sum(-amount for parts in drained for name, amount in parts if name == OVERDRAFT)
    assert sum(one.remaining for one in pots) - owed == sum(amounts) - sum(charges)
    assert not owed or not any(one.remaining for one in pots)
    for parts, charge in data.draw(st.permutations(list(zip(drained, charges, strict=True)))):
        wanted = undo(parts, 0, charge)
        of_grants = sum(amount for name, amount in wanted if name != OVERDRAFT)
        assert refill(pots, wanted, charge)[1] == charge - of_grants
    assert [one.remaining for one in pots] == before


class TestExpiry:
    def test_all_of_it_goes_when_nothing_is_held(self) -> None:
        assert expirable(30, 100, 0, 0) == 30

    def test_what_is_held_stays_covered(self) -> None:
        assert expirable(30, 100, 80, 0) == 20
        assert expirable(30, 30, 30, 0) == 0

    def test_holds_that_live_on_the_overdraft_leave_nothing_to_expire(self) -> None:
        assert expirable(30, 30, 50, 0) == 0

    def test_its_own_rollover_makes_no_room(self) -> None:
        assert expirable(60, 80, 60, 20) == 0

    def test_rollover_rounds_down(self) -> None:
        assert rolled_over(3, 500_000) == 1
        assert rolled_over(10, 1_000_000) == 10
        assert rolled_over(10**18, 999_999) == 999_999 * 10**12
        assert rolled_over(5, 0) == 0
