"""One metered HTTP attempt, whatever client makes it: bytes in, one event out.

A tap calls `begin`, then `response`, then `take` or `feed` for the body, then `end` once; every
method swallows its own errors. It owns the attempt's times and its place among its retries, and
what the caller sees of an edited stream. Replies that tell of other calls (batch results) give an
event for each of these; a call that a gateway of ours has recorded gives none, and is only counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from outlay.capture import events, forks
from outlay.capture.guard import caught
from outlay.capture.ids import UUID7, new_id
from outlay.capture.once import derive
from outlay.capture.retries import FIRST, Failure, Place, is_retryable, owner
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope, text, working_scope
from outlay.wire.base import READ_HEADERS, Reader, Reading, Request
from outlay.wire.encoding import Decoder
from outlay.wire.include_usage import UsageChunkFilter, add_include_usage
from outlay.wire.registry import Route, open_reader

RETRY_COUNT_HEADER: Final = "x-stainless-retry-count"
AWS_CALL_HEADER: Final = "amz-sdk-invocation-id"
"""The same on every attempt of one call of an AWS SDK."""
AWS_ATTEMPT_HEADER: Final = "amz-sdk-request"
"""An AWS SDK's number of the attempt: `attempt=1; max=3`."""
EVENT_ID_HEADER: Final = "outlay-event-id"
"""Where a gateway of ours names the event that it has recorded for the call."""
HEADERS: Final = READ_HEADERS | {
    RETRY_COUNT_HEADER, AWS_CALL_HEADER, AWS_ATTEMPT_HEADER, EVENT_ID_HEADER, "content-encoding",
}  # fmt: skip
"""All headers that a tap needs to hand over, in lower case."""

MAX_PIECE_BYTES: Final = 256 * 1024
"""Fed to a reader at once, so that what it has `ready` stays little."""

_CONNECT: Final = frozenset(
    {
        "ConnectError", "ConnectionRefusedError", "gaierror", "NewConnectionError",
        "ClientConnectorError",
    }
)  # fmt: skip
"""Exceptions of httpx, Python, urllib3 and aiohttp: nothing was sent."""


