"""Sockets under limits: one that may not open fails with its library's own error of a handshake,
and no provider hears of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import openai
import pytest
import websockets.asyncio.client
import websockets.exceptions
import websockets.sync.client
from websockets.sync.server import ServerConnection

from tests.guest.limits_gate import Gate, limited
from tests.guest.speakers import Speaker, turn

Events = list[dict[str, Any]]
Run = Callable[..., Any]

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")


@pytest.fixture
def speaker() -> Iterator[Speaker]:
    heard: list[ServerConnection] = []

    def handler(connection: ServerConnection) -> None:
        heard.append(connection)
        turn(connection)

    made = Speaker(handler)
    yield made
    made.close()


@pytest.fixture
def limits(speaker: Speaker) -> Iterator[tuple[Gate, Events]]:
    with limited(hosts=speaker.hosts) as made:
        yield made


def check_blocked(limits: tuple[Gate, Events], times: int = 1) -> None:
    gate, events = limits
    assert [(a.model, a.operation) for a in gate.asked] == [("gpt-realtime", "realtime")] * times
    assert [(e["status"], e["model_requested"], e["billed"]) for e in events] == [
        ("blocked", "gpt-realtime", "no")
    ] * times


def sdk(speaker: Speaker, kind: Any = openai.OpenAI) -> Any:
    return kind(api_key="sk-test", base_url=f"http://127.0.0.1:{speaker.port}/openai/v1")


def address(speaker: Speaker) -> str:
    return f"ws://127.0.0.1:{speaker.port}/openai/v1/realtime?model=gpt-realtime"


def test_the_openai_sdk(speaker: Speaker, limits: tuple[Gate, Events]) -> None:
    async def call() -> None:
        async with sdk(speaker, openai.AsyncOpenAI).realtime.connect(model="gpt-realtime"):
            pass

    limits[0].refuse(2)
    with (
        pytest.raises(websockets.exceptions.InvalidStatus) as raised,
        sdk(speaker).realtime.connect(model="gpt-realtime"),
    ):
        pass
    assert raised.value.response.status_code == 402
    assert b"acme-month" in raised.value.response.body
    with pytest.raises(websockets.exceptions.InvalidStatus):
        asyncio.run(call())
    check_blocked(limits, 2)


def test_websockets_and_aiohttp(speaker: Speaker, limits: tuple[Gate, Events]) -> None:
    async def call() -> None:
        with pytest.raises(websockets.exceptions.InvalidStatus):
            await websockets.asyncio.client.connect(address(speaker))
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.WSServerHandshakeError) as raised:
                await session.ws_connect(address(speaker))
            assert raised.value.status == 402

    limits[0].refuse(3)
    with pytest.raises(websockets.exceptions.InvalidStatus):
        websockets.sync.client.connect(address(speaker))
    asyncio.run(call())
    check_blocked(limits, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_legacy_client(speaker: Speaker, limits: tuple[Gate, Events]) -> None:
    import websockets.legacy.client
    from websockets.legacy.exceptions import InvalidStatusCode

    limits[0].refuse()

    async def call() -> None:
        with pytest.raises(InvalidStatusCode) as raised:
            await websockets.legacy.client.connect(address(speaker))
        assert raised.value.status_code == 402

    asyncio.run(call())
    check_blocked(limits)


def test_one_that_is_let_in_holds_nothing_and_is_metered(
    speaker: Speaker, limits: tuple[Gate, Events]
) -> None:
    gate, events = limits
    with sdk(speaker).realtime.connect(model="gpt-realtime") as connection:
        connection.response.create()
        for event in connection:
            if event.type == "response.done":
                break
    assert gate.ended() == [None]
    assert [(e["status"], e["output"]) for e in events] == [("ok", 7)]
