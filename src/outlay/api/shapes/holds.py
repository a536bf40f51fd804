"""Shapes of holds, and of the answer that refuses a call."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import UNSET, Struct, UnsetType

from outlay.api.holds import ExtendBody, HoldBody
from outlay.api.limit_calls import AmountsBody
from outlay.api.shape import Shape
from outlay.api.shapes.units import (
    Action,
    LimitAmount,
    Metric,
    Micros,
    Mode,
    Nanos,
    Ppm,
    ScopeKey,
    Window,
)

HoldState = Literal["open", "settled", "void", "expired"]


class ReachedRung(Struct):
    """A rung that is reached below `block`: what it asks for is the caller's part."""

    at_ppm: Ppm
    action: Action
    delay_ms: int | UnsetType = UNSET
    models: dict[str, str] | UnsetType = UNSET


class HoldStanding(Struct):
    """How one counter stands. `resets_at` is 0 where nothing resets."""

    limit: str
    scope: ScopeKey
    metric: Metric | Literal[""]
    mode: Mode
    used: LimitAmount
    held: LimitAmount
    amount: LimitAmount | None
    left: LimitAmount | None
    resets_at: Micros
    actions: list[ReachedRung]


class HoldOpen(Struct):
    """A hold that was made or extended."""

    hold_id: str
    state: Literal["open"]
    expires_at: Micros
    limits: list[HoldStanding]


class HoldSettled(Struct):
    """`late`: the hold had ended. `short`: what a balance could not pay, micro-credits."""

    hold_id: str
    state: Literal["settled"]
    late: bool
    short: int
    limits: list[HoldStanding]


class HoldVoid(Struct):
    """A hold that was given back."""

    hold_id: str
    state: Literal["void"]
    limits: list[HoldStanding]


class HeldLine(Struct):
    """What a hold or a lease has of one counter."""

    limit: str
    scope: ScopeKey
    counter: str
    metric: Metric
    granted: LimitAmount
    held: LimitAmount
    used: LimitAmount
    reported: LimitAmount
    calls: int
    evented: LimitAmount
    events: int
    short: LimitAmount


class Hold(Struct):
    """A hold as it is kept."""

    hold_id: str
    owner: str
    state: HoldState
    opened_at: Micros
    expires_at: Micros
    estimate_nanos: Nanos
    actual_nanos: Nanos | None
    late: bool
    limits: list[HeldLine]


class HoldList(Struct):
    """The newest first."""

    holds: list[Hold]


class HoldAnswer(Struct):
    """One hold."""

    hold: Hold


class Refusal(Struct):
    """Why a call may not be made; `busy` fits as soon as others give back what they hold."""

    code: Literal["limit_exceeded", "credits_exhausted", "not_entitled"]
    message: str
    hint: str
    limit: str
    scope: str
    reason: Literal["limit", "credits", "entitlement"]
    name: str
    metric: Metric | Literal[""]
    window: Window | Literal[""]
    amount: LimitAmount
    used: LimitAmount
    held: LimitAmount
    left: LimitAmount
    resets_at: Micros
    retry_after_s: int
    verdict: Literal["over", "busy"]


class Refused(Struct):
    """The call is refused, and nothing is held."""

    error: Refusal


_REFUSED: Final = {402: Refused}

SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/holds": Shape(HoldOpen, HoldBody, others=_REFUSED),
    "POST /v1/holds/{hold_id:path}/extend": Shape(HoldOpen, ExtendBody, others=_REFUSED),
    "POST /v1/holds/{hold_id:path}/settle": Shape(HoldSettled, AmountsBody),
    "POST /v1/holds/{hold_id:path}/void": Shape(HoldVoid),
    "GET /v1/holds": Shape(HoldList),
    "GET /v1/holds/{hold_id:path}": Shape(HoldAnswer),
}
