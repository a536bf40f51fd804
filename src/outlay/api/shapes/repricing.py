"""Shapes of what has no price, and of pricing again."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from outlay.api.repricing import SpreadBody, WindowBody
from outlay.api.shape import Shape
from outlay.api.shapes.prices import Rate
from outlay.api.shapes.units import MicroCredits, Micros, Nanos


class UnpricedGroup(Struct):
    """Events without a price; `ceiling_nanos` is what they are held at for limits."""

    provider: str
    model: str
    reason: Literal["unknown_model", "no_rate", "usage_unknown"]
    events: int
    tenants: int
    first_at: Micros
    last_at: Micros
    event_id: str
    tokens: dict[str, int]
    ceiling_nanos: Nanos


class UnpricedList(Struct, rename={"start": "from", "end": "to"}):
    """The most frequent first."""

    unpriced: list[UnpricedGroup]
    events: int
    start: Micros
    end: Micros


class RepricedModel(Struct):
    """What changes for one model."""

    provider: str
    model: str
    events: int
    was_nanos: Nanos
    now_nanos: Nanos


class Repriced(Struct):
    """What pricing again found, and wrote if it was `applied`; amounts are of changed events."""

    examined: int
    changed: int
    priced_late: int
    still_unpriced: int
    was_nanos: Nanos
    now_nanos: Nanos
    sell_change_nanos: Nanos
    credits_change_micros: MicroCredits
    tenants: int
    written: int
    book: str
    models: list[RepricedModel]
    applied: bool


class Spread(Struct):
    """A cluster's cost over its tokens; `rerated` is there when it was applied."""

    hours: int
    idle_hours: int
    spread_nanos: Nanos
    idle_nanos: Nanos
    rates: list[Rate]
    applied: bool
    rerated: Repriced | UnsetType = UNSET


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/prices/unpriced": Shape(UnpricedList),
    "POST /v1/prices/rerate": Shape(Repriced, WindowBody),
    "POST /v1/prices/spread": Shape(Spread, SpreadBody),
}
