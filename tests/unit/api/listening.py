"""A listener in a thread for tests, and plain connections to it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from outlay.api.listen import Listener
from tests.running import Running

WAIT_S = 10.0
SHORT_S = 0.3

Address = tuple[str, int]


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the body and tell how many headers there were."""
    while (await receive()).get("more_body"):
        pass
    text = str(len(scope["headers"])).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})


@contextmanager
def listening(app: Any, **options: Any) -> Iterator[tuple[Listener, Address]]:
    with Running(app, **options) as running:
        yield running.listener, running.address


@contextmanager
def connected(address: Address) -> Iterator[socket.socket]:
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
