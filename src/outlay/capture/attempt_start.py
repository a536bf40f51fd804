"""An attempt until it is sent: who makes it, where it stands, and whether limits let it pass.

It owns the attempt's place among the others of its call, when it begins, and its end where it is
never sent. What is sent and what comes of it is `attempt`'s.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from outlay.capture.attempt_events import record_blocked, way_in
from outlay.capture.attempt_facts import replaced
from outlay.capture.guard import caught
from outlay.capture.retries import Failure, Place, is_retryable, owner
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope
from outlay.wire.base import Reader, Reading, Request
from outlay.wire.registry import Route

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.capture.relay import Relay
    from outlay.core.limits.refusal import Refusal


class AttemptStart:
    """One attempt on its way to a known provider; `Attempt` is all of it."""

    __slots__ = (
        "_ended", "_first_byte", "_hiding", "_key", "_owner", "_place", "_reader", "_relay",
        "_request", "_runtime", "_scope", "_stamped", "_started_at", "_ticks", "cut", "entry",
        "event_id", "relays", "superseded",
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
        one_task: bool = False,
    ) -> None:
        """Follow a request.

        Args:
            runtime: the guest.
            reader: has read the request.
            scope: who and where.
            request: what is about to be sent.
            key: what the attempts of one call have in common.
            place: where it stands among those.
            private: what answers may be a gateway of ours.
            one_task: it ends in the task that it begins in.
        """
        self._runtime = runtime
        self._reader = reader
        self._scope = scope
        self._request: Request | None = request
        self._key = key
        self._owner = None if one_task else owner()
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
        self.event_id = ""
        """The id of its event, where somebody has told it already; empty: one is made at its end.
        What a response says of itself (a stored one, say) goes before it."""
        self.superseded = False
        """Whoever sends it makes the next attempt of the call himself, should this one fail."""
        self._started_at = time.time_ns()
        self._ticks = time.perf_counter_ns()

    def ask(self, route: Route) -> None:
        """See whether limits are to be asked about it; once, before it is entered."""
        runtime, scope, request = self._runtime, self._scope, self._request
        if request is not None and (runtime.gate is not None or scope.run is not None):
            self.entry = way_in(runtime, scope, self._reader, request, route, self._place)

    @property
    def model(self) -> str:
        """The model that is asked for, as it is sent; empty where none is named."""
        reading: Reading | None = getattr(self._reader, "reading", None)
        return "" if reading is None else reading.model_requested or reading.deployment or ""

    @property
    def call_id(self) -> str:
        """The call that the attempt belongs to; its own event's id if it is the first of one."""
        return self._place.call_id or self.event_id

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
        self.restart()
        return refusal

    def restart(self) -> None:
        """Say that it begins only now: it has waited for its turn."""
        self._started_at = time.time_ns()
        self._ticks = time.perf_counter_ns()

    def abandon(self) -> None:
        """End the attempt without an event: nothing was sent, and no limit refused it."""
        if not self._ended:
            self._ended = True
            self._leave()

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

    def _leave(self) -> None:
        """Give back what limits hold for the attempt, unless it was settled."""
        try:
            if self.entry is not None:
                self.entry.drop()
        except Exception as problem:
            caught("attempt.leave", problem)

    def _record_blocked(self, refusal: Refusal) -> None:
        """Record that the attempt was refused."""
        reading, place = self._reader.finish(complete=False, error="connect"), self._place
        fields: dict[str, Any] = {}
        if self.entry is not None:
            self.entry.fill(fields)
        before = place.fallback_from or replaced(place, reading)
        call_id = record_blocked(
            self._runtime, self._scope, reading, refusal, place, before, fields,
            self.event_id,
        )  # fmt: skip
        self._remember(reading, call_id, before)

    def _remember(self, reading: Reading, call_id: str, fallback_from: str | None) -> None:
        if self.superseded:
            return
        self._scope.memory.failed(
            Failure(
                key=self._key,
                owner=self._owner or owner(),
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
