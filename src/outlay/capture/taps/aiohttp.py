"""The tap on `aiohttp`: every request of a `ClientSession` on the wire is one attempt.

It joins each call as the innermost middleware, so that redirects and the caller's own retrying
middlewares are seen one by one. The caller gets the same response and reader objects; only the
reader's class is replaced (`aiohttp_reader`) by one that lets the attempt see what is read. The
usage chunk of a stream is not asked for here. Websockets are `aiohttp_socket`'s.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from outlay.capture.attempt import Attempt
from outlay.capture.guard import caught, warn_once
from outlay.capture.runtime import Runtime, active
from outlay.capture.taps import aiohttp_reader, aiohttp_socket
from outlay.capture.taps.shared import (
    MARK,
    begin,
    body_bytes,
    is_answer,
    is_inside,
    mark,
    picked,
    refusal_of,
    restore,
)
from outlay.wire.base import Request
from outlay.wire.refusals import REASON
from outlay.wire.registry import Route

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.core.limits.refusal import Refusal


def install(module: ModuleType) -> None:
    """Tap `aiohttp`; a second time does nothing."""
    session = module.ClientSession
    aiohttp_socket.install(session)
    if hasattr(session._request, MARK):  # noqa: SLF001
        return
    if "middlewares" not in inspect.signature(session._request).parameters:  # noqa: SLF001
        warn_once("tap.aiohttp", "outlay: aiohttp %s is too old to be tapped", module.__version__)
        return
    session._request = _tapped(session._request, aiohttp_reader.classes(module))  # noqa: SLF001


def remove(module: ModuleType) -> None:
    """Take the tap off again, where nobody wrapped it since."""
    restore(module.ClientSession, "_request")
    aiohttp_socket.remove(module.ClientSession)


def _tapped(original: Callable[..., Any], tees: tuple[Any, Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def _request(*args: Any, **kwargs: Any) -> Any:
        runtime = active()
        if runtime is None or is_inside():
            return await original(*args, **kwargs)
        return await original(*args, **_joined(runtime, args, kwargs, tees))

    return mark(_request)  # type: ignore[no-any-return]


def _joined(
    runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any], tees: tuple[Any, Any]
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
        return {**kwargs, "middlewares": (*own, _Tap(runtime, tees, unpacks=unpacks))}
    except Exception as error:
        caught("tap.begin", error)
        return kwargs


class _Tap:
    """The middleware of one metered call."""

    __slots__ = ("_runtime", "_tees", "_unpacks")

    def __init__(self, runtime: Runtime, tees: tuple[Any, Any], *, unpacks: bool) -> None:
        self._runtime = runtime
        self._tees = tees
        self._unpacks = unpacks

    async def __call__(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Send one request on the wire."""
        attempt = self._begin(request)
        if attempt is None:
            return await handler(request)
        if attempt.entry is not None:
            refusal = await attempt.enter_async()
            if refusal is not None and (blocked := _blocked(request, attempt, refusal)) is not None:
                return blocked
            await _prepare(request, attempt)
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
            packing = "" if self._unpacks else headers.get("content-encoding", "")
            attempt.expect(packing, headers.get("content-type", ""))
            aiohttp_reader.follow(content, self._tees, attempt)
        except Exception as error:
            caught("tap.answered", error)
            attempt.end(complete=False)


async def _prepare(request: Any, attempt: Attempt) -> None:
    """Put another model into what is to be sent, if limits say so."""
    try:
        changed: Request | None = attempt.changed
        if changed is None:
            return
        if changed.url != str(request.url):
            request.url = type(request.url)(changed.url, encoded=True)
        await request.update_body(changed.body)
    except Exception as error:
        caught("tap.prepare", error)


def _blocked(request: Any, attempt: Attempt, refusal: Refusal) -> Any:
    """Return the answer to a call that was refused; `None` if there can be none."""
    try:
        import aiohttp
        import multidict
        from aiohttp import base_protocol

        status, headers, body = refusal_of(attempt, refusal)
        response = request.response_class(
            request.method,
            request.original_url,
            writer=None,
            continue100=None,
            timer=request._timer,  # noqa: SLF001
            request_info=request.request_info,
            traces=request._traces,  # noqa: SLF001
            loop=request.loop,
            session=request._session,  # noqa: SLF001
            **_writer_of(request.response_class),
        )
        content = aiohttp.StreamReader(
            base_protocol.BaseProtocol(request.loop), 2 * len(body), loop=request.loop
        )
        content.feed_data(body)
        content.feed_eof()
        response.version, response.status, response.reason = aiohttp.HttpVersion11, status, REASON
        response.content, response._body = content, body  # noqa: SLF001
        named = multidict.CIMultiDict(headers)
        response._headers = multidict.CIMultiDictProxy(named)  # noqa: SLF001
        response._raw_headers = tuple(  # noqa: SLF001
            (name.encode(), value.encode()) for name, value in headers.items()
        )
    except Exception as error:
        caught("tap.blocked", error)
        return None
    attempt.block(refusal)
    return response


def _writer_of(response_class: Any) -> dict[str, Any]:
    """Return what newer releases want to know of the request's writer, which was never there."""
    if "stream_writer" not in inspect.signature(response_class.__init__).parameters:
        return {}
    return {"stream_writer": SimpleNamespace(output_size=0)}
