"""Periods tile time in every zone; counters are named by limit, scope and period."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core.limits.holds import Meter
from outlay.core.limits.limit import Limit
from outlay.core.limits.period import (
    cap_of,
    counter_key,
    credit_key,
    meter_of,
    period,
    resets_at,
    series_of,
    zone_or_none,
)

HOUR = 3_600_000_000
DAY = 24 * HOUR


def limit(window: str, zone: str = "UTC", anchor_day: int = 1, **more: Any) -> Limit:
    values = {"limit_id": "l", "metric": "cost", "amount": 10, **more}
    return Limit(window=window, zone=zone, anchor_day=anchor_day, **values)  # type: ignore[arg-type]


def micros(text: str, zone: str = "UTC", fold: int = 0) -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def local(at: int, zone: str) -> str:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
    return moment.astimezone(ZoneInfo(zone)).isoformat()


@pytest.mark.parametrize(
    ("window", "anchor_day", "at", "starts", "ends"),
    [
        ("hour", 1, "2026-11-22T06:34", "2026-11-22T06:00", "2026-11-22T07:00"),
        ("day", 1, "2026-11-22T06:34", "2026-11-22", "2026-11-23"),
        ("week", 1, "2026-11-22T06:34", "2026-11-16", "2026-11-23"),
        ("week", 1, "2026-11-23", "2026-11-23", "2026-11-30"),
        ("month", 1, "2026-11-22T06:34", "2026-11-01", "2026-12-01"),
        ("month", 22, "2026-11-22", "2026-11-22", "2026-12-22"),
        ("month", 23, "2026-11-22T23:59", "2026-10-23", "2026-11-23"),
        ("month", 31, "2026-02-27T23:59", "2026-01-31", "2026-02-28"),
        ("month", 31, "2026-02-28", "2026-02-28", "2026-03-31"),
        ("month", 29, "2028-02-28T23:59", "2028-01-29", "2028-02-29"),
        ("month", 30, "2026-12-30", "2026-12-30", "2027-01-30"),
    ],
)
def test_periods_begin_at_midnight_of_the_zone(
    window: str, anchor_day: int, at: str, starts: str, ends: str
) -> None:
    for zone in ("UTC", "Asia/Kolkata", "America/Los_Angeles", "Pacific/Kiritimati"):
        found = period(limit(window, zone, anchor_day), micros(at, zone))
        assert found == (micros(starts, zone), micros(ends, zone)) or window == "hour"
    if window == "hour":
        assert period(limit(window), micros(at)) == (micros(starts), micros(ends))


def test_days_of_23_and_25_hours() -> None:
    berlin = "Europe/Berlin"
    short = period(limit("day", berlin), micros("2026-03-29T12:00", berlin))
    long = period(limit("day", berlin), micros("2026-10-25T12:00", berlin))
    assert (short[1] - short[0], long[1] - long[0]) == (23 * HOUR, 25 * HOUR)


def test_an_hour_that_clocks_show_twice_is_two_hours() -> None:
    berlin = "Europe/Berlin"
    first = period(limit("hour", berlin), micros("2026-10-25T02:30", berlin))
    second = period(limit("hour", berlin), micros("2026-10-25T02:30", berlin, fold=1))
    assert first[1] == second[0]
    assert first[1] - first[0] == second[1] - second[0] == HOUR


def test_where_clocks_change_by_half_an_hour_the_change_ends_the_hour() -> None:
    zone = "Australia/Lord_Howe"
    before = period(limit("hour", zone), micros("2026-04-05T01:45", zone))
    after = period(limit("hour", zone), micros("2026-04-05T01:45", zone, fold=1))
    assert before[1] == after[0]
    assert after[1] - after[0] == HOUR // 2
    assert local(after[1], zone).startswith("2026-04-05T02:00")


def test_a_midnight_that_is_skipped_is_the_change_and_one_that_comes_twice_the_first() -> None:
    cairo = period(limit("day", "Africa/Cairo"), micros("2026-04-24T12:00", "Africa/Cairo"))
    assert local(cairo[0], "Africa/Cairo").startswith("2026-04-24T01:00")
    assert cairo[1] - cairo[0] == 23 * HOUR
    havana = period(limit("day", "America/Havana"), micros("2026-11-01T12:00", "America/Havana"))
    assert havana[1] - havana[0] == 25 * HOUR
    assert period(limit("day", "America/Havana"), havana[0] + HOUR // 2) == havana
    assert period(limit("day", "America/Havana"), havana[0] + HOUR + HOUR // 2) == havana


def test_a_day_that_a_zone_left_out_is_left_out() -> None:
    apia = "Pacific/Apia"
    before = period(limit("day", apia), micros("2011-12-29T12:00", apia))
    after = period(limit("day", apia), micros("2011-12-31T12:00", apia))
    assert before[1] == after[0]
    assert before[1] - before[0] == after[1] - after[0] == DAY


ZONES = sorted(available_timezones())


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(ZONES),
    st.sampled_from(("hour", "day", "week", "month")),
    st.integers(1, 31),
    st.integers(0, 2_500_000_000_000_000),
)
def test_every_instant_lies_in_one_period_and_they_follow_without_a_gap(
    zone: str, window: str, anchor_day: int, at: int
) -> None:
    one = limit(window, zone, anchor_day)
    starts_at, ends_at = period(one, at)
    assert starts_at <= at < ends_at
    assert period(one, starts_at) == period(one, ends_at - 1) == (starts_at, ends_at)
    assert period(one, starts_at - 1)[1] == starts_at
    assert period(one, ends_at)[0] == ends_at


@pytest.mark.parametrize("window", ["hour", "day", "month"])
def test_periods_tile_every_change_of_clocks_of_ten_years(window: str) -> None:
    for zone in ("Europe/Berlin", "Africa/Cairo", "America/Havana", "Australia/Lord_Howe",
                 "Asia/Tehran", "America/St_Johns", "Africa/Casablanca", "Asia/Gaza"):  # fmt: skip
        one = limit(window, zone, 31)
        info = ZoneInfo(zone)
        at, last = micros("2020-01-01"), micros("2030-01-01")
        offset = None
        while at < last:
            moment = datetime.fromtimestamp(at // 1_000_000, info)
            if offset is not None and moment.utcoffset() != offset:
                near = period(one, at - 12 * HOUR)
                while near[1] < at + 12 * HOUR:
                    following = period(one, near[1])
                    assert following[0] == near[1]
                    assert following[1] > following[0]
                    near = following
            offset = moment.utcoffset()
            at += 6 * HOUR


@pytest.mark.parametrize("window", ["rolling", "rate", "none", "request", "run"])
def test_without_a_calendar_a_period_is_open(window: str) -> None:
    assert period(limit(window), 5) == (0, 0)
    assert resets_at(limit(window), 5) == 0


def test_zones_are_known_by_their_iana_names() -> None:
    assert zone_or_none("Europe/Berlin") is not None
    assert zone_or_none("UTC") is UTC
    for name in ("", "Europe", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "a\0b", "ü"):
        assert zone_or_none(name) is None


def test_a_counter_is_named_by_limit_scope_and_period() -> None:
    at = micros("2026-11-22T06:34")
    key = counter_key(limit("month"), '[["tenant","acme"]]', at)
    assert key.counter_id == f"{key.series}|{micros('2026-11-01')}"
    assert key.series == series_of("l", '[["tenant","acme"]]')
    assert key.series.startswith("l|")
    assert len(key.series) == len("l|") + 16
    assert (key.starts_at, key.ends_at) == period(limit("month"), at)
    other = counter_key(limit("month"), '[["tenant","globex"]]', at)
    assert other.series != key.series


def test_a_balance_is_a_counter_without_an_end() -> None:
    key = credit_key("acme")
    assert key.limit_id == "credits"
    assert key.scope_key == '[["tenant","acme"]]'
    assert (key.counter_id, key.starts_at, key.ends_at) == (f"{key.series}|0", 0, 0)


def test_how_counters_forget() -> None:
    assert meter_of(limit("month"), 10) == Meter()
    assert meter_of(limit("rolling", span_us=DAY), 10) == Meter("rolling", DAY)
    assert meter_of(limit("rate", span_us=HOUR), 25) == Meter("rate", HOUR, 25)
    assert meter_of(limit("none", metric="concurrent_calls"), 10) == Meter("gauge")


def test_a_rate_is_capped_by_its_burst() -> None:
    assert cap_of(limit("rate", span_us=HOUR, burst=3), 25) == 3
    assert cap_of(limit("rate", span_us=HOUR), 25) == 25
    assert cap_of(limit("month", thresholds=()), 25) is None
