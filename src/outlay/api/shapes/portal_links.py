"""Shapes of links into the customer portal."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from outlay.api.shape import Shape
from outlay.api.shapes.portal import PortalTheme
from outlay.api.shapes.units import Micros


class PortalLinkRequest(Struct):
    """A link to make. `user` is who it is for, as the host knows them: it narrows nothing."""

    tenant: str
    expires_in_s: Annotated[int, Meta(ge=60, le=86_400)] | UnsetType = UNSET
    user: str | UnsetType = UNSET
    theme: PortalTheme | UnsetType = UNSET


class PortalLink(Struct):
    """A link, and the token that is in it."""

    url: str
    token: str
    expires_at: Micros


SHAPES: Final[dict[str, Shape]] = {"POST /v1/portal/links": Shape(PortalLink, PortalLinkRequest)}
