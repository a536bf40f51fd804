"""Shapes of the server's settings and of its gateway's state."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from outlay.api.shape import Shape


class ServerSetting(Struct):
    """A setting as it is in force; `value` is null for a secret. `set`: not the default."""

    name: str
    value: str | int | float | bool | dict[str, str] | None
    set: bool
    secret: bool
    meaning: str
    env: Annotated[str, Meta(description="Its environment variable.")]


class ServerSettings(Struct):
    """The server's settings, in the order of the documentation."""

    settings: list[ServerSetting]


class GatewayUpstream(Struct):
    """One upstream and how it is. Of a credential `when_needed`, nothing has been asked yet."""

    name: str
    vendor: str
    url: Annotated[str, Meta(description="Without what could be secret in it.")]
    region: str
    credential: Literal["none", "set", "missing", "when_needed"]
    client_credentials: bool
    tenant_credentials: Annotated[int, Meta(description="Tenants with a credential of their own.")]
    breaker: Literal["closed", "half_open", "open"]
    openings: int
    opens_again_in_s: float
    in_flight: int
    waiting: int
    paused_s: float
    max_concurrency: int
    requests_per_minute: Annotated[int, Meta(description="0: no bound.")]


class GatewayTarget(Struct):
    """One place that serves an alias."""

    upstream: str
    model: str
    weight: int


class GatewayAlias(Struct):
    """A model name of the gateway's own."""

    name: str
    strategy: Literal["ordered", "weighted", "cheapest"]
    targets: list[GatewayTarget]


class GatewayPart(Struct):
    """Whether a part of the gateway works, and a word on how."""

    ok: bool
    detail: str


class GatewayState(Struct):
    """The gateway in the server's process; `on` is false where there is none."""

    on: bool
    upstreams: list[GatewayUpstream]
    aliases: list[GatewayAlias]
    parts: dict[str, GatewayPart]


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/settings": Shape(ServerSettings),
    "GET /v1/gateway": Shape(GatewayState),
}
