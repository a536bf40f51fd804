"""Shapes of prices to look up: rates, sell rows, names of models."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import Struct

from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros, Nanos


class Rate(Struct):
    """One price: nano-dollars per million units under its conditions; empty text: any."""

    rate_id: str
    provider: str
    model: str
    unit: str
    nanos_per_million: Nanos
    host_class: str
    region_class: str
    tier: str
    batch: bool
    speed: str
    min_context: int
    window: str
    valid_from: Micros | None
    valid_to: Micros | None
    layer: str
    source: str
    recorded_at: Micros | None
    superseded_at: Micros | None
    tenant: str
    min_quantity: int


class ShownRate(Rate):
    """A rate, and whether a call of exactly its conditions is priced by it."""

    wins: bool


class Sell(Struct):
    """What usage is sold for: `out` (nano-dollars or micro-credits) per million of the unit."""

    sell_id: str
    unit: str
    out: Literal["nanos", "credits"]
    per_million: int
    tenant: str
    plan: str
    feature: str
    provider: str
    model: str
    valid_from: Micros | None
    valid_to: Micros | None
    source: str
    recorded_at: Micros | None
    superseded_at: Micros | None


class ModelName(Struct):
    """A name that stands for a model."""

    id: str
    provider: str
    model: str
    match: str
    family: str
    layer: str
    source: str
    recorded_at: Micros | None
    superseded_at: Micros | None
    region_class: str


class PriceList(Struct):
    """What holds at a time, as known at one (`known_at` null: now)."""

    rates: list[Rate]
    sells: list[Sell]
    truncated: bool
    hash: str
    at: Micros
    known_at: Micros | None


class PriceAsked(Struct):
    """What was asked."""

    provider: str
    model: str
    at: Micros
    known_at: Micros | None
    tenant: str


class NameResolution(Struct):
    """Which model's rates price a name, and the rule that found them."""

    model: str
    rule: str
    provider: str
    region_class: str
    estimated: bool


class ShownPrice(Struct):
    """How a name resolves (null: not at all), every rate that holds, and which of them win."""

    asked: PriceAsked
    resolution: NameResolution | None
    rates: list[ShownRate]
    sells: list[Sell]
    aliases: list[ModelName]


class PriceHistory(Struct):
    """Every row ever believed of a model, the newest belief first."""

    rates: list[Rate]
    models: list[ModelName]


class PriceSnapshot(Struct):
    """The price book for pricing in process; its inner form is the SDK's own."""

    version: int
    hash: str
    models: list[list[Any]]
    rates: list[list[Any]]


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/prices": Shape(PriceList),
    "GET /v1/prices/show": Shape(ShownPrice),
    "GET /v1/prices/history": Shape(PriceHistory),
    "GET /v1/prices/export": Shape(None, media="application/yaml"),
    "GET /v1/prices/snapshot": Shape(PriceSnapshot),
}
