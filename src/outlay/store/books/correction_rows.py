"""What corrections are made of: rows like the catalogue's own, for another time, unit or model.

Each helper yields nothing where the catalogue has come to know better. It owns no facts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from outlay.core.prices import RateRow
from outlay.store.books.change import Span, overlap, span

LAYER: Final = "correction"


class Listed:
    """A catalogue's rates by provider and model."""

    def __init__(self, rates: Sequence[RateRow]) -> None:
        self._models: dict[str, dict[str, list[RateRow]]] = {}
        for row in rates:
            self._models.setdefault(row.provider, {}).setdefault(row.model, []).append(row)

    def models(self, provider: str) -> list[str]:
        """Return the models of a provider that have a rate."""
        return list(self._models.get(provider, ()))

    def rows(self, provider: str, model: str, *units: str) -> list[RateRow]:
        """Return the rates of a model, of these units or of all."""
        rows = self._models.get(provider, {}).get(model, [])
        return [row for row in rows if not units or row.unit in units]

    def standard(self, provider: str, model: str, *units: str) -> list[RateRow]:
        """Return its rates that hold for any call of their context band."""
        return [row for row in self.rows(provider, model, *units) if is_standard(row)]

    def missing(
        self, provider: str, model: str, unit: str, nanos: int, source: str
    ) -> Iterator[RateRow]:
        """Yield the price of a unit that the catalogue has none for."""
        if not self.rows(provider, model, unit):
            yield RateRow.make(provider, model, unit, nanos, layer=LAYER, source=source)

    def stated_as(
        self, provider: str, model: str, unit: str, named: str, source: str
    ) -> Iterator[RateRow]:
        """Yield the prices of a unit that the catalogue states by another's name only."""
        if not self.rows(provider, model, unit):
            for row in self.rows(provider, model, named):
                yield like(row, source, unit=unit)

    def before(
        self,
        provider: str,
        model: str,
        changes: Mapping[tuple[str, int], int],
        until: int,
        source: str,
    ) -> Iterator[RateRow]:
        """Yield what prices were until a moment, where the catalogue has only the later ones.

        Args:
            provider: whose prices.
            model: what they are for.
            changes: a unit and its price in the catalogue, and what it was before.
            until: the moment of the change, microseconds UTC.
            source: where this is known from.
        """
        for row in self.standard(provider, model):
            was = changes.get((row.unit, row.nanos_per_million))
            if was is not None and since_ever(row, until):
                yield from within(row, (None, until), source, nanos_per_million=was)


def is_standard(row: RateRow) -> bool:
    """Tell whether a rate holds for any call of its context band."""
    return not (row.tier or row.batch or row.speed or row.window or row.region_class)


def since_ever(row: RateRow, until: int) -> bool:
    """Tell whether the catalogue knows no change of a price before a moment, nor at it."""
    return row.valid_from is None and (row.valid_to is None or row.valid_to > until)


def like(row: RateRow, source: str, **values: Any) -> RateRow:
    """Return a correction with a row's content but for these values."""
    content: dict[str, Any] = {
        "host_class": row.host_class, "region_class": row.region_class, "tier": row.tier,
        "batch": row.batch, "speed": row.speed, "min_context": row.min_context,
        "window": row.window, "valid_from": row.valid_from, "valid_to": row.valid_to,
        "model": row.model, "unit": row.unit, "nanos_per_million": row.nanos_per_million,
    }  # fmt: skip
    return RateRow.make(row.provider, layer=LAYER, source=source, **{**content, **values})


def within(row: RateRow, when: Span, source: str, **values: Any) -> Iterator[RateRow]:
    """Yield a correction like a row for the part of its validity that lies in a span."""
    if overlap(span(row), when):
        starts = [start for start in (row.valid_from, when[0]) if start is not None]
        ends = [end for end in (row.valid_to, when[1]) if end is not None]
        valid = {"valid_from": max(starts, default=None), "valid_to": min(ends, default=None)}
        yield like(row, source, **valid, **values)


def micros(moment: str) -> int:
    """Return a moment, written with its zone, as microseconds UTC."""
    return int(datetime.fromisoformat(moment).timestamp()) * 1_000_000
