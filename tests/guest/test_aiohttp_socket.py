"""The tap on websockets of aiohttp: follows those to providers, the caller sees no difference."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from websockets.sync.server import ServerConnection

import outlay
from outlay.capture.taps import aiohttp as tap
from outlay.capture.taps.shared import MARK
from outlay.capture.testing import capture_events
from tests.guest.bodies import SECRET
from tests.guest.speakers import CREATED, TURN, Speaker, turn

ASK = {"type": "response.create"}
PATH = "/openai/v1/realtime?model=gpt-realtime"
Talk = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[Any]]


@pytest.fixture
def speak() -> Iterator[Callable[[Callable[[ServerConnection], None]], Speaker]]:
    made: list[Speaker] = []

    def start(handler: Callable[[ServerConnection], None]) -> Speaker:
        made.append(Speaker(handler))
        return made[-1]

    yield start
    for speaker in made:
        speaker.close()


def run(url: str, talk: Talk, **more: Any) -> Any:
    async def main() -> Any:
        async with aiohttp.ClientSession(**more) as session, session.ws_connect(url) as socket:
            return await talk(socket)

    return asyncio.run(main())


async def ask_and_listen(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    await socket.send_json(ASK)
    return [(await socket.receive()).data for _ in TURN]


def test_a_turn_is_one_event_and_the_caller_gets_every_message(speak: Any) -> None:
    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts) as events, outlay.context(tenant="acme"):
        assert run(speaker.url + PATH, ask_and_listen) == TURN
    (event,) = events
    assert (event["surface"], event["status"]) == ("openai.realtime", "ok")
    assert (event["input"], event["output"], event["tenant_id"]) == (12, 7, "acme")
    assert event["model_requested"] == "gpt-realtime"
    assert SECRET not in json.dumps(events)


def test_bytes_iteration_and_a_class_of_the_callers_own_are_followed(speak: Any) -> None:
    class Own(aiohttp.ClientWebSocketResponse):
        pass

    async def talk(socket: Any) -> list[Any]:
        assert isinstance(socket, Own)
        assert (type(socket).__name__, type(socket).__module__) == ("Own", __name__)
        await socket.send_bytes(json.dumps(ASK).encode())
        heard = []
        async for message in socket:
            heard.append(message.data)
            if len(heard) == len(TURN):
                break
        return heard

    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts) as events:
        assert run(speaker.url + PATH, talk, ws_response_class=Own) == TURN
    assert [event["status"] for event in events] == ["ok"]


def test_a_socket_to_nobody_known_is_not_touched(speak: Any) -> None:
    async def talk(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
        assert type(socket) is aiohttp.ClientWebSocketResponse
        return await ask_and_listen(socket)

    speaker = speak(turn)
    with capture_events() as events:
        assert run(speaker.url + PATH, talk) == TURN
    assert events == []


@pytest.mark.parametrize("how", ["closed", "dropped", "let go"])
def test_a_response_under_way_when_the_socket_ends_may_be_billed(how: str, speak: Any) -> None:
    def begin(connection: ServerConnection) -> None:
        connection.recv()
        connection.send(json.dumps(CREATED))
        if how == "dropped":
            connection.socket.close()
        else:
            connection.recv()

    async def talk(url: str) -> None:
        async with aiohttp.ClientSession() as session:
            socket = await session.ws_connect(url)
            await socket.send_json(ASK)
            await socket.receive()
            if how == "closed":
                await socket.close()
            elif how == "dropped":
                ended = await socket.receive()
                assert ended.type is aiohttp.WSMsgType.CLOSED
        del socket
        gc.collect()

    speaker = speak(begin)
    with capture_events(hosts=speaker.hosts) as events:
        asyncio.run(talk(speaker.url + PATH))
        gc.collect()
    assert [(e["status"], e["billed"]) for e in events] == [("aborted", "possible")]


def test_taps_come_off_as_they_went_on() -> None:
    session = aiohttp.ClientSession
    with capture_events():
        tapped = session._ws_connect
        tap.install(aiohttp)
        assert session._ws_connect is tapped
        tap.remove(aiohttp)
        assert not hasattr(session._ws_connect, MARK)
        tap.install(aiohttp)
        assert hasattr(session._ws_connect, MARK)
