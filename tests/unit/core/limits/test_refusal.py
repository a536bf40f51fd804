"""What a refused call is told."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import pytest

from outlay.core.limits.holds import CounterKey, Stand, Verdict
from outlay.core.limits.limit import Limit, Match
from outlay.core.limits.refusal import (
    CODES,
    Refusal,
    amount_text,
    budget_refusal,
    credits_refusal,
    depth_refusal,
    describe,
    entitlement_refusal,
    loop_refusal,
    refusal_of,
    span_text,
    steps_refusal,
    time_text,
    unreachable_refusal,
)

USD = 1_000_000_000
DECEMBER = 1_796_083_200_000_000
ACME = '[["tenant","acme"]]'
MONTH = Limit("acme-month", "cost", "month", 500 * USD, scope=(Match("tenant", each=True),))


def stand(
    used: int, held: int = 0, verdict: Verdict = "over", scope: str = ACME, limit_id: str = "l"
) -> Stand:
    return Stand(CounterKey("c", "s", limit_id, scope), used, held, verdict)


def refuse(limit: Limit, how: Stand, **more: Any) -> Refusal:
    values: dict[str, Any] = {"resets_at": 0, "at": DECEMBER - 90_000_000, **more}
    amount = values.pop("amount", limit.amount)
    return refusal_of(limit, how, amount=amount, cap=limit.cap(amount), **values)


def test_it_says_which_limit_what_is_left_and_when_it_resets() -> None:
    refusal = refuse(MONTH, stand(499_100_000_000, 900_000_000, "busy"), resets_at=DECEMBER)
    assert refusal.message == (
        "The limit `acme-month` (cost per month for tenant acme) allows $500.00; $499.10 is used "
        "and $0.9000 held, so this call does not fit. It resets at 2026-12-01T00:00:00Z."
    )
    assert (refusal.left, refusal.resets_at, refusal.verdict) == (0, DECEMBER, "busy")
    assert (refusal.reason, refusal.code) == ("limit", "limit_exceeded")


def test_a_limit_that_refuses_below_its_amount_says_where() -> None:
    limit = Limit("l", "tokens", "day", 1000)
    refusal = refusal_of(limit, stand(700, 100), amount=1000, cap=900, resets_at=0, at=0)
    assert "allows 900 tokens; 700 tokens are used and 100 tokens held" in refusal.message
    assert (refusal.amount, refusal.left) == (1000, 100)


def test_when_to_try_again() -> None:
    assert refuse(MONTH, stand(500 * USD), resets_at=DECEMBER).retry_after_s == 90
    assert refuse(MONTH, stand(500 * USD), resets_at=DECEMBER - 1).retry_after_s == 90
    assert refuse(MONTH, stand(400 * USD, verdict="busy"), resets_at=DECEMBER).retry_after_s == 1
    run = Limit("l", "cost", "run", USD)
    assert refuse(run, stand(USD)).retry_after_s == 0
    rate = Limit("l", "calls", "rate", 60, span_us=60_000_000, burst=5)
    refusal = refusal_of(rate, stand(5), amount=60, cap=5, resets_at=0, at=0, need=3)
    assert refusal.retry_after_s == 3
    refusal = refusal_of(rate, stand(0), amount=60, cap=5, resets_at=0, at=0, need=6)
    assert refusal.retry_after_s == 0
    rolling = Limit("l", "cost", "rolling", USD, span_us=3_600_000_000)
    assert refuse(rolling, stand(USD)).retry_after_s == 60


def test_calls_at_once_are_on_their_way() -> None:
    limit = Limit("few", "concurrent_calls", "none", 3)
    assert refuse(limit, stand(0, 3, "busy", scope="[]")).message == (
        "The limit `few` (calls at once) allows 3 calls; 3 are on their way, so this call does "
        "not fit."
    )


@pytest.mark.parametrize(
    ("limit", "scope", "text"),
    [
        (Limit("l", "input_tokens", "hour", 1), "", "input tokens per hour"),
        (Limit("l", "cost", "rolling", 1, span_us=86_400_000_000), "", "cost in any day"),
        (Limit("l", "cost", "rolling", 1, span_us=172_800_000_000), "", "cost in any 2 days"),
        (Limit("l", "cost", "rate", 1, span_us=60_000_000), "", "cost per minute"),
        (Limit("l", "calls", "rate", 1, span_us=90_000_000), "", "calls per 90 seconds"),
        (
            Limit("l", "cost", "day", 1, scope=(Match("billing_unit", each=True),)),
            '[["billing_unit","team:7"]]',
            "cost per day for billing unit team:7",
        ),
        (MONTH, "", "cost per month for each tenant"),
        (MONTH, "no key", "cost per month for each tenant"),
        (
            Limit("l", "cost", "day", 1, scope=(Match("model", ("a", "b", "c", "d", "e")),)),
            "[]",
            "cost per day for model a or b or c or 2 more",
        ),
    ],
)
def test_a_limit_is_described_in_words(limit: Limit, scope: str, text: str) -> None:
    assert describe(limit, scope) == text


def test_every_reason_has_its_own_words() -> None:
    messages = {
        "credits": credits_refusal("acme", balance=2_500_000, held=1_000_000),
        "entitlement": entitlement_refusal("the plan `free` does not include the agent `x`"),
        "budget": budget_refusal("x", cap=USD, used=900_000_000, held=50_000_000),
        "steps": steps_refusal("x", max_steps=20),
        "depth": depth_refusal("a/b/x", max_depth=2),
        "loop": loop_refusal("x", times=5),
        "unreachable": unreachable_refusal(MONTH, ACME),
    }
    assert {**messages, "limit": None}.keys() == CODES.keys()
    assert {name: one.message for name, one in messages.items()} == {
        "credits": "The balance of tenant acme is 2.5 credits, of which 1 credit is held: this "
        "call does not fit. Grant credits to go on.",
        "entitlement": "This is not included: the plan `free` does not include the agent `x`.",
        "budget": "The budget of this run of agent `x` is $1.00; $0.9000 is used and $0.0500 "
        "held, so this call does not fit.",
        "steps": "This run of agent `x` may take 20 steps and has taken them.",
        "depth": "Agents may run 2 deep here, and `a/b/x` would be deeper.",
        "loop": "The agent `x` did exactly the same 5 times: it seems to be stuck.",
        "unreachable": "The limit `acme-month` (cost per month for tenant acme) cannot be checked "
        "now, as the outlay server cannot be reached, and it is set to refuse calls then.",
    }
    for reason, refusal in messages.items():
        assert refusal.reason == reason
        assert refusal.code == CODES[refusal.reason]
    assert messages["budget"].left == 50_000_000


def test_a_balance_may_have_an_overdraft() -> None:
    refusal = credits_refusal("acme", balance=-4_000_000, held=0, floor=-5_000_000)
    assert "is -4 credits and may go down to -5 credits" in refusal.message
    assert refusal.left == 1_000_000


def test_a_refusal_travels_as_plain_values() -> None:
    refusal = refuse(MONTH, stand(500 * USD), resets_at=DECEMBER)
    plain = json.loads(json.dumps(refusal.as_dict()))
    assert plain["code"] == "limit_exceeded"
    assert {one.name for one in fields(Refusal)} < plain.keys()
    assert Refusal.from_dict(plain) == refusal
    assert Refusal.from_dict({"reason": "loop", "message": "m", "new": 1}).reason == "loop"
    for bad in ({}, {"reason": "loop"}, {"reason": "mood", "message": "m"}):
        with pytest.raises(ValueError, match="a reason and a message"):
            Refusal.from_dict(bad)


def test_amounts_spans_and_times_for_people() -> None:
    assert amount_text("cost", 1_200_000_000_000) == "$1,200.00"
    assert amount_text("tokens", 1) == "1 token"
    assert amount_text("output_tokens", 1_234_567) == "1,234,567 output tokens"
    assert amount_text("credits", 1_500_000_001) == "1,500.000001 credits"
    assert amount_text("credits", -1_000_000) == "-1 credit"
    assert span_text(3_600_000_000) == "1 hour"
    assert span_text(5_400_000_000) == "90 minutes"
    assert time_text(DECEMBER + 999_999) == "2026-12-01T00:00:00Z"
