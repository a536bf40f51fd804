"""What a change of prices does to what is believed: which rows end, which pieces of them stay.

Owns the keys of rate, model and sell rows, and the cutting of validities. Pure: it reads rows and
returns rows; `pricebook` writes them. Rows that are equal already are left alone, so that the same
change twice changes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.rates import RATE_ID_CHARACTERS
from outlay.core.sell import SellRow
from outlay.store.base import PriceChange

Span = tuple[int | None, int | None]
"""A validity: start included, end excluded, `None` is open."""

Dated = TypeVar("Dated", RateRow, SellRow)


@dataclass(frozen=True, slots=True)
class Plan:
    """The rows that a change records and those it supersedes, of one kind each."""

    rates: tuple[RateRow, ...] = ()
    ended_rates: tuple[RateRow, ...] = ()
    models: tuple[ModelRow, ...] = ()
    ended_models: tuple[ModelRow, ...] = ()
    sells: tuple[SellRow, ...] = ()
    ended_sells: tuple[SellRow, ...] = ()

    @property
    def added(self) -> int:
        """How many rows are recorded, pieces of old ones included."""
        return len(self.rates) + len(self.models) + len(self.sells)

    @property
    def superseded(self) -> int:
        """How many rows are no longer believed."""
        return len(self.ended_rates) + len(self.ended_models) + len(self.ended_sells)


def rate_key(row: RateRow) -> tuple[Any, ...]:
    """Return what tells rates apart: everything but price, minimum, validity and source."""
    return (
        row.provider.lower(), row.model.lower(), row.unit, row.host_class, row.region_class,
        row.tier, row.batch, row.speed, row.min_context, row.window, row.tenant, row.layer,
    )  # fmt: skip


def sell_key(row: SellRow) -> tuple[Any, ...]:
    """Return what tells sell rows apart: everything but amount, validity and source."""
    return (
        row.unit, row.out, row.tenant, row.plan, row.feature, row.provider.lower(),
        row.model.lower(),
    )  # fmt: skip


def model_key(row: ModelRow) -> tuple[str, str, str]:
    """Return what a change replaces models by: provider, model and layer."""
    return row.provider.lower(), row.model.lower(), row.layer


def model_id(row: ModelRow) -> str:
    """Return the id that a model row's content hashes to."""
    text = json.dumps(row.content(), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:RATE_ID_CHARACTERS]


def overlap(one: Span, other: Span) -> bool:
    """Tell whether two validities share a moment."""
    return _before(one[0], other[1]) and _before(other[0], one[1])


def span(row: RateRow | SellRow) -> Span:
    """Return the validity of a row."""
    return row.valid_from, row.valid_to


def first_overlap(
    rows: Sequence[Dated], key: Callable[[Dated], tuple[Any, ...]]
) -> tuple[int, int] | None:
    """Return the places of two rows of one key that hold at one moment, if there are any."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(key(row), []).append(place)
    for places in groups.values():
        ordered = sorted(places, key=lambda p: (_start(rows[p]), p))
        for one, other in pairwise(ordered):
            if overlap(span(rows[one]), span(rows[other])):
                return min(one, other), max(one, other)
    return None


def cut(whole: Span, holes: Iterable[Span]) -> Iterator[Span]:
    """Yield what is left of a validity without the holes, in order of time."""
    start, end = whole
    for hole_start, hole_end in sorted(holes, key=lambda hole: _low(hole[0])):
        if not overlap((start, end), (hole_start, hole_end)):
            continue
        if hole_start is not None and _low(start) < hole_start:
            yield start, hole_start
        if hole_end is None:
            return
        start = hole_end
    if _before(start, end):
        yield start, end


def cut_row(row: Dated, holes: Sequence[Span]) -> tuple[Dated, ...]:
    """Return what is left of a row; the row itself, if nothing is cut off."""
    if not any(overlap(span(row), hole) for hole in holes):
        return (row,)
    return tuple(_valid(row, start, end) for start, end in cut(span(row), holes))


def plan_change(book: PriceBook, change: PriceChange) -> Plan:
    """Work out what a change does to what a book believes."""
    gone = frozenset(change.withdrawn)
    rates, ended_rates = _plan(book.rates, change.rates, gone, rate_key, lambda r: r.rate_id)
    sells, ended_sells = _plan(book.sells, change.sells, gone, sell_key, lambda r: r.sell_id)
    models, ended_models = _plan_models(book.models, change.models, gone)
    return Plan(rates, ended_rates, models, ended_models, sells, ended_sells)


def _plan(
    believed: Sequence[Dated],
    wanted: Sequence[Dated],
    withdrawn: Collection[str],
    key: Callable[[Dated], tuple[Any, ...]],
    row_id: Callable[[Dated], str],
) -> tuple[tuple[Dated, ...], tuple[Dated, ...]]:
    """Return the rows to record, the wanted ones first, and those to supersede."""
    known = {row_id(row) for row in believed} - set(withdrawn)
    new: list[Dated] = [row for row in wanted if row_id(row) not in known]
    holes: dict[tuple[Any, ...], list[Span]] = {}
    for row in wanted:
        holes.setdefault(key(row), []).append(span(row))
    stays = {row_id(row) for row in wanted}
    ended: list[Dated] = []
    pieces: list[Dated] = []
    for row in believed:
        if row_id(row) in withdrawn:
            ended.append(row)
        elif row_id(row) not in stays and key(row) in holes:
            left = cut_row(row, holes[key(row)])
            if left != (row,):
                ended.append(row)
                pieces.extend(piece for piece in left if row_id(piece) not in known)
    return tuple(new + pieces), tuple(ended)


def _plan_models(
    believed: Sequence[ModelRow], wanted: Sequence[ModelRow], withdrawn: Collection[str]
) -> tuple[tuple[ModelRow, ...], tuple[ModelRow, ...]]:
    said = {model_id(row): row for row in wanted}
    keys = {model_key(row) for row in wanted}
    ended = tuple(
        row
        for row in believed
        if model_id(row) in withdrawn or (model_key(row) in keys and model_id(row) not in said)
    )
    known = {model_id(row) for row in believed} - set(withdrawn)
    return tuple(row for row_id, row in said.items() if row_id not in known), ended


def _valid(row: Dated, start: int | None, end: int | None) -> Dated:
    """Return the row with another validity, and the id of that content."""
    piece = replace(row, valid_from=start, valid_to=end, recorded_at=None, superseded_at=None)
    if isinstance(piece, RateRow):
        return replace(piece, rate_id=piece.content_id())
    return replace(piece, sell_id=piece.content_id())


def _low(moment: int | None) -> float | int:
    return float("-inf") if moment is None else moment


def _start(row: RateRow | SellRow) -> float | int:
    return _low(row.valid_from)


def _before(start: int | None, end: int | None) -> bool:
    return start is None or end is None or start < end
