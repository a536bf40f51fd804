"""How a run ends whose call was refused: one typed error, in the place of the provider's own."""
# ruff: noqa: PT012 - which of the blocks inside raises is what these tests are about

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anthropic
import httpx2
import openai
import pytest

import outlay
from outlay.capture import guard
from outlay.capture.limits import runs
from outlay.capture.scope import current_scope, working_scope
from outlay.capture.testing import capture_events
from outlay.core.limits.refusal import Refusal, entitlement_refusal
from outlay.errors import OutlayError
from outlay.wire.refusals import refusal_response
from outlay.wire.registry import find_route

DOLLAR = 1_000_000_000


@pytest.fixture(autouse=True)
def clean_guard() -> Iterator[None]:
    guard.reset()
    yield
    assert guard.counts() == {}, "something failed inside"
    guard.reset()


class Provider:
    """Answers real SDKs in process, as the taps do: what the rules refuse gets their 402."""

    def __init__(self) -> None:
        self.calls = 0
        self.costs = DOLLAR // 10
        self.server_says: Refusal | None = None
        self.own_answer: httpx2.Response | None = None
        self.openai = openai.OpenAI(
            api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(self._answer))
        )
        self.anthropic = anthropic.Anthropic(
            api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(self._answer))
        )
        self.httpx2 = httpx2.Client(transport=httpx2.MockTransport(self._answer))

    def ask(self) -> str:
        made = self.openai.chat.completions.create(
            model="gpt-5-mini", messages=[{"role": "user", "content": "Say OK."}]
        )
        return str(made.id)

    def _answer(self, request: httpx2.Request) -> httpx2.Response:
        self.calls += 1
        if self.own_answer is not None:
            return self.own_answer
        scope, refusal = working_scope(), self.server_says
        if refusal is not None:
            runs.refused(scope, refusal)
        else:
            got = runs.reserve(scope, self.costs)
            if not isinstance(got, Refusal):
                runs.finished(scope, {"cost": self.costs}, (), got)
                return httpx2.Response(200, json={"id": "chatcmpl-1", "choices": []})
            refusal = got
        route = find_route("POST", str(request.url))
        assert route is not None
        status, headers, body = refusal_response(route.endpoint, refusal.as_dict())
        return httpx2.Response(status, headers=headers, content=body)


@pytest.fixture
def provider() -> Provider:
    return Provider()


def test_the_error_that_leaves_a_refused_run_is_one_typed_error(provider: Provider) -> None:
    with (
        pytest.raises(outlay.RunStopped) as caught,
        capture_events(),
        outlay.agent("boss", budget="0.25"),
    ):
        for number in range(5):
            outlay.record("tool", name="t", cost_nanos=1)
            provider.ask()
            outlay.partial([number])
    stopped = caught.value
    assert isinstance(stopped, OutlayError)
    assert isinstance(stopped.__cause__, openai.APIStatusError)
    assert stopped.__cause__.status_code == 402
    assert stopped.refusal.reason == "budget"
    assert stopped.partial == [1]
    assert (stopped.agent_path, stopped.status, stopped.code) == ("boss", 402, "run_stopped")
    assert "boss" in stopped.message
    assert "$0.25" in stopped.message
    assert stopped.calls >= 3
    assert provider.calls == 3, "the SDK does not try again"


def test_what_it_has_cost_is_on_the_error() -> None:
    with (
        pytest.raises(outlay.RunStopped) as caught,
        capture_events(),
        outlay.agent("boss", budget_nanos=10),
    ):
        with outlay.agent("child"):
            outlay.record("tool", name="t", cost_nanos=12)
        refusal = runs.reserve(working_scope(), 1)
        assert isinstance(refusal, Refusal)
        raise ValueError(f"raw client: {refusal.message}")
    assert (caught.value.cost_nanos, caught.value.calls, caught.value.partial) == (12, 1, None)