class Attempt:
    """Follows one attempt to a known provider."""

    __slots__ = (
        "_decoder", "_ended", "_filter", "_first_byte", "_hiding", "_key", "_owner", "_place",
        "_reader", "_request", "_runtime", "_scope", "_stamped", "_started_at", "_ticks",
    )  # fmt: skip

    def __init__(
        self,
        runtime: Runtime,
        reader: Reader,
        scope: Scope,
        request: Request,
        key: tuple[str, int],
        place: Place,
        *,
        private: bool = False,
    ) -> None:
        self._runtime = runtime
        self._reader = reader
        self._scope = scope
        self._request: Request | None = request
        self._key = key
        self._owner = owner()
        self._place = place
        self._stamped = "" if private else None
        """The event that a gateway of ours has recorded for this attempt; `None`: none is there."""
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
        headers = request.headers
        key = (request.url, hash(headers.get(AWS_CALL_HEADER) or request.body))
        count = _retry_count(headers)
        place = FIRST
        if count or scope.memory.failures:
            place = scope.memory.begin(
                key, span_id=scope.span_id, retry_count=count, now=time.monotonic()
            )
        return cls(runtime, reader, scope, request, key, place, private=route.private)

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
            # Anybody could send the header: only who was named in the settings is believed.
            if self._stamped is not None and EVENT_ID_HEADER in headers:
                stamped = headers[EVENT_ID_HEADER]
                self._stamped = stamped.lower() if UUID7.fullmatch(stamped) else ""
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
            if len(chunk) > MAX_PIECE_BYTES:
                self._feed(chunk)
                return
            reader = self._reader
            reader.feed(chunk)
            if reader.ready:
                self._record_ready()
        except Exception as error:
            caught("attempt.feed", error)

    def take(self, chunk: bytes) -> bytes:
        """Take a piece of the body as it came and return what the caller sees of it."""
        if not self._first_byte:
            self._first_byte = time.perf_counter_ns()
        try:
            decoder = self._decoder
            self.feed(chunk if decoder is None else decoder.feed(chunk))
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
                self.feed(self._decoder.flush())
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

    def _feed(self, data: bytes) -> None:
        """Feed what may be much, in pieces."""
        for at in range(0, len(data), MAX_PIECE_BYTES):
            self.feed(data[at : at + MAX_PIECE_BYTES])

    def _finish(self, complete: bool, error: str | None) -> None:
        now = time.perf_counter_ns()
        runtime, reader = self._runtime, self._reader
        reading = reader.finish(complete=complete, error=error)
        decoder = self._decoder
        if decoder is not None and (decoder.failed or not decoder.supported):
            reading.find("body_undecoded")
        if reader.ready:
            self._record_ready()
        if reading.surface.endswith(".free"):
            if reading.job and reading.created_at is not None:
                runtime.once.job_made(reading.provider, reading.job, reading.created_at)
            return
        if error == "cancelled" and reading.status == "error":
            reading.status = "aborted"
        place = self._place
        stamped = self._stamped
        event_id = stamped or new_id()
        if reading.once and not stamped:
            if reading.job or "retrieved" in reading.findings:
                self._record_other(reading)  # what it tells of was not made by this attempt
                return
            event_id = derive(reading, time.time_ns() // 1000)[0]
            if not runtime.once.first(event_id):
                return
        call_id = place.call_id or event_id
        if reading.billed != "no" and runtime.once.tapped(reading, event_id) != event_id:
            return
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
        if not stamped:
            head = events.head(event_id, call_id, started_at, elapsed)
            runtime.submit(fields, self._scope, f"{head},{events.words(reading)}")
        scope = self._scope
        runtime.tally.add(
            scope.counters, reading, started_at, place.attempt, runtime.tenant(scope),
            elapsed // 1000,
        )  # fmt: skip

    def _record_ready(self) -> None:
        """Record what the reply has told of other calls so far."""
        ready = self._reader.ready
        for reading in ready:
            try:
                self._record_other(reading)
            except Exception as problem:
                caught("attempt.ready", problem)
                self._runtime.stats.drop("internal_error")
        ready.clear()

    def _record_other(self, reading: Reading) -> None:
        """Record a call that this attempt did not make: how long it took is not known."""
        runtime, scope = self._runtime, self._scope
        if reading.created_at is None and reading.job:
            reading.created_at = runtime.once.job_time(reading.provider, reading.job)
        event_id, started_at = derive(reading, time.time_ns() // 1000)
        if reading.once and not runtime.once.first(event_id):
            return
        if reading.billed != "no" and runtime.once.tapped(reading, event_id) != event_id:
            return
        if reading.created_at is not None and reading.created_at != started_at:
            reading.find("read_late")
        fields: dict[str, Any] = {
            "event_id": event_id,
            "call_id": event_id,
            "started_at": started_at,
            "ended_at": started_at,
        }
        events.fill(fields, reading)
        runtime.submit(fields, scope, events.words(reading))
        runtime.tally.add(scope.counters, reading, started_at, 0, runtime.tenant(scope))

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
    # First, since urllib3 derives its own from a timeout.
    if not _CONNECT.isdisjoint(names):
        return "connect"
    if any("Timeout" in name for name in names):
        return "timeout"
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


def _retry_count(headers: Mapping[str, str]) -> int:
    """Return how many attempts of the call the client says it made before."""
    count, before = headers.get(RETRY_COUNT_HEADER), 0
    if count is None:
        if AWS_ATTEMPT_HEADER not in headers:
            return 0
        # AWS counts from 1; other parts of the value come in any order.
        parts = headers[AWS_ATTEMPT_HEADER].replace(" ", "").split(";")
        count = next((p[8:] for p in parts if p.startswith("attempt=")), "")
        before = 1
    whole = count.isascii() and count.isdigit() and len(count) < 4
    return max(0, int(count) - before) if whole else 0


def _left(held: UsageChunkFilter) -> bytes:
    try:
        return held.flush()
    except Exception as error:
        caught("attempt.hide", error)
        return b""
