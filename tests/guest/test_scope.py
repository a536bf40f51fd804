"""`context` and `agent`: attribution reaches every event made inside, and nothing outside."""

from __future__ import annotations

import asyncio
import inspect
import threading
import uuid
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

import outlay
from outlay.capture.scope import MAX_AGENT_DEPTH, current_scope
from outlay.capture.testing import capture_events
from outlay.core.event import MAX_LABELS, MAX_STRING_BYTES


def tick() -> None:
    outlay.record("tool", name="t", units={"requests": 1}, cost_nanos=10)


def test_every_field_reaches_the_event() -> None:
    with (
        capture_events() as events,
        outlay.context(
            tenant="acme", user="u1", workspace="w1", billing_unit=("campaign", "c1"),
            feature="f", workflow="wf", initiator="system", environment="prod", service="api",
            request_id="r1", run_id="run1", trace_id="a" * 32, labels={"k": "v", "n": 3},
        ),
    ):  # fmt: skip
        tick()
    expected = {
        "tenant_id": "acme", "tenant_source": "request", "user_id": "u1", "workspace_id": "w1",
        "billing_unit_type": "campaign", "billing_unit_id": "c1", "feature": "f",
        "workflow": "wf", "initiator": "system", "environment": "prod", "service": "api",
        "request_id": "r1", "run_id": "run1", "trace_id": "a" * 32,
        "labels": {"k": "v", "n": "3"},
    }  # fmt: skip
    assert expected.items() <= events[0].items()


def test_without_a_tenant_work_is_unattributed() -> None:
    with capture_events() as events:
        tick()
    assert (events[0]["tenant_id"], events[0]["tenant_source"]) == ("unattributed", "none")
    assert "request_id" not in events[0]


def test_the_configured_tenant_is_a_default_that_a_context_overrides() -> None:
    with capture_events(tenant="house", service="svc", environment="dev") as events:
        tick()
        with outlay.context(tenant="acme", environment="prod"):
            tick()
    said = [(e["tenant_id"], e["tenant_source"], e["service"], e["environment"]) for e in events]
    assert said == [("house", "default", "svc", "dev"), ("acme", "request", "svc", "prod")]


def test_the_outermost_context_makes_a_request_and_a_trace() -> None:
    with capture_events() as events, outlay.context(tenant="a"):
        tick()
        with outlay.context(feature="inner"):
            tick()
    assert uuid.UUID(events[0]["request_id"]).version == 7
    assert len(events[0]["trace_id"]) == 32
    assert {e["request_id"] for e in events} == {events[0]["request_id"]}
    assert {e["tenant_id"] for e in events} == {"a"}


def test_agents_form_paths_and_spans() -> None:
    with capture_events() as events, outlay.context(tenant="a"), outlay.agent("boss"):
        tick()
        with outlay.agent("research"), outlay.agent("web/search"):
            tick()
        tick()
    boss, web, again = events
    assert [e["agent_path"] for e in events] == ["boss", "boss/research/web_search", "boss"]
    assert boss["span_id"] == again["span_id"] != web["span_id"]
    assert "parent_span_id" not in boss
    assert web["parent_span_id"] not in (boss["span_id"], web["span_id"])
    assert {e["run_id"] for e in events} == {boss["run_id"]}


def test_two_root_agents_are_two_runs() -> None:
    with capture_events() as events, outlay.context(tenant="a"):
        for _ in range(2):
            with outlay.agent("boss"):
                tick()
    assert len({e["run_id"] for e in events}) == 2
    assert len({e["request_id"] for e in events}) == 1


def test_an_agent_alone_begins_a_request_too() -> None:
    with capture_events() as events, outlay.agent("boss", tenant="a"):
        tick()
    assert events[0]["tenant_id"] == "a"
    assert events[0]["request_id"]


def test_totals_add_up_over_agents_request_and_process() -> None:
    with capture_events(), outlay.context(tenant="a"):
        with outlay.agent("boss"):
            tick()
            with outlay.agent("web"):
                tick()
                assert outlay.current().agent.calls == 1
            assert outlay.current().agent.calls == 2
        tick()
        now = outlay.current()
    assert (now.request.calls, now.request.cost_nanos, now.process.calls) == (3, 30, 3)
    assert now.agent == now.request
    assert now.context.tenant == "a"


def test_current_outside_everything_is_empty() -> None:
    now = outlay.current()
    assert (now.context.tenant, now.request.calls, now.process.calls) == (None, 0, 0)


def test_an_unpriced_call_is_counted_and_costs_nothing_known() -> None:
    with capture_events(), outlay.context(tenant="a"):
        outlay.record("tool", name="t", units={"requests": 1})
        now = outlay.current().request
    assert (now.unpriced, now.cost_nanos, now.calls) == (1, 0, 1)


def test_a_function_decorated_keeps_its_kind_and_gets_the_scope() -> None:
    seen: list[Any] = []

    def note() -> None:
        seen.append(outlay.current().context.tenant)

    @outlay.context(tenant="f")
    def function(x: int) -> int:
        note()
        return x + 1

    @outlay.context(tenant="c")
    async def coroutine() -> int:
        await asyncio.sleep(0)
        note()
        return 1

    @outlay.agent("g", tenant="g")
    def generator() -> Generator[int, str, None]:
        note()
        got = yield 1
        note()
        assert got == "sent"
        yield 2

    @outlay.context(tenant="ag")
    async def async_generator() -> AsyncIterator[int]:
        note()
        yield 1
        await asyncio.sleep(0)
        note()

    assert function(1) == 2
    assert function.__name__ == "function"
    assert inspect.iscoroutinefunction(coroutine)
    assert inspect.isgeneratorfunction(generator)
    assert inspect.isasyncgenfunction(async_generator)
    assert asyncio.run(coroutine()) == 1
    running: Any = generator()
    assert next(running) == 1
    assert outlay.current().context.tenant is None, "a suspended scope must not leak"
    assert running.send("sent") == 2
    assert list(running) == []

    async def drain() -> None:
        async for _ in async_generator():
            assert current_scope() is None

    asyncio.run(drain())
    assert seen == ["f", "c", "g", "g", "ag", "ag"]


