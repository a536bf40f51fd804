"""The guest's promise that nothing of outlay reaches the caller: swallow, count, log rarely.

It owns the `outlay` logger and the counts of internal errors. A log line names the place and the
class of an error, never its text, since the text may hold a prompt or a secret.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, ParamSpec, TypeVar

logger: Final = logging.getLogger("outlay")

LOG_EVERY_S: Final = 60.0
"""A place that keeps failing is logged once in this time."""
MAX_SITES: Final = 256
"""Places and warnings remembered; further ones are counted under `other`."""

_P = ParamSpec("_P")
_T = TypeVar("_T")

_counts: dict[str, int] = {}
_logged: dict[str, float] = {}
_warned: set[str] = set()


def caught(site: str, error: BaseException) -> None:
    """Count an internal error and log it, at most once per `LOG_EVERY_S` and place."""
    if site not in _counts and len(_counts) >= MAX_SITES:
        site = "other"
    _counts[site] = _counts.get(site, 0) + 1
    now = time.monotonic()
    if now - _logged.get(site, -LOG_EVERY_S) < LOG_EVERY_S:
        return
    _logged[site] = now
    logger.warning(
        "outlay: internal error in %s: %s at %s; your call is not affected",
        site, type(error).__name__, _place(error.__traceback__),
    )  # fmt: skip


def warn_once(key: str, message: str, *args: object) -> None:
    """Log a warning the first time its key is seen in this process."""
    if key in _warned or len(_warned) >= MAX_SITES:
        return
    _warned.add(key)
    logger.warning(message, *args)


def counts() -> dict[str, int]:
    """Return how often each place failed."""
    return dict(_counts)


def reset() -> None:
    """Forget counts and what was logged; a new `init` and each test start clean."""
    _counts.clear()
    _logged.clear()
    _warned.clear()


class guarded:  # noqa: N801 - reads as a word where it is used, like `contextlib.suppress`
    """Swallow every `Exception` of a block: `with guarded("ship.tick"): …`."""

    __slots__ = ("_site",)

    def __init__(self, site: str) -> None:
        self._site = site

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        caught(self._site, error)
        return True


def shielded(
    site: str, default: Callable[[], _T]
) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Make a function answer `default()` instead of raising an `Exception`."""

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(function)
        def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            try:
                return function(*args, **kwargs)
            except Exception as error:
                caught(site, error)
                return default()

        return call

    return decorate


def _place(trace: TracebackType | None) -> str:
    if trace is None:
        return "?"
    while trace.tb_next is not None:
        trace = trace.tb_next
    path = trace.tb_frame.f_code.co_filename.replace("\\", "/")
    return f"{'/'.join(path.rsplit('/', 2)[-2:])}:{trace.tb_lineno}"
