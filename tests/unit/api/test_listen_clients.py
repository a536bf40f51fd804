"""What an application is told of its clients, of websockets and of the listener's end."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import Any

import pytest
from websockets.sync.client import connect

from outlay.api import listen, listen_http
from outlay.api.listen import bind
from outlay.errors import ConfigError
from tests.unit.api.listening import SHORT_S, WAIT_S, Address, answer, connected, listening, rest

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


class Streaming:
    """An application that begins an answer and then does as a test says."""

    def __init__(self, then: Any) -> None:
        self.peer: Any = None
        self.gone = threading.Event()
        self.over = threading.Event()
        self._then = then

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        self.peer = scope["extensions"][listen_http.PEER]
        self.peer.on_gone(self.gone.set)
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
            await self._then(self, send)
        finally:
            self.over.set()


async def wait_for_the_end(app: Streaming, _send: Any) -> None:
    while not app.peer.gone:  # noqa: ASYNC110 - what it says is under test
        await asyncio.sleep(0.01)


def begin_and_leave(address: Address) -> None:
    with connected(address) as connection:
        connection.sendall(GET)
        assert b"200" in connection.recv(65536)


# -- the client's end ----------------------------------------------------------------------------


def test_an_application_hears_that_its_client_hung_up() -> None:
    app = Streaming(wait_for_the_end)
    with listening(app) as (_, address):
        with connected(address) as connection:
            connection.sendall(GET)
            connection.recv(65536)
            time.sleep(SHORT_S)
            assert not app.peer.gone
            assert not app.gone.is_set()
        assert app.gone.wait(WAIT_S)
        assert app.over.wait(WAIT_S)


def test_a_client_that_leaves_after_its_answer_is_not_gone() -> None:
    async def finish(_app: Streaming, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"done"})

    app = Streaming(finish)
    with listening(app) as (_, address):
        with connected(address) as connection:
            connection.sendall(GET)
            received = b""
            while not received.endswith(b"0\r\n\r\n"):
                received += connection.recv(65536)
        assert app.over.wait(WAIT_S)
        time.sleep(SHORT_S)
        assert not app.gone.is_set()
        assert not app.peer.gone


def test_who_asks_late_whether_the_client_is_gone_hears_it_too() -> None:
    heard = threading.Event()

    async def ask_late(app: Streaming, send: Any) -> None:
        await wait_for_the_end(app, send)
        app.peer.on_gone(heard.set)

    with listening(Streaming(ask_late)) as (_, address):
        begin_and_leave(address)
        assert heard.wait(WAIT_S)


def test_who_asked_not_to_be_told_is_not_told() -> None:
    async def ask_no_more(app: Streaming, send: Any) -> None:
        app.peer.on_gone(None)
        await wait_for_the_end(app, send)

    app = Streaming(ask_no_more)
    with listening(app) as (_, address):
        begin_and_leave(address)
        assert app.over.wait(WAIT_S)
    assert not app.gone.is_set()


def test_the_first_request_of_a_pipeline_hears_that_the_client_hung_up() -> None:
    app = Streaming(wait_for_the_end)
    with listening(app) as (_, address):
        with connected(address) as connection:
            connection.sendall(GET)
            connection.recv(65536)
            connection.sendall(b"GET / HT")  # the next one has begun
            time.sleep(SHORT_S)
        assert app.gone.wait(WAIT_S)


def test_an_answer_that_is_broken_off_has_all_that_was_sent_and_no_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def break_off(app: Streaming, _send: Any) -> None:
        app.peer.abort()

    app = Streaming(break_off)
    with listening(app) as (_, address), connected(address) as connection:
        connection.sendall(GET)
        received = rest(connection)
    assert received.endswith(b"5\r\nbegun\r\n")
    assert not app.gone.is_set()
    assert [r for r in caplog.records if r.levelname in ("WARNING", "ERROR")] == []


def test_a_client_that_does_not_read_what_was_broken_off_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen_http, "LINGER_S", SHORT_S)
    size = 50_000_000

    async def much(app: Streaming, send: Any) -> None:
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        app.peer.abort()
        await wait_for_the_end(app, send)

    app = Streaming(much)
    with listening(app) as (_, address), connected(address) as connection:
        connection.sendall(GET)
        assert app.over.wait(WAIT_S)
        assert len(rest(connection)) < size


# -- websockets ----------------------------------------------------------------------------------


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer requests and websockets."""
    if scope["type"] == "http":
        await answer(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": "hello"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


@pytest.mark.parametrize(("sockets", "status"), [(True, b"101"), (False, b"200")])
def test_websockets_are_served_where_they_are_asked_for(sockets: bool, status: bytes) -> None:
    with listening(hello, sockets=sockets) as (_, address), connected(address) as connection:
        connection.sendall(UPGRADE)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_a_websocket_may_be_silent_for_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listen_http, "HEAD_TIMEOUT_S", SHORT_S)
    with (
        listening(hello, sockets=True) as (_, address),
        connect(f"ws://127.0.0.1:{address[1]}/", proxy=None) as client,
    ):
        assert client.recv() == "hello"
        time.sleep(2 * SHORT_S)
        assert client.ping().wait(WAIT_S)


