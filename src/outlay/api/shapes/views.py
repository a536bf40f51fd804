"""Shapes of saved views."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from outlay.api.shape import Shape
from outlay.api.shapes.units import Micros
from outlay.api.views import ViewBody


class SavedView(Struct):
    """A page of the dashboard with its questions; `mine`: the caller's own."""

    view_id: str
    name: str
    path: str
    search: str
    shared: bool
    owner: str
    mine: bool
    updated_at: Micros


class SavedViewList(Struct):
    """The views that the caller may see, by name."""

    views: list[SavedView]


class SavedViewAnswer(Struct):
    """One view."""

    view: SavedView


SHAPES: Final[dict[str, Shape]] = {
    "GET /v1/views": Shape(SavedViewList),
    "POST /v1/views": Shape(SavedViewAnswer, ViewBody, status=201),
    "PUT /v1/views/{view_id}": Shape(SavedViewAnswer, ViewBody),
    "DELETE /v1/views/{view_id}": Shape(None, status=204),
}
