"""An upstream that is a bare socket: a script of bytes decides what it answers, and when.

What it was sent is kept as it came, so that tests can tell every byte of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from outlay.gateway.config import Timeouts, Upstream
from outlay.gateway.upstream import UpstreamClient

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """Read one head; raises `IncompleteReadError` when the client is gone."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        """Read one request to its end, framing and all."""
        head = await self.head()
        low = head.lower()
        if b"transfer-encoding: chunked" in low:
            return head + await self.reader.readuntil(b"0\r\n\r\n")
        _, found, rest = low.partition(b"content-length: ")
        length = int(rest.split(b"\r\n")[0]) if found else 0
        return head + await self.reader.readexactly(length)

    async def send(self, *parts: bytes, pause: float = 0.0) -> None:
        """Send bytes, with a pause after each part."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            if pause:
                await asyncio.sleep(pause)

    async def gone(self) -> bool:
        """Wait until the client has hung up."""
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass
        return True

    def close(self) -> None:
        """End the connection in order."""
        self.writer.close()

    def reset(self) -> None:
        """End the connection with a reset."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        linger = struct.pack("ii", 1, 0)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


Script = Callable[[Line], Awaitable[None]]


class Raw:
    """A running server of a script."""

    def __init__(self, port: int, scheme: str) -> None:
        self.url = f"{scheme}://127.0.0.1:{port}"
        self.host = f"127.0.0.1:{port}".encode()
        self.lines: list[Line] = []

    def client(
        self, *, path: str = "", ca_file: str = "", first_byte_s: float = 5.0, idle_s: float = 5.0
    ) -> UpstreamClient:
        """Return a client of it."""
        timeouts = Timeouts(connect_s=2.0, first_byte_s=first_byte_s, idle_s=idle_s)
        return UpstreamClient(
            Upstream("raw", "openai", self.url + path, timeouts=timeouts, ca_file=ca_file)
        )


@contextlib.asynccontextmanager
async def raw(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    """Serve a script to each connection until the block ends."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        line = Line(reader, writer)
        running.lines.append(line)
        try:
            await script(line)
        except (asyncio.IncompleteReadError, OSError, asyncio.CancelledError):
            pass  # the client is gone, or the test is over
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    running = Raw(port, "http" if context is None else "https")
    try:
        yield running
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def always(*parts: bytes, pause: float = 0.0, close: bool = False) -> Script:
    """Answer every request with the same bytes."""

    async def script(line: Line) -> None:
        while True:
            await line.request()
            await line.send(*parts, pause=pause)
            if close:
                return

    return script


Body = Callable[[Raw, UpstreamClient], Coroutine[Any, Any, None]]
LOOPS = ("asyncio", "uvloop")
WHOLE_TEST_S = 20.0


class Play:
    """Runs a test's body on an event loop, against a script, and closes its client."""

    def __init__(self, loop: str) -> None:
        self._factory = uvloop.new_event_loop if loop == "uvloop" else None

    def __call__(
        self,
        script: Script,
        body: Body,
        *,
        path: str = "",
        first_byte_s: float = 5.0,
        idle_s: float = 5.0,
    ) -> None:
        """Run one test."""

        async def main() -> None:
            async with raw(script) as server:
                client = server.client(path=path, first_byte_s=first_byte_s, idle_s=idle_s)
                try:
                    await body(server, client)
                finally:
                    await client.close()

        with asyncio.Runner(loop_factory=self._factory) as runner:
            runner.run(asyncio.wait_for(main(), WHOLE_TEST_S))
