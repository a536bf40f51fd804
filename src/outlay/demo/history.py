"""The demo's past: about a month of usage by the tenants of the live traffic. Pure.

The same seed and the same day give the same events, ids included, up to the moment that is passed
in. A server takes them like any usage; it makes the prices.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, Final

from outlay.demo.history_calls import Request
from outlay.demo.history_rhythm import (
    DAY_US,
    HOUR_US,
    OUTAGE_DAYS_AGO,
    OUTAGE_HOUR,
    RUNAWAY_AT_US,
    RUNAWAY_DAYS_AGO,
    RUNAWAY_TENANT,
    Start,
    day_of,
    event_day,
    midnight,
    starts,
)
from outlay.demo.history_work import FULL, SMALL_SCALE, Work, run_away, run_script
from outlay.demo.tenants import FEATURES, RESEARCH, TENANTS

DAYS: Final = 34
"""A day less than the server takes by default."""
EVENTS: Final = 75_000
MAX_DAYS: Final = 34
MAX_EVENTS: Final = 250_000
SMALL_BELOW: Final = 30_000
"""Histories of fewer events have smaller actions, so that there are enough of them."""
SCRIPT_SHARE: Final = 0.01
"""Actions by a script that names no tenant, for each action."""
MAX_AGE_US: Final = MAX_DAYS * DAY_US + 22 * HOUR_US
"""What is older is left out: it would be too old by the time that it is sent."""
PAUSE_US: Final = 1_000_000
"""What happened last ended so long before now."""
RUNAWAY_PART: Final = 200
"""The runaway's loop makes a call for so many events of the history."""


def history(*, seed: int, now: int, days: int = DAYS, events: int = EVENTS) -> Iterator[list[Any]]:
    """Return the past day by day, the oldest first; each day's events by request.

    Args:
        seed: the same seed makes the same past.
        now: microseconds UTC; nothing ends after this.
        days: how many days before today, 1 to `MAX_DAYS`.
        events: about how many events, 1,000 to `MAX_EVENTS`.

    Raises:
        ValueError: days or events are out of bounds.
    """
    if not 1 <= days <= MAX_DAYS:
        raise ValueError(f"days must be from 1 to {MAX_DAYS}")
    if not 1_000 <= events <= MAX_EVENTS:
        raise ValueError(f"events must be from 1,000 to {MAX_EVENTS:,}")
    for days_ago in range(days, -1, -1):
        yield _day(seed, now, days_ago, days, events)


def _day(seed: int, now: int, days_ago: int, days: int, events: int) -> list[Any]:
    """Make a day; draws go by time, so that a later `now` only adds to it."""
    scale = SMALL_SCALE if events < SMALL_BELOW else FULL
    begins = midnight(day_of(now, days_ago))
    rng = random.Random(f"{seed}/{begins}")
    outage = midnight(day_of(now, event_day(OUTAGE_DAYS_AGO, days))) + OUTAGE_HOUR * HOUR_US
    found: list[Any] = []

    def keep(request: Request) -> None:
        first, last = request.events[0].started_at, request.events[-1].ended_at
        if first >= now - MAX_AGE_US and last <= now - PAUSE_US:
            found.extend(request.events)

    def begin(start: Start) -> Request:
        return Request(start, rng, outage=(outage, outage + HOUR_US))

    per_day = events / days / scale.mean_events
    coming = starts(rng, now, days_ago, days=days, per_day=per_day)
    if days_ago == 1:
        coming += _everybody(begins)
    for start in coming:
        request = begin(start)
        Work(request, start.feature, scale, progress=1 - days_ago / days).run()
        keep(request)
        if rng.random() < SCRIPT_SHARE:
            request = begin(start)
            run_script(request)
            keep(request)
    if days_ago == event_day(RUNAWAY_DAYS_AGO, days):
        tenant = next(t for t in TENANTS if t.tenant_id == RUNAWAY_TENANT)
        request = begin(Start(begins + RUNAWAY_AT_US, tenant, RESEARCH))
        run_away(request, max(20, events // RUNAWAY_PART))
        keep(request)
    return found


def _everybody(begins: int) -> list[Start]:
    """Return a request of every tenant and of every feature: a short past shows all of them too."""
    noon = begins + 12 * HOUR_US
    return [
        Start(noon + number * HOUR_US // len(TENANTS), tenant, FEATURES[number % len(FEATURES)])
        for number, tenant in enumerate(TENANTS)
    ]
