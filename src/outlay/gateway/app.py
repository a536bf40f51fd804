"""The gateway as an ASGI application: by itself, or in front of the API on one address.

By itself it answers `/healthz`, `/readyz` and `/metrics` beside the upstreams' paths. It holds no
logic of a request.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from outlay.gateway.document_upstreams import RESERVED
from outlay.gateway.exchange import serve
from outlay.gateway.gateway import Gateway
from outlay.gateway.metrics import CONTENT_TYPE
from outlay.gateway.problems import date
from outlay.gateway.sockets import serve_socket

OWN_PATHS: Final = frozenset((b"", *(name.encode("ascii") for name in RESERVED)))
"""First segments of the API's own paths."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class GatewayApp:
    """Serves a gateway; `api`, if given, takes all paths that are no upstream's."""

    def __init__(self, gateway: Gateway, api: Application | None = None) -> None:
        self.gateway = gateway
        self._api = api

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, one socket, or the application's life."""
        kind = scope["type"]
        if kind == "lifespan":
            await self._live(receive, send)
            return
        first = scope.get("raw_path", b"/").split(b"/", 2)[1:2]
        own = not first or first[0] in OWN_PATHS
        api = self._api
        if api is not None and (own or not self.gateway.serves(first[0])):
            await api(scope, receive, send)
        elif kind == "websocket":
            await serve_socket(self.gateway, scope, receive, send)
        elif own:
            await self._own(first[0] if first else b"", send)
        else:
            await serve(self.gateway, scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.gateway.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _own(self, name: bytes, send: Send) -> None:
        """Answer monitors; nothing here tells of tenants."""
        if name == b"healthz":
            await _json(send, 200, {"status": "ok"})
        elif name == b"readyz":
            parts = self.gateway.parts()
            ready = all(part["ok"] for part in parts.values())
            body = {"status": "ready" if ready else "not_ready", "parts": parts}
            await _json(send, 200 if ready else 503, body)
        elif name == b"metrics":
            await _answer(send, 200, CONTENT_TYPE.encode(), self.gateway.metrics.text())
        else:
            hint = "The gateway serves /{upstream}/…, /healthz, /readyz and /metrics."
            told = {"code": "not_found", "message": "There is nothing at this path.", "hint": hint}
            await _json(send, 404, {"error": told})


async def _json(send: Send, status: int, body: Any) -> None:
    await _answer(send, status, b"application/json", json.dumps(body).encode())


async def _answer(send: Send, status: int, kind: bytes, body: bytes) -> None:
    length = str(len(body)).encode()
    headers = [(b"content-type", kind), (b"content-length", length), (b"date", date())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
