"""One metered HTTP attempt, whatever client makes it: bytes in, one event out.

A tap calls `begin`, then `response`, then `take` or `feed` for the body, then `end` once; every
method swallows its own errors. Where limits may hold (`entry` is not `None`) it calls `enter` or
`enter_async` first, and `block` instead of all else when that refuses; these are `attempt_start`'s.
It owns the attempt's times, and what the caller sees of an edited or cut stream. Replies that tell
of other calls (batch results) give an event for each of these; a call that a gateway of ours has
recorded gives none, and is only counted.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from outlay.capture import events, forks
from outlay.capture.attempt_events import record_other, record_ready
from outlay.capture.attempt_facts import (
    EVENT_ID_HEADER,
    call_key,
    error_class,
    replaced,
    retry_count,
)
from outlay.capture.attempt_start import AttemptStart
from outlay.capture.guard import caught
from outlay.capture.ids import UUID7, new_id
from outlay.capture.once import derive
from outlay.capture.relay import Relay
from outlay.capture.retries import FIRST
from outlay.capture.runtime import Runtime
from outlay.capture.scope import text, working_scope
from outlay.capture.tally import UNKNOWN
from outlay.wire.base import PROBLEM_HEADER, Request
from outlay.wire.include_usage import add_include_usage
from outlay.wire.registry import Route, open_reader

MAX_PIECE_BYTES: Final = 256 * 1024
"""Fed to a reader at once, so that what it has `ready` stays little."""


class Attempt(AttemptStart):
    """Follows one attempt to a known provider."""

    __slots__ = ()

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
        key = call_key(request)
        count = retry_count(request.headers)
        place = FIRST
        if count or scope.memory.failures:
            place = scope.memory.begin(
                key, span_id=scope.span_id, retry_count=count, now=time.monotonic()
            )
        attempt = cls(runtime, reader, scope, request, key, place, private=route.private)
        attempt.ask(route)
        return attempt

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
            elif self._stamped is not None and PROBLEM_HEADER in headers:
                # Nothing was sent to any provider: there is no attempt to tell of.
                self.abandon()
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

    @property
    def edits(self) -> bool:
        """Whether the caller may see another body than the one that comes."""
        return self._hiding or self.relays

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
        event_id = stamped or self.event_id or new_id()
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
