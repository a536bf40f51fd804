"""The tap on `urllib3`, and so on `requests` and `botocore`: every request on the wire is one.

Its choke point is the pool's `_make_request`: `urlopen` calls it again for each retry and each
redirect of its own, and `requests` and `botocore` go through `urlopen`. The caller gets the same
response object; only its class is replaced by a subclass that lets the attempt see what is read.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, Final

from outlay.capture.attempt import Attempt
from outlay.capture.guard import caught, warn_once
from outlay.capture.runtime import Runtime, active
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

_PORTS: Final = {"http": 80, "https": 443}
_FOLLOW: Final = "_outlay_follow"
_STREAM_BYTES: Final = 2**16
"""What `stream` reads at once by itself."""


def install(module: ModuleType) -> None:
    """Tap `urllib3`; a second time does nothing."""
    if not hasattr(module.HTTPResponse, "read1"):  # before 2.2
        warn_once("tap.urllib3", "outlay: urllib3 %s is too old to be tapped", module.__version__)
        return
    pool, response = module.HTTPConnectionPool, module.HTTPResponse
    if not hasattr(pool._make_request, MARK):  # noqa: SLF001
        pool._make_request = _tapped(pool._make_request, response)  # noqa: SLF001


def remove(module: ModuleType) -> None:
    """Take the tap off again, where nobody wrapped it since."""
    restore(module.HTTPConnectionPool, "_make_request")


def _tapped(original: Callable[..., Any], response_class: Any) -> Callable[..., Any]:
    same = {"__module__": response_class.__module__}
    tees = tuple(type("HTTPResponse", (own, response_class), same) for own in (_Tee, _HidingTee))

    @functools.wraps(original)
    def _make_request(*args: Any, **kwargs: Any) -> Any:
        runtime = active()
        if runtime is None or is_inside():
            return original(*args, **kwargs)
        sending = _Sending.begin(runtime, args, kwargs)
        if sending is None:
            return original(*args, **kwargs)
        try:
            response = original(*args, **sending.kwargs)
        except BaseException as error:
            sending.attempt.end(complete=False, error=error)
            raise
        sending.answered(response, response_class, tees)
        return response

    return mark(_make_request)  # type: ignore[no-any-return]


class _Sending:
    """One request on the wire: what goes out, and the attempt that follows it."""

    __slots__ = ("_hides", "attempt", "kwargs")

    def __init__(self, attempt: Attempt, kwargs: dict[str, Any]) -> None:
        self.attempt = attempt
        self.kwargs = kwargs
        self._hides = False

    @classmethod
    def begin(
        cls, runtime: Runtime, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Sending | None:
        """Start an attempt; `None` when the request goes to no known provider."""
        try:
            pool, _conn, method, target = args[:4]
            url = _url(pool, target)
            # Only the address of a call to somebody else is looked at.
            route = runtime.route(method, url)
            if route is None:
                return None
            body = body_bytes(kwargs.get("body"))
            attempt = begin(runtime, route, method, url, kwargs["headers"].items(), body)
            if attempt is None:
                return None
            sending = cls(attempt, kwargs)
            if not _preloads(kwargs) and (more := attempt.body_with_usage()) is not None:
                sending._replace(more)
            return sending
        except Exception as error:
            caught("tap.begin", error)
            return None

    def _replace(self, body: bytes) -> None:
        """Send another body: the caller's own request stays as it is."""
        headers = self.kwargs["headers"].copy()
        for name in [name for name in headers if name.lower() == "accept-encoding"]:
            del headers[name]
        # The stream is edited on its way back, so it must come unpacked.
        headers["Accept-Encoding"] = "identity"
        for name in [name for name in headers if name.lower() == "content-length"]:
            headers[name] = str(len(body))
        self.kwargs = {**self.kwargs, "headers": headers, "body": body}
        self._hides = True

    def answered(self, response: Any, response_class: Any, tees: tuple[Any, ...]) -> None:
        """Take a response whose body was read, or follow the one that will be."""
        attempt = self.attempt
        try:
            if not is_answer(response.status):
                return
            headers = picked(response.headers.items())
            attempt.response(response.status, headers)
            if type(response) is response_class and not _preloads(self.kwargs):
                if response.isclosed():
                    attempt.end(complete=True)  # there is no body
                    return
                vars(response)[_FOLLOW] = _Follow(attempt, headers)
                response.__class__ = tees[self._hides]
                return
            # Read already, on its way here; HTTP/2 leaves it as it came.
            unpacked = isinstance(response, response_class) and self.kwargs.get(
                "decode_content", True
            )
            follow = _Follow(attempt, headers)
            follow.take(response.data, decoded=unpacked)
            follow.finish()
        except Exception as error:
            caught("tap.answered", error)
            attempt.end(complete=False)


def _preloads(kwargs: dict[str, Any]) -> bool:
    return bool(kwargs.get("preload_content", True))


def _url(pool: Any, target: str) -> str:
    if not target.startswith("/"):
        return target  # through a proxy that is told the whole address
    scheme, host, port = pool.scheme, pool.host, pool.port
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    if port is None or port == _PORTS.get(scheme):
        return f"{scheme}://{host}{target}"
    return f"{scheme}://{host}:{port}{target}"


