"""Words for the numbers and texts of answers, so that every shape says them alike."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from outlay.core.limits.limit import Action, Metric, Mode, Unreachable, Window

__all__ = (
    "Action", "LimitAmount", "Metric", "MicroCredits", "Micros", "Mode", "Moment", "Nanos", "Ppm",
    "ScopeKey", "Unreachable", "Window",
)  # fmt: skip

Micros = Annotated[int, Meta(description="Microseconds since 1970 UTC.")]
Nanos = Annotated[int, Meta(description="Nano-dollars.")]
MicroCredits = Annotated[int, Meta(description="Millionths of a credit.")]
Ppm = Annotated[int, Meta(description="Parts per million.")]
Moment = Annotated[str, Meta(description="RFC 3339 text with a zone.")]
ScopeKey = Annotated[str, Meta(description="JSON of `[field, value]` pairs; `[]` is all together.")]
LimitAmount = Annotated[
    int, Meta(description="In the unit of the metric: nano-dollars, tokens, calls, micro-credits.")
]
