"""Reading the parts of a question: names, durations, times and zones, with a clear refusal.

Every function raises `QueryError` with `where` naming the part. It knows no SQL and no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any, Final
from zoneinfo import ZoneInfo

from outlay.errors import QueryError

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DURATION: Final = re.compile(r"([1-9][0-9]{0,6})(m|h|d|w)")
_UNIT_US: Final = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_LAST_US: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the last that can be written as RFC 3339."""
_SHOWN_CHARS: Final = 60
"""How much of a bad value an error repeats."""


def shown(value: object) -> str:
    """Return a short printable form of a bad value."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a did-you-mean sentence with a leading blank, or nothing."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean '{close[0]}'?" if close else ""


def require_name(name: object, known: Mapping[str, object] | Sequence[str], where: str) -> str:
    """Return a name that must be one of the known ones."""
    if isinstance(name, str) and name in known:
        return name
    hint = suggestion(name, known) if isinstance(name, str) else ""
    raise QueryError(f"{shown(name)} is not known here.{hint}", where=where)


def names(value: object, where: str, *, at_most: int) -> tuple[str, ...]:
    """Return a list of distinct strings, bounded in number."""
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise QueryError(f"A list of names is expected, not {shown(value)}.", where=where)
    if len(value) > at_most:
        raise QueryError(f"At most {at_most} are allowed, not {len(value)}.", where=where)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise QueryError(f"A name is expected, not {shown(item)}.", where=f"{where}[{index}]")
        if item in value[:index]:
            raise QueryError(f"{shown(item)} is named twice.", where=f"{where}[{index}]")
    return tuple(value)


def integer(value: object, where: str, *, low: int, high: int) -> int:
    """Return an integer within bounds."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise QueryError(
            f"A whole number from {low} to {high} is expected, not {shown(value)}.", where=where
        )
    return value


def duration(value: object, where: str) -> int:
    """Return microseconds of a duration such as `15m`, `24h`, `30d` or `4w`."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise QueryError(
            f"A duration such as '15m', '24h' or '30d' is expected, not {shown(value)}.",
            where=where,
        )
    return int(match[1]) * _UNIT_US[match[2]]


def zone(value: object, where: str) -> ZoneInfo:
    """Return an IANA time zone."""
    if isinstance(value, str):
        try:
            return ZoneInfo(value)
        except (OSError, ValueError, KeyError):
            pass
    raise QueryError(
        f"{shown(value)} is no IANA time zone. Use a name such as 'Europe/Berlin'.", where=where
    )


def micros(moment: datetime) -> int:
    """Return microseconds since 1970 UTC of an aware datetime, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def instant(value: object, where: str, *, tz: ZoneInfo) -> int:
    """Return microseconds UTC of RFC 3339 text, of a date in the question's zone, or of itself."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LAST_US:
        return value
    if isinstance(value, str):
        try:
            if len(value) == len("2026-01-31"):
                moment = datetime.combine(date.fromisoformat(value), time(), tz)
            else:
                moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None and 0 <= (at := micros(moment)) <= _LAST_US:
                return at
        except (ValueError, OverflowError):
            pass
    raise QueryError(
        f"RFC 3339 time with a zone is expected, such as '2026-01-31T08:00:00Z', "
        f"not {shown(value)}.",
        where=where,
    )


def mapping(value: object, where: str, keys: Sequence[str]) -> Mapping[str, Any]:
    """Return a JSON object that has no other keys than the known ones."""
    if not isinstance(value, Mapping):
        raise QueryError(f"An object is expected, not {shown(value)}.", where=where)
    for key in value:
        require_name(key, keys, f"{where}.{key}" if where != "query" else str(key))
    return value
