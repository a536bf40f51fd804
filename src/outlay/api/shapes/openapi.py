"""Shape of the description of this API."""

from __future__ import annotations

from typing import Any, Final

from outlay.api.shape import Shape

SHAPES: Final[dict[str, Shape]] = {"GET /v1/openapi.json": Shape(dict[str, Any])}