def test_the_error_can_be_sent_to_another_process(provider: Provider) -> None:
    with pytest.raises(outlay.RunStopped) as caught, outlay.agent("boss", budget="0"):
        provider.ask()
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.message, again.refusal, again.agent_path) == (
        caught.value.message, caught.value.refusal, "boss",
    )  # fmt: skip


def test_only_the_run_whose_rule_it_was_ends(provider: Provider) -> None:
    with pytest.raises(outlay.RunStopped) as caught, outlay.agent("boss", budget="0.10"):
        provider.ask()
        with pytest.raises(openai.APIStatusError), outlay.agent("child", budget="0.10"):
            provider.ask()
        with outlay.agent("child"):
            provider.ask()
    assert caught.value.agent_path == "boss"


def test_a_child_that_is_stopped_leaves_its_parent_running(provider: Provider) -> None:
    with outlay.agent("boss", budget="1"):
        with pytest.raises(outlay.RunStopped) as caught, outlay.agent("child", budget="0.10"):
            provider.ask()
            provider.ask()
        assert caught.value.agent_path == "boss/child"
        provider.ask()


def test_an_end_that_leaves_further_runs_stays_what_it_is(provider: Provider) -> None:
    with pytest.raises(outlay.RunStopped) as caught, outlay.agent("boss", budget="0.10"):
        provider.ask()
        with pytest.raises(openai.APIStatusError):
            provider.ask()
        with outlay.agent("child", max_steps=0):
            provider.ask()
    assert caught.value.agent_path == "boss/child"


def test_a_refusal_that_is_handled_ends_nothing(provider: Provider) -> None:
    with outlay.agent("boss", budget="0"):
        with pytest.raises(openai.APIStatusError):
            provider.ask()
        outlay.partial("thrown away")


