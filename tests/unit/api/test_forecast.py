"""The month's forecast over HTTP: days of the viewer's zone, costs of the store, the budget."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from outlay.core.limits.limit import Limit, Match
from outlay.store.base import Answer, Column
from outlay.store.limits import LimitChange
from outlay.store.query.model import Query
from outlay.store.query.zones import local_to_utc
from tests.unit.api.site import Site

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


def at(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int(moment.timestamp()) * 1_000_000


class Spent:
    """A store in which every hour costs the same, from a time on."""

    def __init__(self, per_hour: int, since: int = 0) -> None:
        self.per_hour, self.since = per_hour, since
        self.asked: list[Query] = []

    def query(self, query: Query, *, now: int) -> Answer:
        self.asked.append(query)
        start, end = query.window(now)
        columns = (Column("cost", "metric", "nanos"),)
        if query.grain == "none":
            return Answer(columns, [(self._cost(start, end),)], "events", start, end)
        rows, day = [], datetime.fromtimestamp(start // 10**6, UTC)
        wall = day.astimezone(ZoneInfo(query.timezone)).date().toordinal()
        epoch = date(1970, 1, 1).toordinal()
        while (begin := local_to_utc(query.timezone, (wall - epoch) * DAY_US)) < end:
            wall += 1
            until = min(end, local_to_utc(query.timezone, (wall - epoch) * DAY_US))
            if cost := self._cost(begin, until):
                rows.append((begin, cost))
        return Answer(columns, rows, "events", start, end)

    def _cost(self, start: int, end: int) -> int:
        return max(0, end - max(start, self.since)) * self.per_hour // HOUR_US


def ask(site: Site, now: str, zone: str = "UTC", *, store: Any = None, **more: Any) -> Any:
    site.now = at(now, zone)
    asked: Any = store or Spent(60)
    site.services.olap = asked
    answer = site.call("GET", "/v1/forecast", params={"timezone": zone, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_steady_month_goes_on_steadily(site: Site) -> None:
    got = ask(site, "2026-06-11T12:00:00")
    assert got["month"] == {"from": at("2026-06-01T00:00:00"), "to": at("2026-07-01T00:00:00")}
    assert got["spent_nanos"] == 60 * 24 * 10 + 60 * 12
    assert got["forecast_nanos"] == got["low_nanos"] == got["high_nanos"] == 60 * 24 * 30
    assert (got["today_nanos"], got["yesterday_nanos"]) == (720, 1440)
    assert got["yesterday_same_time_nanos"] == 720
    assert got["last_month_nanos"] == 60 * 24 * 31
    assert got["burn"] == {"per_hour_nanos": 60, "last_hour_nanos": 60, "hour_before_nanos": 60}
    assert got["budget"] is None


def test_the_days_are_the_months_and_add_up(site: Site) -> None:
    got = ask(site, "2026-02-28T23:00:00")
    assert len(got["days"]) == 28
    assert sum(day["cost_nanos"] for day in got["days"]) == got["forecast_nanos"]
    assert [day["forecast"] for day in got["days"]] == [False] * 27 + [True]


@pytest.mark.parametrize(
    ("now", "zone", "hours"),
    [
        ("2026-03-29T12:00:00", "Europe/Berlin", 31 * 24 - 1),
        ("2026-10-25T12:00:00", "Europe/Berlin", 31 * 24 + 1),
        ("2026-03-08T00:30:00", "America/New_York", 31 * 24 - 1),
        ("2026-06-01T00:00:00", "Asia/Kolkata", 30 * 24),
        ("2026-12-31T23:59:59", "Pacific/Auckland", 31 * 24),
        ("2026-09-06T08:00:00", "America/Santiago", 30 * 24 - 1),
    ],
)
def test_a_months_edges_and_the_length_of_its_days_are_those_of_the_zone(
    site: Site, now: str, zone: str, hours: int
) -> None:
    got = ask(site, now, zone)
    month = got["month"]
    assert month["to"] - month["from"] == hours * HOUR_US
    assert got["days"][0]["day"] == month["from"]
    spent = (site.now - month["from"]) * 60 // HOUR_US
    assert got["spent_nanos"] == spent
    # A day of another length among the usual ones makes means differ by little.
    assert abs(got["forecast_nanos"] - hours * 60) <= 150


def test_yesterday_at_this_time_is_by_the_clock_on_the_wall(site: Site) -> None:
    got = ask(site, "2026-03-29T12:00:00", "Europe/Berlin")
    assert (got["today_nanos"], got["yesterday_same_time_nanos"]) == (11 * 60, 12 * 60)


def test_days_before_anything_was_spent_are_no_history(site: Site) -> None:
    store = Spent(60, since=at("2026-06-09T00:00:00"))
    got = ask(site, "2026-06-11T12:00:00", store=store)
    assert got["forecast_nanos"] == 60 * 24 * 22
    fresh = Spent(60, since=at("2026-06-11T00:00:00"))
    got = ask(site, "2026-06-11T12:00:00", store=fresh)
    assert got["forecast_nanos"] == got["high_nanos"] == got["spent_nanos"] == 720


def limited(site: Site, *limits: Limit) -> None:
    site.books.change_limits(LimitChange(limits=limits), reason="r", actor="a", at=1)


def test_the_budget_is_the_tightest_month_limit_on_everything(site: Site) -> None:
    limited(
        site,
        Limit("loose", "cost", "month", 10**6),
        Limit("month", "cost", "month", 28_800),
        Limit("shadow", "cost", "month", 1, mode="shadow"),
        Limit("off", "cost", "month", 1, mode="off"),
        Limit("day", "cost", "day", 1),
        Limit("calls", "calls", "month", 1),
        Limit("part", "cost", "month", 1, scope=(Match("feature", ("f",)),)),
    )
    got = ask(site, "2026-06-11T00:00:00")
    assert got["budget"] == {"limit_id": "month", "amount_nanos": 28_800, "share": 0.5}


def test_a_tenant_has_its_own_budget_and_sees_no_other(site: Site) -> None:
    limited(
        site,
        Limit("all", "cost", "month", 10),
        Limit("acme", "cost", "month", 20, scope=(Match("tenant", ("acme",)),)),
        Limit("each", "cost", "month", 30, scope=(Match("tenant", each=True),)),
    )
    assert ask(site, "2026-06-11T00:00:00", tenant="acme")["budget"]["limit_id"] == "acme"
    assert ask(site, "2026-06-11T00:00:00", tenant="rival")["budget"]["limit_id"] == "each"
    own = site.call("GET", "/v1/forecast", site.acme).json()
    assert own["budget"]["limit_id"] == "acme"
    other = site.call("GET", "/v1/forecast?tenant=rival", site.acme).json()
    assert other["budget"] is None


def test_costs_are_asked_for_within_the_callers_scope(site: Site) -> None:
    store = Spent(60)
    ask(site, "2026-06-11T00:00:00", store=store, tenant="acme")
    filters = {(f.field, f.value) for query in store.asked for f in query.filters}
    assert filters == {("tenant", "acme")}
    store.asked.clear()
    site.call("GET", "/v1/forecast", site.acme)
    assert {query.tenant for query in store.asked} == {"acme"}


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "x" * 65])
def test_a_zone_that_is_none_is_refused(site: Site, zone: str) -> None:
    answer = site.call("GET", "/v1/forecast", params={"timezone": zone})
    assert (answer.status_code, answer.json()["error"]["where"]) == (400, "timezone")
