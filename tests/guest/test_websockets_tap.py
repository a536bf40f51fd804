"""The tap on websockets: follows sockets to providers, changes nothing the caller sees."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import websockets.asyncio.client
import websockets.exceptions
import websockets.sync.client
from websockets.sync.server import ServerConnection

import outlay
from outlay.capture.runtime import activate
from outlay.capture.taps import websockets as tap
from outlay.capture.testing import capture_events
from tests.guest.bodies import SECRET
from tests.guest.socket_clients import CLIENTS, Talk
from tests.guest.speakers import CREATED, TURN, Speaker, done, turn

Run = Callable[..., Any]
ASK = json.dumps({"type": "response.create"})
PATH = "/openai/v1/realtime?model=gpt-realtime"

pytestmark = pytest.mark.filterwarnings("ignore:connect.. must be used:DeprecationWarning")


@pytest.fixture
def speak() -> Iterator[Callable[[Callable[[ServerConnection], None]], Speaker]]:
    made: list[Speaker] = []

    def start(handler: Callable[[ServerConnection], None]) -> Speaker:
        made.append(Speaker(handler))
        return made[-1]

    yield start
    for speaker in made:
        speaker.close()


client = pytest.mark.parametrize("client", CLIENTS.values(), ids=CLIENTS)
modern = pytest.mark.parametrize(
    "client", [CLIENTS["sync"], CLIENTS["asyncio"]], ids=["sync", "asyncio"]
)


def ask_and_listen(connection: Any) -> Talk:
    yield connection.send(ASK)
    heard: list[Any] = []
    while len(heard) < len(TURN):
        heard.append((yield connection.recv()))
    return heard


@client
def test_a_turn_is_one_event_and_the_caller_gets_every_message(client: Any, speak: Run) -> None:
    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts) as events:
        assert client.run(speaker.url + PATH, ask_and_listen) == TURN
    (event,) = events
    assert (event["surface"], event["status"]) == ("openai.realtime", "ok")
    assert (event["input"], event["output"]) == (12, 7)
    assert event["model_requested"] == "gpt-realtime"
    assert event["model_served"] == "gpt-realtime-2026"
    assert SECRET not in json.dumps(events)


@client
def test_iteration_is_metered_and_ends_as_it_did(client: Any, speak: Run) -> None:
    def once(connection: ServerConnection) -> None:
        for message in TURN:
            connection.send(message)

    def listen(connection: Any) -> Talk:
        if client is CLIENTS["sync"]:
            return list(connection)
        return (yield connection)

    speaker = speak(once)
    with capture_events(hosts=speaker.hosts) as events:
        assert client.run(speaker.url + PATH, listen) == TURN
    assert [e["status"] for e in events] == ["ok"]


@client
def test_a_socket_to_nobody_known_is_not_followed(client: Any, speak: Run) -> None:
    def talk(connection: Any) -> Talk:
        heard = yield from ask_and_listen(connection)
        assert tap._SLOT not in connection.__dict__
        return heard

    speaker = speak(turn)
    with capture_events() as events:
        assert client.run(speaker.url + PATH, talk) == TURN
    assert events == []


@client
def test_without_a_runtime_nothing_is_followed(client: Any, speak: Run) -> None:
    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts) as events:
        activate(None)
        assert client.run(speaker.url + PATH, ask_and_listen) == TURN
    assert events == []


@client
def test_closing_in_mid_response_makes_an_aborted_event(client: Any, speak: Run) -> None:
    def talk(connection: Any) -> Talk:
        yield connection.send(ASK)
        for _ in range(3):
            yield connection.recv()
        yield connection.close()

    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts) as events:
        client.run(speaker.url + PATH, talk)
    (event,) = events
    assert (event["status"], event["billed"]) == ("aborted", "possible")
    assert event["usage_source"] == "estimated"
    assert event["output"] == -(-len(SECRET) // 4)


@client
def test_a_server_that_fails_raises_what_it_raised_and_aborts(client: Any, speak: Run) -> None:
    def fail(connection: ServerConnection) -> None:
        connection.send(json.dumps(CREATED))
        connection.close(1011, "overloaded")

    def talk(connection: Any) -> Talk:
        yield connection.recv()
        yield connection.recv()

    speaker = speak(fail)
    with capture_events(hosts=speaker.hosts) as events:
        with pytest.raises(websockets.exceptions.ConnectionClosedError) as caught:
            client.run(speaker.url + PATH, talk)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1011
        (event,) = events
    assert (event["status"], event["error_type"]) == ("aborted", "ConnectionClosedError")


@client
def test_sending_on_a_closed_socket_raises_what_it_raised(client: Any, speak: Run) -> None:
    def talk(connection: Any) -> Talk:
        yield connection.close()
        yield connection.send(ASK)

    speaker = speak(turn)
    with (
        capture_events(hosts=speaker.hosts) as events,
        pytest.raises(websockets.exceptions.ConnectionClosed),
    ):
        client.run(speaker.url + PATH, talk)
    assert events == []


@modern
def test_bytes_are_metered_and_stay_bytes(client: Any, speak: Run) -> None:
    def talk(connection: Any) -> Talk:
        yield connection.send(ASK.encode(), text=True)
        heard: list[Any] = []
        while len(heard) < len(TURN):
            heard.append((yield connection.recv(decode=False)))
        return heard

    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts) as events:
        heard = client.run(speaker.url + PATH, talk)
    assert [bytes(message) for message in heard] == [message.encode() for message in TURN]
    assert len(events) == 1


@modern
def test_messages_in_fragments_pass_as_fragments_and_are_metered(client: Any, speak: Run) -> None:
    whole = json.dumps(done())
    pieces = [whole[:20], whole[20:50], whole[50:]]

    def fragments(connection: ServerConnection) -> None:
        for _ in connection:
            connection.send(json.dumps(CREATED))
            connection.send(iter(pieces))

    def talk(connection: Any) -> Talk:
        yield connection.send(iter([ASK[:5], ASK[5:]]))
        yield connection.recv()
        return (yield connection.recv_streaming())

    speaker = speak(fragments)
    with capture_events(hosts=speaker.hosts) as events:
        heard = client.run(speaker.url + PATH, talk)
        assert "".join(heard) == whole
        assert len(heard) > 1
    assert [e["status"] for e in events] == ["ok"]


def test_a_message_in_fragments_is_put_together_up_to_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tap, "MAX_MESSAGE_BYTES", 4)
    pieces = tap._Pieces()
    for piece in ("12", "34", "5", "67", "89"):
        pieces.add(piece)
    assert pieces.whole() == "12345", "one piece over the bound says that it was too large"


def test_a_cancelled_receive_loses_nothing_and_ends_nothing(speak: Run) -> None:
    speaker = speak(turn)

    async def main() -> list[Any]:
        async with websockets.asyncio.client.connect(speaker.url + PATH) as connection:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.recv(), 0.02)
            await connection.send(ASK)
            return [await connection.recv() for _ in TURN]

    with capture_events(hosts=speaker.hosts) as events:
        assert asyncio.run(main()) == TURN
    assert [e["status"] for e in events] == ["ok"]


def test_a_receive_that_timed_out_loses_nothing_and_ends_nothing(speak: Run) -> None:
    speaker = speak(turn)
    with (
        capture_events(hosts=speaker.hosts) as events,
        websockets.sync.client.connect(speaker.url + PATH) as connection,
    ):
        with pytest.raises(TimeoutError):
            connection.recv(timeout=0.02)
        connection.send(ASK)
        assert [connection.recv() for _ in TURN] == TURN
        assert [e["status"] for e in events] == ["ok"]


def test_a_task_that_is_cancelled_in_mid_response_aborts_it(speak: Run) -> None:
    def slow(connection: ServerConnection) -> None:
        connection.send(json.dumps(CREATED))
        for _ in connection:
            pass

    speaker = speak(slow)

    async def main() -> None:
        heard = asyncio.Event()

        async def listen() -> None:
            async with websockets.asyncio.client.connect(speaker.url + PATH) as connection:
                async for _ in connection:
                    heard.set()

        task = asyncio.create_task(listen())
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with capture_events(hosts=speaker.hosts) as events:
        asyncio.run(main())
    assert [e["status"] for e in events] == ["aborted"]


def test_a_connection_that_is_dropped_is_ended_when_it_is_collected(speak: Run) -> None:
    def leave(connection: ServerConnection) -> None:
        connection.send(json.dumps(CREATED))

    speaker = speak(leave)

    async def main() -> None:
        connection = await websockets.asyncio.client.connect(speaker.url + PATH)
        await connection.recv()
        await connection.wait_closed()
        del connection
        await asyncio.sleep(0)

    with capture_events(hosts=speaker.hosts) as events:
        asyncio.run(main())
        gc.collect()
        assert [e["status"] for e in events] == ["aborted"]


def test_who_asks_pays_whoever_listens(speak: Run) -> None:
    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts, tenant="nobody") as events:
        with websockets.sync.client.connect(speaker.url + PATH) as connection:
            heard: list[Any] = []

            def listen() -> None:
                heard.extend(connection.recv() for _ in TURN * 2)

            thread = threading.Thread(target=listen)
            thread.start()
            for tenant in ("a", "b"):
                with outlay.context(tenant=tenant):
                    connection.send(ASK)
            thread.join()
        assert heard == TURN * 2
    assert sorted(e["tenant_id"] for e in events) == ["a", "b"]


@pytest.mark.parametrize("where", ["begin", "sent", "received", "end"])
@client
def test_an_error_of_ours_never_reaches_the_caller(
    client: Any, speak: Run, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(
        "outlay.capture.session.open_session"
        if where == "begin"
        else f"outlay.wire.openai_realtime.RealtimeSession.{'finish' if where == 'end' else where}",
        broken,
    )
    speaker = speak(turn)
    with capture_events(hosts=speaker.hosts):
        assert client.run(speaker.url + PATH, ask_and_listen) == TURN
        assert sum(outlay.stats()["errors"].values()) >= 1


@client
def test_signatures_and_kinds_of_functions_stay_the_same(client: Any) -> None:
    connection = tap._connection(client.module)
    tap.remove(client.module)
    names = [name for name in tap._ASYNCIO if hasattr(connection, name)]
    before = {name: inspect.signature(getattr(connection, name)) for name in names}
    kinds = {name: _kind(getattr(connection, name)) for name in names}
    with capture_events():
        assert {name: inspect.signature(getattr(connection, name)) for name in names} == before
        assert {name: _kind(getattr(connection, name)) for name in names} == kinds
        tapped = connection.recv
        tap.install(client.module)
        assert connection.recv is tapped


def _kind(function: Any) -> tuple[bool, ...]:
    checks = (
        inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction,
    )  # fmt: skip
    return tuple(check(function) for check in checks)


@client
def test_the_tap_leaves_no_trace_when_removed(client: Any) -> None:
    connection = tap._connection(client.module)
    tap.remove(client.module)
    own = dict(connection.__dict__)
    with capture_events():
        assert connection.__dict__["recv"] is not own.get("recv")
    tap.remove(client.module)
    assert dict(connection.__dict__) == own
