"""A fast client for the gateway bench: one call at a time on each keep-alive connection.

A stream's pieces tell when the provider sent them, so a token's delay is measured one way. Spans
are nanoseconds.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

from bench.gateway_upstream import ANSWERED_TOKENS, MODEL, SENT

CARRIED: Final = 64
"""Bytes of a stream kept to the next read, so that a mark cut in two is found."""


@dataclass(frozen=True, slots=True)
class Way:
    """How one subject is called."""

    host: str
    port: int
    path: str
    headers: tuple[tuple[str, str], ...] = ()

    def request(self, *, tokens: int = 0, pace_us: int = 0) -> bytes:
        """Return a chat completion's request; with tokens, a stream of so many."""
        body = json.dumps(_question(tokens, pace_us)).encode()
        lines = [
            f"POST {self.path} HTTP/1.1", f"host: {self.host}:{self.port}",
            "accept: application/json", "content-type: application/json",
            "user-agent: OpenAI/Python 3.54.0", f"content-length: {len(body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode() + body


def _question(tokens: int, pace_us: int) -> dict[str, object]:
    shape = f"tokens={tokens or ANSWERED_TOKENS} pace_us={pace_us}"
    messages = [
        {"role": "system", "content": "You are a helpful assistant. Answer briefly. " * 4},
        {"role": "user", "content": f"{shape} " + "Summarise the following paragraph. " * 8},
    ]
    asked: dict[str, object] = {"model": MODEL, "messages": messages, "max_tokens": 200}
    if tokens:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    return asked


@dataclass(slots=True)
class Taken:
    """What a phase measured."""

    spans: list[int] = field(default_factory=list)
    """Of each whole answer with status 200."""
    late: list[int] = field(default_factory=list)
    """How late the generator itself sent the calls of an open loop."""
    firsts: list[int] = field(default_factory=list)
    """From a stream's request to the first token's arrival."""
    delays: list[int] = field(default_factory=list)
    """Of each token of a stream: from when it was sent to when it was here."""
    tokens: int = 0
    """That had come when a closed loop's time was over."""
    failed: int = 0
    """Other answers, broken connections, and calls without an answer at the end."""
    failures: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def fail(self, why: str) -> None:
        """Count a call that had no good answer."""
        self.failed += 1
        self.failures[why] = self.failures.get(why, 0) + 1


class Connection(asyncio.Protocol):
    """One connection that carries one call at a time."""

    def __init__(self, gone: Callable[[Connection], None]) -> None:
        self._gone = gone
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._ended: Callable[[Connection, str], None] | None = None
        self._carried = b""
        self._status = 0
        self._seen = 0
        self._sent_at = 0
        self.taken = Taken()

    @property
    def open(self) -> bool:
        """Whether it can carry a call."""
        return self._transport is not None and not self._transport.is_closing()

    def call(self, request: bytes, taken: Taken, ended: Callable[[Connection, str], None]) -> None:
        """Send a request; `ended` is told at the end, with the reason of a failure or nothing."""
        assert self._transport is not None
        self.taken, self._ended = taken, ended
        self._carried, self._seen = b"", 0
        self._sent_at = time.monotonic_ns()
        self._transport.write(request)

    def close(self) -> None:
        """Close it; nothing is told any more."""
        self._ended = None
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio and the parser ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is no subclass

    def data_received(self, data: bytes) -> None:
        """Take bytes."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._end("unreadable")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the call on its way, and the owner."""
        del exc
        self._transport = None
        self._end("broken")
        self._gone(self)

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Look for tokens."""
        data = self._carried + body
        end = 0
        for found in SENT.finditer(data):
            now = time.monotonic_ns()
            if not self._seen:
                self.taken.firsts.append(now - self._sent_at)
            self._seen += 1
            self.taken.delays.append(now - int(found[1]))
            end = found.end()
        self._carried = data[max(end, len(data) - CARRIED) :]

    def on_message_complete(self) -> None:
        """End the call."""
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        self._end("" if self._status == 200 else str(self._status))

    def _end(self, why: str) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(self, why)


class Pool:
    """Connections to one subject, used in turn so that none of them grows old."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._idle: deque[Connection] = deque()
        self._all: set[Connection] = set()
        self.opening = 0

    @property
    def size(self) -> int:
        """How many there are or are being opened."""
        return len(self._all) + self.opening

    async def open(self) -> Connection:
        """Open one more."""
        self.opening += 1
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self._lost), self._way.host, self._way.port
            )
        finally:
            self.opening -= 1
        self._all.add(connection)
        return connection

    def take(self) -> Connection | None:
        """Return one that is idle."""
        while self._idle:
            connection = self._idle.popleft()
            if connection.open:
                return connection
        return None

    def give(self, connection: Connection) -> None:
        """Take one back."""
        if connection.open:
            self._idle.append(connection)

    def close(self) -> None:
        """Close all."""
        for connection in list(self._all):
            connection.close()

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
