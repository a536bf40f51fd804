from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from outlay.demo.history_rhythm import (
    DAY_US,
    GROWING,
    HOUR_US,
    LEAVING,
    LEFT_DAYS_AGO,
    NIGHT_HOURS,
    RHYTHMS,
    day_of,
    event_day,
    midnight,
    starts,
    trend,
)
from outlay.demo.tenants import DIGEST, INDEX, TENANTS

NOW = int(datetime(2026, 11, 18, 12, tzinfo=UTC).timestamp()) * 1_000_000
"""A Wednesday."""
TUESDAY = NOW - 12 * HOUR_US - 1
"""Its last microsecond."""


def test_every_tenant_has_a_rhythm() -> None:
    assert set(RHYTHMS) == {tenant.tenant_id for tenant in TENANTS}
    assert all(len(rhythm.day) == 24 for rhythm in RHYTHMS.values())


def test_a_day_is_a_utc_date() -> None:
    assert day_of(TUESDAY, 0).isoformat() == "2026-11-17"
    assert midnight(day_of(NOW, 2)) == NOW - 12 * HOUR_US - 2 * DAY_US


def test_what_happens_fits_into_a_short_past() -> None:
    assert event_day(9, 34) == 9
    assert event_day(9, 9) == 3
    assert event_day(9, 1) == 0


def test_trends_go_up_and_down() -> None:
    assert trend(GROWING, 34, 34) < 0.2 < trend(GROWING, 17, 34) < 2.0 < trend(GROWING, 0, 34)
    assert trend(LEAVING, LEFT_DAYS_AGO + 1, 34) > 10 * trend(LEAVING, LEFT_DAYS_AGO, 34)
    assert 0.8 < trend("acme", 34, 34) < trend("acme", 0, 34) < 1.2


@pytest.mark.parametrize("days_ago", [2, 3, 4])
def test_starts_are_of_their_day_and_in_order(days_ago: int) -> None:
    found = starts(random.Random(1), NOW, days_ago, days=34, per_day=500)
    begins = midnight(day_of(NOW, days_ago))
    assert [s.at for s in found] == sorted(s.at for s in found)
    assert begins <= found[0].at <= found[-1].at < begins + DAY_US


def test_nothing_starts_after_now() -> None:
    assert max(s.at for s in starts(random.Random(1), NOW, 0, days=34, per_day=500)) < NOW


def test_jobs_run_at_night_and_digests_on_mondays() -> None:
    def local_hours(days_ago: int, feature: object) -> list[int]:
        found = starts(random.Random(1), NOW, days_ago, days=34, per_day=2_000)
        return [
            (s.at // HOUR_US + RHYTHMS[s.tenant.tenant_id].offset_h) % 24
            for s in found
            if s.feature is feature
        ]

    tuesday, monday = local_hours(1, DIGEST), local_hours(2, DIGEST)
    assert len(monday) > 5 * len(tuesday) > 0
    assert set(local_hours(1, INDEX)) == set(NIGHT_HOURS)