@pytest.mark.parametrize("error", [KeyError("k"), KeyboardInterrupt(), SystemExit(1)])
def test_other_errors_pass_untouched(provider: Provider, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, outlay.agent("boss", budget="0"):
        with pytest.raises(openai.APIStatusError):
            provider.ask()
        raise error
    assert caught.value is error


def test_an_error_that_is_raised_from_a_refusal_ends_the_run_too(provider: Provider) -> None:
    class TheirError(Exception):
        pass

    with pytest.raises(outlay.RunStopped) as caught, outlay.agent("boss", budget="0"):
        try:
            provider.ask()
        except openai.OpenAIError as error:
            raise TheirError from error
    assert isinstance(caught.value.__cause__, TheirError)


def test_a_providers_own_402_is_not_ours(provider: Provider) -> None:
    with pytest.raises(openai.APIStatusError), outlay.agent("boss", budget="0"):
        with pytest.raises(openai.APIStatusError):
            provider.ask()
        provider.own_answer = httpx2.Response(402, json={"error": {"message": "top up"}})
        provider.ask()


def test_errors_that_tell_nothing_but_their_status_are_known(provider: Provider) -> None:
    for ask in (
        lambda: provider.httpx2.post("https://api.openai.com/v1/responses").raise_for_status(),
        lambda: provider.anthropic.messages.create(
            model="claude-haiku-4-5", max_tokens=5, messages=[{"role": "user", "content": "hi"}]
        ),
    ):
        with pytest.raises(outlay.RunStopped), outlay.agent("boss", budget="0"):
            ask()


def test_async_runs_and_groups_of_them(provider: Provider) -> None:
    async def child(name: str, budget: str | None) -> None:
        async with outlay.agent(name, budget=budget):
            await asyncio.sleep(0)
            provider.ask()
            await asyncio.sleep(60)

    async def main() -> None:
        async with outlay.agent("boss", budget="0.10"), asyncio.TaskGroup() as group:
            group.create_task(child("one", None))
            group.create_task(child("two", None))

    with pytest.raises(outlay.RunStopped) as caught:
        asyncio.run(main())
    assert caught.value.agent_path == "boss"
    assert isinstance(caught.value.__cause__, ExceptionGroup)


def test_a_cancelled_task_is_cancelled_and_nothing_else(provider: Provider) -> None:
    async def child() -> None:
        async with outlay.agent("child", budget="0"):
            with pytest.raises(openai.APIStatusError):
                provider.ask()
            await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.create_task(child())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_decorated_functions_of_every_kind_end_with_the_typed_error(provider: Provider) -> None:
    opener = outlay.agent("boss", budget="0.10")

    @opener
    def function() -> None:
        provider.ask()
        provider.ask()

    @opener
    async def coroutine() -> None:
        await asyncio.sleep(0)
        provider.ask()
        provider.ask()

    @opener
    def generator() -> Iterator[str]:
        yield provider.ask()
        yield provider.ask()

    @opener
    async def async_generator() -> AsyncIterator[str]:
        yield provider.ask()
        yield provider.ask()

    async def drain() -> None:
        async for _ in async_generator():
            assert current_scope() is None

    for kind in (
        function, lambda: asyncio.run(coroutine()), lambda: list(generator()),
        lambda: asyncio.run(drain()),
    ):  # fmt: skip
        with pytest.raises(outlay.RunStopped) as caught:
            kind()
        assert caught.value.agent_path == "boss"
        assert isinstance(caught.value.__cause__, openai.APIStatusError)


def test_an_error_thrown_into_a_generator_is_its_callers_own() -> None:
    @outlay.agent("boss", budget_nanos=1)
    def generator() -> Iterator[int]:
        runs.reserve(working_scope(), 2)
        yield 1

    running: Any = generator()
    next(running)
    with pytest.raises(KeyError):
        running.throw(KeyError("theirs"))


@pytest.mark.parametrize(
    ("rules", "reason"),
    [({"max_steps": 0}, "steps"), ({"max_depth": 0}, "depth"), ({"max_repeats": 1}, "loop")],
)
def test_every_rule_ends_a_run_in_the_same_way(
    provider: Provider, rules: dict[str, Any], reason: str
) -> None:
    with pytest.raises(outlay.RunStopped) as caught, outlay.agent("boss", **rules):
        runs.finished(working_scope(), {}, (1, 1))
        with outlay.agent("child"):
            provider.ask()
    assert caught.value.refusal.reason == reason


def test_a_limit_of_the_servers_ends_the_outermost_agent(provider: Provider) -> None:
    provider.server_says = entitlement_refusal("model gpt-5-mini is not in the plan")
    with (
        outlay.context(tenant="acme"),
        pytest.raises(outlay.RunStopped) as caught,
        outlay.agent("boss"),
        outlay.context(feature="f"),
        outlay.agent("child", budget="5"),
    ):
        outlay.partial("half")
        provider.ask()
    assert (caught.value.agent_path, caught.value.partial) == ("boss", "half")
    assert caught.value.refusal is provider.server_says


def test_outside_any_agent_the_providers_error_stays(provider: Provider) -> None:
    provider.server_says = entitlement_refusal("no")
    with pytest.raises(openai.APIStatusError), outlay.context(tenant="acme"):
        outlay.partial("nobody asks")
        provider.ask()
    with pytest.raises(openai.APIStatusError):
        outlay.partial("nobody asks")
        provider.ask()


def test_the_partial_result_is_that_of_the_run_itself_else_of_one_below(
    provider: Provider,
) -> None:
    def stopped(*, own: bool) -> Any:
        with pytest.raises(outlay.RunStopped) as caught, outlay.agent("boss", budget="0"):
            if own:
                outlay.partial("own")
            with outlay.agent("child", max_steps=9), outlay.agent("plain"):
                outlay.partial("below")
                provider.ask()
        return caught.value.partial

    assert stopped(own=True) == "own"
    assert stopped(own=False) == "below"
