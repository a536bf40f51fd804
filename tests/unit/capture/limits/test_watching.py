"""A process that lives by its limits, such as a gateway, hears of new ones before anybody calls."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.unit.capture.limits.authority import Authority, Gates, admitted, month

PATH = ("GET", "/v1/limits/policy")


def until(done: Callable[[], bool], within_s: float = 5.0) -> None:
    end = time.monotonic() + within_s
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_limits_that_nobody_has_asked_about_are_heard_of(make: Gates) -> None:
    authority = Authority()
    door = make(authority)
    door.client.watch(0.05)
    until(lambda: door.table.policy is not None)
    authority.change(month())
    until(lambda: door.table.policy is not None and len(door.table.policy.limits) == 1)
    assert set(authority.requests) == {PATH}, "there is nothing to report"


def test_a_thread_that_rests_already_watches_at_once(make: Gates) -> None:
    authority = Authority()
    door = make(authority)
    door.client.start()
    until(lambda: door.client.idle)
    asked = len(authority.requests)
    door.client.watch(0.05)
    until(lambda: len(authority.requests) > asked + 2)


def test_calls_ring_nobody_while_a_report_is_due_anyway(make: Gates) -> None:
    authority = Authority(month("100.00"))
    door = make(authority, limits_sync_s=5.0)
    door.client.watch(0.2)
    admitted(door)
    until(lambda: bool(door.table.active and authority.syncs))
    for _ in range(20):
        time.sleep(0.03)
        assert not door.client.idle, "each call would ring it"
