"""Budgets of agent runs: cut from one another, never passed, given back; and what repeats."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlay.core.limits.runs import MAX_LOOP_KEYS, Budget, LoopWatch, Rules, action_key
from outlay.core.money import MAX_NANOS


def test_a_budget_holds_up_to_its_cap_and_not_one_more() -> None:
    budget = Budget(100)
    assert budget.reserve(100) == "ok"
    assert (budget.held, budget.left) == (100, 0)
    assert budget.reserve(1) == "busy"
    budget.settle(100, 100)
    assert budget.reserve(1) == "over"
    assert (budget.spent, budget.held) == (100, 0)


def test_what_nobody_can_estimate_fits_as_long_as_something_is_left() -> None:
    budget = Budget(1)
    assert budget.reserve(0) == "ok"
    budget.settle(0, 1)
    assert budget.reserve(0) == "over"
    assert Budget(0).reserve(0) == "over"


def test_a_call_may_cost_more_than_it_reserved_and_then_nothing_is_left() -> None:
    outer = Budget(100)
    inner = Budget(50, outer)
    assert inner.reserve(10) == "ok"
    inner.settle(10, 70)
    assert (inner.spent, inner.left, outer.spent, outer.left) == (70, 0, 70, 30)


def test_a_child_gets_what_its_parent_has_left_at_most() -> None:
    parent = Budget(100)
    parent.reserve(70)
    child = Budget(50, parent)
    assert (child.cut, child.left, parent.left) == (30, 30, 0)


def test_what_is_set_aside_for_a_child_nobody_else_gets() -> None:
    parent = Budget(100)
    child = Budget(80, parent)
    assert parent.reserve(21) == "busy"
    assert parent.reserve(20) == "ok"
    assert child.reserve(80) == "ok"


def test_what_a_child_does_not_use_flows_back_when_it_closes() -> None:
    parent = Budget(100)
    child = Budget(80, parent)
    child.reserve(30)
    child.settle(30, 25)
    assert parent.left == 20
    child.close()
    child.close()
    assert (parent.left, parent.spent, parent.held) == (75, 25, 0)


def test_a_child_that_got_less_than_it_asked_gets_more_when_others_give_back() -> None:
    parent = Budget(100)
    first, second = Budget(100, parent), Budget(60, parent)
    assert (second.cut, second.left) == (0, 0)
    first.close()
    assert second.left == 60
    assert second.reserve(60) == "ok"
    assert parent.left == 40


def test_a_grandchild_cannot_pass_any_of_its_ancestors() -> None:
    top = Budget(100)
    middle = Budget(1000, top)
    low = Budget(1000, middle)
    assert low.reserve(101) == "over"
    assert low.reserve(100) == "ok"
    assert low.short(1) is top
    assert [b.held for b in (top, middle, low)] == [100, 100, 100]


def test_the_innermost_budget_that_does_not_fit_is_named() -> None:
    top = Budget(100)
    low = Budget(10, top)
    assert low.short(11) is low
    assert low.short(10) is low


def test_a_call_on_its_way_when_its_agent_closes_still_counts_everywhere() -> None:
    parent = Budget(100)
    child = Budget(50, parent)
    child.reserve(40)
    child.close()
    assert (parent.held, parent.left) == (40, 60)
    child.settle(40, 45)
    assert (parent.spent, parent.held, parent.left) == (45, 0, 55)


def test_a_parent_that_closes_first_gives_back_what_its_child_kept() -> None:
    top = Budget(100)
    middle = Budget(60, top)
    low = Budget(50, middle)
    middle.close()
    assert top.left == 100
    assert low.reserve(50) == "ok"
    assert top.left == 50
    low.settle(50, 5)
    low.close()
    assert (top.spent, top.held, top.left) == (5, 0, 95)


def test_busy_says_that_it_may_fit_when_others_give_back_what_they_keep() -> None:
    parent = Budget(100)
    child = Budget(100, parent)
    child.reserve(60)
    assert child.verdict(100) == "busy"
    assert child.verdict(101) == "over"
    child.settle(60, 60)
    assert child.verdict(41) == "over"
    assert Budget(50, parent).verdict(40) == "busy"
    assert Budget(50, parent).verdict(41) == "over"


class Tree(RuleBasedStateMachine):
    """Any tree of budgets, with calls that begin and end in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.budgets = [Budget(1000)]
        self.calls: list[tuple[Budget, int]] = []
        self.actual: dict[int, int] = {0: 0}
        self.slack: dict[int, int] = {0: 0}
        """By budget: how much calls have cost more than they reserved."""

    def _lines(self, budget: Budget) -> list[int]:
        found, at = [], budget
        while True:
            found.append(self.budgets.index(at))
            if at.parent is None:
                return found
            at = at.parent

    @rule(data=st.data(), cap=st.integers(0, 1200))
    def open(self, data: Any, cap: int) -> None:
        parent = self.budgets[data.draw(st.integers(0, len(self.budgets) - 1))]
        left = parent.left
        child = Budget(cap, parent)
        assert child.cut <= min(cap, left)
        self.budgets.append(child)
        self.actual[len(self.budgets) - 1] = self.slack[len(self.budgets) - 1] = 0

    @rule(data=st.data(), amount=st.integers(0, 400))
    def reserve(self, data: Any, amount: int) -> None:
        budget = self.budgets[data.draw(st.integers(0, len(self.budgets) - 1))]
        left = budget.left
        verdict = budget.reserve(amount)
        assert (verdict == "ok") == (max(1, amount) <= left)
        if verdict != "ok":
            return
        self.calls.append((budget, amount))
        for number in self._lines(budget):
            around = self.budgets[number]
            assert around.spent + around.held <= around.cap, "passed at a reservation"

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), cost=st.integers(0, 600))
    def settle(self, data: Any, cost: int) -> None:
        budget, held = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        budget.settle(held, cost)
        for number in self._lines(budget):
            self.actual[number] += cost
            self.slack[number] += max(0, cost - held)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def void(self, data: Any) -> None:
        budget, held = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        budget.settle(held, 0)

    @rule(data=st.data())
    def close(self, data: Any) -> None:
        budget = self.budgets[data.draw(st.integers(0, len(self.budgets) - 1))]
        before = None if budget.parent is None else budget.parent.left
        budget.close()
        if budget.parent is not None and before is not None:
            assert budget.parent.left >= before

    @invariant()
    def every_budget_adds_up(self) -> None:
        for number, budget in enumerate(self.budgets):
            below = [b for b in self.budgets if b.parent is budget]
            own_held = sum(held for at, held in self.calls if at is budget)
            assert budget.spent == self.actual[number]
            assert budget.held == own_held + sum(b.held for b in below)
            assert budget.aside == sum(b.claim - b.spent - b.held for b in below)
            assert budget.aside >= 0
            # Children's cuts and own use stay below the cap, but for what calls cost too much.
            assert budget.taken <= budget.cap + self.slack[number]

    @invariant()
    def all_of_it_is_given_back_at_the_end(self) -> None:
        if not self.calls:
            assert all(b.held == 0 for b in self.budgets)
            if all(b.closed for b in self.budgets[1:]):
                root = self.budgets[0]
                assert root.aside == 0
                assert root.left == max(0, root.cap - self.actual[0])