class _Follow:
    """The attempt behind one response; it ends with the response at the latest."""

    __slots__ = ("_encoding", "_kind", "_started", "attempt", "held", "over", "reading")

    def __init__(self, attempt: Attempt, headers: dict[str, str]) -> None:
        self.attempt = attempt
        self._encoding = headers.get("content-encoding", "")
        self._kind = headers.get("content-type", "")
        self._started = False
        self.held = bytearray()
        """What the caller of a `_HidingTee` may see, but has not asked for yet."""
        self.over = False
        self.reading = False
        """The library is at work: it tells of an error after it has closed the response."""

    def take(self, data: bytes | None, *, decoded: bool | None) -> bytes:
        """Take what was read and return what the caller sees of it."""
        if not data:
            return b""
        if not self._started:
            self._started = True
            self.attempt.expect("" if decoded else self._encoding, self._kind)
        return self.attempt.take(data)

    def finish(self) -> bytes:
        """End the attempt at the body's end; return what the caller has not seen yet."""
        rest = b"" if self.over else self.attempt.rest()
        self.over = True
        self.attempt.end(complete=True)
        return rest

    def __del__(self) -> None:
        # Abandoned without being closed: the last place to hear of it.
        self.attempt.end(complete=False)


class _Tee:
    """An `HTTPResponse` whose reads the attempt sees.

    All other ways to read it (`stream`, `data`, `json`, `readinto`, iteration) come down to these.
    """

    def read(
        self, amt: int | None = None, decode_content: bool | None = None, *args: Any, **more: Any
    ) -> Any:
        own: Any = super()
        return _see(self, lambda: own.read(amt, decode_content, *args, **more), amt, decode_content)

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
        own: Any = super()
        # Without an amount it gives what there is, which need not be all.
        least = 1 if amt is None else amt
        return _see(self, lambda: own.read1(amt, decode_content), least, decode_content)

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Iterator[bytes]:
        follow: _Follow = vars(self)[_FOLLOW]
        own: Any = super()
        source = own.read_chunked(amt, decode_content=decode_content)
        follow.reading = True
        try:
            for chunk in source:
                shown = follow.take(chunk, decoded=decode_content)
                if shown:
                    follow.reading = False
                    yield shown
                    follow.reading = True
            rest = follow.finish() if own.isclosed() else b""
            if rest:
                yield rest
        except GeneratorExit:
            # The library hangs up when its generator is left.
            follow.attempt.end(complete=False)
            raise
        except BaseException as error:
            follow.attempt.end(complete=False, error=error)
            raise
        finally:
            follow.reading = False
            source.close()

    def drain_conn(self) -> None:
        own: Any = super()
        own.drain_conn()
        vars(self)[_FOLLOW].attempt.end(complete=False)

    def close(self) -> None:
        own: Any = super()
        follow: _Follow = vars(self)[_FOLLOW]
        try:
            own.close()
        finally:
            if not follow.reading:
                follow.attempt.end(complete=False)


class _HidingTee(_Tee):
    """A `_Tee` that keeps back what the caller did not ask for: the chunk with the usage."""

    def read(
        self, amt: int | None = None, decode_content: bool | None = None, *args: Any, **more: Any
    ) -> Any:
        def first() -> Any:
            return _Tee.read(self, amt, decode_content, *args, **more)

        shown = self._fill(first, amt, decode_content)
        if vars(self).get("_body"):
            self._body = shown  # kept for the next look at `data`
        return shown

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
        def first() -> Any:
            return _Tee.read1(self, amt, decode_content)

        return self._fill(first, amt, decode_content)

    def stream(
        self, amt: int | None = _STREAM_BYTES, decode_content: bool | None = None
    ) -> Iterator[bytes]:
        own: Any = self
        if own.chunked and own.supports_chunked_reads():
            yield from self.read_chunked(amt, decode_content)
            return
        follow: _Follow = vars(self)[_FOLLOW]
        while follow.held or not follow.over:
            if data := self.read(amt, decode_content):
                yield data

    def _fill(
        self, first: Callable[[], bytes | None], amt: int | None, decode_content: bool | None
    ) -> bytes:
        """Read on until there is something to show, since nothing would mean the end."""
        follow: _Follow = vars(self)[_FOLLOW]
        held = follow.held
        if not held or not amt:
            held += first() or b""
        while amt != 0 and not held and not follow.over:
            # The end of an event may be here already where as much as was asked for is not.
            held += _Tee.read1(self, amt, decode_content) or b""
        if amt is not None and amt < 0:
            amt = None  # to the library both mean all
        shown = bytes(held[:amt])
        del held[:amt]
        return shown


def _see(
    response: Any, read: Callable[[], bytes | None], amt: int | None, decode: bool | None
) -> bytes | None:
    """Read as the response's own class does, and let the attempt see it."""
    follow: _Follow = vars(response)[_FOLLOW]
    decoded = response.decode_content if decode is None else decode
    try:
        data = read()
    except BaseException as error:
        follow.attempt.end(complete=False, error=error)
        raise
    shown = follow.take(data, decoded=decoded)
    if amt is None or (not data and amt != 0) or _is_over(response):
        rest = follow.finish()
        return shown + rest if rest else shown
    return shown


def _is_over(response: Any) -> bool:
    """Tell whether the body is read and nothing of it waits in the response."""
    if not response.isclosed() or len(getattr(response, "_decoded_buffer", ())):
        return False
    return not getattr(getattr(response, "_decoder", None), "has_unconsumed_tail", False)
