"""The tap on `urllib3`, and so on `requests` and `botocore`: every request on the wire is one.

Its choke point is the pool's `_make_request`: `urlopen` calls it again for each retry and each
redirect of its own, and `requests` and `botocore` go through `urlopen`. The caller gets the same
response object; only its class is replaced by a subclass that lets the attempt see what is read.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

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
    refusal_of,
    restore,
)
from outlay.capture.taps.urllib3_response import FOLLOW, EditingTee, Follow, Tee
from outlay.wire.refusals import REASON
from outlay.wire.remodel import SIGNED_HEADER

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.core.limits.refusal import Refusal

_PORTS: Final = {"http": 80, "https": 443}


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
    tees = tuple(type("HTTPResponse", (own, response_class), same) for own in (Tee, EditingTee))

    @functools.wraps(original)
    def _make_request(*args: Any, **kwargs: Any) -> Any:
        runtime = active()
        if runtime is None or is_inside():
            return original(*args, **kwargs)
        sending = _Sending.begin(runtime, args, kwargs)
        if sending is None:
            return original(*args, **kwargs)
        if sending.attempt.entry is not None:
            refusal = sending.attempt.enter()
            if refusal is not None and (blocked := sending.blocked(refusal, response_class)):
                return blocked
        sending.prepare()
        try:
            response = original(*sending.args, **sending.kwargs)
        except BaseException as error:
            sending.attempt.end(complete=False, error=error)
            raise
        sending.answered(response, response_class, tees)
        return response

    return mark(_make_request)  # type: ignore[no-any-return]


class _Sending:
    """One request on the wire: what goes out, and the attempt that follows it."""

    __slots__ = ("_edits", "args", "attempt", "kwargs")

    def __init__(self, attempt: Attempt, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.attempt = attempt
        self.args = args
        self.kwargs = kwargs
        self._edits = False
        """What the caller sees of the reply may be other bytes than come."""

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
            return cls(attempt, args, kwargs)
        except Exception as error:
            caught("tap.begin", error)
            return None

    def blocked(self, refusal: Refusal, response_class: Any) -> Any:
        """Return the answer to a call that was refused; `None` if there can be none."""
        kwargs, pool = self.kwargs, self.args[0]
        try:
            status, headers, body = refusal_of(self.attempt, refusal)
            response = response_class(
                io.BytesIO(body), headers=headers, status=status, version=11, reason=REASON,
                preload_content=_preloads(kwargs), request_method=self.args[2],
                decode_content=kwargs.get("decode_content", True), request_url=self.args[3],
                retries=kwargs.get("retries"),
            )  # fmt: skip
            response.version_string = "HTTP/1.1"
            # Nobody else gives back a connection that nothing was sent on.
            if (connection := kwargs.get("response_conn")) is not None:
                pool._put_conn(connection)  # noqa: SLF001
        except Exception as error:
            caught("tap.blocked", error)
            return None
        self.attempt.block(refusal)
        return response

    def prepare(self) -> None:
        """Make what is to be sent: with the usage asked for, with another model, unpacked."""
        attempt = self.attempt
        try:
            changed = attempt.changed
            if changed is not None:
                self._send_to(changed.url)
                self._send_body(changed.body)
            if _preloads(self.kwargs):
                return
            if (more := attempt.body_with_usage()) is not None:
                self._send_body(more)
            elif not attempt.relays:
                return
            self._edits = True
            if more is not None or not self._is_signed():
                # The stream is edited on its way back, so it must come unpacked.
                self._send_header("Accept-Encoding", "identity")
        except Exception as error:
            caught("tap.prepare", error)

    def _send_to(self, url: str) -> None:
        """Send to another path of the same host."""
        pool, connection, method, target, *rest = self.args
        if target.startswith("/"):
            parts = urlsplit(url)
            url = f"{parts.path}?{parts.query}" if parts.query else parts.path
        self.args = (pool, connection, method, url, *rest)

    def _send_body(self, body: bytes) -> None:
        """Send another body: the caller's own request stays as it is."""
        self.kwargs = {**self.kwargs, "body": body}
        if any(name.lower() == "content-length" for name in self.kwargs["headers"]):
            self._send_header("Content-Length", str(len(body)))

    def _send_header(self, name: str, value: str) -> None:
        """Send another header in the place of the caller's."""
        headers = self.kwargs["headers"].copy()
        for other in [other for other in headers if other.lower() == name.lower()]:
            del headers[other]
        headers[name] = value
        self.kwargs = {**self.kwargs, "headers": headers}

    def _is_signed(self) -> bool:
        return any(name.lower() == SIGNED_HEADER for name in self.kwargs["headers"])

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
                vars(response)[FOLLOW] = Follow(attempt, headers)
                response.__class__ = tees[self._edits]
                return
            # Read already, on its way here; HTTP/2 leaves it as it came.
            unpacked = isinstance(response, response_class) and self.kwargs.get(
                "decode_content", True
            )
            follow = Follow(attempt, headers)
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
