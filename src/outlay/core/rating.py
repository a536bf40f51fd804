"""Turns usage into priced lines and an event's cost: the scalar reference of all pricing.

Owns the rules of a line (one half-even rounding each), of totals, of `price_basis` and
`price_confidence`, and the vocabulary of price flags. `enrich.price` does the same for columns and
must agree exactly. Pure, integers only.

What a cost is: `cost_nanos` is the sum of its lines, and each line lands in one cost column. A
line that no rate prices stays in the list at 0 with basis `unpriced`, and makes the whole event
`unpriced`: its cost is then a lower bound, never to be read as free. A cost that the provider
stated wins over the catalogue; the catalogue's lines stay, and a line `provider_adjustment`
carries the difference.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from outlay.core import units
from outlay.core.calls import Call, call_of
from outlay.core.money import MAX_NANOS, line_nanos
from outlay.core.prices import (
    CONTRACT,
    NO_RATES,
    PriceBook,
    RateRow,
    RateSet,
    Resolution,
)

__all__ = [
    "ADJUSTMENT_UNIT", "ASSUMPTIONS", "COST_COLUMNS", "FLAGS", "UNPRICED", "Call", "Line",
    "Priced", "call_of", "price_call", "rate", "totals",
]  # fmt: skip

MAX_LINE_NANOS: Final = 10**17
"""A line of more than 100 million dollars is a fault of its count or its rate: unpriced."""
DRIFT_PARTS: Final = 100
"""A stated cost that differs from the catalogue by more than one part in this many has drifted."""

ADJUSTMENT_UNIT: Final = "provider_adjustment"
UNPRICED: Final = "unpriced"
PROVIDER_STATED: Final = "provider_stated"
OVERFLOW: Final = "cost_overflow"
MINIMUM: Final = "minimum_charge"

COST_COLUMNS: Final = (
    "cost_input_nanos", "cost_cache_read_nanos", "cost_cache_write_nanos", "cost_output_nanos",
    "cost_other_nanos",
)  # fmt: skip

FLAGS: Final = (
    "unpriced", "price_drift", "usage_unknown", "unknown_model", "no_batch_rate", "no_tier_rate",
    "no_speed_rate", "cache_read_at_input_rate", "cache_write_at_input_rate",
    "modality_at_text_rate", "cost_overflow", "bad_provider_cost", "bad_segments",
    "minimum_charge", "unsold", "unpriced_line",
)  # fmt: skip
"""Every flag that pricing and `core.selling` may raise, in the order they are written.

`unpriced` says that no cost is known, `unpriced_line` that only the provider's stated one is: a
line of the event has no rate."""

ASSUMPTIONS: Final = frozenset(
    (
        "no_batch_rate", "no_tier_rate", "no_speed_rate", "cache_read_at_input_rate",
        "cache_write_at_input_rate", "modality_at_text_rate",
    )
)  # fmt: skip
"""Flags that make a price an estimate."""

_ON_EVERYTHING: Final = frozenset(("no_batch_rate", "no_tier_rate", "no_speed_rate"))
"""Assumptions that hold for every line of a call."""

UNCERTAIN_SOURCES: Final = frozenset(("estimated", "counted"))
"""Usage that the provider did not tell."""

_COLUMN_UNITS: Final = frozenset(units.EVENT_UNITS)


@dataclass(frozen=True, slots=True)
class Line:
    """One priced bucket. `notes` are flags on how it was priced.

    `quantity` is what is billed: with `minimum_charge`, more than was used.
    """

    unit: str
    quantity: int
    rate_id: str
    nanos_per_million: int
    nanos: int
    basis: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Priced:
    """The cost of one attempt: the values of the event's cost columns, and price flags."""

    lines: list[Line]
    cost_nanos: int
    columns: Mapping[str, int]
    price_basis: str
    price_confidence: str
    price_model: str | None
    price_rule: str | None
    list_cost_nanos: int | None
    flags: tuple[str, ...] = field(default=())
    guessed: bool = False
    """No line is exact: the counts, the call's kind of price, or its model's name are a guess."""


