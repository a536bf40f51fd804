"""HTTP to the outlay server: one kept-alive connection of the standard library.

It never goes through the HTTP clients that the taps watch, follows no redirects and uses no
proxy. It knows addresses and headers, and nothing of events.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from http.client import HTTPConnection

TIMEOUT_S: Final = 10.0
"""Longest wait for the server in one step of a request, unless it is said otherwise."""
MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
"""A longer reply is cut off and counts as unreadable."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def prepare() -> None:
    """Import what requests need: once, on the shipper's thread, and not while the process forks.

    The host application's start does not pay for it.
    """
    for name in ("http.client", "encodings.idna"):
        import_module(name)


class Transport:
    """Requests to one server. For one thread only."""

    def __init__(self, endpoint: str, key: str, timeout_s: float = TIMEOUT_S) -> None:
        """Prepare for an endpoint such as `https://outlay.example/prefix`.

        Args:
            endpoint: the address.
            key: the API key; empty sends none.
            timeout_s: longest wait for the server in one step of a request.

        Raises:
            ValueError: the endpoint is not an HTTP or HTTPS address.
        """
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the endpoint must be an http:// or https:// address")
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._prefix = parts.path.rstrip("/")
        self._authorization = f"Bearer {key}" if key else ""
        self._timeout_s = timeout_s
        self._connection: HTTPConnection | None = None

    def request(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str]
    ) -> Reply:
        """Send a request and read its whole reply.

        Raises:
            OSError: the server cannot be reached, does not answer in time or speaks no HTTP.
        """
        from http.client import BadStatusLine, HTTPException

        sent = {"User-Agent": "outlay-sdk", **headers}
        if self._authorization:
            sent["Authorization"] = self._authorization
        reused = self._connection is not None
        try:
            return self._exchange(method, path, body, sent)
        except (ConnectionError, BadStatusLine) as error:
            self.close()
            if not reused:
                raise ConnectionError(type(error).__name__) from error
        except (OSError, HTTPException) as error:
            self.close()
            raise ConnectionError(type(error).__name__) from error
        # The server had closed the idle connection. Events are idempotent: send again.
        try:
            return self._exchange(method, path, body, sent)
        except (OSError, HTTPException) as error:
            self.close()
            raise ConnectionError(type(error).__name__) from error

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        connection = self._connection
        if connection is None:
            from http.client import HTTPConnection, HTTPSConnection

            kind = HTTPSConnection if self._secure else HTTPConnection
            connection = self._connection = kind(self._host, self._port, timeout=self._timeout_s)
        connection.request(method, self._prefix + path, body=body, headers=dict(headers))
        response = connection.getresponse()
        content = response.read(MAX_REPLY_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        return Reply(
            response.status, {name.lower(): value for name, value in response.getheaders()}, content
        )

    def abort(self) -> None:
        """Break off, from another thread, what this one's thread waits for.

        Its request fails then, or is sent again: repeat until the thread has ended.
        """
        import socket

        waiting = getattr(self._connection, "sock", None)
        if waiting is not None:
            with suppress(OSError):
                socket.socket.shutdown(waiting, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next request opens one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
