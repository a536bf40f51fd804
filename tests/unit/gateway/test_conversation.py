"""What passes on an open socket: how closes are told, how fast, how much and how long."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from websockets.sync.server import ServerConnection

from outlay.api import listen
from outlay.gateway import conversation, handshake
from outlay.gateway.conversation import MAX_REASON_BYTES, Conversation, Ending
from tests.guest.speakers import CREATED, DELTA, SESSION
from tests.unit.gateway.socket_rig import WAIT_S, echo, ended, listening, rigged, say, until

# -- closes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "leaving"), (1011, ""), (3000, "ü"), (4999, "x" * 123)]
)
def test_a_client_s_close_is_told_to_the_provider(code: int, reason: str) -> None:
    heard: list[tuple[int, str]] = []
    with rigged(listening(heard)) as (rig, _):
        rig.open().close(code, reason)
        until(lambda: heard)
        until(rig.lines)
    assert heard == [(code, reason)]
    assert (rig.lines()[0]["closed_by"], rig.lines()[0]["close"]) == ("client", code)


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, "bye"), (1008, ""), (1013, "later"), (4001, "x" * 123)]
)
def test_a_provider_s_close_is_told_to_the_client(code: int, reason: str) -> None:
    with rigged(lambda c: c.close(code, reason)) as (rig, _), rig.connect() as client:
        assert ended(client) == (code, reason)
        until(rig.lines)
        assert (rig.lines()[0]["closed_by"], rig.lines()[0]["close"]) == ("upstream", code)


def test_a_provider_that_breaks_off_is_a_bad_gateway_to_the_client() -> None:
    def broken(connection: ServerConnection) -> None:
        say(connection, SESSION, CREATED, DELTA)
        connection.recv()
        connection.socket.shutdown(socket.SHUT_RDWR)

    with rigged(broken) as (rig, _), rig.connect() as client:
        client.send("go")
        assert ended(client) == (1014, "")
        until(rig.lines)
        assert rig.lines()[0]["close"] == 1006
        assert 'errors_total{kind="error",upstream="up"} 1.0' in rig.stand.metrics.text().decode()
    (event,) = rig.events
    assert (event["status"], event["billed"]) == ("aborted", "possible")
    assert event["error_type"]


def test_a_client_that_breaks_off_has_gone_away() -> None:
    heard: list[tuple[int, str]] = []
    with rigged(listening(heard)) as (rig, _):
        rig.open().socket.shutdown(socket.SHUT_RDWR)
        until(lambda: heard)
    assert heard == [(1001, "")]


def test_a_message_that_no_text_is_closes_the_socket() -> None:
    def garbled(connection: ServerConnection) -> None:
        connection.recv()
        connection.socket.sendall(b"\x81\x02\xff\xff")
        ended(connection)

    with rigged(garbled) as (rig, _), rig.connect() as client:
        client.send("go")
        assert ended(client)[0] == 1007


def test_only_codes_that_may_be_sent_are() -> None:
    told = {
        code: Ending("client", code).code_for("upstream") for code in (0, 1004, 1005, 1015, 999)
    }
    assert set(told.values()) == {1000}
    assert Ending("upstream", 1006).code_for("client") == 1014
    assert Ending("client", 1006).code_for("upstream") == 1001
    assert Ending("client", 1012).code_for("upstream") == 1001
    assert Ending("upstream", 1012).code_for("client") == 1012


def test_a_reason_is_cut_between_two_letters() -> None:
    assert conversation.clipped("ü" * 100) == "ü" * (MAX_REASON_BYTES // 2)


# -- bounds --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["text", "bytes"])
def test_a_client_s_message_up_to_the_bound_passes_and_a_longer_one_closes(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert listen.MAX_MESSAGE_BYTES == handshake.MAX_MESSAGE_BYTES == 16 * 1024 * 1024
    monkeypatch.setattr(listen, "MAX_MESSAGE_BYTES", 1000)
    most: Any = "x" * 1000 if kind == "text" else b"x" * 1000
    with rigged(echo) as (rig, _), rig.connect() as client:
        client.send(most)
        assert client.recv() == most
        client.send(most + most[:1])
        assert ended(client)[0] == 1009


@pytest.mark.parametrize("fragments", [1, 2])
def test_a_provider_s_message_up_to_the_bound_passes_and_a_longer_one_closes(
    fragments: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "MAX_MESSAGE_BYTES", 1000)

    def speak(connection: ServerConnection) -> None:
        for size in (1000, 1001):
            connection.send("x" * size if fragments == 1 else ["x" * (size - 10), "y" * 10])
        assert ended(connection)[0] == 1009

    with rigged(speak) as (rig, provider), rig.connect() as client:
        assert len(client.recv()) == 1000
        assert ended(client)[0] == 1009
        assert provider.ended.wait(WAIT_S)


def test_a_socket_on_which_nothing_is_said_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "IDLE_S", 0.3)
    heard: list[tuple[int, str]] = []
    with rigged(listening(heard)) as (rig, _), rig.connect() as client:
        began = time.monotonic()
        for _ in range(4):
            time.sleep(0.1)
            client.send("still here")
        assert ended(client)[0] == 1001
        assert time.monotonic() - began > 0.6
        until(lambda: heard)
        assert heard[0][0] == 1001
        until(rig.lines)
        assert rig.lines()[0]["closed_by"] == "gateway"


class Deaf:
    """An upstream's end that takes no message and says nothing."""

    closed = False

    async def send_str(self, _data: str) -> None:
        raise aiohttp.ClientConnectionResetError

    async def receive(self) -> Any:
        await asyncio.Event().wait()

    async def close(self, **_said: Any) -> None:
        self.closed = True


