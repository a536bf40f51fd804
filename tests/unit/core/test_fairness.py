"""Turns by weighted fair share of cost: what every order of arrivals, costs and errors keeps to."""

from __future__ import annotations

from collections import Counter, deque
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outlay.core.fairness import BACKGROUND_EVERY, Full, Priority, Turns
from outlay.core.rounds import (
    MAX_COST_NANOS,
    MAX_IDLE_TENANTS,
    MAX_WEIGHT,
    MIN_COST_NANOS,
    QUANTUM_NANOS,
    Charge,
    Ticket,
)

CENT = 10_000_000
MANY = 1_000_000


def turns(most: int = MANY, most_per_tenant: int = MANY) -> Turns[str]:
    return Turns(most=most, most_per_tenant=most_per_tenant)


def join(
    queue: Turns[str],
    tenant: str,
    cost: int | None = CENT,
    *,
    weight: int = 1,
    priority: Priority = "interactive",
    times: int = 1,
) -> list[Ticket[str]]:
    return [queue.join(tenant, weight, priority, cost, tenant) for _ in range(times)]


def take(queue: Turns[str]) -> tuple[str, Charge[str]]:
    turn = queue.next()
    assert turn is not None
    return turn


def order(queue: Turns[str], most: int = MANY) -> str:
    """Give turns and settle them as estimated; tell whose they were."""
    said = ""
    while queue.waiting and len(said) < most:
        tenant, charge = take(queue)
        queue.settle(charge, None)
        said += tenant
    return said


# Shares


def test_tenants_that_cost_the_same_take_turns_whoever_came_first() -> None:
    queue = turns()
    join(queue, "a", times=6)
    join(queue, "b", times=2)
    join(queue, "c", times=2)
    assert order(queue) == "abcabcaaaa"


def test_a_tenant_whose_calls_cost_ten_times_as_much_has_a_tenth_of_the_turns() -> None:
    queue = turns()
    join(queue, "a", 10 * CENT, times=20)
    join(queue, "b", 1 * CENT, times=100)
    assert Counter(order(queue, 88)) == {"a": 8, "b": 80}


def test_a_weight_is_a_share_of_cost() -> None:
    queue = turns()
    join(queue, "a", weight=3, times=90)
    join(queue, "b", weight=1, times=90)
    assert Counter(order(queue, 80)) == {"a": 60, "b": 20}


def test_free_calls_take_turns_by_their_number() -> None:
    queue = turns()
    join(queue, "a", 0, weight=2, times=60)
    join(queue, "b", 0, weight=1, times=60)
    assert Counter(order(queue, 60)) == {"a": 40, "b": 20}


def test_a_tenants_own_calls_go_in_the_order_in_which_they_came() -> None:
    queue = turns()
    for name in ("1", "2", "3"):
        queue.join("a", 1, "interactive", CENT, name)
    queue.join("b", 1, "interactive", CENT, "b")
    assert order(queue) == "1b23"


def test_a_weight_out_of_bounds_counts_as_the_bound() -> None:
    queue = turns()
    join(queue, "a", MIN_COST_NANOS, weight=MAX_WEIGHT * 1000, times=MAX_WEIGHT + 10)
    join(queue, "b", MIN_COST_NANOS, weight=0)
    assert order(queue).index("b") <= MAX_WEIGHT


COSTS = st.integers(MIN_COST_NANOS, 200 * CENT)


@settings(max_examples=120, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 20), st.lists(COSTS, min_size=1, max_size=4)),
        min_size=2,
        max_size=5,
    )
)
def test_shares_of_cost_converge_to_the_weights(tenants: list[tuple[int, list[int]]]) -> None:
    """After `total` was spent, each has its weight's share, give or take what does not grow."""
    queue = turns()
    spent = [0] * len(tenants)
    waiting = [0] * len(tenants)
    joined: list[deque[int]] = [deque() for _ in tenants]
    for turn in range(300):
        for index, (weight, costs) in enumerate(tenants):
            while waiting[index] < 2:
                cost = costs[(turn + waiting[index]) % len(costs)]
                queue.join(str(index), weight, "interactive", cost, str(index))
                joined[index].append(cost)
                waiting[index] += 1
        name, charge = take(queue)
        queue.settle(charge, None)
        waiting[int(name)] -= 1
        spent[int(name)] += joined[int(name)].popleft()
    weights = sum(weight for weight, _ in tenants)
    slack = sum(max(costs) + QUANTUM_NANOS * weight for weight, costs in tenants) * 2
    for (weight, _), had in zip(tenants, spent, strict=True):
        assert abs(had - sum(spent) * weight / weights) <= slack