def rate(usage: Mapping[str, int], rates: RateSet, *, duration_ms: int = 0) -> list[Line]:
    """Price each bucket on its own; buckets that nothing prices become `unpriced` lines.

    Lines stand in the order of `units.EVENT_UNITS`, then by name. Where a model charges by request
    and the usage counts none, the call is one request; where it charges by duration and the usage
    tells none, the call's own is charged.
    """
    counts = {unit: usage[unit] for unit in units.EVENT_UNITS if usage.get(unit, 0) > 0}
    for unit in sorted(usage.keys() - _COLUMN_UNITS):
        if usage[unit] > 0:
            counts[unit] = usage[unit]
    if counts and units.REQUESTS in rates.rows and not any(map(units.counts_requests, usage)):
        counts[units.REQUESTS] = 1
    if duration_ms > 0 and units.DURATION_MS in rates.rows and units.DURATION_MS not in usage:
        counts[units.DURATION_MS] = duration_ms
    return [_line(unit, count, rates) for unit, count in counts.items()]


def total_nanos(usage: Mapping[str, int], rates: RateSet, *, duration_ms: int = 0) -> int | None:
    """Return the sum of what `rate` says, without its lines; `None` if one of them has no price.

    For hot paths: a fraction of the time where every unit has a row of its own.
    """
    rows = rates.rows
    if units.REQUESTS in rows or units.DURATION_MS in rows:
        return _sum(rate(usage, rates, duration_ms=duration_ms))
    total = 0
    for unit, count in usage.items():
        if count <= 0:
            continue
        row = rows.get(unit)
        if row is None or row.min_quantity:
            return _sum(rate(usage, rates, duration_ms=duration_ms))
        nanos = line_nanos(count, row.nanos_per_million)
        if abs(nanos) > MAX_LINE_NANOS:
            return None
        total += nanos
    return total


def _sum(lines: Sequence[Line]) -> int | None:
    return None if any(line.basis == UNPRICED for line in lines) else sum(x.nanos for x in lines)


def _line(unit: str, used: int, rates: RateSet) -> Line:
    found = rates.find(unit)
    if found is None:
        return Line(unit, used, "", 0, 0, UNPRICED)
    row = found.row
    count, notes = used, (found.note,) if found.note else ()
    if row.min_quantity > used:
        count, notes = row.min_quantity, (*notes, MINIMUM)
    nanos = line_nanos(count, row.nanos_per_million)
    if abs(nanos) > MAX_LINE_NANOS:
        return Line(unit, used, row.rate_id, row.nanos_per_million, 0, UNPRICED, (OVERFLOW,))
    return Line(unit, count, row.rate_id, row.nanos_per_million, nanos, line_basis(row), notes)


def line_basis(row: RateRow) -> str:
    """Name what a line priced by a row stands on."""
    return CONTRACT if row.layer == CONTRACT else "catalogue"


def price_call(book: PriceBook, call: Call) -> Priced:
    """Price one attempt: lines, cost columns, basis, confidence and flags."""
    resolution = book.resolve(call.provider, call.names, call.tenant)
    stated, flags = stated_cost(call.provider_cost_nanos)
    flags = {*call.flags, *flags}
    lines: list[Line] = []
    if call.billed != "no":
        lines, found_flags = _lines(book, call, resolution, list_price=False)
        flags |= found_flags
    if abs(sum(line.nanos for line in lines)) > MAX_NANOS // 2:
        lines, flags = [_unpriced(line) for line in lines], flags | {OVERFLOW}

    unpriced = any(line.basis == UNPRICED for line in lines)
    priced_nanos = sum(line.nanos for line in lines)
    list_nanos = None if unpriced else priced_nanos
    if book.has_contract_rates and not unpriced:
        list_nanos = _list_nanos(book, call, resolution)
    contract = any(line.basis == CONTRACT for line in lines)
    if stated is not None:
        if unpriced:
            flags.add("unpriced_line")
        told = call.usage_source not in UNCERTAIN_SOURCES
        if told and lines and not unpriced and drifted(stated, priced_nanos):
            flags.add("price_drift")
        if stated != priced_nanos:
            lines.append(_adjustment(stated - priced_nanos))
    basis = price_basis(
        stated=stated is not None,
        used=bool(lines),
        unknown=call.billed == "possible",
        unpriced=unpriced,
        estimated=call.usage_source == "estimated",
        contract=contract,
    )
    if basis == UNPRICED:
        flags.add("unpriced" if lines else "usage_unknown")
        list_nanos = None
    guessed = any_guess(call.usage_source, flags) or any(
        part is not None and part.estimated for _, part, _ in _parts(book, call, resolution)
    )
    estimated = guessed or bool(flags & ASSUMPTIONS)
    return Priced(
        lines=lines,
        cost_nanos=sum(line.nanos for line in lines),
        columns=totals(lines),
        price_basis=basis,
        price_confidence=confidence(basis, estimated=estimated),
        price_model=None if resolution is None else resolution.model,
        price_rule=None if resolution is None else resolution.rule,
        list_cost_nanos=list_nanos,
        flags=tuple(flag for flag in FLAGS if flag in flags),
        guessed=guessed,
    )


