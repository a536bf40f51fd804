"""Replies of a local provider to real clients: packed, chunked, paced, cut off."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp

from tests.guest.bodies import CHAT_BODY, JSON, SSE, openai_stream
from tests.guest.conftest import Answer, Loopback

PATH = "/v1/chat/completions"
BUSY: Answer = (503, {**JSON, "retry-after": "0"}, b'{"error":{"message":"busy","type":"server"}}')

Start = Callable[[Callable[..., Answer]], Loopback]
Work = Callable[[aiohttp.ClientSession], Awaitable[Any]]


def run(work: Work, **more: Any) -> Any:
    async def main() -> Any:
        async with aiohttp.ClientSession(**more) as session:
            return await work(session)

    return asyncio.run(main())


class Cut(list[bytes]):
    """Pieces that are followed by a broken connection."""

    def __iter__(self) -> Iterator[bytes]:
        yield from super().__iter__()
        raise ConnectionError


class Paused(list[bytes]):
    """Pieces with a pause behind the first, which ends with the test."""

    def __init__(self, pieces: list[bytes]) -> None:
        super().__init__(pieces)
        self.go_on = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        first, *others = super().__iter__()
        yield first
        self.go_on.wait(10)
        yield from others


class Provider:
    """Answers as OpenAI does; what is in `first` it answers before that."""

    def __init__(self, start: Start) -> None:
        self.first: list[Answer] = []
        self.packing = ""
        self.chunked = True
        self.server = start(self._reply)
        self.url = f"{self.server.url}{PATH}"
        self.hosts = {f"127.0.0.1:{self.server.port}": "openai"}

    def _reply(self, method: str, path: str, headers: Any, body: bytes) -> Answer:
        if self.first:
            return self.first.pop(0)
        asked: dict[str, Any] = json.loads(body) if method == "POST" and body[:1] == b"{" else {}
        if asked.get("stream"):
            return self._whole(SSE, openai_stream(body))
        packed = pack(CHAT_BODY, self.packing)
        kind = {**JSON, "content-encoding": self.packing} if self.packing else JSON
        return self._whole(kind, [packed[:40], packed[40:90], packed[90:]])

    def _whole(self, headers: dict[str, str], pieces: list[bytes]) -> Answer:
        return 200, headers, pieces if self.chunked else b"".join(pieces)

    def sent(self) -> list[dict[str, Any]]:
        """Return the JSON of every request that arrived."""
        return [json.loads(body) for *_, body in self.server.requests]


def pack(body: bytes, encoding: str) -> bytes:
    if encoding == "gzip":
        return gzip.compress(body, mtime=0)
    return zlib.compress(body) if encoding == "deflate" else body
