"""Sends a request's body that comes in pieces, no faster than the upstream takes it.

It runs beside the wait for the answer, which may come first. Its own failure ends that wait; a
connection that breaks is told by the answer's side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import StreamWriter

from outlay.gateway.failures import TimedOut


class Upload:
    """One body on its way; it begins at once."""

    def __init__(
        self,
        protocol: ResponseHandler,
        first: bytes,
        more: AsyncIterator[bytes],
        *,
        length: int | None,
        stall_s: float,
        on_sent: Callable[[], None],
    ) -> None:
        """Begin to send.

        Args:
            protocol: the connection's.
            first: the head, which goes with the first piece.
            more: the body.
            length: the body's length, as the head says it; `None` where it goes in chunks.
            stall_s: seconds that the upstream may take none of it.
            on_sent: called when all of it has been handed to the connection.
        """
        self.error: BaseException | None = None
        """What ended it before the body did, other than the connection."""
        self.done = False
        """Every byte has been handed to the connection."""
        self._protocol = protocol
        loop = asyncio.get_running_loop()
        self._writer = StreamWriter(protocol, loop)
        self._stall_s = stall_s
        self._on_sent = on_sent
        self._task = loop.create_task(self._run(first, more, length))

    def stop(self) -> None:
        """Send no more."""
        self._task.cancel()

    async def _run(self, head: bytes, more: AsyncIterator[bytes], length: int | None) -> None:
        try:
            self.done = await self._send(head, more, length)
        except Exception as error:
            # Also where the answer has begun: it may wait for what does not come any more.
            self.error = error
            self._protocol.set_exception(error)
            return
        if self.done:
            self._on_sent()

    async def _send(self, head: bytes, more: AsyncIterator[bytes], length: int | None) -> bool:
        left = length
        async for piece in more:
            if not piece:
                continue
            if left is None:
                sent = b"%b%x\r\n%b\r\n" % (head, len(piece), piece)
            else:
                left -= len(piece)
                if left < 0:
                    raise ValueError("The body is longer than it was said to be.")
                sent = head + piece
            if not await self._write(sent):
                return False
            head = b""
        if left:
            raise ValueError("The body is shorter than it was said to be.")
        last = head if left is not None else head + b"0\r\n\r\n"
        return await self._write(last)

    async def _write(self, data: bytes) -> bool:
        """Hand bytes on and wait while the upstream is slow; `False` if the connection is gone."""
        transport = self._protocol.transport
        if transport is None or transport.is_closing():
            return False
        if data:
            transport.write(data)
        if self._protocol.writing_paused:
            try:
                async with asyncio.timeout(self._stall_s):
                    await self._writer.drain()
            except TimeoutError:
                raise TimedOut("send") from None
            except (aiohttp.ClientError, OSError):
                return False
        return True
