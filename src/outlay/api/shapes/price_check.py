"""Shapes of comparisons of prices, and of findings."""

from __future__ import annotations

from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from outlay.api.price_check import ResolveBody
from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros, Nanos


class PriceDifference(Struct):
    """A model whose price two sources state differently; `percent` null: no number says it.

    Against `litellm`: `ours` and `theirs` of a unit, nano-dollars per million, under a `condition`
    and by the `key` of their file. Against `stated`: sums of what a provider stated and of the list
    price of the same usage. What is of the other comparison is absent.
    """

    provider: str
    model: str
    percent: float | None
    unit: str | UnsetType = UNSET
    condition: str | UnsetType = UNSET
    ours: Nanos | UnsetType = UNSET
    theirs: Nanos | UnsetType = UNSET
    key: str | UnsetType = UNSET
    stated_nanos: Nanos | UnsetType = UNSET
    list_nanos: Nanos | UnsetType = UNSET
    drifted_attempts: int | UnsetType = UNSET
    attempts: int | UnsetType = UNSET


class PriceComparison(Struct):
    """What two sources of prices differ in; lists are cut at 1,000, `counts` are of all.

    `at` and the lists of what only one has are there against `litellm`, `last` against `stated`.
    """

    against: Literal["litellm", "stated"]
    tolerance_percent: float
    compared: int
    differences: list[PriceDifference]
    counts: dict[str, int]
    at: Micros | UnsetType = UNSET
    last: str | UnsetType = UNSET
    models_only_theirs: list[str] | UnsetType = UNSET
    models_only_ours: list[str] | UnsetType = UNSET
    prices_only_theirs: list[str] | UnsetType = UNSET


class Finding(Struct):
    """Something that a person should look at; open while `resolved_at` is null."""

    kind: str
    subject: str
    details: dict[str, Any]
    first_at: Micros
    last_at: Micros
    times: int
    resolved_at: Micros | None


class FindingList(Struct):
    """The latest first."""

    findings: list[Finding]


class FindingAnswer(Struct):
    """One finding."""

    finding: Finding


SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/prices/diff": Shape(PriceComparison, dict[str, Any] | None),
    "GET /v1/findings": Shape(FindingList),
    "POST /v1/findings/resolve": Shape(FindingAnswer, ResolveBody),
}
