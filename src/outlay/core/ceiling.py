"""What a call without a price is held at for limits: an upper guess, never an event's cost.

Owns the choice of the ceiling of a unit, so that an unpriced call cannot slip under a cap as $0.
In this order, the first above zero:

1. the operator's ceiling rows (provider `*`, model `*`), chosen like any rates;
2. the highest rate of the unit among the provider's rows that hold at the time of the call, then
   among those of the makers that it resells, then among everybody's; of a token unit that nobody
   prices, the same for plain input or output;
3. `UNKNOWN_UNITS`, which no price is behind.

Only standard rows count: no batch, tier or speed, no tenant's own; any context band, window, host
or region. What the operator wrote for one provider is no measure for another (a tool of his may
cost 100 dollars a request), so elsewhere only the catalogue and its corrections count. Pure,
integers only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final
from weakref import WeakKeyDictionary

from outlay.core import units
from outlay.core.calls import Call
from outlay.core.match import PROVIDER_FALLBACKS, canonical_provider
from outlay.core.money import NANOS_PER_USD, RATE_SCALE, line_nanos
from outlay.core.names import ANYONE
from outlay.core.prices import PriceBook, Resolution
from outlay.core.rates import OWN_LAYERS, RateRow, RateSet, holds_at, same_units
from outlay.core.rating import MAX_LINE_NANOS, UNPRICED, Line, price_call

UNKNOWN_OUTPUT: Final = 4096
"""Tokens of output assumed where neither the usage nor a limit on it is known."""

_PIECE: Final = NANOS_PER_USD * RATE_SCALE
"""A dollar each."""

UNKNOWN_UNITS: Final[Mapping[str, int]] = {
    units.IMAGES: _PIECE // 2,
    units.VIDEO_SECONDS: _PIECE,
    units.SEARCH_UNITS: _PIECE // 100,
    units.CLASSIFICATIONS: _PIECE // 100,
    units.DURATION_MS: _PIECE // 36_000,
    "gpu_seconds": _PIECE // 36,
}
"""Nano-dollars per million of units that catalogues rarely price: 50 cents an image, a dollar a
second of video, a cent a search or classification, 100 dollars an hour of machines."""
UNKNOWN_UNIT: Final = _PIECE // 1000
"""The same for any other unit: a tenth of a cent each, more than any token costs."""

_CEILING_ROWS: Final = Resolution(ANYONE, "exact", ANYONE)


class Ceilings:
    """The highest rates of a book by provider and unit, ready to be asked for any time."""

    def __init__(self, rates: Iterable[RateRow]) -> None:
        self._rows: dict[tuple[str, str], list[RateRow]] = {}
        for row in rates:
            if row.nanos_per_million <= 0 or row.provider == ANYONE or row.tenant:
                continue
            if row.batch or row.tier or row.speed:
                continue
            owner = canonical_provider(row.provider)
            self._rows.setdefault((owner, row.unit), []).append(row)
            if row.layer not in OWN_LAYERS:
                self._rows.setdefault((ANYONE, row.unit), []).append(row)
        for rows in self._rows.values():
            rows.sort(key=lambda row: -row.nanos_per_million)

    def highest(self, provider: str, unit: str, at: int) -> int:
        """Return the ceiling of a unit in nano-dollars per million, above 0; `at` is a time."""
        owner = canonical_provider(provider)
        for names in _kin(unit):
            for seller in (owner, *PROVIDER_FALLBACKS.get(owner, ()), ANYONE):
                found = max(self._highest(seller, name, at) for name in names)
                if found:
                    return found
        return UNKNOWN_UNITS.get(unit, UNKNOWN_UNIT)

    def _highest(self, seller: str, unit: str, at: int) -> int:
        rows = self._rows.get((seller, unit), ())
        return next((row.nanos_per_million for row in rows if holds_at(row, at)), 0)


_kept: WeakKeyDictionary[PriceBook, Ceilings] = WeakKeyDictionary()
"""The ceilings of the books in use; they go with their book."""


def ceiling_nanos(book: PriceBook, call: Call) -> int:
    """Return what a call is held at, in nano-dollars: its price where it has one.

    A call that may have been billed for usage that nobody knows is held at its limit of output
    tokens. At least 1 for each unit that was used and has no price; at most `MAX_LINE_NANOS`.
    """
    priced = price_call(book, call)
    if priced.price_basis != UNPRICED:
        return min(max(priced.cost_nanos, 0), MAX_LINE_NANOS)
    lines = priced.lines
    if not lines:
        tokens = UNKNOWN_OUTPUT if call.max_tokens is None else max(call.max_tokens, 1)
        lines = price_call(book, replace(call, usage={units.OUTPUT: tokens}, segments=())).lines
    own = book.rates_of(_CEILING_ROWS, call, input_total=units.input_total(call.usage))
    highest = _kept.get(book) or _kept.setdefault(book, Ceilings(book.rates))
    return min(sum(_held(line, call, own, highest) for line in lines), MAX_LINE_NANOS)


def _held(line: Line, call: Call, own: RateSet, highest: Ceilings) -> int:
    if line.basis != UNPRICED:
        return max(line.nanos, 0)
    found = own.find(line.unit)
    count, rate = line.quantity, 0
    if found is not None:
        count, rate = max(count, found.row.min_quantity), found.row.nanos_per_million
    if rate <= 0:
        rate = highest.highest(call.provider, line.unit, call.at)
    return min(max(line_nanos(count, rate), 1), MAX_LINE_NANOS)


def _kin(unit: str) -> Iterator[tuple[str, ...]]:
    """Yield the names whose rates measure a unit: its own and its equals, then the plain one."""
    yield (unit, *same_units(unit))
    if units.is_input(unit):
        yield (units.INPUT,)
    elif units.is_output(unit):
        yield (units.OUTPUT,)
