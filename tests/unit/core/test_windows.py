"""Windows: hours of the day and days of the week, written by people, held in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.windows import WEEK_US, names_days, parse_window, week_time

HOUR = 3_600_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def holds(window: str, at: str) -> bool:
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    time = week_time((moment - EPOCH) // timedelta(microseconds=1))
    return any(start <= time < end for start, end in parse_window(window))


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [
        ("01:00:00-04:00:00", ["2026-11-21T01:00", "2026-11-23T03:59:59"], ["2026-11-21T04:00"]),
        ("22:00:00-02:00:00", ["2026-11-22T23:00", "2026-11-23T01:59"], ["2026-11-23T02:00"]),
        ("00:00:00-24:00:00", ["2026-11-23T00:00", "2026-11-22T23:59:59"], []),
        # 2026-11-20 was a Friday.
        ("Mon-Fri 01:00:00-04:00:00", ["2026-11-20T02:00", "2026-11-23T02:00"],
         ["2026-11-21T02:00", "2026-11-22T02:00", "2026-11-20T00:59:59"]),
        ("Fri 22:00:00-02:00:00", ["2026-11-20T22:00", "2026-11-21T01:59"],
         ["2026-11-20T01:00", "2026-11-21T22:00"]),
        ("Sun 22:00:00-02:00:00", ["2026-11-23T01:00"], ["2026-11-22T01:00"]),
        ("Sat-Mon 12:00:00-13:00:00", ["2026-11-21T12:00", "2026-11-22T12:00", "2026-11-23T12:00"],
         ["2026-11-20T12:00", "2026-11-24T12:00"]),
        ("sat-sun 00:00:00-24:00:00", ["2026-11-21T00:00", "2026-11-22T23:59:59"],
         ["2026-11-20T23:59:59", "2026-11-23T00:00"]),
        ("05:00:00-05:00:00", [], ["2026-11-21T05:00"]),
    ],
)  # fmt: skip
def test_where_a_window_holds(window: str, inside: list[str], outside: list[str]) -> None:
    assert [at for at in inside if not holds(window, at)] == []
    assert [at for at in outside if holds(window, at)] == []


@pytest.mark.parametrize(
    "window",
    [
        "", "1:00-2:00", "24:00:00-01:00:00", "01:00:00", "01:00:00-24:00:01", "01:00:00-25:00:00",
        "Mon-Fri", "Mon-Foo 01:00:00-02:00:00", "Montag 01:00:00-02:00:00",
        "Mon,Tue 01:00:00-02:00:00", "Mon  01:00:00-02:00:00", "01:00:00-02:00:00\n",
    ],
)  # fmt: skip
def test_a_bad_window_says_how_to_write_one(window: str) -> None:
    with pytest.raises(ValueError, match=r"HH:MM:SS-HH:MM:SS.*Mon-Fri"):
        parse_window(window)


def test_which_windows_name_days() -> None:
    assert [names_days(w) for w in ("", "01:00:00-02:00:00", "Sun 01:00:00-02:00:00")] == [
        False, False, True,
    ]  # fmt: skip


@given(st.integers(0, 23), st.integers(0, 23), st.sampled_from(("", "Wed ", "Thu-Tue ")))
def test_spans_are_disjoint_and_within_the_week(start: int, end: int, days: str) -> None:
    spans = parse_window(f"{days}{start:02}:00:00-{end:02}:00:00")
    flat = [time for span in spans for time in span]
    assert flat == sorted(flat)
    assert all(0 <= time <= WEEK_US for time in flat)
    count = {"": 7, "Wed ": 1, "Thu-Tue ": 6}[days]
    assert sum(b - a for a, b in spans) == count * ((end - start) % 24) * HOUR
