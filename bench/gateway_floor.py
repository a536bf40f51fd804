"""The least that a gateway in Python can do: a bare relay on the gateway's own stack.

    python -m bench.gateway_floor UPSTREAM_URL

The server is the product's own listener, the client is aiohttp. It knows nobody, counts nothing
and keeps nothing; it decodes both JSON bodies, and each piece of a stream, because whoever meters
must. What a gateway costs more than this is its own doing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import aiohttp

from outlay.api.listen import Listener, bind, url_of

DROPPED: Final = frozenset(
    {b"host", b"connection", b"content-length", b"transfer-encoding", b"keep-alive", b"upgrade"}
)
"""Headers that belong to a connection, not to the message."""
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_CONNECTIONS: Final = 20_000
MARK: Final = b"data: {"

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Floor:
    """Relays every request to one upstream."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Relay one request."""
        session = self._session or self._open()
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > MAX_BODY_BYTES:
                raise ValueError("the request is too large for this relay")
            if not message.get("more_body", False):
                break
        json.loads(body)
        headers = [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in scope["headers"]
            if name not in DROPPED
        ]
        url = self._upstream + scope["path"]
        async with session.post(url, data=body, headers=headers) as reply:
            await _answer(reply, send)

    def _open(self) -> aiohttp.ClientSession:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("accept", "accept-encoding", "content-type", "user-agent"),
            auto_decompress=False,
        )
        return self._session


async def _answer(reply: aiohttp.ClientResponse, send: Send) -> None:
    headers = [
        (name.lower(), value) for name, value in reply.raw_headers if name.lower() not in DROPPED
    ]
    start = {"type": "http.response.start", "status": reply.status, "headers": headers}
    if reply.content_type != "text/event-stream":
        whole = await reply.read()
        json.loads(whole)
        headers.append((b"content-length", str(len(whole)).encode()))
        await send(start)
        await send({"type": "http.response.body", "body": whole})
        return
    await send(start)
    kept = b""
    async for data in reply.content.iter_any():
        *events, kept = (kept + data).split(b"\n\n")
        for event in events:
            if event.startswith(MARK):
                json.loads(event[len(MARK) - 1 :])
        await send({"type": "http.response.body", "body": data, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until the process is ended; print the URL."""
    bound = bind("127.0.0.1", 0)

    def ready() -> None:
        print(json.dumps({"url": url_of(bound)}), flush=True)

    Listener(Floor(sys.argv[1]), on_ready=ready, max_connections=MAX_CONNECTIONS).run([bound])


if __name__ == "__main__":
    main()