def test_a_generator_keeps_scopes_it_opened_across_its_yields() -> None:
    paths: list[str] = []

    @outlay.context(tenant="a")
    def work() -> Iterator[None]:
        with outlay.agent("inner"):
            yield
            paths.append(outlay.current().context.agent_path)
        yield
        paths.append(outlay.current().context.agent_path)

    with outlay.agent("outer"):
        for _ in work():
            assert outlay.current().context.agent_path == "outer"
    assert paths == ["outer/inner", "outer"]


def test_exceptions_and_closing_pass_through_a_decorated_generator() -> None:
    closed: list[str | None] = []

    @outlay.context(tenant="a")
    def work() -> Iterator[int]:
        try:
            yield 1
        except KeyError:
            yield 2
        finally:
            closed.append(outlay.current().context.tenant)

    running: Any = work()
    next(running)
    assert running.throw(KeyError()) == 2
    running.close()
    assert closed == ["a"]
    with pytest.raises(ZeroDivisionError):
        outlay.context(tenant="a")(lambda: 1 // 0)()
    assert current_scope() is None


def test_an_async_generator_closed_in_another_task_does_not_raise() -> None:
    async def stream() -> AsyncIterator[int]:
        with outlay.context(tenant="a"):
            yield 1
            yield 2

    async def main() -> None:
        running = stream()
        await asyncio.create_task(_next(running))
        await asyncio.create_task(running.aclose())  # type: ignore[attr-defined]

    async def _next(running: AsyncIterator[int]) -> int:
        return await anext(running)

    asyncio.run(main())
    assert current_scope() is None


def test_one_opener_may_be_shared_by_parallel_tasks() -> None:
    shared = outlay.context(tenant="a")

    async def work() -> str | None:
        async with shared:
            await asyncio.sleep(0)
            return outlay.current().context.request_id

    async def main() -> list[str | None]:
        return await asyncio.gather(*(work() for _ in range(10)))

    assert len(set(asyncio.run(main()))) == 10


def test_threads_start_without_the_context_of_others() -> None:
    seen: list[str | None] = []
    with outlay.context(tenant="a"):
        thread = threading.Thread(target=lambda: seen.append(outlay.current().context.tenant))
        thread.start()
        thread.join()
    assert seen == [None]


def test_bad_values_are_left_out_and_never_raise() -> None:
    bad: Any = object()

    class Nasty:
        def __str__(self) -> str:
            raise RuntimeError

    nasty: Any = Nasty()
    with capture_events() as events:
        with outlay.context(tenant="a", initiator="robot", billing_unit=bad, labels={"x": None}):
            tick()
        with outlay.context(tenant=nasty), outlay.agent(nasty):
            tick()
        with outlay.context(tenant="t" * 1000, user="ü" * 1000, feature="a\0b\ud800"):
            tick()
    assert "initiator" not in events[0]
    assert "billing_unit_type" not in events[0]
    assert "labels" not in events[0]
    assert events[1]["agent_path"] == "agent"
    assert len(events[2]["tenant_id"]) == MAX_STRING_BYTES
    assert len(events[2]["user_id"].encode()) == MAX_STRING_BYTES
    assert events[2]["feature"] == "ab?"


def test_what_an_inner_context_does_not_say_stays_and_the_outer_one_is_left_alone() -> None:
    with capture_events() as events, outlay.context(tenant="acme", feature="chat"):
        with outlay.context(feature=None, user="u1"), outlay.agent("re/search"):
            tick()
        tick()
    inner, outer = events
    assert (inner["tenant_id"], inner["feature"], inner["user_id"]) == ("acme", "chat", "u1")
    assert inner["agent_path"] == "re_search"
    assert (outer["tenant_id"], outer["feature"]) == ("acme", "chat")
    assert not {"user_id", "agent_path", "span_id"} & outer.keys()


def test_labels_are_bounded_and_inner_ones_win() -> None:
    with capture_events() as events, outlay.context(labels={"k": "outer", "o": 1}):
        with outlay.context(labels={"k": "inner"}):
            tick()
        with outlay.context(labels={f"l{n}": n for n in range(MAX_LABELS + 10)}):
            tick()
    assert events[0]["labels"] == {"k": "inner", "o": "1"}
    assert len(events[1]["labels"]) == MAX_LABELS


def test_very_deep_agents_stay_bounded() -> None:
    depth = MAX_AGENT_DEPTH + 20
    with capture_events() as events:
        openers = [outlay.agent(f"agent-number-{n}") for n in range(depth)]
        for opener in openers:
            opener.__enter__()
        tick()
        assert len(current_scope().counters) == MAX_AGENT_DEPTH + 1  # type: ignore[union-attr]
        for opener in reversed(openers):
            opener.__exit__()
    assert len(events[0]["agent_path"]) <= MAX_STRING_BYTES
    assert current_scope() is None


def test_the_totals_of_the_request_are_there_without_naming_it() -> None:
    with capture_events(), outlay.context(tenant="acme"), outlay.agent("a"):
        with outlay.agent("b"):
            tick()
        tick()
        now = outlay.current()
        direct = (now.cost_nanos, now.tokens, now.calls, now.errors, now.unpriced)
    total = now.request
    assert direct == (total.cost_nanos, total.tokens, total.calls, total.errors, total.unpriced)
    assert direct[0] == 20
    assert direct[2] == 2
