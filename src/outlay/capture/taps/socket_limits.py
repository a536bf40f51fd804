"""Sockets before the limits: one is refused before its handshake where nothing is left.

Nothing is held for a socket that is let in, since nobody knows what it will be asked: what passes
it is counted as its events come, and a socket that is open is not closed by limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from outlay.capture.attempt_events import record_blocked
from outlay.capture.guard import caught
from outlay.capture.retries import FIRST
from outlay.capture.runtime import Runtime, active
from outlay.capture.scope import working_scope
from outlay.wire.base import Reading
from outlay.wire.refusals import refusal_response

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.core.limits.refusal import Refusal

Make = Callable[[int, dict[str, str], bytes], Exception]
"""Makes the library's own error of a handshake's answer: of its status, headers and body."""


def refuse(url: str | None, make: Make) -> Exception | None:
    """Ask limits about a socket; the error is to be raised for one that may not open. Blocks."""
    opening = _opening(url)
    return None if opening is None else _error(make, *opening, opening[1].enter())


async def refuse_async(url: str | None, make: Make) -> Exception | None:
    """Ask limits about a socket; the error is to be raised for one that may not open. Awaits."""
    opening = _opening(url)
    return None if opening is None else _error(make, *opening, await opening[1].enter_async())


def _opening(url: str | None) -> tuple[Runtime, Entry, Reading] | None:
    """Return who asks for what; `None` where there is nothing to ask, or where this fails."""
    runtime = active()
    if runtime is None or url is None:
        return None
    scope = working_scope()
    if runtime.gate is None and scope.run is None:
        return None
    try:
        from outlay.capture.limits.opening import entry_apart

        route = runtime.route("GET", url)
        if route is None:
            return None
        endpoint = route.endpoint
        named = parse_qs(urlsplit(url).query).get("model", [endpoint.model])
        reading = Reading(
            endpoint.provider,
            endpoint.surface,
            endpoint.vendor,
            "realtime",
            endpoint.host_class,
            endpoint.region_class,
            model_requested=named[0] or endpoint.deployment,
        )
        return runtime, entry_apart(runtime, runtime.gate, scope, reading, url, 0), reading
    except Exception as error:
        caught("limits.entry", error)
        return None


def _error(
    make: Make, runtime: Runtime, entry: Entry, reading: Reading, refusal: Refusal | None
) -> Exception | None:
    try:
        fields: dict[str, Any] = {}
        entry.fill(fields)
        entry.drop()
        if refusal is None:
            return None
        error = make(*refusal_response(entry.endpoint, refusal.as_dict()))
        record_blocked(runtime, working_scope(), reading, refusal, FIRST, None, fields)
    except Exception as problem:
        caught("tap.blocked", problem)
        return None
    return error
