"""A stream that tells viewers when to look again: server-sent events, one poller for all of them.

A tick says how far the store, the limits and the prices are, never what is in them. Whoever is
bound to a tenant gets ticks by the clock alone: when others are busy is not theirs to know. A
listener holds nothing but the last tick, so one that reads slowly misses ticks and grows nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from outlay.api.auth import Caller, needs
from outlay.api.services import Services
from outlay.errors import OutlayError, UnavailableError

POLL_S: Final = 1.0
"""How often the poller looks, and so how often a tick comes at most."""
TENANT_S: Final = 5.0
"""How often a caller of one tenant gets a tick."""
HEARTBEAT_S: Final = 15.0
"""After so long without a tick a comment is sent, so that nobody in between hangs up."""
LISTEN_S: Final = 300.0
"""A stream ends after this, and the browser opens the next one: who may no longer look is then
refused."""
RETRY_MS: Final = 2000
MAX_LISTENERS: Final = 256
"""Streams at the same time; more are told to come back."""
MAX_LISTENERS_EACH: Final = 32
"""Of them of one tenant, or of one key or user of all: nobody takes the places of the others."""

State = dict[str, int]

router = APIRouter()
Viewer = Annotated[Caller, Depends(needs("read", "portal"))]


class LiveWatch:
    """What moved, for all listeners. Used on one event loop at a time."""

    def __init__(self) -> None:
        self.listeners = 0
        self._each: Counter[str] = Counter()
        self.ending = False
        self._state: State = {}
        self._moved = asyncio.Event()
        self._ended = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Let every stream end now: the server is ending. Called on the event loop."""
        self.ending = True
        self._ended.set()
        self._moved.set()

    @contextlib.contextmanager
    def place(self, services: Services, who: str) -> Iterator[None]:
        """Take a place; the first one to listen starts the poller, the last one ends it.

        Raises:
            UnavailableError: there is none, or none for who asks, or the server is ending.
        """
        if self.ending:
            raise UnavailableError("The server is shutting down.")
        if self.listeners >= MAX_LISTENERS:
            raise UnavailableError("Too many viewers listen for changes.")
        if self._each[who] >= MAX_LISTENERS_EACH:
            raise UnavailableError(f"More than {MAX_LISTENERS_EACH} viewers of one caller listen.")
        if not self.listeners:
            self._state, self._moved, self._ended = {}, asyncio.Event(), asyncio.Event()
            self._poller = asyncio.create_task(self._poll(services))
        self.listeners += 1
        self._each[who] += 1
        try:
            yield
        finally:
            self.listeners -= 1
            self._each[who] -= 1
            if not self._each[who]:
                del self._each[who]
            if not self.listeners and self._poller is not None:
                self._poller.cancel()
                self._poller = None

    async def changed(self, seen: State, wait_s: float) -> State:
        """Return the state once it is another than `seen`, or after a time as it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while self._state == seen and not self.ending:
                    await self._moved.wait()
        return self._state

    async def pause(self, wait_s: float) -> None:
        """Wait, or until the server ends."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._ended.wait()

    async def _poll(self, services: Services) -> None:
        while True:
            with contextlib.suppress(OutlayError):
                # What cannot be read now is read the next time; until then nothing moved.
                state = await services.query_workers.run(_look, services)
                if state != self._state:
                    self._state = state
                    self._moved.set()
                    if not self.ending:
                        self._moved = asyncio.Event()
            await asyncio.sleep(POLL_S)


def _look(services: Services) -> State:
    return {
        "offset": services.olap.offset(),
        "limits": services.books.revision("limits"),
        "prices": services.books.revision("prices"),
    }


class LiveAnswer(Response):
    """The stream of one listener; it has its place for as long as it is being sent."""

    def __init__(self, watch: LiveWatch, services: Services, caller: Caller) -> None:
        super().__init__()
        self._watch = watch
        self._services = services
        self._who = caller.key_id if caller.tenant is None else f"tenant:{caller.tenant}"
        self._bound = caller.tenant is not None or "read" not in caller.scopes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send ticks until the listener leaves, the server ends, or it is time to ask again."""
        with self._watch.place(self._services, self._who):
            ticks = self._by_time() if self._bound else self._by_change()
            headers = {"X-Accel-Buffering": "no"}
            stream = StreamingResponse(
                self._timed(ticks), media_type="text/event-stream", headers=headers
            )
            await stream(scope, receive, send)

    async def _timed(self, ticks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        until = asyncio.get_running_loop().time() + LISTEN_S
        yield f"retry: {RETRY_MS}\n\n".encode()
        async for tick in ticks:
            yield tick
            if self._watch.ending or asyncio.get_running_loop().time() >= until:
                return

    async def _by_change(self) -> AsyncIterator[bytes]:
        seen: State = {}
        while True:
            state = await self._watch.changed(seen, HEARTBEAT_S)
            if self._watch.ending:
                return
            yield b": \n\n" if state == seen else self._tick(state)
            seen = state

    async def _by_time(self) -> AsyncIterator[bytes]:
        while not self._watch.ending:
            yield self._tick({})
            await self._watch.pause(TENANT_S)

    def _tick(self, state: State) -> bytes:
        data: dict[str, Any] = {"now": self._services.clock(), **state}
        return b"event: tick\ndata: " + msgspec.json.encode(data) + b"\n\n"


@router.get("/v1/live")
async def live(request: Request, caller: Viewer) -> Response:
    """Stream a tick whenever events came in, or limits or prices changed."""
    return LiveAnswer(request.app.state.live_watch, request.app.state.services, caller)
