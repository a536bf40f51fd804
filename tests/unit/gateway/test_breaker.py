"""The circuit of an upstream: when it opens, who tries it again, and when it closes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.gateway.breaker import Breaker
from outlay.gateway.config import BreakerRule

RULE = BreakerRule(failures=3, window_s=30, open_s=10)


def opened(at: float = 0.0) -> Breaker:
    breaker = Breaker(RULE)
    for _ in range(RULE.failures):
        breaker.failed(at)
    return breaker


def test_it_opens_at_so_many_failures_in_a_row() -> None:
    breaker = Breaker(RULE)
    breaker.failed(0)
    breaker.failed(1)
    assert (breaker.state, breaker.allows(1)) == ("closed", True)
    breaker.failed(2)
    assert (breaker.state, breaker.allows(2), breaker.opens_again_in(2)) == ("open", False, 10)
    assert breaker.openings == 1


def test_a_success_between_begins_the_row_anew() -> None:
    breaker = Breaker(RULE)
    for at in range(20):
        breaker.failed(at)
        breaker.failed(at)
        breaker.succeeded(at)
    assert breaker.state == "closed"


def test_failures_further_apart_than_the_window_do_not_open_it() -> None:
    breaker = Breaker(RULE)
    for at in (0, 15.5, 31, 46.5, 62):
        breaker.failed(at)
        assert breaker.allows(at)
    breaker.failed(76.5)
    assert breaker.state == "open"


def test_when_its_time_is_over_one_call_tries_it() -> None:
    breaker = opened()
    assert not breaker.allows(9.9)
    assert breaker.opens_again_in(10) == 0
    assert breaker.allows(10)
    assert breaker.state == "half_open"
    assert not breaker.allows(10)
    assert breaker.opens_again_in(12) == 8


def test_asking_when_it_opens_takes_no_try() -> None:
    breaker = opened()
    assert breaker.opens_again_in(11) == 0
    assert breaker.state == "open"
    assert breaker.allows(11)


def test_a_try_that_goes_well_closes_it() -> None:
    breaker = opened()
    assert breaker.allows(10)
    breaker.succeeded(11)
    assert (breaker.state, breaker.allows(11), breaker.opens_again_in(11)) == ("closed", True, 0)
    breaker.failed(12)
    breaker.failed(12)
    assert breaker.state == "closed", "the failures before it opened count no more"


def test_a_try_that_fails_opens_it_for_as_long_again() -> None:
    breaker = opened()
    assert breaker.allows(10)
    breaker.failed(12)
    assert (breaker.state, breaker.openings) == ("open", 2)
    assert not breaker.allows(21.9)
    assert breaker.allows(22)


def test_a_try_of_which_nothing_is_heard_gives_way_to_the_next() -> None:
    breaker = opened()
    assert breaker.allows(10)
    assert not breaker.allows(19.9)
    assert breaker.allows(20)


def test_a_try_that_tells_nothing_lets_the_next_call_try() -> None:
    breaker = opened()
    assert breaker.allows(10)
    breaker.undecided(11)
    assert breaker.allows(11)
    assert not breaker.allows(11)


def test_calls_that_began_before_it_opened_change_nothing() -> None:
    breaker = opened()
    breaker.failed(5)
    breaker.succeeded(6)
    breaker.undecided(7)
    assert (breaker.state, breaker.openings, breaker.opens_again_in(7)) == ("open", 1, 3)


def test_a_rule_of_no_failures_never_opens_it() -> None:
    breaker = Breaker(BreakerRule(failures=0))
    for at in range(100):
        breaker.failed(at)
    assert breaker.allows(100)


def test_another_rule_counts_the_failures_that_there_were() -> None:
    breaker = Breaker(RULE)
    breaker.failed(0)
    breaker.failed(0)
    breaker.change(BreakerRule(failures=5, window_s=30, open_s=1))
    breaker.failed(1)
    breaker.failed(1)
    assert breaker.allows(1)
    breaker.failed(1)
    assert not breaker.allows(1)
    breaker.change(BreakerRule(failures=2, window_s=30, open_s=60))
    assert breaker.allows(2), "it stays open for as long as was said when it opened"
    breaker.failed(2)
    assert breaker.opens_again_in(2) == 60


def test_another_rule_with_fewer_failures_looks_at_the_latest() -> None:
    breaker = Breaker(BreakerRule(failures=9, window_s=30, open_s=1))
    for at in (0, 100, 101):
        breaker.failed(at)
    breaker.change(BreakerRule(failures=2, window_s=30, open_s=1))
    breaker.failed(102)
    assert breaker.state == "open"


def test_switching_the_rule_off_closes_it() -> None:
    breaker = opened()
    breaker.change(BreakerRule(failures=0))
    assert breaker.allows(0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["allows", "succeeded", "failed", "undecided"]), st.integers(0, 20)),
    max_size=200,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_it_never_stays_shut_for_longer_than_it_says(steps: list[tuple[str, int]]) -> None:
    breaker = Breaker(RULE)
    now = 0
    for what, later in steps:
        now += later
        left = breaker.opens_again_in(now)
        assert 0 <= left <= RULE.open_s
        result = getattr(breaker, what)(now)
        if what == "allows":
            assert result is (left == 0)
        assert len(breaker._failed_at) <= RULE.failures
    assert breaker.allows(now + RULE.open_s)
