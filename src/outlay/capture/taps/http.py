"""The tap on `httpx` and `httpx2`: every `Client.send` and `AsyncClient.send` is one attempt.

All transports, auth flows and SDKs go through it. The tap moves bytes to the attempt and parses
nothing; the caller gets the same response object, bytes and exceptions. It serves both modules.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from outlay.capture.attempt import Attempt
from outlay.capture.carrying import HEADER, outgoing
from outlay.capture.guard import caught
from outlay.capture.runtime import Runtime, active
from outlay.capture.taps import http_redirects
from outlay.capture.taps.shared import (
    MARK,
    begin,
    begin_send,
    is_answer,
    is_inside,
    mark,
    picked,
    refusal_of,
    restore,
)

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.core.limits.refusal import Refusal

MAX_FORM_FIELDS: Final = 64
"""Fields of a multipart upload that are looked at."""
MAX_FORM_VALUE_BYTES: Final = 1024
"""A longer field is no name of a model."""


def install(module: ModuleType) -> None:
    """Tap a module that is `httpx` or `httpx2`; a second time does nothing."""
    sync_tee = type("OutlayStream", (_SyncTee, module.SyncByteStream), {})
    async_tee = type("OutlayStream", (_AsyncTee, module.AsyncByteStream), {})
    if not hasattr(module.Client.send, MARK):
        module.Client.send = _tapped(module.Client.send, module, sync_tee)
    if not hasattr(module.AsyncClient.send, MARK):
        module.AsyncClient.send = _tapped_async(module.AsyncClient.send, module, async_tee)
    http_redirects.install(module)


def remove(module: ModuleType) -> None:
    """Take the tap off again, where nobody wrapped it since."""
    for client in (module.Client, module.AsyncClient):
        restore(client, "send")
    http_redirects.remove(module)


def _tapped(original: Callable[..., Any], module: Any, tee: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(*args: Any, **kwargs: Any) -> Any:
        runtime = active()
        if runtime is None or is_inside():
            return original(*args, **kwargs)
        sending = _Sending.begin(runtime, args, kwargs)
        if sending is None:
            return original(*args, **kwargs)
        if sending.attempt.entry is not None:
            refusal = sending.attempt.enter()
            if refusal is not None and (blocked := sending.blocked(refusal, module)) is not None:
                return blocked
        sending.prepare(module)
        on_its_way = begin_send()
        try:
            response = original(*sending.args, **sending.kwargs)
        except BaseException as error:
            sending.failed(error)
            raise
        finally:
            on_its_way.over = True
        sending.answered(response, tee)
        return response

    return mark(send)  # type: ignore[no-any-return]


def _tapped_async(original: Callable[..., Any], module: Any, tee: Any) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(*args: Any, **kwargs: Any) -> Any:
        runtime = active()
        if runtime is None or is_inside():
            return await original(*args, **kwargs)
        sending = _Sending.begin(runtime, args, kwargs)
        if sending is None:
            return await original(*args, **kwargs)
        if sending.attempt.entry is not None:
            refusal = await sending.attempt.enter_async()
            if refusal is not None and (blocked := sending.blocked(refusal, module)) is not None:
                return blocked
        sending.prepare(module)
        on_its_way = begin_send()
        try:
            response = await original(*sending.args, **sending.kwargs)
        except BaseException as error:
            sending.failed(error)
            raise
        finally:
            on_its_way.over = True
        sending.answered(response, tee)
        return response

    return mark(send)  # type: ignore[no-any-return]


class _Sending:
    """One metered `send`: what goes out, and the attempt that follows it."""

    __slots__ = ("_request", "_tells", "args", "attempt", "kwargs")

    def __init__(
        self,
        attempt: Attempt,
        request: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        tells: Runtime | None,
    ) -> None:
        self.attempt = attempt
        self._request = request
        self._tells = tells
        """Who signs the context for a gateway of ours; `None`: nobody is told."""
        self.args = args
        self.kwargs = kwargs

    @classmethod
    def begin(
        cls, runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Sending | None:
        """Start an attempt; `None` when the request goes to no known provider."""
        try:
            request = args[1] if len(args) > 1 else kwargs["request"]
            method, url = request.method, str(request.url)
            # Only the address of a call to somebody else is looked at.
            route = runtime.route(method, url)
            if route is None:
                return None
            attempt = begin(runtime, route, method, url, request.headers.raw, _body(request))
            if attempt is None:
                return None
            tells = runtime if route.private and runtime.secrets else None
            return cls(attempt, request, args, kwargs, tells)
        except Exception as error:
            caught("tap.begin", error)
            return None

    def blocked(self, refusal: Refusal, module: Any) -> Any:
        """Return the answer to a call that was refused; `None` if there can be none."""
        try:
            status, headers, body = refusal_of(self.attempt, refusal)
            response = module.Response(status, headers=headers, content=body, request=self._request)
            response.elapsed = timedelta(0)
        except Exception as error:
            caught("tap.blocked", error)
            return None
        self.attempt.block(refusal)
        return response

    def prepare(self, module: Any) -> None:
        """Make what is to be sent: with usage asked for, another model, the context, unpacked."""
        attempt = self.attempt
        try:
            changed = attempt.changed
            url, body = (None, None) if changed is None else (changed.url, changed.body)
            more = {} if self._tells is None else self._told(self._tells)
            if self.kwargs.get("stream"):
                asked = attempt.body_with_usage()
                body = body if asked is None else asked
                if body is not None or attempt.relays:
                    # The stream is edited on its way back, so it must come unpacked.
                    more["Accept-Encoding"] = "identity"
            if body is not None or more:
                self._replace(module.Request, body, url, more)
        except Exception as error:
            caught("tap.prepare", error)

    def _told(self, runtime: Runtime) -> dict[str, str]:
        """Return the header that tells a gateway of ours the context, if there is one to tell."""
        try:
            baggage = outgoing(runtime, self._request.headers.get(HEADER, ""))
        except Exception as error:
            caught("tap.carry", error)
            return {}
        return {HEADER: baggage} if baggage else {}

    def _replace(
        self, request_class: Any, body: bytes | None, url: str | None, more: dict[str, str]
    ) -> None:
        """Send a copy: the caller's own request stays as it is."""
        request = self._request
        headers = request.headers.copy()
        headers.update(more)
        content: dict[str, Any] = {"stream": request.stream}
        if body is not None:
            headers["Content-Length"] = str(len(body))
            content = {"content": body}
        copy = request_class(
            request.method, url or request.url, headers=headers, extensions=request.extensions,
            **content,
        )  # fmt: skip
        if body is None and hasattr(request, "_content"):
            copy.read()  # for a hook that looks at the body on its way
        if len(self.args) > 1:
            self.args = (self.args[0], copy, *self.args[2:])
        else:
            self.kwargs = {**self.kwargs, "request": copy}

    @property
    def _sent(self) -> Any:
        return self.args[1] if len(self.args) > 1 else self.kwargs["request"]

    def failed(self, error: BaseException) -> None:
        """End the attempt with a transport error, which names the caller's own request."""
        try:
            if getattr(error, "_request", None) is self._sent:
                error.request = self._request  # type: ignore[attr-defined]
        except Exception as problem:
            caught("tap.failed", problem)
        self.attempt.end(complete=False, error=error)

    def answered(self, response: Any, tee: Any) -> None:
        """Take a response whose body was read, or follow the one that will be."""
        attempt = self.attempt
        try:
            if self._sent is not self._request:
                response.request = self._request
            if not is_answer(response.status_code):
                return
            headers = picked(response.headers.raw)
            attempt.response(response.status_code, headers)
            if response.is_stream_consumed or response.is_closed:
                attempt.feed(response.content)
                attempt.end(complete=True)
            else:
                attempt.expect(headers.get("content-encoding", ""), headers.get("content-type", ""))
                response.stream = tee(response.stream, attempt)
        except Exception as error:
            caught("tap.answered", error)
            attempt.end(complete=False)


