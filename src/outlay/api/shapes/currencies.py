"""Shapes of exchange rates."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from outlay.api.currencies import RateBody
from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros


class ExchangeRate(Struct):
    """What a dollar is in a currency from a time on, until that currency's next rate."""

    currency: Annotated[str, Meta(description="ISO 4217 code.")]
    per_usd_ppb: Annotated[
        int, Meta(description="Units of the currency for one dollar, times 10^9.")
    ]
    valid_from: Micros
    source: str


class ExchangeRates(Struct):
    """Every rate, those that begin last first."""

    base: str
    rates: list[ExchangeRate]


class ExchangeRateAnswer(Struct):
    """One rate."""

    rate: ExchangeRate


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/currencies": Shape(ExchangeRates),
    "PUT /v1/currencies/{currency}": Shape(ExchangeRateAnswer, RateBody),
}