def test_a_websocket_s_client_that_gives_no_sign_of_life_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen, "PING_S", 0.1)
    monkeypatch.setattr(listen, "PONG_S", SHORT_S)
    with listening(hello, sockets=True) as (_, address), connected(address) as connection:
        connection.sendall(UPGRADE)
        received = rest(connection)
    assert b"\x89\x04" in received  # a ping
    assert received.endswith(b"keepalive ping timeout")


def test_what_websockets_say_of_their_urls_and_frames_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "uvicorn.error")
    with (
        listening(hello, sockets=True) as (_, address),
        connect(f"ws://127.0.0.1:{address[1]}/?key=ov_secret", proxy=None) as client,
    ):
        client.recv()
        client.send("words of a prompt")
    logged = [r.getMessage() for r in caplog.records if r.name.startswith("uvicorn")]
    assert logged
    assert not [text for text in logged if "secret" in text or "prompt" in text]


# -- other choices -------------------------------------------------------------------------------


def test_an_application_is_told_of_its_life_where_it_asks() -> None:
    told: list[str] = []

    async def living(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for name in ("startup", "shutdown"):
            told.append((await receive())["type"])
            await send({"type": f"lifespan.{name}.complete"})

    with listening(living, lifespan=True):
        assert told == ["lifespan.startup"]
    assert told == ["lifespan.startup", "lifespan.shutdown"]


def test_connections_past_the_bound_are_answered_503() -> None:
    with listening(answer, max_connections=2) as (_, address), connected(address) as first:
        first.sendall(GET)
        assert first.recv(65536).startswith(b"HTTP/1.1 200")
        with connected(address) as second:
            second.sendall(GET)
            assert second.recv(65536).startswith(b"HTTP/1.1 503")


def test_the_end_waits_for_requests_in_hand_as_long_as_its_grace() -> None:
    app = Streaming(wait_for_the_end)
    with listening(app, grace_s=0.5) as (listener, address), connected(address) as connection:
        connection.sendall(GET)
        connection.recv(65536)
        began = time.monotonic()
        listener.stop()
        rest(connection)
        assert 0.5 < time.monotonic() - began < WAIT_S / 2


def test_processes_share_a_port_where_all_of_them_ask() -> None:
    with (
        bind("127.0.0.1", 0, reuse_port=True) as one,
        bind("127.0.0.1", one.getsockname()[1], reuse_port=True) as two,
    ):
        for bound in (one, two):
            bound.listen()
        assert one.getsockname() == two.getsockname()


@pytest.mark.parametrize("reuse_port", [False, True])
def test_a_port_is_not_taken_from_who_does_not_share_it(reuse_port: bool) -> None:
    with bind("127.0.0.1", 0) as alone:
        alone.listen()
        with pytest.raises(ConfigError):
            bind("127.0.0.1", alone.getsockname()[1], reuse_port=reuse_port)
