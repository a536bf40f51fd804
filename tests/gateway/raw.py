"""A provider and a client of plain bytes, for what no HTTP library would send or show."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

PATIENCE_S = 10.0
Script = Callable[[socket.socket, bytes], None]


class RawProvider:
    """Answers each request's head by a script, on a connection of its own; `heads` are kept."""

    def __init__(self, script: Script) -> None:
        self.heads: list[bytes] = []
        self._script = script
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(PATIENCE_S)
                head = read_head(connection)
                if not head:
                    return
                self.heads.append(head)
                self._script(connection, head)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        with contextlib.suppress(OSError), socket.create_connection(self._listening.getsockname()):
            pass
        self._thread.join()
        self._listening.close()


def answers(answer: bytes) -> Script:
    """Return a script that answers with the same bytes always, and hangs up."""
    return lambda connection, _head: connection.sendall(answer)


def read_head(connection: socket.socket) -> bytes:
    """Return what comes up to the end of a head, and what came with that."""
    head = b""
    while b"\r\n\r\n" not in head and (part := connection.recv(65536)):
        head += part
    return head


def open_to(url: str) -> socket.socket:
    """Return a connection to a server."""
    host, port = url.rpartition("/")[2].split(":")
    connection = socket.create_connection((host, int(port)))
    connection.settimeout(PATIENCE_S)
    return connection


def head_of(method: str, path: str, secret: str, **headers: str) -> bytes:
    """Return a request's head."""
    told = {"host": "gateway", "outlay-key": secret, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{n.replace('_', '-')}: {v}" for n, v in told.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ask(url: str, sent: bytes) -> bytes:
    """Send bytes and return all that comes until the server hangs up."""
    got = b""
    with open_to(url) as connection:
        connection.sendall(sent)
        while part := connection.recv(65536):
            got += part
    return got
