"""Budgets of agents hold for real SDKs behind the taps, without a server and without limits on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import httpx2
import openai
import pytest

import outlay
from outlay.capture import forks
from outlay.capture.limits.quotes import Quotes
from outlay.capture.runtime import active
from outlay.capture.testing import capture_events
from outlay.core.prices import ModelRow, PriceBook, RateRow

CALL_NANOS = 100 * 1_000 + 50 * 2_000
"""What each call here costs: 100 tokens in, 50 out."""
WORST_NANOS = 200 * 1_000 + 50 * 2_000
"""What one of them reserves at most: its input is counted a little high."""


def _book() -> PriceBook:
    rates = tuple(
        RateRow.make("openai", "gpt-4o-mini", unit, nanos * 1_000_000)
        for unit, nanos in (("input", 1_000), ("output", 2_000))
    )
    return PriceBook((ModelRow("openai", "gpt-4o-mini", '{"starts_with":"gpt-4o-mini"}'),), rates)


def _answer(_request: Any) -> Any:
    usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
    body = {"id": "chatcmpl-1", "model": "gpt-4o-mini", "choices": [], "usage": usage}
    return httpx2.Response(
        200, headers={"content-type": "application/json"}, content=json.dumps(body).encode()
    )


async def _slow_answer(request: Any) -> Any:
    await asyncio.sleep(0.01)
    return _answer(request)


ASKED: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "word " * 60}],
}


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    with capture_events(tenant="acme") as made:
        runtime = active()
        assert runtime is not None
        runtime.rates.book = _book()
        yield made


@pytest.fixture
def client() -> openai.OpenAI:
    transport = httpx2.MockTransport(_answer)
    return openai.OpenAI(api_key="k", http_client=httpx2.Client(transport=transport))


def test_an_agent_stops_at_its_budget(events: list[dict[str, Any]], client: openai.OpenAI) -> None:
    budget = CALL_NANOS * 4
    with (  # noqa: PT012 - the loop is what is stopped
        pytest.raises(outlay.RunStopped) as caught,
        outlay.agent("boss", budget_nanos=budget),
    ):
        for number in range(50):
            client.chat.completions.create(**ASKED)
            outlay.partial(number + 1)
    stopped = caught.value
    made = [event for event in events if event["status"] == "ok"]
    blocked = [event for event in events if event["status"] == "blocked"]
    assert (len(blocked), stopped.partial) == (1, len(made))
    assert budget - WORST_NANOS < stopped.cost_nanos <= budget
    assert stopped.cost_nanos == CALL_NANOS * len(made)
    assert stopped.calls == len(made)
    assert isinstance(stopped.__cause__, openai.APIStatusError)
    assert blocked[0]["agent_path"] == "boss"


def test_steps_are_counted_by_the_taps(events: list[dict[str, Any]], client: openai.OpenAI) -> None:
    with outlay.agent("boss", max_steps=2), outlay.agent("child"):
        for _ in range(2):
            client.chat.completions.create(**ASKED)
        with pytest.raises(openai.APIStatusError, match="2 steps"):
            client.chat.completions.create(**ASKED)
    assert [event["status"] for event in events] == ["ok", "ok", "blocked"]


def test_threads_and_tasks_never_pass_a_budget_together(
    events: list[dict[str, Any]], client: openai.OpenAI
) -> None:
    budget = CALL_NANOS * 5

    def ask(_: int) -> None:
        with outlay.agent("child", budget="1"):
            client.chat.completions.create(**ASKED)

    with outlay.agent("boss", budget_nanos=budget) as run, ThreadPoolExecutor(20) as pool:
        jobs = [pool.submit(copy_context().run, ask, number) for number in range(20)]
        failed = [job.exception() for job in jobs]
    assert run.cost_nanos == CALL_NANOS * failed.count(None)
    assert 4 * CALL_NANOS <= run.cost_nanos <= budget

    async def main() -> list[BaseException | None]:
        transport = httpx2.MockTransport(_slow_answer)
        asynchronous = openai.AsyncOpenAI(
            api_key="k", http_client=httpx2.AsyncClient(transport=transport)
        )

        async def ask() -> None:
            async with outlay.agent("child", budget="1"):
                await asynchronous.chat.completions.create(**ASKED)

        return await asyncio.gather(*(ask() for _ in range(20)), return_exceptions=True)

    with outlay.agent("boss", budget_nanos=budget) as run:
        answers = asyncio.run(main())
    assert run.cost_nanos == CALL_NANOS * answers.count(None)
    assert 4 * CALL_NANOS <= run.cost_nanos <= budget


def test_a_fork_leaves_nothing_behind_that_another_thread_was_in_the_middle_of(
    events: list[dict[str, Any]], client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, go_on = threading.Event(), threading.Event()
    of = Quotes.of

    def stay(*args: Any) -> Any:
        if threading.current_thread() is not main:
            inside.set()
            go_on.wait(10)
        return of(*args)

    def call() -> None:
        with outlay.agent("boss", budget="1"):
            client.chat.completions.create(**ASKED)

    main = threading.current_thread()
    monkeypatch.setattr(Quotes, "of", stay)
    monkeypatch.setattr(forks, "MAX_WAIT_S", 0.05)
    call()
    other = threading.Thread(target=call)
    other.start()
    assert inside.wait(5)
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        call()
        os._exit(0)
    go_on.set()
    other.join()
    assert os.waitpid(child, 0)[1] == 0