def test_an_upstream_that_takes_no_more_and_says_nothing_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversation, "FAREWELL_S", 0.05)
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.receive", "text": "x"}

    async def send(message: Any) -> None:
        told.append(message)

    async def main() -> Ending:
        talk = Conversation(receive, send, Deaf(), None)  # type: ignore[arg-type]
        return await asyncio.wait_for(talk.run(drain_s=1, drain_bytes=1), WAIT_S)

    ending = asyncio.run(main())
    assert (ending.by, ending.code) == ("upstream", 1006)
    assert told == [{"type": "websocket.close", "code": 1014, "reason": ""}]


def test_an_upstream_that_gives_no_sign_of_life_is_taken_for_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handshake, "PING_S", 0.2)
    wakes = threading.Event()

    def sleep(connection: ServerConnection) -> None:
        wakes.wait(WAIT_S)
        ended(connection)

    with rigged(sleep, provider={"max_queue": 1}) as (rig, _), rig.connect() as client:
        for _ in range(20):  # more than it reads ahead, so that it does not see pings either
            client.send("x")
        assert ended(client) == (1014, "")
        wakes.set()


def test_an_upstream_that_only_gives_signs_of_life_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handshake, "PING_S", 0.1)
    with rigged(echo) as (rig, _), rig.connect() as client:
        time.sleep(0.5)
        client.send("still here")
        assert client.recv(timeout=WAIT_S) == "still here"


# -- the pace ------------------------------------------------------------------------------------


def test_a_client_that_reads_nothing_holds_the_provider_back() -> None:
    sent, piece = [0], "x" * 100_000

    def pour(connection: ServerConnection) -> None:
        connection.recv()
        for _ in range(1000):
            connection.send(piece)
            sent[0] += len(piece)
        connection.recv()

    with rigged(pour) as (rig, _), rig.connect(max_queue=1) as client:
        client.send("go")
        until(lambda: sent[0] > 1_000_000)
        settled(lambda: sent[0])
        assert sent[0] < 50_000_000
        for _ in range(1000):
            assert len(client.recv()) == len(piece)
        client.send("thanks")


def test_a_provider_that_reads_nothing_holds_the_client_back() -> None:
    sent, piece, reads = [0], "x" * 100_000, threading.Event()

    def late(connection: ServerConnection) -> None:
        reads.wait(WAIT_S)
        for _ in range(1000):
            connection.recv()
        connection.send("all")

    with rigged(late, provider={"max_queue": 1}) as (rig, _), rig.connect() as client:

        def pour() -> None:
            for _ in range(1000):
                client.send(piece)
                sent[0] += len(piece)

        pouring = threading.Thread(target=pour)
        pouring.start()
        until(lambda: sent[0] > 1_000_000)
        settled(lambda: sent[0])
        assert sent[0] < 50_000_000
        reads.set()
        assert client.recv(timeout=WAIT_S) == "all"
        pouring.join()


def settled(value: Callable[[], int]) -> None:
    """Wait until a value stays as it is."""
    before = -1
    while value() != before:
        before = value()
        time.sleep(0.3)


def test_a_message_is_passed_on_as_it_comes() -> None:
    go = threading.Event()

    def slow(connection: ServerConnection) -> None:
        connection.send("first")
        go.wait(WAIT_S)
        connection.send("second")

    with rigged(slow) as (rig, _), rig.connect() as client:
        assert client.recv(timeout=WAIT_S) == "first"
        go.set()
        assert client.recv(timeout=WAIT_S) == "second"
