"""Whether an error that leaves a run comes of a refusal: the provider's SDK raised it, not we.

An error counts where it, or what it was raised from, says what a refusal said, or is an HTTP 402
with the refusal's header. What host code handled, and every other error, is none of ours.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlay.core.limits.refusal import Refusal
from outlay.errors import RunStopped
from outlay.wire.refusals import LIMIT_HEADER, STATUS

MAX_CAUSES: Final = 64
"""Errors that are looked at in one chain, those of groups included."""
MAX_NOTES: Final = 8
"""Refusals that a run remembers, the newest."""
MAX_TEXT: Final = 65_536
"""Characters of an error's text that are looked through."""

_STATUS_NAMES: Final = ("status_code", "status", "code", "http_status")
_REPLY_NAMES: Final = ("response", "raw_response")

_order: Final = itertools.count(1)


class Notes:
    """The refusals that a run was given, oldest first."""

    __slots__ = ("_kept", "latest")

    def __init__(self) -> None:
        self._kept: deque[Refusal] | None = None
        self.latest = 0
        """When the last one came, as a number that only grows; 0: none."""

    def add(self, refusal: Refusal) -> None:
        """Note one."""
        if self._kept is None:
            self._kept = deque(maxlen=MAX_NOTES)
        self._kept.append(refusal)
        self.latest = next(_order)

    def behind(self, error: BaseException, *, newest: bool) -> Refusal | None:
        """Return the refusal that an error comes of; `None`: of none of these.

        An error that only its status tells of belongs to the run refused last: `newest` says that
        this is the one, among the runs around the call.
        """
        if self._kept is None:
            return None
        notes = tuple(self._kept)[::-1]
        for cause in causes(error):
            words = _text(cause)
            for refusal in notes:
                if refusal.message in words:
                    return refusal
            if newest and _is_refusal(cause):
                return notes[0]
        return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from or holds, nearest first; no run's own end."""
    waiting: deque[BaseException | None] = deque((error,))
    seen: set[int] = set()
    while waiting and len(seen) < MAX_CAUSES:
        cause = waiting.popleft()
        if cause is None or id(cause) in seen or isinstance(cause, RunStopped):
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        waiting += (cause.__cause__, cause.__context__)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MAX_TEXT]
    except Exception:
        return ""  # somebody else's class


def _is_refusal(error: BaseException) -> bool:
    """Tell whether an SDK's error is the answer that a refused call got."""
    try:
        replies = [getattr(error, name, None) for name in _REPLY_NAMES]
        holders = [error, *(reply for reply in replies if reply is not None)]
        if not any(_status(holder) == STATUS for holder in holders):
            return False
        found = [headers for holder in holders if (headers := _headers(holder)) is not None]
        return not found or any(LIMIT_HEADER in headers for headers in found)
    except Exception:
        return False  # somebody else's class


def _status(holder: Any) -> Any:
    if isinstance(holder, Mapping):
        return _metadata(holder).get("HTTPStatusCode")
    values = (getattr(holder, name, None) for name in _STATUS_NAMES)
    return next((value for value in values if type(value) is int), None)


def _headers(holder: Any) -> list[str] | None:
    """Return the names of a reply's headers in lower case; `None` where there are none to see."""
    if isinstance(holder, Mapping):
        headers = _metadata(holder).get("HTTPHeaders")
    else:
        headers = getattr(holder, "headers", None)
    return [str(name).lower() for name in headers] if headers else None


def _metadata(reply: Mapping[str, Any]) -> Mapping[str, Any]:
    found = reply.get("ResponseMetadata")
    return found if isinstance(found, Mapping) else {}
