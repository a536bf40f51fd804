"""Streams that produce more than was thought: they take more, wait for nothing, and are cut off."""

from __future__ import annotations

import time
from typing import Any

import pytest

from outlay.capture.limits.callbacks import on
from tests.unit.capture.limits.authority import (
    CENT,
    Authority,
    Gates,
    admitted,
    month,
    until,
)


def learned(door: Any, tokens: int = 100) -> None:
    """Teach a gate that calls have so many tokens of output."""
    for _ in range(8):
        cost = tokens * CENT // 1000
        admitted(door).settle({"cost": cost, "output_tokens": tokens, "tokens": tokens, "calls": 1})


def test_a_stream_takes_more_as_it_grows(make: Gates) -> None:
    authority = Authority(month("10.00"))
    door = make(authority)
    learned(door)
    ticket = admitted(door, tokens=4000)
    first = ticket.covered
    assert first <= 101
    for tokens in range(0, 4000, 40):
        assert ticket.grow(tokens)
        time.sleep(0.0005)
    assert ticket.covered >= 3960
    assert ticket.holds[0][1] >= 3960 * CENT // 1000
    ticket.settle({"cost": 4 * CENT, "output_tokens": 4000, "tokens": 4000, "calls": 1})
    until(lambda: authority.used == 8 * CENT // 10 + 4 * CENT)


def test_what_lasts_costs_no_look_at_the_lines(make: Gates) -> None:
    door = make(Authority(month("10.00")))
    ticket = admitted(door, tokens=1000)
    with door._lock:
        assert ticket.grow(750)


@pytest.mark.parametrize("cut", [False, True])
def test_a_stream_that_nothing_is_left_for_is_cut_off(make: Gates, cut: bool) -> None:
    rungs = [{"at": "100%", "action": "block"}]
    if cut:
        rungs.append({"at": "90%", "action": "partial"})
    authority = Authority(month("0.02", thresholds=rungs))
    door = make(authority)
    heard: list[str] = []
    on("any", lambda notice: heard.append(notice.action))
    learned(door)
    ticket = admitted(door, tokens=4000)
    tokens = 0
    while ticket.grow(tokens) and tokens < 4000:
        tokens += 10
        time.sleep(0.002)
    assert ticket.cuts is cut
    assert 700 <= tokens <= 1300
    assert heard[-1] == ("partial" if cut else "block")


def test_growing_never_waits(make: Gates) -> None:
    authority = Authority(month("10.00"))
    door = make(authority)
    learned(door)
    ticket = admitted(door, tokens=100_000)
    authority.delay_s = 0.3
    began = time.monotonic()
    assert ticket.grow(50_000)
    assert time.monotonic() - began < 0.05
    authority.delay_s = 0.0
    until(lambda: ticket.grow(50_000) and ticket.covered >= 50_000)


@pytest.mark.parametrize("rule", ["open", "closed"])
def test_without_the_authority_a_stream_goes_by_the_limits_own_rule(make: Gates, rule: str) -> None:
    authority = Authority(month("10.00", on_unreachable=rule), ttl_s=0.3)
    door = make(authority)
    learned(door)
    ticket = admitted(door, tokens=4000)
    authority.down = True
    time.sleep(0.4)
    assert ticket.grow(3000) is (rule == "open")


def test_a_strict_limit_has_the_worst_case_already(make: Gates) -> None:
    door = make(Authority(month("10.00", strict=True)))
    learned(door)
    ticket = admitted(door, tokens=4000)
    held = ticket.holds[0][1]
    assert ticket.grow(4000)
    assert ticket.holds[0][1] == held == 4 * CENT


def test_a_stream_that_has_ended_grows_no_more(make: Gates) -> None:
    door = make(Authority(month("10.00")))
    ticket = admitted(door)
    ticket.void()
    assert ticket.grow(10_000)
    assert not ticket.holds
