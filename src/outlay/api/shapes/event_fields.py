"""The event as types, made from the field table of `core.event`: stored, and as clients send it.

A stored event has every field; `null` stands where nothing was said. A client leaves out what it
does not say.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, defstruct

from outlay.api.shapes.units import Micros, Nanos
from outlay.core.event import CAPTURED, FIELDS, LINE_FIELDS, VALUES, Field

_TYPES: Final[dict[str, Any]] = {
    "uuid": str,
    "string": str,
    "uint8": int,
    "int16": int,
    "int32": int,
    "int64": int,
    "float32": float,
    "bool": bool,
    "timestamp": Micros,
    "json": Annotated[str, Meta(description="JSON as text.")],
    "map_string": dict[str, str],
    "map_int64": dict[str, int],
    "list_string": list[str],
}
_SENT_TIME: Final[Any] = Annotated[
    int | str, Meta(description="Microseconds since 1970 UTC, or RFC 3339 text with a zone.")
]


def _type(field: Field) -> Any:
    if field.type == "lines":
        return list[EventLine]
    if field.name in VALUES:
        return Literal[VALUES[field.name]]
    return Nanos if field.name.endswith("_nanos") else _TYPES[field.type]


def _stored() -> Iterator[tuple[str, Any]]:
    for field in FIELDS:
        said = field.required or field.default is not None
        yield field.name, _type(field) if said else _type(field) | None


def _sent() -> Iterator[tuple[str, Any] | tuple[str, Any, Any]]:
    for field in CAPTURED:
        kind = _SENT_TIME if field.type == "timestamp" else _type(field)
        yield (field.name, kind) if field.required else (field.name, kind | None | UnsetType, UNSET)


if TYPE_CHECKING:

    class EventLine(Struct):
        """One priced bucket of an event."""

    class Event(Struct):
        """One event as it is stored."""

    class SentEvent(Struct):
        """One event as a client sends it."""

else:
    EventLine = defstruct(
        "EventLine",
        [(name, _TYPES[kind] | None if name == "rate_id" else _TYPES[kind])
         for name, kind in LINE_FIELDS],
        namespace={"__doc__": "One priced bucket of an event; `nanos` are nano-dollars."},
        module=__name__,
    )  # fmt: skip
    Event = defstruct(
        "Event",
        [*_stored(), ("adjustments", list[dict[str, Any]])],
        namespace={"__doc__": (
            "One event as it is stored, with its adjustments: the same fields, where they differ."
        )},
        module=__name__,
    )  # fmt: skip
    SentEvent = defstruct(
        "SentEvent",
        list(_sent()),
        kw_only=True,
        namespace={"__doc__": "One event as a client sends it; `null` is the same as left out."},
        module=__name__,
    )
