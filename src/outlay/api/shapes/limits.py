"""Shapes of limits as they are written, how their scopes stand, and what they did."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from outlay.api.shape import Shape
from outlay.api.shapes.units import (
    Action,
    LimitAmount,
    Metric,
    Micros,
    Mode,
    Ppm,
    ScopeKey,
    Unreachable,
    Window,
)


class LimitRung(Struct):
    """A part of the amount (`80%`), and what happens there; `url` is told to admins only."""

    at: str
    action: Action
    delay_ms: int | UnsetType = UNSET
    models: dict[str, str] | UnsetType = UNSET
    url: str | UnsetType = UNSET


class EachOf(Struct):
    """Each of these values counts by itself."""

    each: bool | str | list[str]


ScopeValue = str | list[str] | EachOf
Amount = Annotated[
    str | int, Meta(description="Dollars as text for the metric `cost`, else a whole number.")
]
LimitWindow = Annotated[str, Meta(description="`hour`, `day`, …, or `rolling 24h`, `rate 1m`.")]


class Limit(Struct):
    """A limit as a document has it; what is absent is as by default.

    `scope` maps a field to a value, a list of them, `each`, or `{"each": [values]}`; absent, the
    limit is about every call. `window` is absent where nothing resets.
    """

    id: str
    metric: Metric
    amount: Amount
    thresholds: list[LimitRung]
    mode: Mode
    on_unreachable: Unreachable
    name: str | UnsetType = UNSET
    scope: dict[str, ScopeValue] | UnsetType = UNSET
    window: LimitWindow | UnsetType = UNSET
    zone: str | UnsetType = UNSET
    anchor_day: int | UnsetType = UNSET
    burst: str | int | UnsetType = UNSET
    priority: int | UnsetType = UNSET
    strict: bool | UnsetType = UNSET


class Entitlement(Struct):
    """What one plan may use; a list that is absent leaves all."""

    plan: str
    agents: list[str] | UnsetType = UNSET
    features: list[str] | UnsetType = UNSET
    models: list[str] | UnsetType = UNSET
    names: list[str] | UnsetType = UNSET


class LimitList(Struct):
    """The limits, and what plans may use."""

    limits: list[Limit]
    entitlements: list[Entitlement]


class LimitCounter(Struct):
    """How one scope of a limit stands; `cap` is where calls are refused, null: they are not.

    `share` is of the amount; `reached` are actions. `resets_at` is null where nothing resets.
    """

    limit: str
    name: str
    scope: dict[str, str]
    scope_key: ScopeKey
    metric: Metric
    window: Window
    mode: Mode
    starts_at: Micros | None
    resets_at: Micros | None
    used: LimitAmount
    held: LimitAmount
    amount: LimitAmount
    cap: LimitAmount | None
    left: LimitAmount | None
    share: float
    reached: list[Action]
    current: bool


class LimitStates(Struct):
    """The fullest first; `more` are not shown."""

    now: Micros
    counters: list[LimitCounter]
    more: int


class LimitNotice(Struct):
    """Something that a limit did; `times` in all, the last time `at`."""

    limit_id: str
    counter_id: str
    scope_key: str
    tenant: str
    kind: Literal["crossed", "refused", "late", "short", "seeded", "denied"]
    at_ppm: Ppm
    action: str
    mode: str
    at: Micros
    used: LimitAmount
    amount: LimitAmount
    times: int
    details: dict[str, Any]


class LimitNotices(Struct):
    """The newest first."""

    notices: list[LimitNotice]


class Override(Struct):
    """Another amount for a time; `scope_key` empty: for all scopes. `actor` is for admins."""

    override_id: str
    limit_id: str
    amount: LimitAmount
    starts_at: Micros
    ends_at: Micros
    reason: str
    scope_key: str
    revoked_at: Micros | None
    actor: str | UnsetType = UNSET


class LimitDetails(Struct):
    """A limit, the overrides that hold, and how its scopes stand now."""

    limit: Limit
    overrides: list[Override]
    counters: list[LimitCounter]


class LimitVersion(Struct):
    """One version: who, when, why; `limit` null: it was removed."""

    version: int
    limit: Limit | None
    at: Micros
    actor: str
    reason: str


class LimitHistory(Struct):
    """Every version and every override, the newest first."""

    versions: list[LimitVersion]
    overrides: list[Override]


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/limits": Shape(LimitList),
    "GET /v1/limits/state": Shape(LimitStates),
    "GET /v1/limits/notices": Shape(LimitNotices),
    "GET /v1/limits/{limit_id}": Shape(LimitDetails),
    "GET /v1/limits/{limit_id}/history": Shape(LimitHistory),
}
