"""Shapes of the month's forecast."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct, field

from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros, Nanos


class Month(Struct):
    """A month of the viewer's zone."""

    start: Micros = field(name="from")
    end: Micros = field(name="to")


class ForecastDay(Struct):
    """A day of the month; `forecast`: it is not over, so its cost is foreseen."""

    day: Annotated[int, Meta(description="Local midnight, microseconds since 1970 UTC.")]
    cost_nanos: Nanos
    forecast: bool


class Burn(Struct):
    """How fast money goes just now."""

    per_hour_nanos: Annotated[int, Meta(description="Four times the last 15 minutes.")]
    last_hour_nanos: Nanos
    hour_before_nanos: Nanos


class Budget(Struct):
    """The month limit on all of this cost; `share` is what is spent of it."""

    limit_id: str
    amount_nanos: Nanos
    share: float


class ForecastAnswer(Struct):
    """The days add up to `forecast_nanos`; today's is whole there, and so far in `today_nanos`."""

    month: Month
    spent_nanos: Nanos
    forecast_nanos: Nanos
    low_nanos: Nanos
    high_nanos: Nanos
    days: list[ForecastDay]
    today_nanos: Nanos
    yesterday_nanos: Nanos
    yesterday_same_time_nanos: Nanos
    last_month_nanos: Nanos
    burn: Burn
    budget: Budget | None


SHAPES: Final[dict[str, Shape]] = {"GET /v1/forecast": Shape(ForecastAnswer)}
