"""The way into an upstream: bounds, turns, pauses, and callers that give up, on a real loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from outlay.core.fairness import Priority
from outlay.gateway.config import Upstream
from outlay.gateway.queue import (
    MAX_PAUSE_S,
    MAX_RETRY_AFTER_S,
    QueueFull,
    Slot,
    Turnstile,
    WaitedTooLong,
)
from outlay.gateway.rate import BURST_S, Rate

CENT = 10_000_000
UPSTREAM = Upstream("openai", "openai", "https://api.openai.com", max_concurrency=1)


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def upstream(**changes: Any) -> Upstream:
    return replace(UPSTREAM, **changes)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(asyncio.wait_for(main(), 30))


def entering(
    turnstile: Turnstile,
    tenant: str = "a",
    *,
    cost: int | None = CENT,
    timeout_s: float | None = None,
    priority: Priority = "interactive",
) -> asyncio.Task[Slot]:
    return asyncio.create_task(turnstile.enter(tenant, 1, priority, cost, timeout_s=timeout_s))


async def settled() -> None:
    """Let everything that can go on go on."""
    for _ in range(5):
        await asyncio.sleep(0)


def entered(turnstile: Turnstile, tenant: str = "a") -> Slot:
    slot = turnstile.try_enter(tenant, CENT)
    assert slot is not None
    return slot


# Room


def test_calls_enter_at_once_up_to_the_bound_of_those_on_their_way() -> None:
    turnstile = Turnstile(upstream(max_concurrency=2))
    first, _second = entered(turnstile), entered(turnstile)
    assert turnstile.try_enter("a", CENT) is None
    first.leave(CENT)
    assert turnstile.try_enter("a", None) is not None
    assert turnstile.stats().running == 2


def test_leaving_counts_once() -> None:
    turnstile = Turnstile(UPSTREAM)
    slot = entered(turnstile)
    slot.leave(CENT)
    slot.leave(CENT)
    slot.unused()
    assert turnstile.stats().running == 0
    entered(turnstile)
    assert turnstile.try_enter("a", CENT) is None


def test_a_call_waits_for_the_one_before_it_and_knows_how_long() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        before = entered(turnstile)
        waiting = entering(turnstile)
        await asyncio.sleep(0.03)
        assert not waiting.done()
        assert turnstile.try_enter("b", CENT) is None, "nobody passes those who wait"
        before.leave(CENT)
        slot = await waiting
        assert slot.waited_s >= 0.02
        assert before.waited_s == 0
        stats = turnstile.stats()
        assert (stats.running, stats.waiting, stats.entered, stats.queued) == (1, 0, 2, 1)

    run(main)


def test_calls_enter_by_turns_of_tenants_and_interactive_ones_first() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        slot = entered(turnstile, "x")
        order: list[str] = []

        async def call(tenant: str, priority: Priority) -> None:
            nonlocal slot
            slot = await turnstile.enter(tenant, 1, priority, CENT)
            order.append(tenant)

        queue: list[tuple[str, Priority]] = [
            ("z", "background"), ("a", "interactive"), ("a", "interactive"),
            ("a", "interactive"), ("b", "interactive"),
        ]  # fmt: skip
        tasks = [asyncio.create_task(call(tenant, priority)) for tenant, priority in queue]
        for _ in tasks:
            await settled()
            slot.leave(CENT)
        await asyncio.gather(*tasks)
        assert "".join(order) == "abaaz"

    run(main)


def test_what_calls_cost_in_truth_decides_whose_turn_is_next() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        slot = entered(turnstile, "x")
        order: list[str] = []

        async def call(tenant: str, actual: int) -> None:
            slot = await turnstile.enter(tenant, 1, "interactive", CENT)
            order.append(tenant)
            slot.leave(actual)

        tasks = [asyncio.create_task(call("a", 3 * CENT)) for _ in range(3)]
        tasks += [asyncio.create_task(call("b", CENT)) for _ in range(6)]
        await settled()
        slot.leave(CENT)
        await asyncio.gather(*tasks)
        assert "".join(order) == "abbbabbba"

    run(main)


# Fairness in time


def test_a_noisy_tenants_500_waiting_calls_hold_another_up_for_no_more_than_the_bound() -> None:
    """One other tenant waits, so the bound is `(1 + 1) / 4` rounded up: one service time.

    First come, first served would be 125 service times.
    """
    service_s = 0.02
    services: list[float] = []

    async def main() -> None:
        turnstile = Turnstile(
            upstream(max_concurrency=4, max_waiting=600, max_waiting_per_tenant=500)
        )

        async def noise() -> None:
            slot = await turnstile.enter("noisy", 1, "interactive", CENT)
            await asyncio.sleep(service_s)
            slot.leave(CENT)
            services.append(time.monotonic() - slot._since)

        noisy = [asyncio.create_task(noise()) for _ in range(504)]
        await settled()
        assert turnstile.stats().queued == 500
        waits: list[float] = []
        turns: list[int] = []
        for _ in range(60):
            others = turnstile.stats().entered
            slot = await turnstile.enter("quiet", 1, "interactive", CENT)
            waits.append(slot.waited_s)
            turns.append(turnstile.stats().entered - others - 1)
            await asyncio.sleep(service_s / 4)
            slot.leave(CENT)
        assert turnstile.stats().waiting > 100, "the noise must not have ended before"
        for task in noisy:
            task.cancel()
        await asyncio.wait(noisy)
        assert max(waits) <= max(services)
        # One turn, and what enters in the very step in which this one does.
        assert max(turns) <= 1 + 4

    run(main)


def test_many_noisy_tenants_that_take_all_places_leave_one_for_a_quiet_tenant() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(max_waiting=40, max_waiting_per_tenant=10))
        slot = entered(turnstile)
        noise = [entering(turnstile, f"noisy{n % 4}") for n in range(40)]
        await settled()
        assert turnstile.stats().waiting == 40
        quiet = entering(turnstile, "quiet")
        await settled()
        pushed = [task for task in noise if task.done()]
        assert len(pushed) == 1
        with pytest.raises(QueueFull) as full:
            await pushed[0]
        assert not full.value.of_tenant
        for _ in range(5):
            slot.leave(CENT)
            await settled()
            slot = next(
                task.result()
                for task in [quiet, *noise]
                if task.done() and task.exception() is None and task.result()._turnstile
            )
        assert quiet.done()
        assert turnstile.stats().full == 1
        for task in noise:
            task.cancel()

    run(main)


# Bounds


def test_a_full_queue_refuses_with_the_time_in_which_it_empties() -> None:
    async def main() -> None:
        clock = Clock()
        turnstile = Turnstile(
            upstream(max_concurrency=2, max_waiting=11, max_waiting_per_tenant=6), clock
        )
        for _ in range(5):
            slot = entered(turnstile)
            clock.now += 4.0
            slot.leave(CENT)
        slots = [entered(turnstile), entered(turnstile)]
        tasks = [entering(turnstile, "a") for _ in range(6)]
        await settled()
        with pytest.raises(QueueFull) as full:
            await turnstile.enter("a", 1, "interactive", CENT)
        assert full.value.of_tenant
        assert full.value.retry_after_s == 14  # seven calls of 4 s, two at once
        assert "openai" in str(full.value)
        tasks += [entering(turnstile, "b") for _ in range(5)]
        await settled()
        with pytest.raises(QueueFull) as full:
            await turnstile.enter("b", 1, "interactive", CENT)
        assert not full.value.of_tenant
        assert full.value.retry_after_s == 24
        assert turnstile.stats().full == 2
        slots[0].leave(CENT)
        tasks.append(entering(turnstile, "b"))
        await settled()
        assert turnstile.stats().waiting == 11
        for task in tasks:
            task.cancel()

    run(main)


def test_the_time_to_try_again_is_bounded_and_whole_seconds() -> None:
    async def main() -> None:
        clock = Clock()
        for took_s, asked in ((0.001, 1), (10_000.0, MAX_RETRY_AFTER_S)):
            turnstile = Turnstile(upstream(max_waiting=0), clock)
            slot = entered(turnstile)
            clock.now += took_s
            slot.leave(CENT)
            entered(turnstile)
            with pytest.raises(QueueFull) as full:
                await turnstile.enter("a", 1, "interactive", CENT)
            assert full.value.retry_after_s == asked
        unknown = Turnstile(upstream(max_waiting=0, max_wait_s=7.5), clock)
        entered(unknown)
        with pytest.raises(QueueFull) as full:
            await unknown.enter("a", 1, "interactive", CENT)
        assert full.value.retry_after_s == 8

    run(main)


def test_a_wait_ends_at_the_callers_bound_or_at_the_upstreams() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(max_wait_s=0.06))
        slot = entered(turnstile)
        for timeout_s, most_s in ((0.02, 0.02), (None, 0.06), (50.0, 0.06)):
            began = time.monotonic()
            with pytest.raises(WaitedTooLong) as late:
                await turnstile.enter("a", 1, "interactive", CENT, timeout_s=timeout_s)
            assert most_s - 0.005 <= time.monotonic() - began < most_s + 1
            assert late.value.retry_after_s >= 1
        assert turnstile.stats().waiting == 0
        assert turnstile.stats().too_long == 3
        slot.leave(CENT)
        entered(turnstile)

    run(main)


def test_who_may_not_wait_does_not() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        entered(turnstile)
        with pytest.raises(WaitedTooLong):
            await turnstile.enter("a", 1, "interactive", CENT, timeout_s=0)
        assert turnstile.stats().queued == 0

    run(main)


# Giving up


def test_a_caller_that_is_cancelled_leaves_its_place() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        slot = entered(turnstile)
        first, second = entering(turnstile), entering(turnstile)
        await settled()
        first.cancel()
        await settled()
        assert turnstile.stats().waiting == 1
        slot.leave(CENT)
        await second
        assert turnstile.stats().running == 1

    run(main)


def test_a_caller_cancelled_in_the_step_in_which_it_enters_hands_its_place_on() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        slot = entered(turnstile)
        first, second = entering(turnstile), entering(turnstile)
        await settled()
        slot.leave(CENT)  # the place is the first's now, but it has not run since
        assert turnstile.stats().running == 1
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        await second
        assert (turnstile.stats().running, turnstile.stats().waiting) == (1, 0)

    run(main)


def test_a_caller_cancelled_just_before_its_turn_is_passed_over() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        slot = entered(turnstile)
        first, second = entering(turnstile), entering(turnstile)
        await settled()
        first.cancel()
        slot.leave(CENT)
        await second
        assert first.cancelled()
        assert (turnstile.stats().running, turnstile.stats().waiting) == (1, 0)

    run(main)


@pytest.mark.parametrize("before", [True, False])
def test_the_turn_of_a_cancelled_caller_costs_its_tenant_nothing(before: bool) -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        slot = entered(turnstile, "x")
        dear = entering(turnstile, "a", cost=100 * CENT)
        b = [entering(turnstile, "b") for _ in range(2)]
        a = entering(turnstile, "a")
        await settled()
        if before:
            dear.cancel()
        slot.leave(CENT)
        dear.cancel()
        (await b[0]).leave(CENT)
        await settled()
        assert a.done()
        assert not b[1].done()
        a.result().leave(CENT)
        (await b[1]).leave(CENT)

    run(main)


def test_a_wait_that_ends_in_the_step_in_which_it_is_cancelled_is_cancelled() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        wrong: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        turnstile = Turnstile(UPSTREAM)
        entered(turnstile)
        waiting = entering(turnstile, timeout_s=0.02)
        await settled()
        loop.call_later(0.01, waiting.cancel)
        time.sleep(0.04)  # noqa: ASYNC251 - so that both timers are due at once
        await asyncio.wait([waiting])
        assert waiting.cancelled()
        assert not wrong
        assert (turnstile.stats().waiting, turnstile.stats().too_long) == (0, 0)

    run(main)


def test_a_caller_that_is_pushed_out_in_the_step_in_which_it_is_cancelled_is_cancelled() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(max_waiting=4))
        entered(turnstile)
        noise = [entering(turnstile, "noisy") for _ in range(4)]
        await settled()
        quiet = entering(turnstile, "quiet")
        noise[-1].cancel()
        await settled()
        assert noise[-1].cancelled()
        assert not quiet.done()
        assert turnstile.stats().waiting == 4
        for task in (quiet, *noise):
            task.cancel()

    run(main)


def test_callers_that_have_entered_leave_no_timers_behind() -> None:
    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        turnstile = Turnstile(upstream(max_wait_s=3600))
        before = sum(not timer.cancelled() for timer in loop._scheduled)
        slot = entered(turnstile)
        for _ in range(20):
            waiting = entering(turnstile)
            await settled()
            slot.leave(CENT)
            slot = await waiting
        assert sum(not timer.cancelled() for timer in loop._scheduled) == before

    run(main)


def test_a_storm_of_calls_that_give_up_at_any_moment_leaks_no_place() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(max_concurrency=3, max_waiting=50))
        most = 0

        async def call(number: int) -> None:
            nonlocal most
            slot = await turnstile.enter(
                str(number % 7), 1 + number % 3, "interactive", CENT, timeout_s=0.001 * (number % 9)
            )
            try:
                most = max(most, turnstile.stats().running)
                await asyncio.sleep(0.0005 * (number % 4))
            finally:
                slot.leave(None if number % 2 else CENT * (number % 5))

        tasks = []
        for number in range(600):
            tasks.append(asyncio.create_task(call(number)))
            if number % 3 == 0:
                tasks[number // 2].cancel()
            if number % 10 == 0:
                await asyncio.sleep(0.0005)
        await asyncio.gather(*tasks, return_exceptions=True)
        stats = turnstile.stats()
        assert (stats.running, stats.waiting, most) == (0, 0, 3)
        assert stats.queued > 0

    run(main)


def test_a_call_that_was_never_sent_costs_neither_its_tenant_nor_the_rate() -> None:
    turnstile = Turnstile(upstream(requests_per_minute=60), Clock())
    entered(turnstile).unused()
    slot = entered(turnstile)
    slot.leave(CENT)
    assert turnstile.try_enter("a", CENT) is None
    assert turnstile.stats().mean_s == 0


# Calls per minute


def test_calls_per_minute_are_a_bound_with_a_second_of_them_at_once() -> None:
    clock = Clock()
    turnstile = Turnstile(upstream(requests_per_minute=600, max_concurrency=100), clock)
    assert BURST_S == 1.0
    for _ in range(10):
        entered(turnstile)
    assert turnstile.try_enter("a", CENT) is None
    clock.now += 0.05
    assert turnstile.try_enter("a", CENT) is None
    clock.now += 0.05
    entered(turnstile)
    clock.now += 3600
    for _ in range(10):
        entered(turnstile)
    assert turnstile.try_enter("a", CENT) is None, "an hour of calm saves no more up"


def test_a_low_rate_lets_one_call_at_a_time_go() -> None:
    rate = Rate(6, 0.0)
    assert rate.wait_s(0) == 0
    rate.take(0)
    assert rate.wait_s(0) == 10
    assert rate.wait_s(4) == pytest.approx(6)
    assert rate.wait_s(10) == 0
    rate.take(10)
    rate.give_back()
    rate.give_back()
    assert rate.wait_s(10) == 0
    rate.take(10)
    assert rate.wait_s(10) == 10, "what comes back never makes more than the burst"


def test_no_rate_is_no_bound_and_one_can_be_set_later() -> None:
    rate = Rate(0, 0.0)
    for _ in range(1000):
        assert rate.wait_s(0) == 0
        rate.take(0)
    rate.change(60, 5)
    assert rate.wait_s(5) == 0
    rate.take(5)
    assert rate.wait_s(5) == 1
    rate.change(0, 5)
    assert rate.wait_s(5) == 0
    rate.give_back()
    assert rate.wait_s(5) == 0


def test_who_waits_for_the_rate_enters_when_it_allows() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(requests_per_minute=1200, max_concurrency=100))
        began = time.monotonic()
        slots = await asyncio.gather(*(entering(turnstile) for _ in range(26)))
        took = time.monotonic() - began
        assert 0.28 <= took < 1.5  # twenty at once, then one each 50 ms
        assert len(slots) == turnstile.stats().running == 26

    run(main)


# Pauses


def test_nothing_enters_while_the_upstream_asked_for_a_pause() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(max_concurrency=2))
        turnstile.pause(0.05)
        turnstile.pause(0.001)
        assert turnstile.try_enter("a", CENT) is None
        began = time.monotonic()
        await asyncio.gather(entering(turnstile), entering(turnstile))
        assert 0.045 <= time.monotonic() - began < 1
        assert turnstile.stats().paused_s == 0

    run(main)


def test_a_pause_that_begins_while_calls_wait_holds_them_too() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        slot = entered(turnstile)
        waiting = entering(turnstile)
        await settled()
        turnstile.pause(0.1)
        slot.leave(CENT)
        await asyncio.sleep(0.01)
        assert not waiting.done()
        await asyncio.wait_for(waiting, 1)

    run(main)


def test_a_pause_is_bounded_and_nonsense_is_none() -> None:
    clock = Clock()
    turnstile = Turnstile(UPSTREAM, clock)
    for seconds in (0, -5, float("nan")):
        turnstile.pause(seconds)
        assert turnstile.stats().paused_s == 0
    turnstile.pause(float("inf"))
    assert turnstile.stats().paused_s == MAX_PAUSE_S
    clock.now += MAX_PAUSE_S
    entered(turnstile)


def test_a_call_that_cannot_outwait_a_pause_is_told_so_at_once() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(max_wait_s=3))
        turnstile.pause(20)
        began = time.monotonic()
        with pytest.raises(WaitedTooLong) as late:
            await turnstile.enter("a", 1, "interactive", CENT)
        assert time.monotonic() - began < 1
        assert late.value.retry_after_s >= 20

    run(main)


# Reload


def test_more_room_lets_those_who_wait_in_at_once() -> None:
    async def main() -> None:
        turnstile = Turnstile(UPSTREAM)
        entered(turnstile)
        tasks = [entering(turnstile) for _ in range(3)]
        await settled()
        turnstile.resize(upstream(max_concurrency=3))
        await settled()
        assert [task.done() for task in tasks] == [True, True, False]
        tasks[2].cancel()

    run(main)


def test_less_room_takes_nobodys_place_away() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(max_concurrency=3))
        slots = [entered(turnstile) for _ in range(3)]
        waiting = [entering(turnstile) for _ in range(2)]
        await settled()
        turnstile.resize(upstream(max_waiting=1, max_waiting_per_tenant=1))
        with pytest.raises(QueueFull):
            await turnstile.enter("b", 1, "interactive", CENT)
        slots[0].leave(CENT)
        slots[1].leave(CENT)
        await settled()
        assert not any(task.done() for task in waiting)
        assert (turnstile.stats().running, turnstile.stats().waiting) == (1, 2)
        slots[2].leave(CENT)
        (await waiting[0]).leave(CENT)
        await waiting[1]

    run(main)


def test_a_rate_that_is_raised_lets_those_who_wait_for_it_in() -> None:
    async def main() -> None:
        turnstile = Turnstile(upstream(requests_per_minute=1, max_concurrency=10))
        entered(turnstile)
        waiting = entering(turnstile)
        await settled()
        turnstile.resize(upstream(requests_per_minute=6000, max_concurrency=10))
        await asyncio.wait_for(waiting, 1)

    run(main)
