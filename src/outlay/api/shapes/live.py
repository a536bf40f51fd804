"""Shape of the live stream."""

from __future__ import annotations

from typing import Final

from outlay.api.shape import Shape

SHAPES: Final[dict[str, Shape]] = {"GET /v1/live": Shape(None, media="text/event-stream")}
