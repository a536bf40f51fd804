"""In-memory transports of httpx and httpx2 that answer as a provider does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import ModuleType
from typing import Any

from tests.guest.bodies import CHAT_BODY, JSON, SSE, openai_stream


def pieces(module: ModuleType, chunks: list[bytes], fail: Exception | None = None) -> Any:
    """A response stream that is really read piece by piece, sync and async."""

    class Pieces(module.SyncByteStream, module.AsyncByteStream):  # type: ignore[misc, name-defined]
        closed = False

        def __iter__(self) -> Iterator[bytes]:
            yield from chunks
            if fail is not None:
                raise fail

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for chunk in chunks:
                await asyncio.sleep(0)
                yield chunk
            if fail is not None:
                raise fail

        def close(self) -> None:
            self.closed = True

        async def aclose(self) -> None:
            self.closed = True

    return Pieces()


def whole(module: ModuleType, status: int = 200, body: bytes = CHAT_BODY, **headers: str) -> Any:
    def handle(_request: Any) -> Any:
        return module.Response(status, headers={**JSON, **headers}, stream=module.ByteStream(body))

    return module.MockTransport(handle)


def streaming(module: ModuleType, **more: Any) -> Any:
    def handle(request: Any) -> Any:
        chunks = openai_stream(request.content)
        return module.Response(200, headers=SSE, stream=pieces(module, chunks, **more))

    return module.MockTransport(handle)
