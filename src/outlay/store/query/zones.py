"""Time zones as plain offsets: engines bucket by integer arithmetic and need no zone database.

Pure, except for the zone rules that `zoneinfo` reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND_US: Final = 1_000_000
_STEP_US: Final = 86_400 * _SECOND_US
"""Offsets change less often than daily, so a daily probe finds every change."""


@dataclass(frozen=True, slots=True)
class Offset:
    """A zone's offset from UTC in seconds, up to a time (microseconds UTC) or the window's end."""

    seconds: int
    until: int | None


def _offset_at(zone: ZoneInfo, micros: int) -> int:
    moment = (_EPOCH + timedelta(microseconds=micros)).astimezone(zone)
    delta = moment.utcoffset()
    return 0 if delta is None else int(delta.total_seconds())


@lru_cache(maxsize=256)
def offsets(name: str, start: int, end: int) -> tuple[Offset, ...]:
    """Return a zone's offsets over a window, in order; the last one is open."""
    zone = ZoneInfo(name)
    found: list[Offset] = []
    at, current = start, _offset_at(zone, start)
    while at < end:
        step = min(at + _STEP_US, end)
        if _offset_at(zone, step) != current:
            found.append(Offset(current, _change(zone, at, step)))
            current = _offset_at(zone, step)
        at = step
    return (*found, Offset(current, None))


def _change(zone: ZoneInfo, low: int, high: int) -> int:
    """Return the first whole second in `(low, high]` at which the offset differs from `low`'s."""
    before = _offset_at(zone, low)
    low, high = low // _SECOND_US, -(-high // _SECOND_US)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_at(zone, middle * _SECOND_US) == before:
            low = middle
        else:
            high = middle
    return high * _SECOND_US


def local_to_utc(name: str, micros: int) -> int:
    """Return the UTC start of a local day given as wall-clock microseconds."""
    wall = (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=ZoneInfo(name))
    return (wall - _EPOCH) // timedelta(microseconds=1)
