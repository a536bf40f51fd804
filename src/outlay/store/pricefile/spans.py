"""Finds rows of one file that price the same at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from outlay.store.books.change import overlap, span
from outlay.store.pricefile.items import Item, Problems


class HasItem(Protocol):
    """A row with the item it comes from."""

    @property
    def row(self) -> Any:
        """The row."""

    @property
    def item(self) -> Item:
        """The item."""


def note_overlaps(
    placed: Sequence[HasItem], key: Callable[[Any], tuple[Any, ...]], what: str, problems: Problems
) -> None:
    """Note each row whose validity overlaps that of an earlier one of the same key."""
    groups: dict[tuple[Any, ...], list[HasItem]] = {}
    for one in placed:
        groups.setdefault(key(one.row), []).append(one)
    for group in groups.values():
        ordered = sorted(group, key=lambda p: (p.row.valid_from is not None, p.row.valid_from or 0))
        longest = ordered[0]
        for one in ordered[1:]:
            if overlap(span(one.row), span(longest.row)):
                first, second = _by_place(longest.item, one.item, group)
                at = first.place or f"line {first.line}"
                problems.add(
                    second.line, "valid_from",
                    f"This {what} overlaps the one at {at}: the same conditions at the same time.",
                    second.place,
                )  # fmt: skip
            if longest.row.valid_to is not None and (
                one.row.valid_to is None or one.row.valid_to > longest.row.valid_to
            ):
                longest = one


def _by_place(one: Item, other: Item, group: Sequence[HasItem]) -> tuple[Item, Item]:
    """Return two items in the order of the file."""
    for placed in group:
        if placed.item is one:
            return one, other
        if placed.item is other:
            return other, one
    return one, other
