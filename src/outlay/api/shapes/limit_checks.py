"""Shapes of what limits would have done, and of how good estimates are."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from outlay.api.limit_checks import CheckBody
from outlay.api.shape import Shape
from outlay.api.shapes.units import Action, LimitAmount, Metric, Micros, Mode, Nanos, Ppm, Window


class CheckedRung(Struct):
    """How often a rung would have been passed, and when first."""

    at_ppm: Ppm
    action: Action
    times: int
    first_at: Micros | None


class CheckedScope(Struct):
    """What would have become of one scope."""

    scope: dict[str, str]
    matched: int
    refused: int
    refused_cost_nanos: Nanos
    first_refused_at: Micros | None
    peak_used: LimitAmount
    peak_ppm: Ppm


class CheckedLimit(Struct):
    """What one limit would have done; `top` are the scopes with most refused."""

    limit: str
    name: str
    metric: Metric
    window: Window
    amount: LimitAmount
    mode: Mode
    matched: int
    refused: int
    refused_cost_nanos: Nanos
    first_refused_at: Micros | None
    scopes: int
    scopes_refused: int
    peak_used: LimitAmount
    peak_ppm: Ppm
    rungs: list[CheckedRung]
    top: list[CheckedScope]


class LimitCheck(Struct, rename={"start": "from", "end": "to"}):
    """What limits would have done to the calls of a range."""

    start: Micros
    end: Micros
    events: int
    refused: int
    refused_cost_nanos: Nanos
    limits: list[CheckedLimit]


class EstimateTotal(Struct):
    """How estimates compare with costs; shares and means are null without calls."""

    holds: int
    estimated_nanos: Nanos
    actual_nanos: Nanos
    ratio: float | None
    mean_error_nanos: Nanos | None
    mean_absolute_error_nanos: Nanos | None
    under_estimated: int
    under_share: float | None
    worst_error_nanos: Nanos
    worst_event: str | None


class Estimate(EstimateTotal):
    """Of one model and agent."""

    model: str
    agent: str


class Estimates(Struct, rename={"start": "from", "end": "to"}):
    """The dearest first."""

    start: Micros
    end: Micros
    estimates: list[Estimate]
    total: EstimateTotal


SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/limits/check": Shape(LimitCheck, CheckBody),
    "GET /v1/limits/estimates": Shape(Estimates),
}
