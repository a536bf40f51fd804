"""Shapes of `POST /v1/events`."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from outlay.api.shape import Shape
from outlay.api.shapes.event_fields import SentEvent


class EventBatch(Struct):
    """Events to take; a bare array of them is taken too, and one a line as NDJSON."""

    events: list[SentEvent]


class RejectedEvent(Struct):
    """One item that was not taken: `index` is its place in the batch."""

    index: int
    event_id: str | None
    code: str
    message: str


class IngestAnswer(Struct):
    """How many were taken, duplicates included, and which were not."""

    accepted: int
    rejected: list[RejectedEvent]


SHAPES: Final[dict[str, Shape]] = {
    "POST /v1/events": Shape(IngestAnswer, EventBatch, bodies=("application/x-ndjson",)),
}
