"""A provider that misbehaves on demand, over raw sockets, and remembers what it bills.

It speaks OpenAI's chat. A prompt `acme 17` is tenant acme's call 17; its answer is billed with 17
tokens of output, so that every call on a bill, and its event, can be told from every other. The
header `x-do` (JSON) asks for something else: `act` names one of the ways to fail below, `delay`
holds the answer back, `pieces` and `gap` shape a stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import json
import socket
import struct
import zlib
from collections import defaultdict
from typing import Any, Final

from tests.acceptance import limit_provider
from tests.acceptance.limit_provider import INPUT_NANOS, MODEL, OUTPUT_NANOS

INPUT_TOKENS: Final = 10
PIECES: Final = 4
GAP_S: Final = 0.01
JUNK: Final = b"j" * 65_536
MOST_BYTES: Final = 256 * 1024 * 1024
"""After so much without an end even this provider stops."""
SSE: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def cost(number: int) -> int:
    """Return what a call costs by its number, in nano-dollars."""
    return INPUT_TOKENS * INPUT_NANOS + number * OUTPUT_NANOS


class FaultyProvider(limit_provider.Provider):
    """Runs in a thread; see the module."""

    def __init__(self) -> None:
        super().__init__(delay_s=0.01)
        self.down = False
        """Hang up on every request that comes."""
        self.arrived: dict[str, list[int]] = defaultdict(list)
        """Calls that came, by tenant."""
        self.billed: dict[str, list[int]] = defaultdict(list)
        """Calls whose answer began to leave, by tenant."""
        self.heads: list[bytes] = []
        """Of the requests, as they came."""
        self.sent = 0
        """Bytes of bodies without an end that were taken from here."""
        self.taken = 0
        """Bytes of requests' bodies that are no JSON."""
        self.reads = True
        """Take such bodies."""
        self.hung_up = 0
        """Answers without an end that somebody else ended."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        self.flying += 1
        try:
            with contextlib.suppress(*gone):
                while True:
                    await self._one(reader, writer)
        finally:
            self.flying -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        told = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:-2])
        told = {name.lower(): value for name, value in told.items()}
        if self.down:
            raise ConnectionError
        if "json" not in told.get("content-type", ""):
            await self._upload(int(told.get("content-length", "0")), reader)
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
            return
        body = json.loads(await reader.readexactly(int(told["content-length"])))
        tenant, number = body["messages"][0]["content"].split(" ")[:2]
        self.arrived[tenant].append(int(number))
        do = json.loads(told.get("x-do", "{}"))
        await asyncio.sleep(do.get("delay", self.delay_s))
        act = getattr(self, f"_{do['act']}") if "act" in do else self._answer_well
        await act(_Asked(tenant, int(number), body, do, reader, writer))

    async def _upload(self, length: int, reader: asyncio.StreamReader) -> None:
        while length > 0:
            while not self.reads:  # noqa: ASYNC110 - another thread says when
                await asyncio.sleep(0.02)
            piece = await reader.read(min(length, 65_536))
            if not piece:
                raise ConnectionError
            self.taken += len(piece)
            length -= len(piece)

    # -- ways to answer ------------------------------------------------------------------------

    async def _answer_well(self, asked: _Asked) -> None:
        if asked.reader.at_eof():
            raise ConnectionError
        self.billed[asked.tenant].append(asked.number)
        if not asked.body.get("stream"):
            asked.writer.write(_whole(_json(_completion(asked.number))))
            await asked.writer.drain()
            return
        usage = bool((asked.body.get("stream_options") or {}).get("include_usage"))
        await self._stream(asked, asked.do.get("pieces", PIECES))
        last = _chunk(_sse([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
        if usage:
            last += _chunk(_sse([], usage=_usage(asked.number)))
        asked.writer.write(last + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await asked.writer.drain()

    async def _stream(self, asked: _Asked, pieces: int) -> None:
        asked.writer.write(SSE)
        delta = {"index": 0, "delta": {"content": "word"}, "finish_reason": None}
        try:
            for _ in range(pieces):
                asked.writer.write(_chunk(_sse([delta])))
                await asked.writer.drain()
                await asyncio.sleep(asked.do.get("gap", GAP_S))
                if asked.reader.at_eof():
                    raise ConnectionError
        except ConnectionError:
            self.hung_up += 1
            raise

    async def _endless(self, asked: _Asked) -> None:
        """A stream that does not end."""
        self.billed[asked.tenant].append(asked.number)
        await self._stream(asked, 1_000_000)

    async def _status(self, asked: _Asked) -> None:
        body = _json({"error": {"message": "no", "type": "server_error", "code": None}})
        asked.writer.write(_whole(body, status=b"%d no" % asked.do["status"]))
        await asked.writer.drain()

    async def _never(self, asked: _Asked) -> None:
        """No answer at all."""
        await asked.reader.read()
        self.hung_up += 1
        raise ConnectionError

    async def _reset(self, asked: _Asked) -> None:
        """A connection that is reset in place of an answer."""
        _reset(asked.writer)
        raise ConnectionError

    async def _cut_whole(self, asked: _Asked) -> None:
        """An answer that is shorter than it says."""
        whole = _whole(_json(_completion(asked.number)))
        asked.writer.write(whole[: len(whole) - 20])
        await asked.writer.drain()
        _reset(asked.writer)
        raise ConnectionError

    async def _cut_stream(self, asked: _Asked) -> None:
        """A stream that is reset in its midst."""
        self.billed[asked.tenant].append(asked.number)
        await self._stream(asked, 3)
        _reset(asked.writer)
        raise ConnectionError

    async def _stalled(self, asked: _Asked) -> None:
        """A stream that falls silent."""
        self.billed[asked.tenant].append(asked.number)
        await self._stream(asked, 2)
        await self._never(asked)

    async def _garbage(self, asked: _Asked) -> None:
        """What is no HTTP."""
        asked.writer.write(b"\x16\x03\x01 nobody speaks this\r\n\r\n\x00" * 100)
        await asked.writer.drain()
        await asked.reader.read()
        raise ConnectionError

    async def _garbage_midway(self, asked: _Asked) -> None:
        """A stream whose framing turns to nonsense."""
        self.billed[asked.tenant].append(asked.number)
        await self._stream(asked, 2)
        asked.writer.write(b"zz not a chunk\r\n" * 10)
        await asked.writer.drain()
        await asked.reader.read()
        raise ConnectionError

    async def _headers(self, asked: _Asked) -> None:
        """A head without an end, of many headers."""
        asked.writer.write(b"HTTP/1.1 200 OK\r\n")
        await self._pour(asked, b"".join(b"x-%d: %b\r\n" % (n, b"v" * 500) for n in range(100)))

    async def _line(self, asked: _Asked) -> None:
        """A head without an end, of one line."""
        asked.writer.write(b"HTTP/1.1 200 OK\r\nx-long: ")
        await self._pour(asked, JUNK)

    async def _huge(self, asked: _Asked) -> None:
        """A whole answer of `megabytes`."""
        size = asked.do["megabytes"] * 1024 * 1024
        self.billed[asked.tenant].append(asked.number)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        asked.writer.write(head % size)
        await self._pour(asked, JUNK, size)

    async def _flood(self, asked: _Asked) -> None:
        """A stream as fast as it is taken, without an end."""
        self.billed[asked.tenant].append(asked.number)
        asked.writer.write(SSE)
        delta = {"index": 0, "delta": {"content": "word" * 4000}, "finish_reason": None}
        await self._pour(asked, _chunk(_sse([delta])))

    async def _bomb(self, asked: _Asked) -> None:
        """A packed answer that is a thousand times as large once it is unpacked."""
        self.billed[asked.tenant].append(asked.number)
        asked.writer.write(_whole(bomb(asked.do["megabytes"]), more=b"content-encoding: gzip\r\n"))
        await asked.writer.drain()

    async def _packed(self, asked: _Asked) -> None:
        """A packed answer as it should be."""
        self.billed[asked.tenant].append(asked.number)
        body = gzip.compress(_json(_completion(asked.number)), mtime=0)
        asked.writer.write(_whole(body, more=b"content-encoding: gzip\r\n"))
        await asked.writer.drain()

    async def _pour(self, asked: _Asked, piece: bytes, most: int = MOST_BYTES) -> None:
        left = most
        try:
            while left > 0:
                asked.writer.write(piece[:left])
                await asked.writer.drain()
                left -= len(piece)
                self.sent += len(piece)
        except ConnectionError:
            self.hung_up += 1
            raise


class _Asked:
    """One request and its connection."""

    def __init__(
        self,
        tenant: str,
        number: int,
        body: Any,
        do: dict[str, Any],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.tenant, self.number, self.body, self.do = tenant, number, body, do
        self.reader, self.writer = reader, writer


@functools.cache
def bomb(megabytes: int) -> bytes:
    """Return a packed body that unpacks to so much."""
    packer = zlib.compressobj(9, wbits=31)
    block = b" " * 1024 * 1024
    return b"".join(packer.compress(block) for _ in range(megabytes)) + packer.flush()


def _reset(writer: asyncio.StreamWriter) -> None:
    found: socket.socket = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _whole(body: bytes, *, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, more, len(body)) + body


def _usage(number: int) -> dict[str, int]:
    total = INPUT_TOKENS + number
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": number, "total_tokens": total}


def _completion(number: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": "word"}
    return {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _usage(number),
    }  # fmt: skip


def _sse(choices: list[Any], **more: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return b"data: %b\n\n" % _json({**head, "choices": choices, **more})


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
