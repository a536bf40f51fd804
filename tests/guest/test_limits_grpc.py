"""xAI's own API under limits: a refused call is never started and raises gRPC's own error once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.guest.limits_gate import REFUSAL, Gate, limited
from tests.guest.xai_server import ASKED, PIECES, Served, chat, settled, stub

Events = list[dict[str, Any]]


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@pytest.fixture
def limits() -> Iterator[tuple[Gate, Events]]:
    with limited() as made:
        yield made


def check_blocked(limits: tuple[Gate, Events], error: Any) -> None:
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == REFUSAL.message
    assert dict(error.trailing_metadata())["outlay-limit"] == "acme-month"
    gate, events = limits
    assert [(e["status"], e["billed"], e["model_requested"]) for e in events] == [
        ("blocked", "no", "grok-4-fast")
    ]
    assert len(gate.asked) == 1
    assert gate.asked[0].provider == "x-ai"


def test_blocking(served: Served, limits: tuple[Gate, Events]) -> None:
    limits[0].refuse(3)
    with served.client() as client, pytest.raises(grpc.RpcError) as raised:
        chat(client).sample()
    check_blocked(limits, raised.value)


def test_a_stream(served: Served, limits: tuple[Gate, Events]) -> None:
    limits[0].refuse(3)
    with served.client() as client, pytest.raises(grpc.RpcError) as raised:
        list(chat(client).stream())
    check_blocked(limits, raised.value)


@pytest.mark.parametrize("streamed", [False, True])
def test_asyncio(served: Served, limits: tuple[Gate, Events], streamed: bool) -> None:
    limits[0].refuse(3)

    async def call() -> None:
        async with served.aio_client() as client:
            if streamed:
                async for _ in chat(client).stream():
                    pass
            else:
                await chat(client).sample()

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        asyncio.run(call())
    check_blocked(limits, raised.value)


def test_what_is_let_in_is_settled(served: Served, limits: tuple[Gate, Events]) -> None:
    gate, events = limits

    async def call() -> None:
        async with served.aio_client() as client:
            await chat(client).sample()
            assert len([chunk async for chunk in chat(client).stream()]) == PIECES

    with served.client() as client:
        chat(client).sample()
        list(chat(client).stream())
    asyncio.run(call())
    settled(events, 4)
    assert [(e["status"], e["hold_id"], e["estimate_nanos"]) for e in events] == [
        ("ok", "lease-1", 1234)
    ] * 4
    assert [ended["tokens"] for ended in gate.ended() if ended] == [201] * 4


def test_a_call_of_asyncio_is_one_as_before(served: Served, limits: tuple[Gate, Events]) -> None:
    async def call() -> None:
        async with grpc.aio.insecure_channel(served.where) as channel:
            made = stub(channel).GetCompletion(ASKED)
            reply = await made
            assert reply.id == "r_1"
            assert await made.code() is grpc.StatusCode.OK
            assert made.done()
            assert not made.cancelled()
            pieces = stub(channel).GetCompletionChunk(ASKED)
            assert (await pieces.read()).id == "r_1"
            assert pieces.cancel()
            left = stub(channel).GetCompletion(ASKED)
            assert left.cancel()
            with pytest.raises(asyncio.CancelledError):
                await left
            assert left.cancelled()

    asyncio.run(call())
    settled(limits[1], 2)
    assert [e["status"] for e in limits[1]] == ["ok", "aborted"]


def test_a_look_at_earlier_work_is_not_asked_about(
    served: Served, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    gate.refuse(3)
    with served.client() as client:
        from datetime import timedelta

        chat(client).defer(interval=timedelta(milliseconds=1))
    assert gate.asked == []
    assert [e["status"] for e in events] == ["ok"]
