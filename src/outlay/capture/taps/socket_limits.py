"""Sockets before the limits: one is refused before its handshake where nothing is left.

Nothing is held for a socket that is let in, since nobody knows what it will be asked: what passes
it is counted as its events come, and a socket that is open is not closed by limits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from outlay.capture.attempt_events import record_blocked
from outlay.capture.guard import caught
from outlay.capture.retries import FIRST
from outlay.capture.runtime import Runtime, active
from outlay.capture.scope import Scope, working_scope
from outlay.wire.base import Reading
from outlay.wire.refusals import refusal_response

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.core.limits.refusal import Refusal

Make = Callable[[int, dict[str, str], bytes], Exception]
"""Makes the library's own error of a handshake's answer: of its status, headers and body."""
Answer = tuple[int, dict[str, str], bytes]


class _Opening(NamedTuple):
    """Who asks for what."""

    runtime: Runtime
    scope: Scope
    entry: Entry
    reading: Reading


def refuse(url: str | None, make: Make) -> Exception | None:
    """Ask limits about a socket; the error is to be raised for one that may not open. Blocks."""
    opening = _here(url)
    return None if opening is None else _error(make, _answer(opening, opening.entry.enter()))


async def refuse_async(url: str | None, make: Make) -> Exception | None:
    """Ask limits about a socket; the error is to be raised for one that may not open. Awaits."""
    opening = _here(url)
    if opening is None:
        return None
    return _error(make, _answer(opening, await opening.entry.enter_async()))


async def refusal_of(runtime: Runtime, scope: Scope, url: str) -> Answer | None:
    """Ask limits about somebody's socket; what to answer its handshake if it may not open. Awaits.

    Args:
        runtime: the guest.
        scope: whose socket it is.
        url: where it goes.
    """
    opening = _opening(runtime, scope, url)
    return None if opening is None else _answer(opening, await opening.entry.enter_async())


def _here(url: str | None) -> _Opening | None:
    runtime = active()
    return None if runtime is None or url is None else _opening(runtime, working_scope(), url)


def _opening(runtime: Runtime, scope: Scope, url: str) -> _Opening | None:
    """Return who asks for what; `None` where there is nothing to ask, or where this fails."""
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
        entry = entry_apart(runtime, runtime.gate, scope, reading, url, 0)
        return _Opening(runtime, scope, entry, reading)
    except Exception as error:
        caught("limits.entry", error)
        return None


def _answer(opening: _Opening, refusal: Refusal | None) -> Answer | None:
    """Give back what limits held; record a refusal and return what answers the handshake."""
    try:
        fields: dict[str, Any] = {}
        entry = opening.entry
        entry.fill(fields)
        entry.drop()
        if refusal is None:
            return None
        answer = refusal_response(entry.endpoint, refusal.as_dict())
        record_blocked(
            opening.runtime, opening.scope, opening.reading, refusal, FIRST, None, fields
        )
    except Exception as problem:
        caught("tap.blocked", problem)
        return None
    return answer


def _error(make: Make, answer: Answer | None) -> Exception | None:
    try:
        return None if answer is None else make(*answer)
    except Exception as problem:
        caught("tap.blocked", problem)
        return None