WEIGHTS = {"a": 1, "b": 1, "c": 3, "d": 17}


class AnyTraffic(RuleBasedStateMachine):
    """Calls that come, go and give up in any order, each with its true cost as the estimate."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: Turns[str] = turns()
        self.waiting: dict[str, deque[tuple[Ticket[str], int]]] = {t: deque() for t in WEIGHTS}
        self.had = dict.fromkeys(WEIGHTS, 0.0)
        self.dearest = dict.fromkeys(WEIGHTS, 0)
        self.spans: dict[tuple[str, str], list[float]] = {}
        """By pair that waits: the least and the most that the first was ahead in this span."""

    @rule(tenant=st.sampled_from(list(WEIGHTS)), cost=COSTS, times=st.integers(1, 5))
    def joins(self, tenant: str, cost: int, times: int) -> None:
        for _ in range(times):
            ticket = join(self.queue, tenant, cost, weight=WEIGHTS[tenant])[0]
            self.waiting[tenant].append((ticket, cost))
        self.dearest[tenant] = max(self.dearest[tenant], cost)

    @precondition(lambda self: not self.queue.waiting)
    @rule(tenant=st.sampled_from(list(WEIGHTS)), cost=COSTS)
    def goes(self, tenant: str, cost: int) -> None:
        charge = self.queue.go(tenant, WEIGHTS[tenant], "interactive", cost)
        self.queue.settle(charge, None)
        self.dearest[tenant] = max(self.dearest[tenant], cost)

    @rule(tenant=st.sampled_from(list(WEIGHTS)), data=st.data())
    def gives_up(self, tenant: str, data: st.DataObject) -> None:
        if self.waiting[tenant]:
            index = data.draw(st.integers(0, len(self.waiting[tenant]) - 1))
            ticket, _ = self.waiting[tenant][index]
            del self.waiting[tenant][index]
            assert self.queue.leave(ticket)
            assert not self.queue.leave(ticket)

    @rule(times=st.integers(1, 12))
    def takes_turns(self, times: int) -> None:
        for _ in range(times):
            turn = self.queue.next()
            if turn is None:
                assert not any(self.waiting.values()), "somebody waits, and nobody has the turn"
                return
            tenant, charge = turn
            ticket, cost = self.waiting[tenant].popleft()
            assert not self.queue.leave(ticket)
            self.queue.settle(charge, cost)
            self.had[tenant] += cost / WEIGHTS[tenant]
            self.measure()

    @invariant()
    def measure(self) -> None:
        for pair in combinations(WEIGHTS, 2):
            if not all(self.waiting[tenant] for tenant in pair):
                self.spans.pop(pair, None)
                continue
            ahead = self.had[pair[0]] - self.had[pair[1]]
            least, most = self.spans.get(pair, [ahead, ahead])
            least, most = min(least, ahead), max(most, ahead)
            self.spans[pair] = [least, most]
            bound = sum(self.dearest[t] / WEIGHTS[t] for t in pair) + 2 * QUANTUM_NANOS
            assert most - least < bound + 1

    @invariant()
    def counts(self) -> None:
        assert self.queue.waiting == sum(map(len, self.waiting.values()))
        for tenant, calls in self.waiting.items():
            assert self.queue.waiting_of(tenant) == len(calls)


TestAnyTraffic = AnyTraffic.TestCase
TestAnyTraffic.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), COSTS), min_size=1, max_size=6),
    st.integers(0, 120),
    st.integers(1, 9),
    COSTS,
)
def test_a_newcomer_waits_for_one_turn_of_each_other_at_most(
    others: list[tuple[int, int]], before: int, weight: int, cost: int
) -> None:
    queue = turns()
    for index, (its_weight, its_cost) in enumerate(others):
        join(queue, str(index), its_cost, weight=its_weight, times=200)
    order(queue, before)
    join(queue, "n", cost, weight=weight)
    assert order(queue).index("n") <= sum(its_weight for its_weight, _ in others)


@settings(max_examples=100, deadline=None)
@given(COSTS, st.integers(0, 50), st.integers(1, 300))
def test_who_was_away_has_nothing_saved_up(cost: int, before: int, away: int) -> None:
    queue = turns()
    join(queue, "a", cost, times=before)
    order(queue)
    join(queue, "b", cost, times=away + 40)
    order(queue, away)
    join(queue, "a", cost, times=40)
    counts = Counter(order(queue, 40))
    assert abs(counts["a"] - counts["b"]) <= 3


# Estimates


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 8), st.integers(1, 5))
def test_actual_costs_are_what_is_shared_whatever_was_estimated(
    estimate: int, actual: int, running: int, weight: int
) -> None:
    """Tenant `a` estimates wrong, `b` right; so many calls run at once."""
    queue = turns()
    spent = {"a": 0, "b": 0}
    join(queue, "a", estimate * CENT, weight=weight, times=600)
    join(queue, "b", 10 * CENT, times=600)
    flying: deque[tuple[str, Charge[str]]] = deque()
    costs = {"a": actual * CENT, "b": 10 * CENT}
    for _ in range(500):
        if len(flying) == running:
            tenant, charge = flying.popleft()
            queue.settle(charge, costs[tenant])
        tenant, charge = take(queue)
        flying.append((tenant, charge))
        spent[tenant] += costs[tenant]
    error = running * abs(estimate - actual) * CENT
    slack = (costs["a"] + error) / weight + costs["b"] + 2 * QUANTUM_NANOS
    assert abs(spent["a"] / weight - spent["b"]) <= slack + max(estimate, actual) * CENT / weight


def test_who_estimates_too_little_pays_later() -> None:
    queue = turns()
    join(queue, "a", 1, times=10)
    join(queue, "b", CENT, times=10)
    tenant, charge = take(queue)
    assert tenant == "a"
    queue.settle(charge, 4 * CENT)
    assert order(queue, 6) == "bbbbab"


def test_who_estimates_too_much_gets_it_back() -> None:
    queue = turns()
    join(queue, "a", 10 * CENT, times=2)
    join(queue, "b", CENT, times=10)
    tenant, charge = take(queue)
    assert (tenant, order(queue, 1)) == ("a", "b")
    queue.settle(charge, CENT)
    assert order(queue, 3) == "bab"


def test_an_undone_turn_costs_nothing() -> None:
    queue = turns()
    join(queue, "a", 50 * CENT, times=2)
    join(queue, "b", CENT, times=5)
    _, charge = take(queue)
    queue.undo(charge)
    assert order(queue, 3) == "bab"


def test_a_cost_that_nobody_knows_counts_as_the_typical_one() -> None:
    queue = turns()
    for _ in range(10):
        queue.settle(queue.go("x", 1, "interactive", 0), 20 * CENT)
    join(queue, "a", None, times=5)
    join(queue, "b", 10 * CENT, times=12)
    assert Counter(order(queue, 12)) == {"a": 4, "b": 8}


def test_a_debt_of_long_ago_counts_only_for_what_the_others_have_not_used_since() -> None:
    queue = turns()
    late = queue.go("a", 1, "interactive", CENT)
    join(queue, "b", CENT, times=120)
    order(queue, 50)
    join(queue, "a", CENT, times=40)
    queue.settle(late, 40 * CENT)  # b has had 50 cents since: they are even
    assert Counter(order(queue, 20)) == {"a": 10, "b": 10}


def test_a_late_refund_is_no_credit_for_one_that_was_away() -> None:
    queue = turns()
    late = queue.go("a", 1, "interactive", 40 * CENT)
    join(queue, "b", CENT, times=120)
    order(queue, 50)
    join(queue, "a", CENT, times=40)
    queue.settle(late, CENT)
    assert Counter(order(queue, 20)) == {"a": 10, "b": 10}


def test_a_late_refund_gives_back_what_still_counts() -> None:
    queue = turns()
    late = queue.go("a", 1, "interactive", 40 * CENT)
    join(queue, "b", CENT, times=120)
    order(queue, 10)
    join(queue, "a", CENT, times=40)
    assert order(queue, 5) == "bbbbb"
    queue.settle(late, 12 * CENT)  # b has had 15 cents: 12 for the call, then they take turns
    assert Counter(order(queue, 13)) == {"a": 8, "b": 5}


def test_a_refund_of_a_spell_that_counts_no_more_pays_for_nothing_later() -> None:
    queue = turns()
    late = queue.go("a", 1, "interactive", 40 * CENT)
    join(queue, "b", CENT, times=120)
    order(queue, 50)
    join(queue, "a", 10 * CENT)
    assert "a" in order(queue, 2), "its second spell, where the others are"
    join(queue, "a", CENT)
    queue.settle(late, CENT)
    assert order(queue).index("a") >= 8, "it pays for the ten cents of its second spell"


def test_a_debt_counts_though_the_others_have_come_further_meanwhile() -> None:
    queue = turns()
    late = queue.go("a", 1, "interactive", CENT)
    for _ in range(6):
        queue.settle(queue.go("b", 1, "interactive", CENT), None)
    queue.settle(late, 40 * CENT)
    join(queue, "a", CENT)
    join(queue, "b", CENT, times=60)
    assert 33 <= order(queue).index("a") <= 36


def test_a_tenant_that_catches_up_takes_no_newcomer_back_with_it() -> None:
    queue = turns()
    join(queue, "a", 40 * CENT, times=3)
    join(queue, "b", CENT, times=100)
    tenant, wrong = take(queue)
    assert tenant == "a"
    assert order(queue, 40) == "b" * 40
    queue.settle(wrong, 10 * CENT)
    assert order(queue, 1) == "a"
    join(queue, "c", CENT, times=20)
    assert Counter(order(queue, 10)) == {"b": 5, "c": 5}


def test_a_mistaken_number_locks_a_tenant_out_for_the_most_one_call_counts_for() -> None:
    queue = turns()
    late = [queue.go("a", 1, "interactive", CENT) for _ in range(3)]
    join(queue, "a", CENT)
    join(queue, "b", MAX_COST_NANOS // 10, times=30)
    for charge in late:
        queue.settle(charge, 10**18)
    assert order(queue).index("a") == 10


def test_a_negative_cost_counts_as_the_least() -> None:
    queue = turns()
    join(queue, "a", -5 * CENT, times=4)
    join(queue, "b", 0, times=4)
    tenant, charge = take(queue)
    queue.settle(charge, -5 * CENT)
    assert tenant + order(queue) == "abababab"


# Priorities


def test_interactive_calls_go_first_but_for_one_turn_in_ten() -> None:
    queue = turns()
    join(queue, "b", priority="background", times=30)
    join(queue, "i", times=90)
    said = order(queue)
    assert said[:100] == ("i" * (BACKGROUND_EVERY - 1) + "b") * 10
    assert said[100:] == "b" * 20


def test_background_calls_that_come_late_have_saved_no_turns_up() -> None:
    queue = turns()
    join(queue, "i", times=90)
    order(queue, 25)
    join(queue, "b", priority="background", times=5)
    assert order(queue, 10) == "i" * 9 + "b"


def test_the_turns_that_background_calls_wait_for_are_counted_anew_when_some_come_back() -> None:
    queue = turns()
    join(queue, "i", times=90)
    early = join(queue, "b", priority="background")[0]
    assert order(queue, 5) == "i" * 5
    queue.leave(early)
    assert order(queue, 1) == "i"
    join(queue, "b", priority="background")
    assert order(queue, 10) == "i" * 9 + "b"


def test_what_a_tenant_does_in_the_background_is_not_held_against_its_interactive_calls() -> None:
    queue = turns()
    join(queue, "a", 100 * CENT, priority="background", times=20)
    order(queue)
    join(queue, "a", times=2)
    join(queue, "b", times=2)
    assert order(queue) == "abab"


# Bounds


def test_places_to_wait_are_bounded_in_all_and_for_each_tenant_at_both_priorities() -> None:
    queue = turns(most=5, most_per_tenant=3)
    join(queue, "a", times=2)
    join(queue, "a", priority="background")
    with pytest.raises(Full) as full:
        join(queue, "a")
    assert full.value.of_tenant
    join(queue, "b", times=2)
    with pytest.raises(Full) as full:
        join(queue, "c")
    assert not full.value.of_tenant
    order(queue, 1)
    join(queue, "c")
    assert queue.waiting == 5


def test_a_tenant_with_few_places_gets_one_of_the_tenant_that_has_the_most() -> None:
    queue = turns(most=6)
    join(queue, "a", times=4)
    join(queue, "b", times=2)
    assert queue.make_room("c", 1, "interactive") == "a"
    join(queue, "c")
    assert queue.make_room("c", 1, "interactive") == "a"
    join(queue, "c")
    assert queue.make_room("c", 1, "interactive") is None, "nobody would have more than it then"
    assert queue.make_room("a", 2, "interactive") is None
    assert sorted(order(queue)) == ["a", "a", "b", "b", "c", "c"]


def test_room_is_made_in_proportion_to_the_weights() -> None:
    queue = turns(most=12)
    join(queue, "a", weight=3, times=9)
    join(queue, "b", weight=1, times=3)
    assert queue.make_room("c", 1, "interactive") == "a"
    join(queue, "c")
    assert queue.make_room("b", 1, "interactive") is None


def test_background_calls_make_room_first_and_get_none_of_interactive_ones() -> None:
    queue = turns(most=4)
    for name in ("first", "second"):
        queue.join("a", 1, "background", CENT, name)
    queue.join("a", 1, "interactive", CENT, "third")
    queue.join("a", 1, "interactive", CENT, "fourth")
    assert queue.make_room("b", 1, "background") == "second"
    queue.join("b", 1, "background", CENT, "b")
    assert queue.make_room("b", 1, "interactive") == "first"
    queue.join("b", 1, "interactive", CENT, "b")
    assert queue.make_room("c", 1, "background") == "b"
    queue.join("c", 1, "interactive", CENT, "c")
    assert queue.make_room("d", 1, "background") is None
    assert queue.make_room("d", 1, "interactive") == "fourth"


def test_no_room_is_made_while_there_is_room_or_too_many_wait_already() -> None:
    queue = turns(most=4)
    join(queue, "a", times=3)
    assert queue.make_room("b", 1, "interactive") is None
    queue.most = 2
    assert queue.make_room("b", 1, "interactive") is None
    assert queue.waiting == 3


def test_who_comes_and_gives_up_again_and_again_leaves_nothing_behind() -> None:
    queue = turns()
    join(queue, "b", times=2)
    for _ in range(2_000):
        queue.leave(join(queue, "a")[0])
    ring = queue._rings["interactive"]
    assert len(ring._heap) < 200
    assert order(queue) == "bb"


def test_the_tenants_that_are_remembered_are_bounded() -> None:
    queue = turns()
    ring = queue._rings["interactive"]
    for number in range(MAX_IDLE_TENANTS + 50):
        queue.go(str(number), 1, "interactive", CENT)
    assert len(ring._idle) == MAX_IDLE_TENANTS
    last = queue.go("a", 1, "interactive", CENT)
    queue.settle(last, CENT)
    assert len(ring._idle) == MAX_IDLE_TENANTS


def test_a_tenant_that_owes_nothing_is_forgotten() -> None:
    queue = turns()
    queue.settle(queue.go("a", 1, "interactive", CENT), None)
    for _ in range(5):
        queue.settle(queue.go("b", 1, "interactive", CENT), None)
    assert list(queue._rings["interactive"]._idle) == ["b"]


def test_a_tenant_that_was_forgotten_may_settle_late() -> None:
    queue = turns()
    first = queue.go("a", 1, "interactive", CENT)
    for number in range(MAX_IDLE_TENANTS + 1):
        queue.go(str(number), 1, "interactive", CENT)
    queue.settle(first, 100 * CENT)
    join(queue, "a")
    join(queue, "b")
    assert order(queue) == "ab"
