"""What there is around an attempt only sometimes: limits to ask, and events that are not its own.

Those are of calls that its reply tells of, and of an attempt that was refused and never made.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from outlay.capture import events
from outlay.capture.guard import caught
from outlay.capture.ids import new_id
from outlay.capture.once import derive
from outlay.capture.retries import Place
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope, text
from outlay.wire.base import Reader, Reading, Request
from outlay.wire.registry import Route

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.core.limits.refusal import Refusal

REFUSED: Final = 402
"""The HTTP status of a call that a limit refused."""


def record_other(runtime: Runtime, scope: Scope, reading: Reading) -> None:
    """Record a call that this attempt did not make: how long it took is not known."""
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
    if scope.run is not None:
        spend(runtime, scope, reading, started_at)


def record_ready(runtime: Runtime, scope: Scope, ready: list[Reading]) -> None:
    """Record what a reply has told of other calls so far, and empty the list of them."""
    for reading in ready:
        try:
            record_other(runtime, scope, reading)
        except Exception as problem:
            caught("attempt.ready", problem)
            runtime.stats.drop("internal_error")
    ready.clear()


def spend(runtime: Runtime, scope: Scope, reading: Reading, at: int, took_us: int = 0) -> None:
    """Count a cost in the agents around that no attempt of theirs had reserved."""
    from outlay.capture.limits import runs

    runs.spend(scope, runtime.rates.cost(reading, at, runtime.tenant(scope), took_us))


def record_blocked(
    runtime: Runtime,
    scope: Scope,
    reading: Reading,
    refusal: Refusal,
    place: Place,
    fallback_from: str | None,
    fields: dict[str, Any],
    event_id: str = "",
) -> str:
    """Record an attempt that was refused, and return its call's id; it is in no total.

    Args:
        runtime: the guest.
        scope: who and where.
        reading: what was asked for.
        refusal: why it was refused.
        place: where it stands among the attempts of its call.
        fallback_from: the model that it stood in for.
        fields: what else the event has, such as what limits did before.
        event_id: the event's; one is made if it is not said.
    """
    reading.status, reading.billed, reading.http_status = "blocked", "no", REFUSED
    reading.error_type = refusal.code
    event_id = event_id or new_id()
    call_id = place.call_id or event_id
    fields["limit_action"] = "block"
    if place.attempt:
        fields["attempt"] = place.attempt
    if fallback_from:
        fields["fallback_from"] = text(fallback_from)
    events.fill(fields, reading)
    head = events.head(event_id, call_id, time.time_ns() // 1000, 0)
    runtime.submit(fields, scope, f"{head},{events.words(reading)}")
    return call_id


def way_in(
    runtime: Runtime, scope: Scope, reader: Reader, request: Request, route: Route, place: Place
) -> Entry | None:
    """Return an attempt's way past the limits; `None` where nothing asks, or where this fails."""
    try:
        from outlay.capture.limits.opening import entry_of

        again = place.attempt > 0 or place.call_id is not None
        return entry_of(runtime, runtime.gate, scope, reader, request, route.endpoint, retry=again)
    except Exception as error:
        caught("limits.entry", error)
        return None
