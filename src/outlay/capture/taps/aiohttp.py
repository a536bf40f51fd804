"""The tap on `aiohttp`: every request of a `ClientSession` on the wire is one attempt.

It joins each call as the innermost middleware, so that redirects and the caller's own retrying
middlewares are seen one by one. The caller gets the same response and reader objects; only the
reader's class is replaced by a subclass that lets the attempt see what is read. The usage chunk
of a stream is not asked for here: a reader cannot keep bytes back from its caller. Websockets are
`aiohttp_socket`'s.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from outlay.capture.attempt import Attempt
from outlay.capture.guard import caught, warn_once
from outlay.capture.runtime import Runtime, active
from outlay.capture.taps import aiohttp_socket
from outlay.capture.taps.shared import (
    MARK,
    begin,
    body_bytes,
    is_answer,
    is_inside,
    mark,
    picked,
    restore,
)
from outlay.wire.registry import Route

_CLOSED_BY_CALLER: Final = "ClientConnectionError"
"""The exact class of the error that a reader gets when its response is closed or released."""


def install(module: ModuleType) -> None:
    """Tap `aiohttp`; a second time does nothing."""
    session = module.ClientSession
    aiohttp_socket.install(session)
    if hasattr(session._request, MARK):  # noqa: SLF001
        return
    if "middlewares" not in inspect.signature(session._request).parameters:  # noqa: SLF001
        warn_once("tap.aiohttp", "outlay: aiohttp %s is too old to be tapped", module.__version__)
        return
    reader = module.StreamReader
    tee = type("StreamReader", (_Tee, reader), {"__slots__": (), "__module__": reader.__module__})
    session._request = _tapped(session._request, tee)  # noqa: SLF001


def remove(module: ModuleType) -> None:
    """Take the tap off again, where nobody wrapped it since."""
    restore(module.ClientSession, "_request")
    aiohttp_socket.remove(module.ClientSession)


def _tapped(original: Callable[..., Any], tee: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _request(*args: Any, **kwargs: Any) -> Any:
        runtime = active()
        if runtime is None or is_inside():
            return await original(*args, **kwargs)
        return await original(*args, **_joined(runtime, args, kwargs, tee))

    return mark(_request)  # type: ignore[no-any-return]


def _joined(
    runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any], tee: Any
) -> dict[str, Any]:
    """Return the arguments of a call, with the tap as its last middleware if it is metered."""
    try:
        session, method, target = args[:3]
        # Only the address of a call to somebody else is looked at.
        url = session._build_url(target)  # noqa: SLF001
        route = runtime.route(method, str(url))
        if route is None:
            return kwargs
        own = kwargs.get("middlewares")
        if own is None:
            own = session._middlewares  # noqa: SLF001
        unpacks = kwargs.get("auto_decompress")
        if unpacks is None:
            unpacks = session.auto_decompress
        return {**kwargs, "middlewares": (*own, _Tap(runtime, tee, unpacks=unpacks))}
    except Exception as error:
        caught("tap.begin", error)
        return kwargs


class _Tap:
    """The middleware of one metered call."""

    __slots__ = ("_runtime", "_tee", "_unpacks")

    def __init__(self, runtime: Runtime, tee: Any, *, unpacks: bool) -> None:
        self._runtime = runtime
        self._tee = tee
        self._unpacks = unpacks

    async def __call__(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Send one request on the wire."""
        attempt = self._begin(request)
        if attempt is None:
            return await handler(request)
        try:
            response = await handler(request)
        except BaseException as error:
            attempt.end(complete=False, error=error)
            raise
        self._answered(response, attempt)
        return response

    def _begin(self, request: Any) -> Attempt | None:
        try:
            url = str(request.url)
            route: Route | None = self._runtime.route(request.method, url)
            if route is None:
                return None  # redirected to somebody else
            body = body_bytes(getattr(request.body, "_value", request.body))
            return begin(self._runtime, route, request.method, url, request.headers.items(), body)
        except Exception as error:
            caught("tap.begin", error)
            return None

    def _answered(self, response: Any, attempt: Attempt) -> None:
        try:
            if not is_answer(response.status):
                return
            headers = picked(response.headers.items())
            attempt.response(response.status, headers)
            content = response.content
            if content.at_eof():
                attempt.end(complete=True)  # there is no body
                return
            if not self._unpacks:
                attempt.expect(headers.get("content-encoding", ""), "")
            content.__class__ = self._tee
            _followed[id(content)] = _Follow(attempt)
        except Exception as error:
            caught("tap.answered", error)
            attempt.end(complete=False)


class _Follow:
    """The attempt behind one reader."""

    __slots__ = ("attempt", "error")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.error: BaseException | None = None
        """What ended the last wait for bytes; the caller may still read on."""


_followed: Final[dict[int, _Follow]] = {}
"""By the reader's id, since readers have no room for more: `_Tee` removes it, at the latest as it
is deleted, so no id is ever another reader's."""


class _Tee:
    """A `StreamReader` whose bytes the attempt sees as they are handed out."""

    __slots__ = ()

    def _read_nowait_chunk(self, n: int) -> bytes:
        own: Any = super()
        data: bytes = own._read_nowait_chunk(n)  # noqa: SLF001
        follow = _followed.get(id(self))
        if follow is not None:
            follow.attempt.take(data)
            if own.at_eof():
                _end(self, complete=True)
        return data

    def feed_eof(self) -> None:
        own: Any = super()
        own.feed_eof()
        if own.at_eof():
            _end(self, complete=True)

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        own: Any = super()
        own.set_exception(exc, *args, **kwargs)
        closed = type(exc).__name__ == _CLOSED_BY_CALLER
        _end(self, complete=False, error=None if closed else exc)

    async def _wait(self, *args: Any, **kwargs: Any) -> None:
        own: Any = super()
        follow = _followed.get(id(self))
        try:
            await own._wait(*args, **kwargs)  # noqa: SLF001
        except BaseException as error:
            if follow is not None:
                follow.error = error
            raise
        if follow is not None:
            follow.error = None

    def __del__(self, _remove: Callable[..., _Follow | None] = _followed.pop) -> None:
        # Abandoned without being closed: the last place to hear of it. As the interpreter ends,
        # the names of this module may be gone already.
        follow = _remove(id(self), None)
        if follow is not None:
            follow.attempt.end(complete=False, error=follow.error)


def _end(reader: Any, *, complete: bool, error: BaseException | None = None) -> None:
    follow = _followed.pop(id(reader), None)
    if follow is not None:
        if complete:
            follow.attempt.rest()
        follow.attempt.end(complete=complete, error=error or follow.error)
