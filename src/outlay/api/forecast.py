"""Where this month's cost is heading: spent so far, foreseen by its end, and the budget for it.

Days and months are those of the viewer's time zone. Costs come from the same queries as any other
question, so they agree with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request

from outlay.api.auth import Caller, needs
from outlay.api.services import Services
from outlay.core.forecast import HISTORY_DAYS, Forecast, PastDay, Today, forecast
from outlay.core.limits.limit import Limit, Match, amount_now
from outlay.core.limits.subject import key_text
from outlay.core.rollup import HOUR_US, MINUTE_US
from outlay.store.query import parse
from outlay.store.query.model import MAX_LIMIT, parse_query

BURN_US: Final = 15 * MINUTE_US
"""What the burn rate is taken from."""
MAX_TENANT_CHARACTERS: Final = 256

router = APIRouter()
Reader = Annotated[Caller, Depends(needs("read"))]


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days around now in a zone; `starts` are microseconds UTC of local midnights."""

    now: int
    zone: ZoneInfo

    @property
    def today(self) -> date:
        """The local day."""
        moment = datetime.fromtimestamp(self.now // 1_000_000, UTC)
        return moment.astimezone(self.zone).date()

    @property
    def month(self) -> date:
        """The first day of this month."""
        return self.today.replace(day=1)

    @property
    def next_month(self) -> date:
        """The first day of the next month."""
        return (self.month + timedelta(days=31)).replace(day=1)

    @property
    def last_month(self) -> date:
        """The first day of the month before."""
        return (self.month - timedelta(days=1)).replace(day=1)

    def start(self, day: date) -> int:
        """Return when a day begins, microseconds UTC."""
        return parse.micros(datetime.combine(day, time(), self.zone))

    def yesterday_now(self) -> int:
        """Return when yesterday's clocks showed the time of now, microseconds UTC."""
        moment = datetime.fromtimestamp(self.now // 1_000_000, UTC).astimezone(self.zone)
        before = datetime.combine(self.today - timedelta(days=1), moment.time(), self.zone)
        return parse.micros(before.replace(fold=moment.fold)) + self.now % 1_000_000


@router.get("/v1/forecast")
async def show(
    request: Request,
    caller: Reader,
    timezone: Annotated[str, Query(max_length=64)] = "UTC",
    tenant: Annotated[str, Query(max_length=MAX_TENANT_CHARACTERS)] = "",
) -> dict[str, Any]:
    """Foresee this month's cost, of everything or of one tenant."""
    services: Services = request.app.state.services
    calendar = Calendar(services.clock(), parse.zone(timezone, "timezone"))
    asked = _Costs(services, calendar, timezone, caller.tenant, tenant)
    answer = await services.query_workers.run(_answer, calendar, asked)
    named = tenant or caller.tenant or ""
    allowed = caller.tenant in (None, named)
    limit = await services.books_workers.run(_budget, services, named) if allowed else None
    if limit is not None:
        limit["share"] = answer["spent_nanos"] / limit["amount_nanos"]
    return {**answer, "budget": limit}


class _Costs:
    """Asks the store for costs; within what the caller may see."""

    def __init__(
        self, services: Services, calendar: Calendar, zone: str, scope: str | None, tenant: str
    ) -> None:
        self._olap = services.olap
        self._now = calendar.now
        self._zone = zone
        self._scope = scope
        self._filters = [{"field": "tenant", "value": tenant}] if tenant else []

    def of(self, start: int, end: int) -> int:
        """Return the cost of a window."""
        return sum(int(row[-1] or 0) for row in self._rows(start, end, "none"))

    def by_day(self, start: int, end: int) -> dict[int, int]:
        """Return costs by the start of a local day."""
        return {row[0]: int(row[-1] or 0) for row in self._rows(start, end, "day")}

    def _rows(self, start: int, end: int, grain: str) -> list[tuple[Any, ...]]:
        if start >= end:
            return []
        body = {
            "metrics": ["cost"], "filters": self._filters, "from": start, "to": end,
            "grain": grain, "timezone": self._zone, "limit": MAX_LIMIT,
        }  # fmt: skip
        query = parse_query(body, now=self._now, tenant=self._scope)
        return self._olap.query(query, now=self._now).rows


def _answer(calendar: Calendar, costs: _Costs) -> dict[str, Any]:
    now, today, month = calendar.now, calendar.today, calendar.month
    first = min(calendar.last_month, today - timedelta(days=HISTORY_DAYS))
    by_day = costs.by_day(calendar.start(first), now)
    known = {day: by_day.get(calendar.start(day), 0) for day in _days(first, today)}
    begun = calendar.start(today)
    cost = by_day.get(begun, 0)
    before = sum(known[day] for day in _days(month, today))
    ahead = _days(today + timedelta(days=1), calendar.next_month)
    length = calendar.start(today + timedelta(days=1)) - begun
    seen = forecast(
        _history(known, today),
        before,
        Today(today.weekday(), cost, now - begun, length),
        [day.weekday() for day in ahead],
    )
    yesterday = today - timedelta(days=1)
    return {
        "month": {"from": calendar.start(month), "to": calendar.start(calendar.next_month)},
        "spent_nanos": before + cost,
        "forecast_nanos": seen.total,
        "low_nanos": seen.low,
        "high_nanos": seen.high,
        "days": _shown_days(calendar, known, seen, ahead),
        "today_nanos": cost,
        "yesterday_nanos": known[yesterday],
        "yesterday_same_time_nanos": costs.of(calendar.start(yesterday), calendar.yesterday_now()),
        "last_month_nanos": sum(known[day] for day in _days(calendar.last_month, month)),
        "burn": {
            "per_hour_nanos": costs.of(now - BURN_US, now) * HOUR_US // BURN_US,
            "last_hour_nanos": costs.of(now - HOUR_US, now),
            "hour_before_nanos": costs.of(now - 2 * HOUR_US, now - HOUR_US),
        },
    }


def _days(first: date, end: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((end - first).days)]


def _history(known: Mapping[date, int], today: date) -> list[PastDay]:
    """Return the last full days, from the first on that cost something."""
    days = [day for day in sorted(known) if day >= today - timedelta(days=HISTORY_DAYS)]
    # Nothing in the weeks before them either: that is when it all began, not a quiet time.
    began = next((day for day in sorted(known) if known[day]), today)
    return [PastDay(day.weekday(), known[day]) for day in days if day >= began]


def _shown_days(
    calendar: Calendar, known: Mapping[date, int], seen: Forecast, ahead: list[date]
) -> list[dict[str, Any]]:
    """Return the days of the month; they add up to what is foreseen."""
    past = _days(calendar.month, calendar.today)
    costs = [(day, known[day], False) for day in past]
    costs.append((calendar.today, seen.today, True))
    costs += [(day, cost, True) for day, cost in zip(ahead, seen.ahead, strict=True)]
    return [
        {"day": calendar.start(day), "cost_nanos": cost, "forecast": foreseen}
        for day, cost, foreseen in costs
    ]


def _budget(services: Services, tenant: str) -> dict[str, Any] | None:
    """Return the month limit on the cost of everything, or of a tenant; the tightest in force."""
    at = services.clock()
    overrides = tuple(services.books.overrides(at=at))
    found = []
    for limit in services.books.limits():
        key = _whole_scope(limit, tenant)
        of_month = limit.metric == "cost" and limit.window == "month" and limit.mode != "off"
        if of_month and key is not None:
            amount = amount_now(limit, overrides, key, at)
            found.append((limit.mode != "enforce", amount, limit.limit_id))
    for _, amount, limit_id in sorted(found):
        if amount > 0:
            return {"limit_id": limit_id, "amount_nanos": amount}
    return None


def _whole_scope(limit: Limit, tenant: str) -> str | None:
    """Return the key of a limit's scope if that is all of a tenant, or everything."""
    if not tenant:
        return key_text(()) if not limit.scope else None
    match limit.scope:
        case (Match("tenant", values, each),) if values == (tenant,) or (
            each and tenant in (values or (tenant,))
        ):
            return key_text((("tenant", tenant),) if each else ())
    return None
