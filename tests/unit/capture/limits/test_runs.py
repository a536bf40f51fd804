"""Agents with budgets and rules: whose call is refused, and what flows back."""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest

import outlay
from outlay.capture import guard
from outlay.capture.limits import runs
from outlay.capture.limits.runs import Reserved
from outlay.capture.scope import BudgetState
from outlay.capture.testing import capture_events
from tests.unit.capture.limits.paying import here, pay, state

DOLLAR = 1_000_000_000


@pytest.fixture(autouse=True)
def clean_guard() -> Iterator[None]:
    guard.reset()
    yield
    assert guard.counts() == {}, "something failed inside"
    guard.reset()


# -- what is asked for ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({"budget": "two dollars"}, "two dollars"),
        ({"budget": 2.5}, "budget must be dollars as text"),
        ({"budget": True}, "budget must be"),
        ({"budget": "-1"}, "0 or more"),
        ({"budget": "NaN"}, "budget must be"),
        ({"budget": "1", "budget_nanos": 1}, "not both"),
        ({"budget_nanos": "5"}, "whole number"),
        ({"max_steps": -1}, "max_steps"),
        ({"max_depth": 1.0}, "max_depth"),
        ({"max_repeats": 0}, "max_repeats"),
    ],
)
def test_a_bad_rule_is_told_at_once_and_never_left_out(rules: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        outlay.agent("a", **rules)


@pytest.mark.parametrize("budget", ["2.50", Decimal("2.5")])
def test_a_budget_is_dollars_as_text_or_decimal(budget: Any) -> None:
    with outlay.agent("a", budget=budget) as run:
        assert run.left_nanos == 2_500_000_000
    with outlay.agent("a", budget=2) as run:
        assert run.left_nanos == 2 * DOLLAR
    with outlay.agent("a", budget_nanos=7) as run:
        assert run.left_nanos == 7


def test_without_rules_nothing_is_asked_and_nothing_kept() -> None:
    with outlay.context(tenant="t"), outlay.agent("a") as run:
        assert here().run is None
        assert pay(10**15) is None
        assert runs.check(here(), 10**15) is None
        assert (run.budget, run.left_nanos, run.agent_path) == (None, None, "a")
        assert outlay.current().budget is None
    assert outlay.current().budget is None


# -- budgets -------------------------------------------------------------------------------------


def test_a_call_that_does_not_fit_is_refused_and_says_why() -> None:
    with outlay.agent("a", budget="1"):
        assert pay(DOLLAR - 1) is None
        refusal = pay(2)
        assert refusal is not None
        assert (refusal.reason, refusal.verdict, refusal.left) == ("budget", "over", 1)
        assert pay(1) is None


def test_what_looks_is_told_the_same_and_changes_nothing() -> None:
    with outlay.agent("a", budget="1", max_steps=1):
        assert runs.check(here(), DOLLAR) is None
        refusal = runs.check(here(), DOLLAR + 1)
        assert refusal is not None
        assert state().held_nanos == 0
        assert pay(DOLLAR) is None


def test_current_tells_how_the_innermost_budget_stands() -> None:
    with outlay.agent("a", budget_nanos=100):
        with outlay.context(feature="f"), outlay.agent("b", budget_nanos=60), outlay.agent("c"):
            got = runs.reserve(here(), 20)
            assert isinstance(got, Reserved)
            assert pay(10) is None
            assert state() == BudgetState("a/b", 60, 60, 10, 20, 30)
            got.void()
        assert state() == BudgetState("a", 100, 100, 10, 0, 90)


def test_a_smaller_cut_than_asked_for_is_noted(caplog: pytest.LogCaptureFixture) -> None:
    with outlay.agent("a", budget_nanos=100), outlay.agent("b", budget_nanos=500) as run:
        assert run.budget is not None
        assert (run.budget.cap_nanos, run.budget.cut_nanos, run.left_nanos) == (500, 100, 100)
    assert "of which only 100 are left" in caplog.text


def test_a_childs_calls_count_in_every_budget_around_and_what_is_left_flows_back() -> None:
    with outlay.agent("a", budget_nanos=100) as outer:
        with outlay.agent("b", budget_nanos=60) as inner:
            assert outer.left_nanos == 40
            assert pay(25) is None
            assert inner.left_nanos == 35
        assert outer.left_nanos == 75


def test_each_opening_of_a_shared_opener_has_a_budget_of_its_own() -> None:
    opener = outlay.agent("a", budget_nanos=10)
    for _ in range(3):
        with opener as run:
            assert pay(10) is None
            with opener:
                assert pay(1) is not None
            assert run.left_nanos == 0


def test_a_hold_grows_while_a_stream_runs_until_nothing_is_left() -> None:
    with outlay.agent("a", budget_nanos=100) as run:
        got = runs.reserve(here(), 40)
        assert isinstance(got, Reserved)
        assert got.grow(30)
        assert got.grow(100)
        assert run.left_nanos == 0
        assert not got.grow(101)
        got.settle(90)
        got.settle(10)
        got.void()
        assert got.grow(1000)
        assert run.left_nanos == 10


def test_a_cost_that_nobody_knows_counts_as_estimated(caplog: pytest.LogCaptureFixture) -> None:
    with outlay.agent("a", budget_nanos=100) as run:
        got = runs.reserve(here(), 40)
        assert isinstance(got, Reserved)
        runs.finished(here(), {"tokens": 5}, (), got)
        assert run.left_nanos == 60
    assert "no known price" in caplog.text


def test_a_call_that_is_forgotten_gives_its_hold_back() -> None:
    with outlay.agent("a", budget_nanos=100) as run:
        got = runs.reserve(here(), 40)
        assert run.left_nanos == 60
        del got
        gc.collect()
        assert run.left_nanos == 100


def test_what_is_recorded_counts_in_the_budget_too() -> None:
    with capture_events(), outlay.agent("a", budget="0.01") as run:
        outlay.record("tool", name="serp", units={"requests": 1}, cost_usd="0.004")
        assert run.left_nanos == 6_000_000
        outlay.record("tool", name="serp", units={"requests": 1}, cost_usd="0.008", labels={"k": 1})
        assert run.left_nanos == 0
        assert pay(0) is not None
        assert (run.cost_nanos, run.calls) == (12_000_000, 2)


def test_twenty_children_at_once_never_pass_the_budget_around_them() -> None:
    worst: list[int] = []
    admitted: list[int] = []

    async def child() -> None:
        async with outlay.agent("child", budget="0.50"):
            for _ in range(10):
                got = runs.reserve(here(), DOLLAR // 20)
                await asyncio.sleep(0)
                now = parent.budget
                assert now is not None
                worst.append(now.spent_nanos + now.held_nanos)
                if isinstance(got, Reserved):
                    admitted.append(1)
                    await asyncio.sleep(0)
                    got.settle(DOLLAR // 20)

    async def main() -> None:
        await asyncio.gather(*(child() for _ in range(20)))

    with outlay.agent("parent", budget="2.50") as parent:
        asyncio.run(main())
        now = parent.budget
    assert max(worst) == now.spent_nanos == 5 * DOLLAR // 2  # type: ignore[union-attr]
    assert now.held_nanos == 0  # type: ignore[union-attr]
    assert len(admitted) == 50


def test_threads_that_carry_the_context_share_the_budget() -> None:
    def work(_: int) -> int:
        return sum(pay(7) is None for _ in range(50))

    with outlay.agent("a", budget_nanos=700) as run, ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(contextvars.copy_context().run, work, n) for n in range(8)]
        assert sum(job.result() for job in jobs) == 100
        assert run.left_nanos == 0
        assert state().held_nanos == 0


def test_decorated_functions_of_every_kind_give_back_when_they_end() -> None:
    opener = outlay.agent("child", budget_nanos=60)

    @opener
    def function() -> None:
        pay(1)

    @opener
    async def coroutine() -> None:
        pay(1)

    @opener
    def generator() -> Iterator[int]:
        pay(1)
        yield 1
        pay(1)
        yield 2

    @opener
    async def async_generator() -> AsyncIterator[int]:
        pay(1)
        yield 1
        await asyncio.sleep(0)
        yield 2

    async def drain(most: int) -> None:
        stream: Any = async_generator()
        async for number in stream:
            assert parent.left_nanos is not None
            assert parent.left_nanos < 50, "it keeps its part while it waits"
            if number == most:
                break
        await stream.aclose()

    with outlay.agent("parent", budget_nanos=100) as parent:
        function()
        asyncio.run(coroutine())
        assert list(generator()) == [1, 2]
        assert parent.left_nanos == 96
        running = generator()
        assert next(running) == 1
        assert parent.left_nanos == 36
        running.close()  # type: ignore[attr-defined]
        assert parent.left_nanos == 95
        next(generator())  # collected in the middle
        gc.collect()
        assert parent.left_nanos == 94
        asyncio.run(drain(1))
        asyncio.run(drain(5))
        assert parent.left_nanos == 92


def test_an_agent_that_is_left_in_another_task_gives_back_when_it_is_forgotten() -> None:
    async def stream() -> AsyncIterator[int]:
        with outlay.agent("child", budget_nanos=60):
            yield 1

    async def main() -> None:
        running: Any = stream()
        await asyncio.create_task(_next(running))
        await asyncio.create_task(running.aclose())

    async def _next(running: AsyncIterator[int]) -> int:
        return await anext(running)

    with outlay.agent("parent", budget_nanos=100) as parent:
        asyncio.run(main())
        gc.collect()
        assert parent.left_nanos == 100


def test_an_agent_that_was_left_open_inside_another_is_closed_with_it() -> None:
    with outlay.agent("top", budget_nanos=100) as top:
        with outlay.agent("middle"), outlay.context(feature="f"):
            outlay.agent("never closed", budget_nanos=60).__enter__()
            kept = here()
            assert top.left_nanos == 40
        assert top.left_nanos == 100
    assert kept.run.closed
