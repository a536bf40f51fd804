"""The upstream's side of a socket's handshake: sent as the client's was, its refusal kept whole.

An answer other than 101 is handed on as it came, with its body; a redirect is never followed. It
shares an upstream's connections, and neither its cookies nor any other state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import yarl

from outlay.gateway.config import Timeouts

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Bound of one message of an upstream."""
MAX_REFUSAL_BYTES: Final = 64 * 1024
"""How much of a refusal's body is handed on."""
HANDSHAKE_S: Final = 60.0
"""How long an upstream may take to answer a handshake, at most."""
PING_S: Final = 60.0
"""An upstream that was silent for so long is asked for a sign of life; it has half of that to give
it. Reading rests while a client takes nothing, so this is longer than a client may take."""
_SWITCHED: Final = 101
_AUTOMATIC: Final = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""What aiohttp would say by itself."""

_OWN: Final = (b"sec-websocket-", b"content-length")
"""How names begin of what each leg of a socket says for itself."""

Header = tuple[bytes, bytes]


class Answered(Exception):  # noqa: N818 - an answer that is handed on
    """A handshake was answered, and not with a socket."""

    def __init__(self, status: int, headers: list[Header], body: bytes) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


class Handshake:
    """An upstream's end of a socket that is open; leaving its block closes the connection."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        socket: aiohttp.ClientWebSocketResponse[Any],
        headers: list[Header],
    ) -> None:
        self._session = session
        self.socket = socket
        self.headers = headers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        response = self.socket._response  # noqa: SLF001 - its own close waits for the other side
        response.close()
        await self._session.close()


async def connect(
    shared: aiohttp.ClientSession,
    url: yarl.URL,
    headers: Sequence[Header],
    *,
    subprotocols: Sequence[str],
    timeouts: Timeouts,
) -> Handshake:
    """Open a socket to an upstream.

    Args:
        shared: a session whose connections are used.
        url: where to, with its query; `http` or `https`.
        headers: what is said beside the handshake's own.
        subprotocols: what the client offers.
        timeouts: the upstream's.

    Raises:
        Answered: the upstream refused.
        TimeoutError: it was too slow.
        aiohttp.ClientError: it cannot be reached, or what it said is no handshake.
        OSError: likewise.
    """
    if shared.closed:
        raise aiohttp.ClientConnectionError("The upstream's client is closed.")
    keeper = _Keeper()
    session = aiohttp.ClientSession(
        connector=shared.connector,
        connector_owner=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=_AUTOMATIC,
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_s),
        middlewares=(keeper,),
    )
    try:
        async with asyncio.timeout(min(timeouts.first_byte_s, HANDSHAKE_S)):
            socket = await session.ws_connect(
                url,
                headers=[(_text(name), _text(value)) for name, value in headers],
                protocols=subprotocols,
                max_msg_size=MAX_MESSAGE_BYTES + 1,  # that many are too many
                heartbeat=PING_S,
                compress=0,
            )
    except BaseException:
        await session.close()
        raise
    return Handshake(session, socket, keeper.headers)


def passed_on(told: list[Header]) -> list[Header]:
    """Return the headers that a handshake does not say for itself."""
    return [pair for pair in told if not pair[0].lower().startswith(_OWN)]


class _Keeper:
    """Keeps the headers of the answer; makes an error of one that is no socket."""

    def __init__(self) -> None:
        self.headers: list[Header] = []

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        self.headers = list(response.raw_headers)
        if response.status == _SWITCHED:
            return response
        body = b""
        try:
            while len(body) < MAX_REFUSAL_BYTES and (piece := await response.content.readany()):
                body += piece
        finally:
            response.close()
        raise Answered(response.status, self.headers, body[:MAX_REFUSAL_BYTES])


def _text(raw: bytes) -> str:
    """Return what aiohttp encodes back to the very bytes, where they are UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
