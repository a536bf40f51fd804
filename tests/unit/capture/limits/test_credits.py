"""A prepaid balance in a process: what it holds, from when on it holds the worst, what it says."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.capture.limits.gate import Gate
from outlay.core.limits.desk import LEASE_SHARE
from outlay.core.limits.period import credit_key
from outlay.core.sell import SellRates, SellRow
from tests.unit.capture.limits.authority import (
    CENT,
    SPENT,
    Authority,
    Gates,
    admitted,
    month,
    refused,
    until,
)

CREDIT = 1_000_000
"""What 1,000 tokens of output of `m` cost."""
PER_DOLLAR = SellRates([SellRow.make("cost", "credits", 100_000)])


def prepaid(micros: int, *limits: dict[str, Any], **policy: Any) -> Authority:
    """Return an authority of a tenant whose balance may fall by so many micro-credits."""
    said = {"floors": {"acme": -micros}, "sells": PER_DOLLAR, **policy}
    return Authority(*limits, **said)


def used(authority: Authority) -> int:
    counter = authority.desk.counters.get(credit_key("acme").counter_id)
    return 0 if counter is None else counter.used


def balance(door: Gate) -> Any:
    return next(line for line in door.table.lines.values() if line.credit)


def held(door: Gate) -> int:
    return int(balance(door).now.flying)


def learn(door: Gate, tokens: int, calls: int = 4) -> None:
    """Have calls of up to 1,000 tokens really produce fewer."""
    cost = tokens * CENT // 1000
    for _ in range(calls):
        spent = {"cost": cost, "output_tokens": tokens, "tokens": tokens, "input_tokens": 0}
        admitted(door).settle({**spent, "calls": 1, "credits": tokens * CREDIT // 1000})


def test_a_call_holds_what_its_estimate_costs(make: Gates) -> None:
    authority = prepaid(100 * CREDIT)
    door = make(authority)
    ticket = admitted(door)
    assert held(door) == CREDIT
    assert ticket.buyer.tenant == "acme"
    ticket.settle({**SPENT, "credits": CREDIT // 2})
    until(lambda: used(authority) == CREDIT // 2)
    until(lambda: held(door) == 0)


def test_what_does_not_fit_the_balance_is_refused(make: Gates) -> None:
    door = make(prepaid(2 * CREDIT))
    first, second = admitted(door), admitted(door)
    refusal = refused(door)
    assert (refusal.reason, refusal.verdict) == ("credits", "busy")
    first.settle({**SPENT, "credits": CREDIT})
    second.settle({**SPENT, "credits": CREDIT})
    assert refused(door).verdict == "over"


def test_what_is_not_said_counts_as_held_until_the_event_comes(make: Gates) -> None:
    authority = prepaid(100 * CREDIT)
    admitted(make(authority)).settle(SPENT)
    until(lambda: used(authority) == CREDIT)


def test_a_guess_is_held_while_there_is_plenty(make: Gates) -> None:
    authority = prepaid(100 * CREDIT)
    door = make(authority)
    learn(door, 100)
    until(lambda: used(authority) == 4 * CREDIT // 10)
    ticket = admitted(door)
    assert held(door) == CREDIT // 10
    ticket.void()


def test_near_its_floor_the_worst_case_is_held(make: Gates) -> None:
    """Near is less than a few of the largest amounts that were held at once."""
    authority = prepaid(LEASE_SHARE * CREDIT)
    door = make(authority)
    learn(door, 100)
    until(lambda: balance(door).now.exact)
    ticket = admitted(door)
    assert held(door) == CREDIT
    ticket.settle({**SPENT, "credits": CREDIT // 10})


def test_a_strict_limit_makes_the_balance_hold_the_worst_case(make: Gates) -> None:
    authority = prepaid(100 * CREDIT, month("1000.00", strict=True))
    door = make(authority)
    learn(door, 100)
    ticket = admitted(door)
    assert held(door) == CREDIT
    ticket.void()
    authority.change(floors={"acme": -100 * CREDIT}, sells=PER_DOLLAR)
    until(lambda: door.table.policy is not None and not door.table.policy.limits)
    ticket = admitted(door)
    assert held(door) == CREDIT // 10
    ticket.void()


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_a_strict_limit_that_does_not_enforce_does_not(make: Gates, mode: str) -> None:
    door = make(prepaid(100 * CREDIT, month("1000.00", strict=True, mode=mode)))
    learn(door, 100)
    ticket = admitted(door)
    assert held(door) == CREDIT // 10
    ticket.void()


def test_a_stream_takes_more_beyond_its_guess(make: Gates) -> None:
    door = make(prepaid(100 * CREDIT))
    learn(door, 100)
    ticket = admitted(door)
    assert ticket.grow(120)
    assert held(door) == 164 * CREDIT // 1000


def test_a_stream_that_holds_the_worst_takes_no_more(make: Gates) -> None:
    door = make(prepaid(100 * CREDIT, month("1000.00", strict=True)))
    learn(door, 100)
    ticket = admitted(door)
    assert ticket.grow(900)
    assert held(door) == CREDIT


def test_a_stream_that_held_a_guess_goes_on_taking_when_others_hold_the_worst(
    make: Gates,
) -> None:
    door = make(prepaid(100 * CREDIT))
    learn(door, 100)
    ticket = admitted(door)
    balance(door).weigh(careful=True)
    assert ticket.grow(120)
    assert held(door) == 164 * CREDIT // 1000


def test_what_no_rule_sells_needs_a_balance_all_the_same(make: Gates) -> None:
    door = make(prepaid(CREDIT, sells=SellRates(())))
    ticket = admitted(door)
    assert held(door) == 1
    ticket.settle({**SPENT, "credits": 0})
    assert refused(make(prepaid(0, sells=SellRates(())))).reason == "credits"


def test_a_rule_that_makes_something_free_needs_none(make: Gates) -> None:
    free = SellRates([SellRow.make("calls", "credits", 0)])
    admitted(make(prepaid(0, sells=free))).void()


def test_new_rules_reach_a_process_that_runs(make: Gates) -> None:
    authority = prepaid(100 * CREDIT)
    door = make(authority)
    admitted(door).void()
    twice = SellRates([SellRow.make("cost", "credits", 200_000)])
    authority.change(floors={"acme": -100 * CREDIT}, sells=twice)
    ticket = admitted(door)
    assert held(door) == CREDIT
    ticket.void()
    until(lambda: door.table.policy is not None and door.table.policy.sells.rows == twice.rows)
    ticket = admitted(door)
    assert held(door) == 2 * CREDIT
    ticket.void()
