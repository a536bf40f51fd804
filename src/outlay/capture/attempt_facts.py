"""What an attempt's headers, exceptions and neighbours tell of it, by name and number only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from outlay.capture.retries import Place
from outlay.capture.scope import text
from outlay.wire.base import PROBLEM_HEADER, READ_HEADERS, Reading, Request
from outlay.wire.remodel import SIGNED_HEADER

RETRY_COUNT_HEADER: Final = "x-stainless-retry-count"
AWS_CALL_HEADER: Final = "amz-sdk-invocation-id"
"""The same on every attempt of one call of an AWS SDK."""
AWS_ATTEMPT_HEADER: Final = "amz-sdk-request"
"""An AWS SDK's number of the attempt: `attempt=1; max=3`."""
EVENT_ID_HEADER: Final = "outlay-event-id"
"""Where a gateway of ours names the event that it has recorded for the call."""
HEADERS: Final = READ_HEADERS | {
    RETRY_COUNT_HEADER, AWS_CALL_HEADER, AWS_ATTEMPT_HEADER, EVENT_ID_HEADER, PROBLEM_HEADER,
    SIGNED_HEADER, "content-encoding",
}  # fmt: skip
"""All headers that a tap needs to hand over, in lower case."""

_CONNECT: Final = frozenset(
    {
        "ConnectError", "ConnectionRefusedError", "gaierror", "NewConnectionError",
        "ClientConnectorError",
    }
)  # fmt: skip
"""Exceptions of httpx, Python, urllib3 and aiohttp: nothing was sent."""


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


def replaced(place: Place, reading: Reading) -> str | None:
    """Return the model this call stands in for: the one that failed just before, if another."""
    before = place.before
    if before is None or not before.model:
        return None
    same = (before.provider, before.model) == (reading.provider, reading.model_requested)
    return None if same else before.model


def call_key(request: Request) -> tuple[str, int]:
    """Return what the attempts of one call have in common."""
    return request.url, hash(request.headers.get(AWS_CALL_HEADER) or request.body)


def retry_count(headers: Mapping[str, str]) -> int:
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
