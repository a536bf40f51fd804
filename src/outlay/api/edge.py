"""The outermost layer of the API: error bodies, security headers, the access log and counts.

Every answer passes here, so that no error leaves in another form and no log line holds a body,
a query string or a header.
"""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outlay.api.metrics import Metrics
from outlay.errors import (
    AuthError,
    BadRequestError,
    OutlayError,
    StorageFullError,
    UnavailableError,
)
from outlay.wire.http_date import http_date

RETRY_AFTER_S: Final = 1
RETRY_AFTER_FULL_S: Final = 30

_FRAMES: Final = b"x-frame-options"
_POLICY: Final = b"content-security-policy"
_SECURITY: Final = (
    (b"x-content-type-options", b"nosniff"),
    (_FRAMES, b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (_POLICY, b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
_QUIET: Final = (
    "/v1/events", "/v1/leases", "/v1/limits/policy", "/v1/virtual-keys/feed", "/v1/live",
    "/healthz", "/readyz", "/metrics",
    "/app/{path:path}", "/portal/{path:path}",
)  # fmt: skip
"""Routes called all the time: their good answers are logged for debugging only."""

Header = tuple[bytes, bytes]


def error_answer(error: OutlayError) -> tuple[int, list[Header], bytes]:
    """Return status, headers and body of an error's answer."""
    headers = [(b"content-type", b"application/json")]
    if isinstance(error, AuthError):
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, UnavailableError):
        full = isinstance(error, StorageFullError)
        seconds = RETRY_AFTER_FULL_S if full else RETRY_AFTER_S
        headers.append((b"retry-after", str(seconds).encode()))
    wait_s: int | None = getattr(error, "retry_after_s", None)
    if wait_s is not None:
        headers.append((b"retry-after", str(wait_s).encode()))
    return error.status, headers, msgspec.json.encode(error.as_dict())


async def send_answer(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """Send a whole answer."""
    headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class Edge:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: Any) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        began = time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name.lower() for name, _ in message["headers"]}
                if _POLICY in given:
                    given.add(
                        _FRAMES
                    )  # a page with a policy of its own says there who may frame it
                extra = [pair for pair in _SECURITY if pair[0] not in given]
                extra.append((b"date", http_date(int(time.time()))))
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            _check_text(scope)
            await self._app(scope, receive, sending)
        except Exception as error:  # the last stop: the caller gets an answer, the log the place
            failure = error if isinstance(error, OutlayError) else OutlayError()
            if not isinstance(error, OutlayError):
                self._log.error("defect", route=_route(scope), exc_info=error)
            if not status:
                await send_answer(sending, *error_answer(failure))
        finally:
            self._note(scope, status, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route(scope)
        # Status 0: the sender left before there was an answer.
        self._metrics.requests.labels(route, str(status)).inc()
        quiet = route in _QUIET and status < 400
        level = "warning" if status >= 500 else "debug" if quiet else "info"
        getattr(self._log, level)(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
        )


def _check_text(scope: Scope) -> None:
    """Check that no id in an address holds a NUL, which not every database can even look for."""
    if "\0" in scope["path"] or b"%00" in scope["query_string"]:
        raise BadRequestError("The address holds a NUL character.", where="path")


def _route(scope: Scope) -> str:
    """Return the route's pattern, so that neither logs nor counts hold ids from a path."""
    path = getattr(scope.get("route"), "path", None) or scope.get("outlay.route")
    return str(path) if path else "unmatched"
