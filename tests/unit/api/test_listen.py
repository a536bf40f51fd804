"""The socket's own bounds: heads that never end, senders that say nothing, trailers without end."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from outlay.api import listen_http
from outlay.api.listen_http import MAX_HEAD_BYTES
from tests.unit.api.listening import SHORT_S, WAIT_S, answer, connected, listening, rest


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(listen_http, "HEAD_TIMEOUT_S", SHORT_S)
    with listening(answer) as (_, address):
        yield address


def flood(connection: socket.socket, part: bytes, most: int) -> int:
    """Send a part again and again until the server closes; return the bytes it took."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(part)
            sent += len(part)
    except OSError:
        pass
    return sent


@pytest.mark.parametrize("part", [b"x" * 10_000, b"X: y\r\n" * 1000])
def test_a_head_without_end_is_cut_off(address: tuple[str, int], part: bytes) -> None:
    most = 1000 * MAX_HEAD_BYTES
    with connected(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        assert flood(connection, part, most) < most


def test_trailers_without_end_are_cut_off(address: tuple[str, int]) -> None:
    most = 1000 * MAX_HEAD_BYTES
    with connected(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
        assert flood(connection, b"X: y\r\n" * 1000, most) < most


def test_a_trailer_is_not_taken_for_a_header(address: tuple[str, int]) -> None:
    with connected(address) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"0\r\nAuthorization: Bearer ok_x\r\n\r\n"
        )
        assert rest(connection).endswith(b"2\r\n0\r\n\r\n")


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_sender_that_never_ends_its_head_is_closed(
    address: tuple[str, int], begun: bytes
) -> None:
    with connected(address) as connection:
        connection.sendall(begun)
        began = time.monotonic()
        assert rest(connection) == b""
        assert time.monotonic() - began < WAIT_S / 2


def test_a_connection_is_used_for_many_requests_and_may_pause(address: tuple[str, int]) -> None:
    with connected(address) as connection:
        for _ in range(3):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            time.sleep(2 * SHORT_S)


def test_a_large_body_is_no_head(address: tuple[str, int]) -> None:
    size = 4 * MAX_HEAD_BYTES
    with connected(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        connection.sendall(b"x" * size)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


async def refuse(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer before the body has come."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b"no"})


def test_a_body_that_drips_in_behind_its_answer_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen_http, "LINGER_S", SHORT_S)
    with listening(refuse) as (_, address), connected(address) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        assert b"413" in connection.recv(65536)
        began = time.monotonic()
        connection.settimeout(SHORT_S / 10)
        while time.monotonic() < began + WAIT_S:
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                assert not connection.recv(1)
                break
        assert time.monotonic() < began + WAIT_S / 2


def test_a_client_that_sends_all_of_what_was_refused_may_ask_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listen_http, "LINGER_S", SHORT_S)
    asked = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
    with listening(refuse) as (_, address), connected(address) as connection:
        for _ in range(2):
            connection.sendall(asked)
            assert b"413" in connection.recv(65536)
            connection.sendall(b"body")
            time.sleep(2 * SHORT_S)


def test_a_client_that_takes_nothing_of_its_answer_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stall_s = 4 * SHORT_S
    monkeypatch.setattr(listen_http, "STALL_S", stall_s)
    gone = threading.Event()

    async def pour(scope: Any, _receive: Any, send: Any) -> None:
        peer = scope["extensions"][listen_http.PEER]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while not peer.gone:
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
        gone.set()

    with listening(pour) as (_, address), connected(address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(6):  # who reads, however slowly, is waited for
            time.sleep(stall_s / 4)
            taken = 0
            while taken < 8_000_000:  # more than the kernel holds
                part = connection.recv(1 << 20)
                assert part
                taken += len(part)
            assert not gone.is_set()
        assert gone.wait(WAIT_S)
