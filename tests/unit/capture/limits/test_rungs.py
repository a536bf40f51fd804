"""The ladder in the guest: what each rung does to a call, once, and what callbacks hear of it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from outlay.capture import guard
from outlay.capture.limits import callbacks
from outlay.capture.limits.callbacks import Notice, on
from outlay.capture.limits.steps import Admitted, Downgrade
from outlay.capture.limits.waiting import admit
from tests.unit.capture.limits.authority import (
    CENT,
    SPENT,
    Authority,
    Gates,
    admitted,
    ask,
    month,
    refused,
    until,
)

BLOCK = {"at": "100%", "action": "block"}


def ladder(*rungs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return month("0.10", thresholds=[*rungs, BLOCK], **more)


@pytest.fixture
def heard() -> list[Notice]:
    """Everything that callbacks were told."""
    found: list[Notice] = []
    on("any", found.append)
    return found


def spend(door: Any, authority: Authority, cents: int) -> None:
    for _ in range(cents):
        ticket = admitted(door)
        ticket.settle(SPENT)
        authority.event(ticket.hold_id, CENT)
    until(lambda: authority.used >= cents * CENT)
    lines = list(door.table.lines.values())
    until(lambda: any(one.now.spent(time.monotonic()) >= cents * CENT for one in lines))


def test_a_warning_is_told_once_and_marks_every_call(make: Gates, heard: list[Notice]) -> None:
    authority = Authority(ladder({"at": "50%", "action": "warn"}))
    door = make(authority)
    spend(door, authority, 5)
    for _ in range(2):
        ticket = admitted(door)
        assert ticket.limit_action == "warn"
        ticket.void()
    (notice,) = heard
    assert (notice.action, notice.limit_id, notice.tenant) == ("warn", "month", "acme")
    assert (notice.used, notice.amount, notice.left) == (5 * CENT, 10 * CENT, 5 * CENT)
    assert notice.resets_at > 0
    assert not notice.shadow


def test_an_escalation_is_told_once_and_lets_the_call_pass(
    make: Gates, heard: list[Notice]
) -> None:
    rung = {"at": "50%", "action": "escalate", "url": "https://example.com/hook"}
    authority = Authority(ladder(rung))
    door = make(authority)
    spend(door, authority, 5)
    assert admitted(door).limit_action == "escalate"
    admitted(door).void()
    assert [one.action for one in heard] == ["escalate"]


def test_a_throttle_holds_a_call_up_once(make: Gates, heard: list[Notice]) -> None:
    authority = Authority(ladder({"at": "50%", "action": "throttle", "delay_ms": 200}))
    door = make(authority, limits_patience_s=0.1)
    spend(door, authority, 5)
    heard.clear()
    began = time.monotonic()
    ticket = admitted(door)
    assert 0.2 <= time.monotonic() - began < 0.5
    assert ticket.limit_action == "throttle"
    assert [one.action for one in heard] == ["throttle"]


def test_a_downgrade_names_the_cheaper_model_once(make: Gates, heard: list[Notice]) -> None:
    authority = Authority(ladder({"at": "50%", "action": "downgrade", "models": {"m": "mini"}}))
    door = make(authority)
    spend(door, authority, 5)
    asked = ask()
    step = admit(door, asked)
    assert step == Downgrade("mini", "m", "month")
    asked.take(step)
    after = admit(door, asked)
    assert isinstance(after, Admitted)
    assert after.ticket.downgraded_from == "m"
    assert after.ticket.estimate_nanos == CENT // 10
    assert after.ticket.limit_action == "downgrade"
    assert [(one.model, one.instead) for one in heard] == [("m", "mini")]


def test_a_call_that_cannot_be_downgraded_goes_on_with_its_model(make: Gates) -> None:
    authority = Authority(ladder({"at": "50%", "action": "downgrade", "models": {"m": "mini"}}))
    door = make(authority)
    spend(door, authority, 5)
    asked = ask()
    admit(door, asked)
    asked.keep_model = True
    assert isinstance(admit(door, asked), Admitted)


def test_the_cheaper_model_has_limits_of_its_own(make: Gates) -> None:
    mini = month("0.001", id="mini", scope={"model": "mini"})
    authority = Authority(
        ladder({"at": "50%", "action": "downgrade", "models": {"m": "mini"}}), mini
    )
    door = make(authority)
    spend(door, authority, 5)
    asked = ask(tokens=2000)
    step = admit(door, asked)
    assert isinstance(step, Downgrade)
    asked.take(step)
    refusal = admit(door, asked)
    assert refusal.refusal.limit_id == "mini"  # type: ignore[union-attr]


def test_a_block_is_told_every_time(make: Gates, heard: list[Notice]) -> None:
    authority = Authority(ladder())
    door = make(authority)
    for _ in range(2):
        refused(door, tokens=20_000)
    assert [one.action for one in heard] == ["block", "block"]


def test_a_limit_in_the_shadow_tells_and_does_nothing(make: Gates, heard: list[Notice]) -> None:
    rungs = (
        {"at": "10%", "action": "throttle", "delay_ms": 5000},
        {"at": "20%", "action": "downgrade", "models": {"m": "mini"}},
    )
    authority = Authority(ladder(*rungs, mode="shadow"))
    door = make(authority)
    spend(door, authority, 10)
    heard.clear()
    ticket = admitted(door)
    assert ticket.limit_action == ""
    assert [one.action for one in heard] == ["throttle", "downgrade", "block"]
    assert all(one.shadow for one in heard)
    assert door.stats()["waited"] <= 1


def test_a_limit_that_only_warns_never_waits_and_is_counted(make: Gates) -> None:
    authority = Authority(month("0.01", thresholds=[{"at": "100%", "action": "warn"}]))
    door = make(authority)
    spend(door, authority, 3)
    assert admitted(door).limit_action == "warn"


def test_a_rate_that_throttles_waits_until_the_call_fits(make: Gates) -> None:
    rate = {
        "id": "rate", "window": "rate 1s", "metric": "calls", "amount": 10, "burst": 5,
        "thresholds": [{"at": "100%", "action": "throttle", "delay_ms": 2000}, BLOCK],
    }  # fmt: skip
    authority = Authority(rate)
    door = make(authority)
    for _ in range(5):
        admitted(door).settle(SPENT)
    until(lambda: authority.used >= 1)
    began = time.monotonic()
    for _ in range(5):
        admitted(door).settle(SPENT)
    assert 0.2 < time.monotonic() - began < 2.0
    assert door.stats()["refused"] == 0


def test_a_rate_that_only_blocks_refuses_and_says_when_to_come_back(make: Gates) -> None:
    authority = Authority({"id": "r", "window": "rate 1m", "metric": "calls", "amount": 2})
    door = make(authority, limits_patience_s=0.2)
    for _ in range(2):
        admitted(door).settle(SPENT)
    assert 0 < refused(door).retry_after_s <= 60


def test_a_callback_that_fails_breaks_nothing_and_can_be_taken_away(make: Gates) -> None:
    def fail(_notice: Notice) -> None:
        raise ValueError

    remove = on("block", fail)
    authority = Authority(ladder())
    door = make(authority)
    refused(door, tokens=20_000)
    assert guard.counts() == {"limits.callback": 1}
    remove()
    remove()
    refused(door, tokens=20_000)
    assert guard.counts() == {"limits.callback": 1}
    guard.reset()


def test_a_callback_is_taken_away_by_whoever_added_it_whatever_came_in_between() -> None:
    heard: list[Notice] = []
    first, second = on("warn", heard.append), on("warn", heard.append)
    first()
    first()
    assert callbacks.listening("warn")
    second()
    assert not callbacks.listening("warn")
    third = on("warn", heard.append)
    callbacks.clear()
    third()


@pytest.mark.parametrize("action", [None, ["warn"], {"warn": 1}])
def test_what_is_no_action_at_all_reaches_nobody(action: Any) -> None:
    on(action, print)()


def test_an_action_that_does_not_exist_is_not_listened_to() -> None:
    on("explode", print)()
