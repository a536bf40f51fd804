"""Reads prices from decoded JSON into items, each named by its place in its list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outlay.store.pricefile.items import (
    FIELDS,
    MAX_ITEMS,
    SECTIONS,
    UNIT,
    Cell,
    Item,
    Problems,
    shown,
)


def read_json(document: Mapping[str, Any], problems: Problems) -> list[Item]:
    """Return the items of decoded JSON, whose numbers with a point must still be text."""
    items: list[Item] = []
    for section, kind in SECTIONS.items():
        for place, entry in enumerate(document.get(section) or ()):
            where = f"{section}[{place}]"
            values: Mapping[str, Any] = {"unit": entry} if kind == UNIT else entry
            items.append(Item(kind, 0, _cells(kind, values, where, problems), where))
    if len(items) > MAX_ITEMS:
        problems.add(0, "", f"There are more than {MAX_ITEMS} items.", items[MAX_ITEMS].place)
    return items


def _cells(kind: str, values: Mapping[str, Any], where: str, problems: Problems) -> dict[str, Cell]:
    cells = {}
    for name, value in values.items():
        if name not in FIELDS[kind]:
            problems.add(
                0,
                name,
                f"{shown(name)} is no field of an item of this kind ({kind})."
                f"{problems.near(name, FIELDS[kind])}",
                where,
            )
        elif isinstance(value, dict | list):
            problems.add(0, name, f"`{name}` is a single value.", where)
        elif value is not None:
            cells[name] = Cell(str(value).lower() if isinstance(value, bool) else str(value), 0)
    return cells
