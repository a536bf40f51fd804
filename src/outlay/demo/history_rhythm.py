"""When the past's requests are made: by tenant, local hour and weekday, and over the weeks. Pure.

Who grows, who falls silent and which day goes wrong are told here as data, in days before now.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from outlay.demo.tenants import DIGEST, FEATURES, INDEX, TENANTS, DemoTenant, Feature

HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US

OFFICE: Final = (
    0.04, 0.02, 0.02, 0.02, 0.04, 0.10, 0.25, 0.55, 0.90, 1.20, 1.30, 1.25,
    0.95, 1.10, 1.30, 1.25, 1.10, 0.85, 0.55, 0.35, 0.25, 0.18, 0.12, 0.07,
)  # fmt: skip
"""How much people ask for in each local hour."""
SHOP: Final = (
    0.15, 0.08, 0.05, 0.05, 0.06, 0.10, 0.20, 0.35, 0.50, 0.65, 0.75, 0.80,
    0.85, 0.80, 0.80, 0.85, 0.95, 1.10, 1.25, 1.35, 1.30, 1.00, 0.60, 0.30,
)  # fmt: skip
"""The same for a tenant whose users are consumers."""
NIGHT_HOURS: Final = (1, 2, 3)
DIGEST_HOUR: Final = 5
MONDAY: Final = 0
SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How a tenant uses the product: hours from UTC, weekend's part of a weekday, its day."""

    offset_h: int
    weekend: float
    day: tuple[float, ...] = OFFICE


RHYTHMS: Final = {
    "acme": Rhythm(-5, 0.18),
    "globex": Rhythm(1, 0.10),
    "initech": Rhythm(-8, 0.30),
    "umbrella": Rhythm(1, 0.45),
    "hooli": Rhythm(9, 0.20),
    "stark": Rhythm(0, 0.15),
    "wayne": Rhythm(-6, 0.35),
    "wonka": Rhythm(1, 1.25, SHOP),
    "tyrell": Rhythm(9, 0.25),
    "soylent": Rhythm(-5, 1.10, SHOP),
    "cyberdyne": Rhythm(-8, 0.60),
    "oscorp": Rhythm(-5, 0.30),
}

GROWING: Final = "wonka"
"""From a tenth of its share to three times of it, as the days go by."""
LEAVING: Final = "stark"
LEFT_DAYS_AGO: Final = 12
"""Since then it makes next to nothing."""
RUNAWAY_DAYS_AGO: Final = 9
RUNAWAY_TENANT: Final = "hooli"
RUNAWAY_AT_US: Final = 15 * HOUR_US + 20 * 60_000_000
OUTAGE_DAYS_AGO: Final = 4
OUTAGE_HOUR: Final = 14
"""Anthropic's bad hour, UTC."""

PEOPLE: Final = tuple(feature for feature in FEATURES if feature.initiator == "user")
SYSTEM_SHARE: Final = sum(f.share for f in FEATURES if f.initiator == "system") / 100


@dataclass(frozen=True, slots=True)
class Start:
    """A request to come: its time is microseconds UTC."""

    at: int
    tenant: DemoTenant
    feature: Feature


def day_of(now: int, days_ago: int) -> date:
    """Return the UTC date so many days before now."""
    return datetime.fromtimestamp(now / 1_000_000, UTC).date() - timedelta(days=days_ago)


def midnight(day: date) -> int:
    """Return when a UTC date begins."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def event_day(wanted: int, days: int) -> int:
    """Return how many days ago something happens in a history that may be too short for it."""
    return wanted if wanted < days else days // 3


def trend(tenant_id: str, days_ago: int, days: int) -> float:
    """Return how much of its share a tenant makes on a day."""
    gone = 1 - days_ago / max(days, 1)
    if tenant_id == GROWING:
        return float(0.1 + 2.9 * gone * gone)
    if tenant_id == LEAVING and days_ago <= event_day(LEFT_DAYS_AGO, days):
        return 0.03
    return 0.85 + 0.3 * gone


def starts(
    rng: random.Random, now: int, days_ago: int, *, days: int, per_day: float
) -> list[Start]:
    """Draw a day's requests in order of time.

    Args:
        rng: of that day.
        now: microseconds UTC; what would start later is left out.
        days_ago: which day.
        days: how long the history is.
        per_day: requests that all tenants make on an average day.
    """
    begins = midnight(day_of(now, days_ago))
    found = []
    for tenant in TENANTS:
        share = tenant.share / 100 * trend(tenant.tenant_id, days_ago, days)
        for hour in range(24):
            at = begins + hour * HOUR_US
            for features, weight in _weights(tenant.tenant_id, at):
                expected = per_day * share * weight * rng.uniform(0.75, 1.25)
                for _ in range(int(expected + rng.random())):
                    feature = rng.choices(features, [f.share for f in features])[0]
                    found.append(Start(at + int(rng.random() * HOUR_US), tenant, feature))
    return sorted((s for s in found if s.at < now), key=lambda s: (s.at, s.tenant.tenant_id))


def _weights(tenant_id: str, at: int) -> list[tuple[tuple[Feature, ...], float]]:
    """Return the part of an average day that falls on an hour, for people and for night jobs."""
    rhythm = RHYTHMS[tenant_id]
    local = datetime.fromtimestamp(at / 1_000_000, UTC) + timedelta(hours=rhythm.offset_h)
    weekend = local.weekday() >= SATURDAY
    level = 7 * (rhythm.weekend if weekend else 1.0) / (5 + 2 * rhythm.weekend)
    people = (1 - SYSTEM_SHARE) * level * rhythm.day[local.hour] / sum(rhythm.day)
    found = [(PEOPLE, people)]
    if local.hour in NIGHT_HOURS:
        found.append(((INDEX,), SYSTEM_SHARE / 2 / len(NIGHT_HOURS)))
    if local.hour == DIGEST_HOUR:
        # Weekly, and a few on other days for those who asked for another one.
        found.append(((DIGEST,), SYSTEM_SHARE / 2 * (6.0 if local.weekday() == MONDAY else 1 / 6)))
    return found
