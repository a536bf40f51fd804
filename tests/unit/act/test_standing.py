"""How scopes stand, in words: caps, rungs, what is left, and what those who share may know."""

from __future__ import annotations

import pytest

from outlay.act.policy import Policy
from outlay.act.standing import Standing, refusal, standing, tenant_of
from outlay.core.limits.holds import CounterKey, Stand
from outlay.core.limits.limit import Limit, Override, Threshold
from outlay.core.limits.period import counter_key, credit_key
from tests.unit.act.desks import HOUR, NOW, limit

ACME = '[["tenant","acme"]]'
LADDER = (Threshold(500_000, "warn"), Threshold(900_000, "throttle"), Threshold(1_200_000, "block"))


def shown(one: Limit, used: int, held: int = 0, *, coarse: bool = False) -> Standing:
    policy = Policy(limits=[one])
    stand = Stand(counter_key(one, ACME, NOW), used, held)
    return standing(policy, stand, NOW, coarse=coarse)


def test_what_is_left_is_up_to_where_calls_are_refused() -> None:
    told = shown(limit(thresholds=LADDER), 950, 50)
    assert (told.amount, told.cap, told.left) == (1_000, 1_200, 200)
    assert [rung.action for rung in told.actions] == ["warn", "throttle"]
    assert told.resets_at > NOW


def test_nothing_is_left_beyond_the_cap() -> None:
    assert shown(limit(), 1_500).left == 0


def test_a_limit_that_never_refuses_has_no_cap_but_something_left() -> None:
    told = shown(limit(thresholds=LADDER[:1]), 600)
    assert (told.cap, told.left) == (None, 400)
    assert shown(limit(mode="shadow"), 600).cap is None


def test_a_rate_refuses_at_its_burst() -> None:
    one = limit(window="rate", span_us=60_000_000, burst=50)
    told = shown(one, 20)
    assert (told.amount, told.cap, told.left) == (1_000, 50, 30)


def test_of_calls_at_once_the_held_ones_count() -> None:
    one = limit(amount=10, metric="concurrent_calls", window="none", thresholds=LADDER)
    told = shown(one, 0, 9)
    assert [rung.action for rung in told.actions] == ["warn", "throttle"]
    assert told.left == 3
    coarse = shown(one, 0, 9, coarse=True)
    assert (coarse.used, coarse.held) == (0, 9)
    assert shown(one, 0, 4, coarse=True).held == 0


@pytest.mark.parametrize(("used", "seen"), [(0, 0), (499, 0), (500, 500), (899, 500), (900, 900)])
def test_those_who_share_see_the_rung_and_not_the_use(used: int, seen: int) -> None:
    told = shown(limit(thresholds=LADDER), used, 77, coarse=True)
    assert (told.used, told.held, told.left) == (seen, 0, 1_200 - seen)


def test_an_override_counts() -> None:
    one = limit()
    raised = Override("o", "budget", 3_000, NOW, NOW + HOUR, "r", "a")
    policy = Policy(limits=[one], overrides=[raised])
    told = standing(policy, Stand(counter_key(one, ACME, NOW), 900, 0), NOW)
    assert (told.amount, told.cap, told.left) == (3_000, 3_000, 2_100)


def test_a_balance_has_what_is_left_above_its_floor() -> None:
    policy = Policy(floors={"acme": -200})
    told = standing(policy, Stand(credit_key("acme"), -1_000, 300), NOW)
    assert (told.used, told.cap, told.left, told.amount) == (-1_000, 200, 900, None)


def test_a_removed_limit_says_nothing() -> None:
    told = standing(Policy(), Stand(CounterKey("x|0|5", "x|0", "x", "[]", 5, 9), 7, 1), NOW)
    assert (told.mode, told.amount, told.cap, told.left, told.resets_at) == (
        "off", None, None, None, 9,
    )  # fmt: skip


def test_refusals_have_the_words_of_the_limit_or_the_balance() -> None:
    one = limit()
    policy = Policy(limits=[one], floors={"acme": 0})
    of_limit = refusal(policy, Stand(counter_key(one, ACME, NOW), 990, 5, "over"), NOW, need=20)
    assert (of_limit.code, of_limit.left, of_limit.verdict) == ("limit_exceeded", 5, "over")
    of_credits = refusal(policy, Stand(credit_key("acme"), -100, 60, "busy"), NOW)
    assert (of_credits.code, of_credits.left, of_credits.verdict) == (
        "credits_exhausted", 40, "busy",
    )  # fmt: skip
    gone = refusal(Policy(), Stand(counter_key(one, ACME, NOW), 990, 5, "over"), NOW)
    assert (gone.verdict, gone.retry_after_s) == ("busy", 1)


def test_the_tenant_is_read_from_the_scope() -> None:
    assert tenant_of('[["tenant","acme"],["user","u"]]') == "acme"
    assert tenant_of('[["user","tenant"]]') == tenant_of("[]") == tenant_of("no key") == ""
