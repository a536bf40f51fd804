"""Shapes of changes of prices, and of reading the catalogue again."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from outlay.api.price_edit import ChangeBody
from outlay.api.shape import Shape
from outlay.api.shapes.prices import ModelName, Rate, Sell
from outlay.api.shapes.units import Micros, Nanos


class PriceChanged(Struct):
    """What a change added and replaced, or would; at most 500 rows of each kind are spelled out."""

    dry_run: bool
    added: int
    superseded: int
    rates: list[Rate]
    replaced: list[Rate]
    aliases: list[ModelName]
    sells: list[Sell]
    replaced_sells: list[Sell]


class CataloguePrice(Struct):
    """A price, and while it holds."""

    nanos_per_million: Nanos
    valid_from: Micros | None
    valid_to: Micros | None


class CatalogueDifference(Struct):
    """A price that the catalogue states otherwise than before; `conditions` are those it names."""

    provider: str
    model: str
    unit: str
    conditions: dict[str, Any]
    layer: str
    before: list[CataloguePrice]
    after: list[CataloguePrice]


class Synced(Struct):
    """What a new reading of the catalogue changed, or would."""

    source: str
    rates: int
    corrections: int
    skipped: dict[str, int]
    rows_changed: int
    prices_changed: int
    changes: list[CatalogueDifference]
    dry_run: bool


_FILES: Final = ("application/yaml", "text/csv")

SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/prices": Shape(PriceChanged, ChangeBody, bodies=_FILES),
    "POST /v1/prices/sync": Shape(Synced, dict[str, Any] | list[Any] | None),
}
