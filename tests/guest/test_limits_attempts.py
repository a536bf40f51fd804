"""Attempts under limits: what is asked, what is held and given back, and what a downgrade sends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import aiohttp
import httpx2
import openai
import pytest
import requests

import outlay
from outlay.capture import guard
from outlay.capture.limits.entering import FAILED
from outlay.capture.limits.steps import Admitted, Wait
from outlay.capture.runtime import active
from outlay.core.prices import ModelRow, PriceBook, RateRow
from tests.guest.bodies import CHAT_BODY, JSON, SECRET
from tests.guest.limits_gate import MESSAGES, Gate, Held, Providers, limited, long_chat
from tests.guest.replies import Paused, Start

Events = list[dict[str, Any]]
CHAT: dict[str, Any] = {"model": "gpt-4o", "messages": MESSAGES}
BUSY = (429, {**JSON, "retry-after-ms": "1"}, b'{"error":{"message":"busy","type":"rate_limit"}}')


@pytest.fixture
def provider(loopback: Start, monkeypatch: pytest.MonkeyPatch) -> Providers:
    monkeypatch.setattr("google.genai._api_client.has_aiohttp", False)
    return Providers(loopback)


@pytest.fixture
def limits(provider: Providers) -> Iterator[tuple[Gate, Events]]:
    with limited(hosts=provider.hosts) as made:
        yield made


# -- what is asked -------------------------------------------------------------------------------


def test_a_call_asks_for_its_model_and_its_bounds(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    with outlay.context(tenant="acme"), provider.openai() as client:
        client.chat.completions.create(**CHAT, max_completion_tokens=100, n=2)
        client.embeddings.with_raw_response.create(
            model="text-embedding-3-small", input=["x" * 40, "y" * 40]
        )
    first, second = gate.asked
    assert (first.provider, first.model, first.max_tokens) == ("openai", "gpt-4o", 200)
    assert (first.input_tokens, first.streamed) == (-(-len(SECRET) // 4), False)
    assert first.scope.values["tenant_id"] == "acme"
    assert (second.model, second.input_tokens, second.operation) == (
        "text-embedding-3-small", 20, "embeddings",
    )  # fmt: skip
    assert [(e["hold_id"], e["estimate_nanos"]) for e in events] == [("lease-1", 1234)] * 2


def test_each_attempt_asks_again_after_the_one_before_was_given_back(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    provider.first = [BUSY, BUSY]
    with outlay.context(tenant="acme"), provider.openai() as client:
        client.chat.completions.create(**CHAT)
    assert [e.get("attempt", 0) for e in events] == [0, 1, 2]
    used = {"tokens": 19, "input_tokens": 12, "output_tokens": 7, "calls": 1, "concurrent_calls": 1}
    assert gate.ended() == [FAILED, FAILED, used]


def test_a_retry_may_be_refused(provider: Providers, limits: tuple[Gate, Events]) -> None:
    gate, events = limits
    provider.first = [BUSY]
    gate.steps = [None]
    gate.refuse()
    with provider.openai() as client, pytest.raises(openai.APIStatusError) as raised:
        client.chat.completions.create(**CHAT)
    assert raised.value.status_code == 402
    assert [(e["status"], e.get("attempt", 0)) for e in events] == [("error", 0), ("blocked", 1)]
    assert len({e["call_id"] for e in events}) == 1
    assert len(provider.server.requests) == 1


# -- what is given back --------------------------------------------------------------------------


def test_a_stream_that_is_left_is_settled_once(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    with provider.openai() as client:
        stream = client.chat.completions.create(**CHAT, stream=True)
        next(iter(stream))
        stream.close()
        stream.close()
    (ended,) = gate.ended()
    assert ended is not None
    assert ended["output_tokens"] == events[0]["output"]
    assert events[0]["status"] == "aborted"
    assert len(gate.tickets[0].ended) == 1


def test_a_cancelled_call_is_settled(provider: Providers, limits: tuple[Gate, Events]) -> None:
    gate, events = limits

    async def call() -> None:
        async with provider.openai_async() as client:
            stream = await client.chat.completions.create(**CHAT, stream=True)
            async for _ in stream:
                raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(call())
    assert [e["status"] for e in events] == ["aborted"]
    assert [len(ticket.ended) for ticket in gate.tickets] == [1]


def test_a_call_that_never_left_costs_nothing(limits: tuple[Gate, Events]) -> None:
    gate, events = limits
    with (
        httpx2.Client() as client,
        outlay.context(tenant="acme"),
        pytest.raises(httpx2.ConnectError),
    ):
        client.post("http://api.openai.com:1/v1/chat/completions", json=CHAT)
    assert [(e["status"], e["hold_id"]) for e in events] == [("error", "lease-1")]
    assert gate.ended() == [FAILED]


def test_a_timeout_counts_as_it_was_held(provider: Providers, limits: tuple[Gate, Events]) -> None:
    gate, events = limits
    paused = Paused([b": ping\n\n", *long_chat()])
    provider.first = [(200, {"content-type": "text/event-stream"}, paused)]
    with provider.openai(timeout=0.2, max_retries=0) as client, pytest.raises(openai.APIError):
        list(client.chat.completions.create(**CHAT, stream=True))
    paused.go_on.set()
    assert [e["status"] for e in events] == ["timeout"]
    (ended,) = gate.ended()
    assert ended is not None
    assert "cost" not in ended, "no price is known here: the estimate counts"


def test_one_that_is_cancelled_while_it_waits_leaves_nothing(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.steps = [Wait(60)]

    async def call() -> None:
        async with provider.openai_async() as client:
            await asyncio.wait_for(client.chat.completions.create(**CHAT), 0.1)

    with pytest.raises((TimeoutError, openai.APIError)):
        asyncio.run(call())
    assert provider.server.requests == []
    assert events == []
    assert gate.tickets == []


def test_waiting_is_no_part_of_the_call(provider: Providers, limits: tuple[Gate, Events]) -> None:
    gate, events = limits
    gate.steps = [Wait(0.2), Wait(0.2)]

    async def call() -> None:
        async with provider.openai_async() as client:
            await client.chat.completions.create(**CHAT)

    asyncio.run(call())
    gate.steps = [Wait(0.2)]
    with provider.openai() as client:
        client.chat.completions.create(**CHAT)
    assert len(gate.asked) == 5
    assert all(e["latency_ms"] < 200 for e in events)


def test_a_gate_that_fails_lets_calls_pass_and_is_counted(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.steps = [RuntimeError("inside"), RuntimeError("inside")]

    async def call() -> None:
        async with provider.openai_async() as client:
            await client.chat.completions.create(**CHAT)

    with provider.openai() as client:
        client.chat.completions.create(**CHAT)
    asyncio.run(call())
    assert [(e["status"], "hold_id" in e) for e in events] == [("ok", False)] * 2
    assert guard.counts() == {"limits.enter": 2}


def test_a_ticket_that_fails_reaches_nobody(
    provider: Providers, limits: tuple[Gate, Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    _gate, events = limits

    def broken(*_: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr("tests.guest.limits_gate.Held.settle", broken)
    monkeypatch.setattr("tests.guest.limits_gate.Held.grow", broken)
    with provider.openai() as client:
        list(client.chat.completions.create(**CHAT, stream=True))
        client.chat.completions.create(**CHAT)
    assert [e["status"] for e in events] == ["ok", "ok"]
    assert sum(guard.counts().values()) > 0


# -- downgrades ----------------------------------------------------------------------------------


def test_a_downgrade_sends_the_cheaper_model_and_the_event_tells_both(
    provider: Providers, limits: tuple[Gate, Events], session: requests.Session
) -> None:
    gate, events = limits
    url = f"{provider.server.url}/openai/v1/chat/completions"

    async def call() -> None:
        async with provider.openai_async() as client:
            await client.chat.completions.create(**CHAT)

    for _ in range(4):
        gate.downgrade("gpt-4o-mini", "gpt-4o")
        gate.steps.append(None)
    with provider.openai() as client:
        client.chat.completions.create(**CHAT)
        list(client.chat.completions.create(**CHAT, stream=True))
    asyncio.run(call())
    session.post(url, json=CHAT)
    assert [sent["model"] for sent in provider.sent()] == ["gpt-4o-mini"] * 4
    assert all(sent["messages"] == MESSAGES for sent in provider.sent())
    assert [(e["downgraded_from"], e["model_requested"], e["limit_action"]) for e in events] == [
        ("gpt-4o", "gpt-4o-mini", "downgrade")
    ] * 4
    assert [a.model for a in gate.asked[1::2]] == ["gpt-4o-mini"] * 4
    assert all(ended is not None for ended in gate.ended())


def test_a_downgrade_over_aiohttp(provider: Providers, limits: tuple[Gate, Events]) -> None:
    gate, events = limits
    gate.downgrade("gpt-4o-mini")
    gate.steps.append(None)
    gate.downgrade("gemini-2.5-flash-lite")

    async def call() -> None:
        async with aiohttp.ClientSession(provider.server.url) as session:
            async with session.post("/openai/v1/chat/completions", json=CHAT) as reply:
                await reply.read()
            path = "/google/v1beta/models/gemini-2.5-flash:generateContent?alt=json"
            async with session.post(path, json={"contents": []}) as reply:
                await reply.read()

    asyncio.run(call())
    assert provider.sent()[0]["model"] == "gpt-4o-mini"
    expected = "/google/v1beta/models/gemini-2.5-flash-lite:generateContent?alt=json"
    assert provider.paths()[1] == expected
    assert [e["downgraded_from"] for e in events] == ["gpt-4o", "gemini-2.5-flash"]


def test_a_downgrade_of_a_model_in_the_path(
    provider: Providers, limits: tuple[Gate, Events], session: requests.Session
) -> None:
    gate, events = limits
    gate.downgrade("gemini-2.5-flash-lite")
    gate.steps.append(None)
    gate.downgrade("gemini-2.5-flash-lite")
    client = provider.google()
    client.models.generate_content(model="gemini-2.5-flash", contents="hello")
    client.close()
    path = "/google/v1beta/models/gemini-2.5-flash:generateContent?alt=json"
    session.post(provider.server.url + path, json={"contents": []})
    assert all("/models/gemini-2.5-flash-lite:generateContent" in p for p in provider.paths())
    assert provider.paths()[1].endswith("?alt=json")
    assert [e["model_requested"] for e in events] == ["gemini-2.5-flash-lite"] * 2


def test_a_signed_request_goes_on_as_it_is(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.downgrade("amazon.nova-lite-v1:0")
    client = provider.bedrock()
    client.converse(
        modelId="amazon.nova-pro-v1:0", messages=[{"role": "user", "content": [{"text": "hi"}]}]
    )
    client.close()
    assert "nova-pro" in provider.paths()[0]
    assert gate.asked[-1].keep_model
    assert events[0]["findings"] == ["not_downgraded"]
    assert "downgraded_from" not in events[0]


def test_what_a_downgrade_is_refused_with_is_told_of_both(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.downgrade("gpt-4o-mini")
    gate.refuse()
    with provider.openai() as client, pytest.raises(openai.APIStatusError):
        client.chat.completions.create(**CHAT)
    assert provider.server.requests == []
    assert [(e["status"], e["downgraded_from"], e["model_requested"]) for e in events] == [
        ("blocked", "gpt-4o", "gpt-4o-mini")
    ]
    assert events[0]["limit_action"] == "block"


# -- agents' own rules ---------------------------------------------------------------------------


def test_without_a_gate_an_agents_steps_are_kept(provider: Providers) -> None:
    with limited(hosts=provider.hosts) as (_, events):
        runtime = active()
        assert runtime is not None
        runtime.gate = None

        @outlay.agent("research", max_steps=2)
        def research() -> None:
            with provider.openai() as client:
                for _ in range(3):
                    client.chat.completions.create(**CHAT)

        with pytest.raises(Exception, match="2 steps"):
            research()
    assert [e["status"] for e in events] == ["ok", "ok", "blocked"]
    assert events[-1]["error_type"] == "too_many_steps"
    assert len(provider.server.requests) == 2


def priced() -> PriceBook:
    """A price of a dollar for each million tokens in, and ten for those out."""
    rates = tuple(
        RateRow.make("openai", "gpt-4o", unit, nanos)
        for unit, nanos in (("input", 10**9), ("output", 10**10))
    )
    return PriceBook((ModelRow("openai", "gpt-4o", '{"starts_with":"gpt-4o"}'),), rates)


def test_a_stream_that_outgrows_its_agents_budget_is_cut(provider: Providers) -> None:
    """Without any gate: 100 tokens are held, and few more are there."""
    with limited(hosts=provider.hosts) as (_, events):
        runtime = active()
        assert runtime is not None
        runtime.gate = None
        runtime.rates.book = priced()

        @outlay.agent("research", budget="0.0011")
        def research() -> str:
            with provider.openai() as client:
                stream = client.chat.completions.create(**CHAT, stream=True, max_tokens=100)
                chunks = list(stream)
            return str(chunks[-1].choices[0].finish_reason)

        assert research() == "length"
    assert [(e["status"], e["cut_off"], e["finish_reason"]) for e in events] == [
        ("incomplete", True, "limit")
    ]
    assert 100 <= events[0]["output"] < 150


def test_a_call_that_nobody_could_check_says_so(
    provider: Providers, limits: tuple[Gate, Events], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, events = limits
    gate.steps = [Admitted(Held(unchecked=True))]
    with provider.openai() as client:
        client.chat.completions.create(**CHAT)
    assert events[0]["findings"] == ["limits_unchecked"]


def test_a_gateway_of_ours_that_has_counted_the_call_is_not_counted_again(
    provider: Providers, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    stamped = {**JSON, "outlay-event-id": "01a2020c-ef19-7a78-a618-a7b5362bd22f"}
    provider.first = [(200, stamped, CHAT_BODY)]
    with provider.openai() as client:
        client.chat.completions.create(**CHAT)
    assert events == []
    assert gate.ended() == [None]
