"""The socket's own bounds: heads that never end, senders that say nothing, trailers without end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from outlay.api import listen
from outlay.api.listen import MAX_HEAD_BYTES, Listener, bind

WAIT_S = 10.0
SHORT_S = 0.3


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and tell how many headers there were."""
    while (await receive()).get("more_body"):
        pass
    text = str(len(scope["headers"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    monkeypatch.setattr(listen, "HEAD_TIMEOUT_S", SHORT_S)
    bound = bind("127.0.0.1", 0)
    ready = threading.Event()
    listener = Listener(answer, on_ready=ready.set)
    thread = threading.Thread(target=listener.run, args=([bound],))
    thread.start()
    assert ready.wait(WAIT_S)
    try:
        yield bound.getsockname()
    finally:
        listener.stop()
        thread.join()
        bound.close()


@contextmanager
def connected(address: tuple[str, int]) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=WAIT_S) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """Return what comes until the server closes; a reset is a close too."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionError:
        pass
    return received


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
