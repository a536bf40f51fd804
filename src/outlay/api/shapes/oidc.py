"""Shapes of single sign-on: both endpoints only send the browser on."""

from __future__ import annotations

from typing import Final

from outlay.api.shape import Shape

SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/session/oidc/start": Shape(None, status=302),
    "GET /v1/session/oidc/callback": Shape(None, status=302),
}
