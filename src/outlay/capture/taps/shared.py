"""What the taps share: who meters a call when clients stack, and what of a message they hand over.

A client that sends through another one (an SDK's transport over aiohttp, say) is metered by the
outermost tap: it says `begin_send`, and every tap further in lets the call pass. It touches no
client library.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from outlay.capture.attempt import Attempt
from outlay.capture.attempt_facts import HEADERS
from outlay.capture.runtime import Runtime
from outlay.wire.base import Request
from outlay.wire.registry import Route

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.core.limits.refusal import Refusal


class Send:
    """A metered call on its way: the clients under it are part of the same attempt."""

    __slots__ = ("over",)

    def __init__(self) -> None:
        self.over = False
        """Whoever began it sets this. Tasks begun inside have copied the context, and may live on
        and make calls of their own."""


_send: Final[ContextVar[Send | None]] = ContextVar("outlay_send", default=None)

MAX_KEPT_NAMES: Final = 512
"""Header names whose fate is remembered; further ones are looked at each time."""
_wanted: Final[dict[bytes | str, str]] = {}

MARK: Final = "__outlay_tap__"
"""The attribute that tells a tapped function."""


def begin_send() -> Send:
    """Say that a metered call is on its way from here on, until its `over` is set."""
    send = Send()
    _send.set(send)
    return send


def is_inside() -> bool:
    """Tell whether the running code is part of a metered call."""
    send = _send.get()
    return send is not None and not send.over


def mark(tapped: Any) -> Any:
    """Mark a function as the tap's own."""
    setattr(tapped, MARK, True)
    return tapped


def restore(owner: Any, name: str) -> None:
    """Put an original function back, where nobody wrapped the tapped one since."""
    tapped: Any = getattr(owner, name)
    if hasattr(tapped, MARK):
        setattr(owner, name, tapped.__wrapped__)


def begin(
    runtime: Runtime,
    route: Route,
    method: str,
    url: str,
    headers: Iterable[tuple[bytes | str, Any]],
    body: bytes,
) -> Attempt | None:
    """Start following a call."""
    return Attempt.begin(runtime, Request(method, url, picked(headers), body), route)


def refusal_of(attempt: Attempt, refusal: Refusal) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the provider's answer to a call that was refused."""
    from outlay.wire.refusals import refusal_response

    if attempt.entry is None:
        raise ValueError("no limits are on")
    return refusal_response(attempt.entry.endpoint, refusal.as_dict())


def picked(headers: Iterable[tuple[bytes | str, Any]]) -> dict[str, str]:
    """Return the headers that somebody looks at, names in lower case; of a name the last."""
    found = {}
    for raw, value in headers:
        name = _wanted.get(raw)
        if name is None:
            name = _want(raw)
        if name:
            found[name] = _text(value)
    return found


def body_bytes(body: Any) -> bytes:
    """Return a request body that is in memory; a file or a generator is never touched."""
    if isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return bytes(body) if isinstance(body, bytearray) else b""


def is_answer(status: int) -> bool:
    """Tell whether a reply is one: a redirect or an upgrade generates nothing to record."""
    return 200 <= status < 300 or status >= 400


def _want(raw: bytes | str) -> str:
    """Return the name of a header in lower case, or nothing if nobody looks at it; remember it."""
    name = _text(raw).lower()
    name = name if name in HEADERS else ""
    if len(_wanted) < MAX_KEPT_NAMES:
        _wanted[raw] = name
    return name


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
