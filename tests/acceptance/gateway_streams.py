"""How the gateway tests read what SDKs stream, leave it early, and talk over a socket.

Each of these is a pair: for a blocking client and for one of asyncio.
"""

from __future__ import annotations

import inspect
from itertools import islice
from typing import Any, Final

from websockets.exceptions import ConnectionClosed

from tests.acceptance.gateway_clients import value

TURNS: Final = 2
SAID: Final[Any] = {
    "type": "message", "role": "user", "content": [{"type": "input_text", "text": "How are you?"}]
}  # fmt: skip


def read_into(parts: list[Any]) -> dict[str, Any]:
    """Return what reads a stream into a list until it ends somehow, by kind of client."""

    def blocking(stream: Any) -> int:
        inner = stream.__enter__() if hasattr(stream, "__enter__") else stream
        try:
            parts.extend(value(part) for part in inner)
        finally:
            stream.close()
        return len(parts)

    async def asynchronous(stream: Any) -> int:
        inner = await stream.__aenter__() if hasattr(stream, "__aenter__") else stream
        try:
            async for part in inner:
                parts.append(value(part))  # noqa: PERF401 - what came before a failure is kept
        finally:
            await end(stream)
        return len(parts)

    return {"sync": blocking, "async": asynchronous}


async def end(stream: Any) -> None:
    """Close a stream of an asyncio client, whatever that is called."""
    if hasattr(stream, "__aexit__"):
        await stream.__aexit__(None, None, None)
        return
    closed = getattr(stream, "aclose", None) or stream.close
    made = closed()
    if inspect.isawaitable(made):
        await made


def first(count: int) -> dict[str, Any]:
    """Return what reads the first parts of a stream and closes it, by kind of client."""

    def blocking(found: Any) -> list[Any]:
        inner = found.__enter__() if hasattr(found, "__enter__") else iter(found)
        try:
            return [value(part) for part in islice(inner, count)]
        finally:
            found.close()

    async def asynchronous(found: Any) -> list[Any]:
        inner = await found.__aenter__() if hasattr(found, "__aenter__") else found
        parts: list[Any] = []
        async for part in inner:
            parts.append(value(part))
            if len(parts) == count:
                break
        await end(found)
        return parts

    return {"sync": blocking, "async": asynchronous}


def talk(manager: Any) -> tuple[list[str], int | None]:
    """Hold a conversation until the provider closes it; return what came and the close's code."""
    kinds: list[str] = []
    with manager as connection:
        for _ in range(TURNS):
            connection.conversation.item.create(item=SAID)
            connection.response.create()
            for event in connection:
                kinds.append(event.type)
                if event.type == "response.done":
                    break
        connection.input_audio_buffer.clear()
        try:
            connection.recv()
        except ConnectionClosed as closed:
            return kinds, closed.rcvd.code if closed.rcvd is not None else None
    return kinds, None


async def talk_async(manager: Any) -> tuple[list[str], int | None]:
    """Do the same with a client of asyncio."""
    kinds: list[str] = []
    async with manager as connection:
        for _ in range(TURNS):
            await connection.conversation.item.create(item=SAID)
            await connection.response.create()
            async for event in connection:
                kinds.append(event.type)
                if event.type == "response.done":
                    break
        await connection.input_audio_buffer.clear()
        try:
            await connection.recv()
        except ConnectionClosed as closed:
            return kinds, closed.rcvd.code if closed.rcvd is not None else None
    return kinds, None
