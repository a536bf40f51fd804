"""Opens the way past the limits for what is about to be sent, where there is anything to ask."""

from __future__ import annotations

from outlay.capture.limits.asking import Apart, is_asked
from outlay.capture.limits.entering import Entry, Guest
from outlay.capture.limits.waiting import Entrance
from outlay.capture.scope import Scope
from outlay.wire.base import Endpoint, Reading, Request
from outlay.wire.reader import BodyReader


def entry_of(
    guest: Guest,
    gate: Entrance | None,
    scope: Scope,
    reader: object,
    request: Request,
    endpoint: Endpoint,
    *,
    retry: bool = False,
) -> Entry | None:
    """Return the way in of an attempt; `None` for one that no limit is asked about.

    What is free, and every look at work that was asked for before, goes out unasked.
    """
    if not isinstance(reader, BodyReader) or not is_asked(reader, request):
        return None
    return Entry(guest, gate, scope, reader, request, endpoint, retry=retry)


def entry_apart(
    guest: Guest, gate: Entrance | None, scope: Scope, reading: Reading, where: str, size: int
) -> Entry:
    """Return the way in of what is no HTTP attempt; its model stays as it is, nothing is cut.

    Args:
        guest: the runtime.
        gate: the server's limits, if they are on.
        scope: who and where.
        reading: what is asked for, as far as it is known.
        where: the URL.
        size: bytes that are asked.
    """
    endpoint = Endpoint(reading.provider, reading.vendor, reading.surface, reading.operation)
    return Entry(guest, gate, scope, Apart(reading, size), Request("POST", where), endpoint)