def any_guess(usage_source: str, flags: Collection[str]) -> bool:
    """Tell whether the counts of a call, or the kind of rates for all of it, are a guess."""
    return usage_source in UNCERTAIN_SOURCES or not _ON_EVERYTHING.isdisjoint(flags)


def line_confidence(basis: str, notes: Iterable[str], *, guessed: bool) -> str:
    """Say how far one line can be trusted; `guessed` is that of its event."""
    if basis in (UNPRICED, PROVIDER_STATED):
        return confidence(basis, estimated=False)
    return "estimated" if guessed or not ASSUMPTIONS.isdisjoint(notes) else "exact"


def totals(lines: Iterable[Line]) -> dict[str, int]:
    """Sum lines by the event's cost column."""
    sums = dict.fromkeys(COST_COLUMNS, 0)
    for line in lines:
        sums[units.cost_group(line.unit)] += line.nanos
    return sums


def price_basis(
    *, stated: bool, used: bool, unknown: bool, unpriced: bool, estimated: bool, contract: bool
) -> str:
    """Name what a cost stands on.

    Args:
        stated: the provider told the cost.
        used: there is at least one line.
        unknown: the attempt may have been billed although nothing is known to be used.
        unpriced: a line has no price.
        estimated: the counts are an estimate.
        contract: a line was priced by a contract.
    """
    if stated:
        return PROVIDER_STATED
    if not used:
        return UNPRICED if unknown else "free"
    if unpriced:
        return UNPRICED
    if estimated:
        return "estimate"
    return CONTRACT if contract else "catalogue"


def confidence(basis: str, *, estimated: bool) -> str:
    """Say how far a cost can be trusted: `exact`, `estimated` or `unknown`."""
    if basis in (PROVIDER_STATED, "free"):
        return "exact"
    if basis == UNPRICED:
        return "unknown"
    return "estimated" if estimated or basis == "estimate" else "exact"


def drifted(stated: int, priced: int) -> bool:
    """Tell whether a stated cost and the catalogue's differ by more than one percent."""
    return abs(stated - priced) * DRIFT_PARTS > abs(stated)


def stated_cost(nanos: int | None) -> tuple[int | None, set[str]]:
    """Return the provider's stated cost if it can be one, and a flag if it cannot."""
    if nanos is None or 0 <= nanos <= MAX_LINE_NANOS:
        return nanos, set()
    return None, {"bad_provider_cost"}


def _lines(
    book: PriceBook, call: Call, main: Resolution | None, *, list_price: bool
) -> tuple[list[Line], set[str]]:
    """Price the segments, then what the call used beyond them, and its duration."""
    lines: list[Line] = []
    flags: set[str] = set()
    for usage, resolution, duration_ms in _parts(book, call, main):
        rates = NO_RATES
        if resolution is not None:
            total = units.input_total(usage)
            rates = book.rates_of(resolution, call, input_total=total, list_price=list_price)
        priced = rate(usage, rates, duration_ms=duration_ms)
        if not priced:
            continue
        if resolution is None and call.modelled:
            flags.add("unknown_model")
        flags.update(rates.notes)
        lines += priced
    flags.update(note for line in lines for note in line.notes)
    return lines, flags


def _parts(
    book: PriceBook, call: Call, main: Resolution | None
) -> Iterable[tuple[Mapping[str, int], Resolution | None, int]]:
    """Yield usage, its model, and the duration to charge: the call's own, once."""
    rest = dict(call.usage)
    for model, usage in call.segments:
        own = book.resolve(call.provider, (model,), call.tenant) if model else main
        yield usage, own, 0
        for unit, count in usage.items():
            rest[unit] = rest.get(unit, 0) - count
    yield {unit: count for unit, count in rest.items() if count > 0}, main, call.duration_ms


def _list_nanos(book: PriceBook, call: Call, main: Resolution | None) -> int | None:
    lines: Sequence[Line] = ()
    if call.billed != "no":
        lines, _ = _lines(book, call, main, list_price=True)
    if any(line.basis == UNPRICED for line in lines):
        return None
    return sum(line.nanos for line in lines)


def _unpriced(line: Line) -> Line:
    return replace(line, nanos=0, basis=UNPRICED, notes=(OVERFLOW,))


def _adjustment(nanos: int) -> Line:
    return Line(ADJUSTMENT_UNIT, 1, "", 0, nanos, PROVIDER_STATED)
