"""Shapes of changes of limits, and of overrides."""

from __future__ import annotations

from typing import Final

from msgspec import UNSET, Struct, UnsetType

from outlay.api.limit_edit import OverrideBody
from outlay.api.shape import Shape
from outlay.api.shapes.limits import (
    Amount,
    Entitlement,
    Limit,
    LimitRung,
    LimitWindow,
    Override,
    ScopeValue,
)
from outlay.api.shapes.units import Metric, Mode, Unreachable


class LimitBody(Struct):
    """One limit to have; what is left out is as by default."""

    amount: Amount
    id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    scope: dict[str, ScopeValue] | UnsetType = UNSET
    metric: Metric | UnsetType = UNSET
    window: LimitWindow | UnsetType = UNSET
    zone: str | UnsetType = UNSET
    anchor_day: int | UnsetType = UNSET
    burst: str | int | UnsetType = UNSET
    thresholds: list[LimitRung] | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    mode: Mode | UnsetType = UNSET
    on_unreachable: Unreachable | UnsetType = UNSET
    strict: bool | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class LimitDocument(Struct):
    """Limits and entitlements to have; a document in YAML says the same."""

    limits: list[LimitBody] | UnsetType = UNSET
    entitlements: list[Entitlement] | UnsetType = UNSET
    reason: str | UnsetType = UNSET


class LimitChanged(Struct):
    """What a change did, or would do; `removed` are ids."""

    dry_run: bool
    added: list[Limit]
    changed: list[Limit]
    removed: list[str]
    entitlements: list[Entitlement]
    removed_plans: list[str]


class LimitRemoved(Struct):
    """The id of the limit that was removed."""

    removed: str


class OverrideAnswer(Struct):
    """One override."""

    override: Override


_YAML: Final = ("application/yaml",)

SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/limits": Shape(LimitChanged, LimitDocument, bodies=_YAML),
    "PUT /v1/limits/{limit_id}": Shape(LimitChanged, LimitBody),
    "DELETE /v1/limits/{limit_id}": Shape(LimitRemoved),
    "POST /v1/limits/{limit_id}/overrides": Shape(OverrideAnswer, OverrideBody),
    "DELETE /v1/limits/{limit_id}/overrides/{override_id}": Shape(OverrideAnswer),
}