TestTree = Tree.TestCase
TestTree.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@given(caps=st.lists(st.integers(0, 300), min_size=1, max_size=20), cap=st.integers(0, 1000))
def test_children_side_by_side_never_get_more_than_there_is(caps: list[int], cap: int) -> None:
    parent = Budget(cap)
    children = [Budget(wanted, parent) for wanted in caps]
    assert sum(child.cut for child in children) == min(cap, sum(caps))
    while any(child.reserve(7) == "ok" for child in children):
        assert parent.spent + parent.held <= cap
    for child in children:
        child.close()
    assert parent.left == cap - parent.held


def test_an_action_is_counted_as_often_as_it_is_seen() -> None:
    watch = LoopWatch()
    assert [watch.see("a"), watch.see("b"), watch.see("a")] == [1, 1, 2]


def test_only_so_many_actions_are_remembered_and_the_oldest_is_forgotten() -> None:
    watch = LoopWatch()
    watch.see("first")
    for number in range(MAX_LOOP_KEYS - 1):
        watch.see(number)
    assert watch.see("first") == 2
    watch.see("one more")  # forgets 0, as `first` was seen just now
    assert watch.see("first") == 3
    assert watch.see(0) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        ('{"a": 1}', {"a": 1}),
        ("[1, 2]", (1, 2)),
        ({"a": {1}}, {"a": {1}}),
    ],
)
def test_the_same_arguments_have_the_same_key(one: Any, other: Any) -> None:
    assert action_key("search", one) == action_key("search", other)
    assert 0 <= action_key("search", one) < 2**64


@pytest.mark.parametrize(
    ("one", "other"), [({"a": 1}, {"a": 2}), ("a", "b"), ("{bad", "{worse"), (1, "1"), (None, {})]
)
def test_other_arguments_have_another_key(one: Any, other: Any) -> None:
    assert action_key("search", one) != action_key("search", other)
    assert action_key("search", one) != action_key("fetch", one)


def test_arguments_that_are_no_json_have_a_key_too() -> None:
    around: list[Any] = []
    around.append(around)
    deep: Any = "[" * 100_000
    for odd in (around, deep, {(1, 2): 3}, {1: 2, "1": 3}, "\ud800", b"raw", float("nan")):
        assert action_key("t", odd) == action_key("t", odd)


@pytest.mark.parametrize("name", ["budget_nanos", "max_steps", "max_depth", "max_repeats"])
@pytest.mark.parametrize("value", [-1, MAX_NANOS + 1, 1.5, "3", True])
def test_a_bad_rule_says_which_and_why(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=name):
        Rules(**{name: value})


def test_rules_at_their_bounds_are_good() -> None:
    assert Rules(0, 0, 0, 1).stops
    assert Rules(MAX_NANOS, MAX_NANOS, MAX_NANOS, MAX_NANOS).stops
    assert not Rules(entitlement="premium").stops
    with pytest.raises(ValueError, match="max_repeats"):
        Rules(max_repeats=0)
