"""What is known of one request on its way: who, where to, how far it is, and what it took so far.

Its parts fill it in; at the end it is counted and written to the access log. It decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from outlay.gateway.bodies import Body
from outlay.gateway.config import Upstream
from outlay.gateway.gateway import Gateway
from outlay.gateway.identity import Caller
from outlay.gateway.metrics import access
from outlay.gateway.peer import peer_of
from outlay.gateway.problems import date
from outlay.wire.base import Endpoint, Reader, Request

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]


class Call:
    """One request and what is known of it so far."""

    def __init__(self, gateway: Gateway, scope: Message, send: Send) -> None:
        self.gateway = gateway
        self.config = gateway.config
        """As it was when the request came."""
        self.lanes = gateway.lanes
        """Likewise; kept open for as long as the call is under way."""
        self.scope = scope
        self.send = send
        self.peer = peer_of(scope)
        self.began = time.perf_counter()
        self.waited = 0.0
        """Seconds spent on waiting for an upstream, or for a turn at one."""
        self.told_at = 0.0
        """When the answer's head was handed to the client; 0: not yet."""
        self.sent = False
        """Something has been handed to an upstream."""
        self.draining = False
        """The client is gone, and what it asked for is read to its end."""
        self.status = 0
        self.attempts = 0
        self.bytes_out = 0
        self.outcome = ""
        """In a word of ours, where it did not just go well."""
        self.surface = ""
        self.endpoint: Endpoint | None = None
        self.upstream: Upstream | None = None
        """The one that the client addressed."""
        self.caller: Caller | None = None
        self.body = Body(b"")
        self.asked = ""
        """The model that the client asks for."""
        self.request: Request | None = None
        """As the addressed upstream would get it."""
        self.reader: Reader | None = None
        """Has read the request, and nothing of an answer."""
        self.key = ("", 0)
        """What the attempts of one call have in common, also those that the client makes anew."""

    def take_reader(self, request: Request) -> Reader | None:
        """Return the reader that was opened for the very request, once."""
        reader, self.reader = self.reader, None
        return reader if request is self.request else None

    @property
    def drains(self) -> bool:
        """Whether an answer is read to its end for a client that is gone."""
        return self.draining or not self.peer.gone

    @property
    def started(self) -> bool:
        """Whether the client has been told a status."""
        return self.told_at > 0

    def begin(self, status: int) -> None:
        """Say that the answer's head is about to be sent."""
        self.status, self.told_at = status, time.perf_counter()

    async def answer(self, status: int, told: Mapping[str, str], body: bytes) -> None:
        """Send a whole answer of our own."""
        self.begin(status)
        self.bytes_out = len(body)
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]
        pairs.append((b"date", date()))
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})

    def note(self) -> None:
        """Count the request, which is over, and write its line of the access log."""
        now = time.perf_counter()
        # What comes behind the answer's head comes as the upstream sends it.
        added = max(0.0, (self.told_at or now) - self.began - self.waited)
        self.gateway.metrics.added.observe(added)
        caller = self.caller
        more = {"code": self.outcome} if self.outcome else {}
        access(
            self.gateway.access_log,
            upstream="" if self.upstream is None else self.upstream.name,
            surface=self.surface,
            status=self.status,
            attempts=self.attempts,
            ms=(now - self.began) * 1e3,
            added_ms=added * 1e3,
            key="" if caller is None else caller.key.key_id,
            tenant="" if caller is None else caller.scope.values.get("tenant_id", ""),
            bytes_in=self.body.length or len(self.body.known),
            bytes_out=self.bytes_out,
            **more,
        )
