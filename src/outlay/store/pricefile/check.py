"""Compares a price file with the book: values that are absurd, aliases of what nothing prices.

A price a thousand times off its neighbour is most often a slip of units (for one instead of for a
million). Whoever means it says so by force.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Final

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.rates import layer_rank
from outlay.core.sell import COST, SellRow
from outlay.store.base import PriceChange
from outlay.store.books.change import model_id, model_key, overlap, sell_key, span
from outlay.store.pricefile.items import Problems
from outlay.store.pricefile.rows import OVERRIDE, Placed, PriceFile
from outlay.store.pricefile.values import written_number

ABSURD: Final = 1000
"""A price this many times its neighbour, or this small a part of it, is refused."""
_FORCED: Final = "Send it with force if it is meant."
_CONDITIONS: Final = (
    "batch", "tier", "speed", "min_context", "region_class", "host_class", "window"
)  # fmt: skip
_MARKUP_OF_NOTHING: Final = 1_000_000
"""A markup's neighbour where there is none: our cost itself."""


def check_values(file: PriceFile, book: PriceBook, problems: Problems, *, at: int) -> None:
    """Note every price that is absurd beside its neighbour, and aliases of unpriced models."""
    by_model: dict[tuple[str, str, str], list[RateRow]] = {}
    by_unit: dict[tuple[str, str], list[int]] = {}
    for row in book.rates:
        if row.tenant:
            continue
        by_model.setdefault((row.provider.lower(), row.model.lower(), row.unit), []).append(row)
        if row.nanos_per_million:
            by_unit.setdefault((row.provider.lower(), row.unit), []).append(row.nanos_per_million)
    for placed in file.rates:
        _check_rate(placed, book, by_model, by_unit, problems, at)
    for placed in file.sells:
        _check_sell(placed, book.sells, problems)
    priced = {(p.row.provider.lower(), p.row.model.lower()) for p in file.rates}
    models: dict[str, set[str]] = {}
    for provider, model, _ in by_model:
        models.setdefault(provider, set()).add(model)
    for placed in file.aliases:
        _check_alias(placed, book, priced, models, problems)


def change_of(file: PriceFile, book: PriceBook, withdrawn: Sequence[str] = ()) -> PriceChange:
    """Return the change that a file asks for.

    An alias takes the place of one of the same name; other aliases of its model stay.
    """
    new: list[ModelRow] = [placed.row for placed in file.aliases]
    names = {(row.provider, row.match) for row in new}
    keys = {model_key(row) for row in new}
    old = [row for row in book.models if row.layer == OVERRIDE]
    moved = [row for row in old if (row.provider, row.match) in names]
    leaving = {*moved, *(row for row in old if model_id(row) in set(withdrawn))}
    stay = [row for row in old if row not in leaving and model_key(row) in keys]
    gone = [model_id(row) for row in moved if model_key(row) not in keys]
    return PriceChange(
        rates=tuple(placed.row for placed in file.rates),
        models=(*new, *stay),
        sells=tuple(placed.row for placed in file.sells),
        withdrawn=(*withdrawn, *gone),
    )


def _check_rate(
    placed: Placed,
    book: PriceBook,
    by_model: Mapping[tuple[str, str, str], Sequence[RateRow]],
    by_unit: Mapping[tuple[str, str], Sequence[int]],
    problems: Problems,
    at: int,
) -> None:
    row: RateRow = placed.row
    provider, model = row.provider, row.model.lower()
    known = by_model.get((provider, model, row.unit))
    if known is None:
        found = book.resolve(provider, [row.model])
        if found is not None:
            provider, model = found.provider.lower(), found.model.lower()
            known = by_model.get((provider, model, row.unit))
    near = _neighbours(row, known or (), at)
    if near:
        if any(_close(row.nanos_per_million, price) for price in near):
            return
        price, whose = near[0], f"the rate of {row.provider} {row.model} that holds now"
    else:
        prices = by_unit.get((provider, row.unit))
        if not prices or row.nanos_per_million == 0:
            return
        price = int(statistics.median(prices))
        if _close(row.nanos_per_million, price):
            return
        whose = f"the median of {provider}'s rates for this unit"
    said = written_number(row.nanos_per_million, scale=9)
    problems.add(
        _line(placed),
        "price",
        f"${said} per million `{row.unit}` is {ABSURD} times or more off {whose}, "
        f"${written_number(price, scale=9)}. {_FORCED}",
        placed.item.place,
    )


def _neighbours(row: RateRow, known: Sequence[RateRow], at: int) -> list[int]:
    """Return prices of the same model and unit under the most alike conditions, strongest first."""
    moment = at if row.valid_from is None else row.valid_from
    known = [r for r in known if r.nanos_per_million]
    held = [r for r in known if overlap(span(r), (moment, moment + 1))] or known
    alike = max((_alike(row, r) for r in held), default=0)
    held = [r for r in held if _alike(row, r) == alike]
    held.sort(key=lambda r: -layer_rank(r.layer))
    return [r.nanos_per_million for r in held]


def _alike(one: RateRow, other: RateRow) -> int:
    """Return how many conditions two rates share."""
    return sum(getattr(one, name) == getattr(other, name) for name in _CONDITIONS)


def _close(one: int, other: int) -> bool:
    return one * ABSURD > other and other * ABSURD > one


def _check_sell(placed: Placed, believed: Sequence[SellRow], problems: Problems) -> None:
    row: SellRow = placed.row
    near = [r.per_million for r in believed if sell_key(r) == sell_key(row) and r.per_million]
    if row.unit == COST and row.out == "nanos" and not near:
        near = [_MARKUP_OF_NOTHING]
    if not near or any(_close(row.per_million, amount) for amount in near):
        return
    name = "credits" if row.out == "credits" else "markup" if row.unit == COST else "price"
    problems.add(
        _line(placed, name),
        name,
        f"This is {ABSURD} times or more off what is sold now. {_FORCED}",
        placed.item.place,
    )


def _check_alias(
    placed: Placed,
    book: PriceBook,
    priced: set[tuple[str, str]],
    models: Mapping[str, set[str]],
    problems: Problems,
) -> None:
    row: ModelRow = placed.row
    if (row.provider, row.model.lower()) in priced or book.resolve(row.provider, [row.model]):
        return
    near = problems.near(row.model.lower(), sorted(models.get(row.provider, ())))
    problems.add(
        _line(placed, "model"),
        "model",
        f"Nothing prices a model {row.model!r} of {row.provider}.{near} {_FORCED}",
        placed.item.place,
    )


def _line(placed: Placed, name: str = "price") -> int:
    for field in (name, "nanos_per_million"):
        cell = placed.item.cells.get(field)
        if cell is not None:
            return cell.line
    return placed.item.line
