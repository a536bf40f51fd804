"""When a limit begins anew, and the counters that this makes.

Owns periods of the calendar in any time zone, and the names of counters. Times are microseconds
UTC; periods exclude their end, and those of one limit follow each other without a gap.

A day, week or month begins at the first instant at which clocks show its midnight or later: where
midnight is skipped, at the change; where it comes twice, the first time. An hour is 60 minutes of
the clock; where clocks change by a part of an hour, the change ends it.
"""

from __future__ import annotations

import hashlib
from calendar import monthrange
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from outlay.core.limits import ladder
from outlay.core.limits.holds import CounterKey, Meter
from outlay.core.limits.limit import CREDITS, Limit, Window
from outlay.core.limits.subject import key_text

OPEN: Final = (0, 0)
"""The period of what has no calendar: it neither begins nor ends."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TICK: Final = timedelta(microseconds=1)
_HOUR: Final = timedelta(hours=1)
_CALENDAR: Final = frozenset(("hour", "day", "week", "month"))
_MAX_SERIES: Final = 16_384
_MAX_KINDS: Final = 4096

cap_of = ladder.cap_of


def zone_or_none(name: str) -> tzinfo | None:
    """Return a time zone by its IANA name, or nothing if there is none."""
    try:
        return _zone(name)
    except (KeyError, OSError, ValueError):
        # By what is wrong with the name: there is none, it is a folder, or no name at all.
        return None


def period(limit: Limit, at: int) -> tuple[int, int]:
    """Return start and end of the period that a time lies in; `OPEN` without a calendar.

    Raises:
        KeyError: the limit's time zone is not known here.
        OverflowError: the time is outside the years 1 to 9999.
    """
    window = limit.window
    if window not in _CALENDAR:
        return OPEN
    anchor = limit.anchor_day if window == "month" else 1
    kind = (window, limit.zone, anchor)
    last = _last.get(kind)
    if last is not None and last[0] <= at < last[1]:
        return last
    found = _period(window, _zone(limit.zone), anchor, at)
    if len(_last) >= _MAX_KINDS:
        _last.clear()
    _last[kind] = found
    return found


def resets_at(limit: Limit, at: int) -> int:
    """Return when the period of a time ends, or 0 where there is no such time."""
    return period(limit, at)[1]


def counter_key(limit: Limit, scope_key: str, at: int) -> CounterKey:
    """Name the counter of a limit's scope at a time."""
    starts_at, ends_at = period(limit, at)
    series = series_of(limit.limit_id, scope_key)
    return CounterKey(
        f"{series}|{starts_at}", series, limit.limit_id, scope_key, starts_at, ends_at
    )


def credit_key(tenant: str) -> CounterKey:
    """Name the counter of a tenant's prepaid balance."""
    scope_key = key_text((("tenant", tenant),))
    series = series_of(CREDITS, scope_key)
    return CounterKey(f"{series}|0", series, CREDITS, scope_key)


@lru_cache(maxsize=_MAX_SERIES)
def series_of(limit_id: str, scope_key: str) -> str:
    """Name the counters that one scope of a limit has over time."""
    digest = hashlib.blake2b(scope_key.encode(), digest_size=8).hexdigest()
    return f"{limit_id}|{digest}"


def meter_of(limit: Limit, amount: int) -> Meter:
    """Return how a limit's counters forget; `amount` is what `amount_now` returns."""
    if limit.metric == "concurrent_calls":
        return Meter("gauge")
    if limit.window == "rolling":
        return Meter("rolling", limit.span_us)
    if limit.window == "rate":
        return Meter("rate", limit.span_us, amount)
    return Meter()


_last: dict[tuple[Window, str, int], tuple[int, int]] = {}
"""The period asked for last, by kind: nearly every call asks for the same."""


@lru_cache(maxsize=1024)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def _period(window: Window, zone: tzinfo, anchor: int, at: int) -> tuple[int, int]:
    if window == "hour":
        return _hour(zone, at)
    first, following = _dates(window, anchor)
    day = first(_local(zone, at).date())
    start, end = _begin(zone, day), _begin(zone, following(day))
    while end <= at:
        # Clocks were set back to a day that had ended.
        day = following(day)
        start, end = end, _begin(zone, following(day))
    return start, end


def _dates(window: Window, anchor: int) -> tuple[Callable[[date], date], Callable[[date], date]]:
    """Return how to find the first day of a period from any of its days, and the next first."""
    if window == "day":
        return lambda day: day, lambda first: first + timedelta(days=1)
    if window == "week":
        return (
            lambda day: day - timedelta(days=day.weekday()),
            lambda first: first + timedelta(days=7),
        )

    def first_of_month(day: date) -> date:
        own = _anchored(day.year, day.month, anchor)
        if day >= own:
            return own
        before = date(day.year, day.month, 1) - timedelta(days=1)
        return _anchored(before.year, before.month, anchor)

    def next_month(first: date) -> date:
        after = date(first.year, first.month, 28) + timedelta(days=4)
        return _anchored(after.year, after.month, anchor)

    return first_of_month, next_month


def _anchored(year: int, month: int, anchor: int) -> date:
    return date(year, month, min(anchor, monthrange(year, month)[1]))


def _begin(zone: tzinfo, day: date) -> int:
    """Return the first instant at which clocks show a day's midnight or later."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    early = _micros(midnight)
    if _local(zone, early).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return early
    # Skipped: `early` was reckoned with the offset before the change, so it lies after it.
    return _change(zone, _micros(midnight.replace(fold=1)), early, timedelta(days=2))


def _hour(zone: tzinfo, at: int) -> tuple[int, int]:
    offset = _offset(zone, at) % _HOUR
    hour = _HOUR // _TICK
    start = at - (at + offset // _TICK) % hour
    end = start + hour
    if _offset(zone, start) % _HOUR != offset:
        start = _change(zone, start, at, _HOUR)
    if _offset(zone, end - 1) % _HOUR != offset:
        end = _change(zone, at, end - 1, _HOUR)
    return start, end


def _change(zone: tzinfo, before: int, after: int, part: timedelta) -> int:
    """Return the first instant that has the offset, modulo a part, of the later of two times."""
    offset = _offset(zone, after) % part
    while after - before > 1:
        middle = (before + after) // 2
        if _offset(zone, middle) % part == offset:
            after = middle
        else:
            before = middle
    return after


def _offset(zone: tzinfo, at: int) -> timedelta:
    return _local(zone, at).utcoffset() or timedelta(0)


def _local(zone: tzinfo, at: int) -> datetime:
    return (_EPOCH + timedelta(microseconds=at)).astimezone(zone)


def _micros(moment: datetime) -> int:
    return (moment.astimezone(UTC) - _EPOCH) // _TICK
