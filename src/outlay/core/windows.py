"""Windows of time that a rate holds in: hours of the day in UTC, and days of the week.

Owns the text of a window, and where in the week it holds. It reads no clock.
"""

from __future__ import annotations

import re
from typing import Final

DAY_US: Final = 86_400_000_000
WEEK_US: Final = 7 * DAY_US
MONDAY_US: Final = 3 * DAY_US
"""Added to a time so that weeks begin on Monday: 1970 began on a Thursday."""

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Spans = tuple[tuple[int, int], ...]
"""Where a window holds: `[start, end)` in microseconds after Monday 00:00 UTC."""

_WINDOW: Final = re.compile(
    r"(?:([a-z]{3})(?:-([a-z]{3}))? )?"
    r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d):([0-5]\d)|(24):00:00)",
    re.ASCII | re.IGNORECASE,
)


def parse_window(window: str) -> Spans:
    """Return where in the week a window holds.

    It is written `HH:MM:SS-HH:MM:SS` in UTC, end excluded, and may pass midnight; 24:00:00 is the
    end of the day. Before it may stand a day or days, as in `Mon-Fri 01:00:00-04:00:00` or
    `Sun 00:00:00-24:00:00`: those on which the window begins, past the week's end if need be.

    Raises:
        ValueError: if it is not written so.
    """
    found = _WINDOW.fullmatch(window)
    first, last = (DAYS[0], DAYS[-1]) if found is None or found[1] is None else found.group(1, 2)
    first, last = first.lower(), (last or first).lower()
    if found is None or first not in DAYS or last not in DAYS:
        raise ValueError(
            "a window is written HH:MM:SS-HH:MM:SS, with days before it if they matter, as in "
            f"'Mon-Fri 01:00:00-04:00:00', not {window!r}"
        )
    h1, m1, s1, *rest = (int(part or 0) for part in found.groups()[2:])
    h2, m2, s2, whole = rest
    start = (h1 * 3600 + m1 * 60 + s1) * 1_000_000
    end = ((h2 + whole) * 3600 + m2 * 60 + s2) * 1_000_000
    length = end - start if end >= start else end - start + DAY_US
    count = (DAYS.index(last) - DAYS.index(first)) % len(DAYS) + 1
    spans: list[tuple[int, int]] = []
    for day in range(DAYS.index(first), DAYS.index(first) + count):
        begin = (day * DAY_US + start) % WEEK_US
        over = begin + length - WEEK_US
        spans.append((begin, min(begin + length, WEEK_US)))
        if over > 0:
            spans.append((0, over))
    return tuple(sorted(span for span in spans if span[0] < span[1]))


def names_days(window: str) -> bool:
    """Tell whether a window holds on certain days only."""
    return window[:1].isalpha()


def week_time(at: int) -> int:
    """Return microseconds after Monday 00:00 UTC of a time."""
    return (at + MONDAY_US) % WEEK_US
