"""Shapes of what monitors ask."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from outlay.api.metrics import CONTENT_TYPE
from outlay.api.shape import Shape


class Alive(Struct):
    """The process answers."""

    status: Literal["ok"]


class PartReady(Struct):
    """One part; `detail` is for people."""

    ok: bool
    detail: str


class Ready(Struct):
    """Each part by name; the status is 503 when one does not work."""

    status: Literal["ready", "not_ready"]
    parts: dict[str, PartReady]


SHAPES: Final[dict[str, Shape]] = {
    "GET /healthz": Shape(Alive),
    "GET /readyz": Shape(Ready, others={503: Ready}),
    "GET /metrics": Shape(None, media=CONTENT_TYPE),
}
