"""Shapes of the customer portal. Nothing in here is our cost."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from outlay.api.shape import Shape
from outlay.api.shapes.query import QueryAnswer, QueryFilter
from outlay.api.shapes.units import Action, Metric, MicroCredits, Micros, Mode, Moment, Window


class PortalTheme(Struct):
    """How a portal looks; what is not said is absent."""

    scheme: Literal["light", "dark", "auto"] | UnsetType = UNSET
    accent: Annotated[str, Meta(description="`#rrggbb`.")] | UnsetType = UNSET
    font: Annotated[str, Meta(description="CSS font family.")] | UnsetType = UNSET
    radius: Annotated[int, Meta(description="Pixels.")] | UnsetType = UNSET
    name: str | UnsetType = UNSET


class PortalTenant(Struct):
    """Whose portal it is; `name` is empty where nobody named it."""

    tenant_id: str
    name: str


class PortalShows(Struct):
    """What there is to show."""

    charges: bool
    credits: bool
    limits: bool


class PortalMe(Struct):
    """Whose portal it is, and how; `expires_at` is null where no link opened it."""

    tenant: PortalTenant
    theme: PortalTheme
    expires_at: Micros | None
    shows: PortalShows
    dimensions: list[str]
    now: Micros


class PortalQuestion(Struct):
    """What is asked of one's own usage: `last`, or `from` and `to`."""

    metrics: list[
        Literal[
            "charges", "credits", "calls", "requests", "users", "tokens", "input_tokens",
            "output_tokens", "cache_read_tokens", "errors",
        ]
    ]  # fmt: skip
    by: Annotated[list[str], Meta(description="Of `dimensions` of `me`.")] = []
    filters: list[QueryFilter] = []
    last: Annotated[str, Meta(description="Such as `15m`, `24h`, `30d`.")] | UnsetType = UNSET
    start: Moment | UnsetType = field(name="from", default=UNSET)
    end: Moment | UnsetType = field(name="to", default=UNSET)
    grain: Literal["none", "minute", "hour", "day", "month"] = "none"
    timezone: str = "UTC"
    order: Annotated[list[str], Meta(description="Columns; `-` before one: downwards.")] = []
    limit: int | UnsetType = UNSET


class PortalLimit(Struct):
    """How one scope of a limit stands; `used` and `amount` are null for a limit on money."""

    name: str
    metric: Metric
    window: Window
    scope: Annotated[dict[str, str], Meta(description="Whose it is, beside the tenant.")]
    share: Annotated[float, Meta(description="1.0: all of it is used.")]
    used: int | None
    amount: int | None
    resets_at: Micros | None
    reached: list[Action]
    mode: Mode


class PortalLimits(Struct):
    """The limits, those with most used first."""

    limits: list[PortalLimit]


class PortalBalance(Struct):
    """What is there: `available` may still be used."""

    posted: MicroCredits
    held: MicroCredits
    floor: MicroCredits
    available: MicroCredits
    shortfall: MicroCredits


class PortalGrant(Struct):
    """Credits that were given, and what is left of them."""

    grant_id: str
    amount: MicroCredits
    remaining: MicroCredits
    category: Literal["paid", "promotional"]
    effective_at: Micros
    expires_at: Micros | None
    reason: str


class PortalEntry(Struct):
    """One change of the balance; `balance` is what it was afterwards."""

    entry_id: int
    kind: str
    amount: MicroCredits
    balance: MicroCredits | None
    at: Micros
    reason: str


class PortalCredits(Struct):
    """Balance, grants with something left, and entries; `next` is `before` of the next page."""

    balance: PortalBalance | None
    grants: list[PortalGrant]
    entries: list[PortalEntry]
    next: int | None


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/portal/me": Shape(PortalMe),
    "POST /v1/portal/usage": Shape(QueryAnswer, PortalQuestion),
    "GET /v1/portal/limits": Shape(PortalLimits),
    "GET /v1/portal/credits": Shape(PortalCredits),
}
