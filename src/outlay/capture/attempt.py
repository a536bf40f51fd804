"""One metered HTTP attempt, whatever client makes it: bytes in, one event out.

A tap calls `begin`, then `response`, then `take` or `feed` for the body, then `end` once; every
method swallows its own errors. It owns the attempt's times and its place among its retries, and
what the caller sees of an edited stream.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from outlay.capture import events, forks
from outlay.capture.guard import caught
from outlay.capture.ids import new_id
from outlay.capture.retries import FIRST, Failure, Place, is_retryable, owner
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope, text, working_scope
from outlay.wire.base import READ_HEADERS, Reader, Reading, Request
from outlay.wire.encoding import Decoder
from outlay.wire.include_usage import UsageChunkFilter, add_include_usage
from outlay.wire.registry import Route, open_reader

RETRY_COUNT_HEADER: Final = "x-stainless-retry-count"
HEADERS: Final = READ_HEADERS | {RETRY_COUNT_HEADER, "content-encoding"}
"""All headers that a tap needs to hand over, in lower case."""


class Attempt:
    """Follows one attempt to a known provider."""

    __slots__ = (
        "_decoder", "_ended", "_filter", "_first_byte", "_hiding", "_key", "_owner", "_place",
        "_reader", "_request", "_runtime", "_scope", "_started_at", "_ticks",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        reader: Reader,
        scope: Scope,
        request: Request,
        key: tuple[str, int],
        place: Place,
    ) -> None:
        self._runtime = runtime
        self._reader = reader
        self._scope = scope
        self._request: Request | None = request
        self._key = key
        self._owner = owner()
        self._place = place
        self._decoder: Decoder | None = None
        self._filter: UsageChunkFilter | None = None
        self._hiding = False
        self._first_byte = 0
        self._ended = False
        self._started_at = time.time_ns()
        self._ticks = time.perf_counter_ns()

    @classmethod
    def begin(cls, runtime: Runtime, request: Request, route: Route) -> Attempt | None:
        """Start following a request on its way to a known provider."""
        if route.reader is None:
            with forks.gate:  # the first call of a kind imports its reader
                route.load()
        reader = open_reader(request, route=route)
        if reader is None:
            return None
        runtime.wake()
        scope = working_scope()
        key = (request.url, hash(request.body))
        headers = request.headers
        count = _retry_count(headers[RETRY_COUNT_HEADER]) if RETRY_COUNT_HEADER in headers else 0
        place = FIRST
        if count or scope.memory.failures:
            place = scope.memory.begin(
                key, span_id=scope.span_id, retry_count=count, now=time.monotonic()
            )
        return cls(runtime, reader, scope, request, key, place)

    def body_with_usage(self) -> bytes | None:
        """Return the body to send so that the stream tells its usage; `None`: send it as it is."""
        request, runtime = self._request, self._runtime
        if request is None or not runtime.settings.include_usage or not request.body:
            return None
        try:
            route = runtime.route(request.method, request.url)
            body = add_include_usage(request, route.endpoint) if route is not None else None
        except Exception as error:
            caught("attempt.include_usage", error)
            return None
        self._hiding = body is not None
        return body

    def response(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the response line and headers (names lower case)."""
        self._request = None  # a long stream must not keep the prompt alive
        try:
            self._reader.response(status, headers)
        except Exception as error:
            caught("attempt.response", error)

    def expect(self, content_encoding: str, content_type: str) -> None:
        """Prepare for a body that comes in pieces and still encoded."""
        try:
            if content_encoding:
                self._decoder = Decoder(content_encoding)
            elif self._hiding and content_type.startswith("text/event-stream"):
                self._filter = UsageChunkFilter()
        except Exception as error:
            caught("attempt.expect", error)

    def feed(self, chunk: bytes) -> None:
        """Take decoded body bytes."""
        try:
            self._reader.feed(chunk)
        except Exception as error:
            caught("attempt.feed", error)

    def take(self, chunk: bytes) -> bytes:
        """Take a piece of the body as it came and return what the caller sees of it."""
        if not self._first_byte:
            self._first_byte = time.perf_counter_ns()
        try:
            decoder = self._decoder
            self._reader.feed(chunk if decoder is None else decoder.feed(chunk))
        except Exception as error:
            caught("attempt.feed", error)
        if self._filter is None:
            return chunk
        try:
            return self._filter.feed(chunk)
        except Exception as error:
            caught("attempt.hide", error)
            held, self._filter = self._filter, None
            return _left(held) + chunk

    def rest(self) -> bytes:
        """Return what the caller has not seen yet when the body is over."""
        try:
            if self._decoder is not None:
                self._reader.feed(self._decoder.flush())
        except Exception as error:
            caught("attempt.feed", error)
        held, self._filter = self._filter, None
        return b"" if held is None else _left(held)

    def end(self, *, complete: bool, error: BaseException | None = None) -> None:
        """End the attempt and store its event; later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        try:
            self._finish(complete, None if error is None else error_class(error))
        except Exception as problem:
            caught("attempt.end", problem)
            self._runtime.stats.drop("internal_error")

    def _finish(self, complete: bool, error: str | None) -> None:
        now = time.perf_counter_ns()
        reading = self._reader.finish(complete=complete, error=error)
        if reading.surface.endswith(".free"):
            return
        if error == "cancelled" and reading.status == "error":
            reading.status = "aborted"
        place = self._place
        event_id = new_id()
        call_id = place.call_id or event_id
        started_at = self._started_at // 1000
        elapsed = now - self._ticks
        fields: dict[str, Any] = {}
        if self._first_byte and reading.streamed:
            fields["ttft_ms"] = round((self._first_byte - self._ticks) / 1e6, 3)
        if place.attempt:
            fields["attempt"] = place.attempt
        fallback_from = reading.fallback_from or place.fallback_from or _replaced(place, reading)
        if fallback_from:
            fields["fallback_from"] = text(fallback_from)
        events.fill(fields, reading)
        if reading.status in ("error", "timeout"):
            self._remember(reading, call_id, fallback_from)
        runtime = self._runtime
        head = events.head(event_id, call_id, started_at, elapsed)
        runtime.submit(fields, self._scope, f"{head},{events.words(reading)}")
        runtime.tally.add(self._scope.counters, reading, started_at, place.attempt)

    def _remember(self, reading: Reading, call_id: str, fallback_from: str | None) -> None:
        self._scope.memory.failed(
            Failure(
                key=self._key,
                owner=self._owner,
                at=time.monotonic(),
                call_id=call_id,
                attempt=self._place.attempt,
                provider=reading.provider,
                model=reading.model_requested,
                span_id=self._scope.span_id,
                retryable=is_retryable(reading.status, reading.http_status),
                fallback_from=fallback_from,
            )
        )


def error_class(error: BaseException) -> str:
    """Name a transport failure: `timeout`, `connect`, `cancelled`, or the exception's own name."""
    names = [cls.__name__ for cls in type(error).__mro__]
    if any("Timeout" in name for name in names):
        return "timeout"
    if any(name in ("ConnectError", "ConnectionRefusedError", "gaierror") for name in names):
        return "connect"
    if any(name in ("CancelledError", "Cancelled") for name in names):
        return "cancelled"
    return text(names[0], 64)


def _replaced(place: Place, reading: Reading) -> str | None:
    """Return the model this call stands in for: the one that failed just before, if another."""
    before = place.before
    if before is None or not before.model:
        return None
    same = (before.provider, before.model) == (reading.provider, reading.model_requested)
    return None if same else before.model


def _retry_count(count: str) -> int:
    return int(count) if count.isascii() and count.isdigit() and len(count) < 4 else 0


def _left(held: UsageChunkFilter) -> bytes:
    try:
        return held.flush()
    except Exception as error:
        caught("attempt.hide", error)
        return b""