def _body(request: Any) -> bytes:
    try:
        content = request.content
    except Exception:
        # A body that is streamed up: reading it here would use it up.
        return _form(getattr(request, "stream", None))
    return content if isinstance(content, bytes) else b""


def _form(stream: Any) -> bytes:
    """Return a multipart form without its files: its short fields name the model that is asked."""
    boundary = getattr(stream, "boundary", None)
    if not isinstance(boundary, bytes):
        return b""
    parts = []
    for field in stream.fields[:MAX_FORM_FIELDS]:
        value = None if hasattr(field, "file") else field.render_data()
        if isinstance(value, bytes) and len(value) <= MAX_FORM_VALUE_BYTES:
            parts.append(b"--%s\r\n%s%s\r\n" % (boundary, field.render_headers(), value))
    return b"".join(parts) + b"--%s--\r\n" % boundary


class _Tee:
    """Hands a response's bytes to the caller and to the attempt; otherwise the stream it wraps."""

    def __init__(self, stream: Any, attempt: Attempt) -> None:
        self._stream = stream
        self._attempt = attempt

    def __getattr__(self, name: str) -> Any:
        # `elapsed` of httpx2 lives on the stream.
        return getattr(self.__dict__["_stream"], name)

    def __del__(self) -> None:
        # Abandoned without being closed: the last place to hear of it.
        attempt = self.__dict__.get("_attempt")
        if attempt is not None:
            attempt.end(complete=False)


class _SyncTee(_Tee):
    def __iter__(self) -> Iterator[bytes]:
        attempt = self._attempt
        try:
            for chunk in self._stream:
                shown = attempt.take(chunk)
                if shown:
                    yield shown
                if attempt.cut:
                    break
            rest = attempt.rest()
            if rest:
                yield rest
        except GeneratorExit:
            raise
        except BaseException as error:
            attempt.end(complete=False, error=error)
            raise
        attempt.end(complete=not attempt.cut)
        if attempt.cut:
            self._stream.close()

    def close(self) -> None:
        try:
            self._stream.close()
        finally:
            self._attempt.end(complete=False)


class _AsyncTee(_Tee):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        attempt = self._attempt
        stream = self._stream.__aiter__()
        try:
            async for chunk in stream:
                shown = attempt.take(chunk)
                if shown:
                    yield shown
                if attempt.cut:
                    break
            rest = attempt.rest()
            if rest:
                yield rest
        except GeneratorExit:
            raise
        except BaseException as error:
            attempt.end(complete=False, error=error)
            raise
        finally:
            if hasattr(stream, "aclose"):
                await stream.aclose()
        attempt.end(complete=not attempt.cut)
        if attempt.cut:
            await self._stream.aclose()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._attempt.end(complete=False)
