"""The tap on `grpc.aio`: awaited calls and asynchronous streams are metered as they are."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import grpc
import grpc.aio
import pytest

import outlay
from outlay.capture.testing import capture_events
from tests.guest.bodies import SECRET
from tests.guest.xai_server import ASKED, COUNTS, PIECES, Served, chat, counted, settled, stub


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    with capture_events() as made:
        yield made


def test_an_awaited_call_is_metered(served: Served, events: list[dict[str, Any]]) -> None:
    async def main() -> str:
        async with served.aio_client() as client:
            return str((await chat(client).sample()).content)

    assert asyncio.run(main()) == SECRET
    assert [counted(e) for e in events] == [COUNTS]


@pytest.mark.parametrize("pause_s", [0, 0.02])
def test_an_async_stream_is_metered(
    served: Served, events: list[dict[str, Any]], pause_s: float
) -> None:
    async def main() -> int:
        count = 0
        async with served.aio_client() as client:
            async for _ in chat(client).stream():
                await asyncio.sleep(pause_s)
                count += 1
        return count

    assert asyncio.run(main()) == PIECES
    (event,) = events
    assert counted(event) == COUNTS
    assert (event["status"], event["streamed"]) == ("ok", True)


def test_an_async_stream_read_by_hand_is_metered(
    served: Served, events: list[dict[str, Any]]
) -> None:
    async def main() -> int:
        count = 0
        async with grpc.aio.insecure_channel(served.where) as channel:
            call = stub(channel).GetCompletionChunk(ASKED)
            assert isinstance(call, grpc.aio.UnaryStreamCall)
            while await call.read() is not grpc.aio.EOF:
                count += 1
        return count

    assert asyncio.run(main()) == PIECES
    assert [counted(e) for e in events] == [COUNTS]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_cancelled_task_aborts_its_call(
    served: Served, events: list[dict[str, Any]], *, streamed: bool
) -> None:
    served.chat.pause_s = 0.3

    async def main() -> None:
        async with served.aio_client() as client:
            asked = chat(client)

            async def listen() -> None:
                async for _ in asked.stream():
                    pass

            task = asyncio.create_task(listen() if streamed else asked.sample())
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    gc.collect()
    (event,) = settled(events)
    assert (event["status"], event["error_type"]) == ("aborted", "cancelled")
    assert event.get("output", 0) == (1 if streamed else 0)


@pytest.mark.parametrize("bare", [False, True])
def test_an_error_of_an_awaited_call_is_an_event(
    served: Served, events: list[dict[str, Any]], *, bare: bool
) -> None:
    served.chat.code = grpc.StatusCode.PERMISSION_DENIED

    async def main() -> None:
        if bare:
            async with grpc.aio.insecure_channel(served.where) as channel:
                await stub(channel).GetCompletion(ASKED)
        else:
            async with served.aio_client() as client:
                await chat(client).sample()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        asyncio.run(main())
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    (event,) = events
    assert (event["status"], event["error_type"]) == ("error", "permission_denied")
    assert event["billed"] == "no"


def test_tasks_keep_their_own_context(served: Served, events: list[dict[str, Any]]) -> None:
    async def ask(client: Any, tenant: str) -> None:
        async with outlay.context(tenant=tenant):
            await chat(client).sample()

    async def main() -> None:
        async with served.aio_client() as client:
            await asyncio.gather(*(ask(client, f"t{n}") for n in range(8)))

    asyncio.run(main())
    assert {e["tenant_id"] for e in events} == {f"t{n}" for n in range(8)}
