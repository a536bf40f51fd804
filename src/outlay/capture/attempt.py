"""One metered HTTP attempt, whatever client makes it: bytes in, one event out.

A tap calls `begin`, then `response`, then `take` or `feed` for the body, then `end` once; every
method swallows its own errors. Where limits may hold (`entry` is not `None`) it calls `enter` or
`enter_async` first, and `block` instead of all else when that refuses. It owns the attempt's times
and its place among its retries, and what the caller sees of an edited or cut stream. Replies that
tell of other calls (batch results) give an event for each of these; a call that a gateway of ours
has recorded gives none, and is only counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from outlay.capture import events, forks
from outlay.capture.attempt_events import (
    record_blocked,
    record_other,
    record_ready,
    way_in,
)
from outlay.capture.attempt_facts import (
    AWS_CALL_HEADER,
    EVENT_ID_HEADER,
    error_class,
    replaced,
    retry_count,
)
from outlay.capture.guard import caught
from outlay.capture.ids import UUID7, new_id
from outlay.capture.once import derive
from outlay.capture.relay import Relay
from outlay.capture.retries import FIRST, Failure, Place, is_retryable, owner
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope, text, working_scope
from outlay.capture.tally import UNKNOWN
from outlay.wire.base import Reader, Reading, Request
from outlay.wire.include_usage import add_include_usage
from outlay.wire.registry import Route, open_reader

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.core.limits.refusal import Refusal

MAX_PIECE_BYTES: Final = 256 * 1024
"""Fed to a reader at once, so that what it has `ready` stays little."""


class Attempt:
    """Follows one attempt to a known provider."""

    __slots__ = (
        "_ended", "_first_byte", "_hiding", "_key", "_owner", "_place", "_reader", "_relay",
        "_request", "_runtime", "_scope", "_stamped", "_started_at", "_ticks", "cut", "entry",
        "relays",
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
        self._relay: Relay | None = None
        """The way of a body that comes in pieces; `None`: the caller sees all as it comes."""
        self._hiding = False
        self._first_byte = 0
        self._ended = False
        self.entry: Entry | None = None
        """The way past the limits; `None`: none are on."""
        self.relays = False
        """A stream whose growth limits watch: they may cut it, so it must come unpacked."""
        self.cut = False
        """The stream was ended for the caller: the tap reads no further and hangs up."""
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
        count = retry_count(headers)
        place = FIRST
        if count or scope.memory.failures:
            place = scope.memory.begin(
                key, span_id=scope.span_id, retry_count=count, now=time.monotonic()
            )
        attempt = cls(runtime, reader, scope, request, key, place, private=route.private)
        if runtime.gate is not None or scope.run is not None:
            attempt.entry = way_in(runtime, scope, reader, request, route, place)
        return attempt

    def enter(self) -> Refusal | None:
        """Wait until limits let the attempt pass; a refusal says why they do not. Blocks."""
        return None if self.entry is None else self._entered(self.entry, self.entry.enter())

    async def enter_async(self) -> Refusal | None:
        """Wait until limits let the attempt pass; a refusal says why they do not. Awaits."""
        entry = self.entry
        return None if entry is None else self._entered(entry, await entry.enter_async())

    def _entered(self, entry: Entry, refusal: Refusal | None) -> Refusal | None:
        """Begin anew with what is to be sent; waiting is no part of the call."""
        self._reader, self._request = cast("Reader", entry.reader), entry.request
        self.relays = entry.bounds and entry.reader.streamed
        self._started_at = time.time_ns()
        self._ticks = time.perf_counter_ns()
        return refusal

    @property
    def changed(self) -> Request | None:
        """The request to send instead of the caller's, with another model; `None`: as it is."""
        entry = self.entry
        return entry.request if entry is not None and entry.changed else None

    def block(self, refusal: Refusal) -> None:
        """End the attempt as one that a limit refused: nothing was sent."""
        if self._ended:
            return
        self._ended = True
        try:
            self._record_blocked(refusal)
        except Exception as problem:
            caught("attempt.block", problem)
            self._runtime.stats.drop("internal_error")
        finally:
            self._leave()

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
        if self.entry is not None:
            self.entry.request = None
        try:
            # Anybody could send the header: only who was named in the settings is believed.
            if self._stamped is not None and EVENT_ID_HEADER in headers:
                stamped = headers[EVENT_ID_HEADER]
                self._stamped = stamped.lower() if UUID7.fullmatch(stamped) else ""
            self._reader.response(status, headers)
        except Exception as error:
            caught("attempt.response", error)

    def expect(self, content_encoding: str, content_type: str) -> None:
        """Prepare for a body that comes in pieces, and maybe still encoded."""
        if not (content_encoding or self._hiding or self.relays):
            return
        try:
            self._relay = Relay(
                encoding=content_encoding,
                hides=self._hiding,
                kind=content_type,
                entry=self.entry if self.relays else None,
            )
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
                record_ready(self._runtime, self._scope, reader.ready)
        except Exception as error:
            caught("attempt.feed", error)

    def take(self, chunk: bytes) -> bytes:
        """Take a piece of the body as it came and return what the caller sees of it."""
        if not self._first_byte:
            self._first_byte = time.perf_counter_ns()
        relay = self._relay
        if relay is None:
            self.feed(chunk)
            return chunk
        if relay.cut:
            return b""
        try:
            self.feed(relay.metered(chunk))
        except Exception as error:
            caught("attempt.feed", error)
        shown = relay.shown(chunk)
        self.cut = relay.cut
        return shown

    def rest(self) -> bytes:
        """Return what the caller has not seen yet when the body is over."""
        relay = self._relay
        if relay is None or relay.cut:
            return b""
        try:
            self.feed(relay.last_metered())
        except Exception as error:
            caught("attempt.feed", error)
        return relay.last_shown()

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
        finally:
            if self.entry is not None:
                self._leave()

    def _leave(self) -> None:
        """Give back what limits hold for the attempt, unless it was settled."""
        try:
            if self.entry is not None:
                self.entry.drop()
        except Exception as problem:
            caught("attempt.leave", problem)

    def _feed(self, data: bytes) -> None:
        """Feed what may be much, in pieces."""
        for at in range(0, len(data), MAX_PIECE_BYTES):
            self.feed(data[at : at + MAX_PIECE_BYTES])

    def _finish(self, complete: bool, error: str | None) -> None:
        now = time.perf_counter_ns()
        runtime, reader = self._runtime, self._reader
        reading = reader.finish(complete=complete, error=error)
        if reader.ready:
            record_ready(runtime, self._scope, reader.ready)
        if reading.surface.endswith(".free"):
            if reading.job and reading.created_at is not None:
                runtime.once.job_made(reading.provider, reading.job, reading.created_at)
            return
        if error == "cancelled" and reading.status == "error":
            reading.status = "aborted"
        if self._relay is not None:
            self._relay.judge(reading)
        place = self._place
        stamped = self._stamped
        event_id = stamped or new_id()
        if reading.once and not stamped:
            if reading.job or "retrieved" in reading.findings:
                record_other(
                    self._runtime, self._scope, reading
                )  # what it tells of was not made by this attempt
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
        fallback_from = reading.fallback_from or place.fallback_from or replaced(place, reading)
        if fallback_from:
            fields["fallback_from"] = text(fallback_from)
        events.fill(fields, reading)
        if reading.status in ("error", "timeout"):
            self._remember(reading, call_id, fallback_from)
        cost: int | None = UNKNOWN
        if self.entry is not None:
            self.entry.fill(fields, started_at)
            self.entry.settle(reading, started_at, elapsed // 1000, elsewhere=bool(stamped))
            cost = self.entry.cost
        if not stamped:
            head = events.head(event_id, call_id, started_at, elapsed)
            runtime.submit(fields, self._scope, f"{head},{events.words(reading)}")
        scope = self._scope
        runtime.tally.add(
            scope.counters, reading, started_at, place.attempt, runtime.tenant(scope),
            elapsed // 1000, cost,
        )  # fmt: skip

    def _record_blocked(self, refusal: Refusal) -> None:
        """Record that the attempt was refused."""
        reading, place = self._reader.finish(complete=False, error="connect"), self._place
        fields: dict[str, Any] = {}
        if self.entry is not None:
            self.entry.fill(fields)
        before = place.fallback_from or replaced(place, reading)
        call_id = record_blocked(
            self._runtime, self._scope, reading, refusal, place, before, fields
        )
        self._remember(reading, call_id, before)

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
