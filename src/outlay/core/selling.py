"""What one priced event is sold for: the scalar reference; `enrich.price_sell` does columns.

Owns how sell rows apply to the lines of an event. Which row wins is `core.sell`'s matter, what the
lines cost `core.rating`'s. Pure, integers only.

Each line is sold by the row of its unit if there is one, else by the `cost` row (a multiple of
what the line costs us), else not at all. A `calls` row adds its amount once to an event that was
billed and ended well. What the provider stated beyond our lines is sold by the `cost` row only,
and only where no unit row sold a line: a price per unit is a price whatever we paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from outlay.core.calls import Call
from outlay.core.match import canonical_provider
from outlay.core.money import MAX_NANOS, line_nanos
from outlay.core.prices import PriceBook, Resolution
from outlay.core.rating import (
    MAX_LINE_NANOS,
    PROVIDER_STATED,
    UNPRICED,
    Priced,
)
from outlay.core.sell import Out, SellConditions, SellRates, SellSet

UNSOLD: Final = "unsold"
"""A line is sold as a multiple of its cost and has no cost, or its amount is absurd."""


@dataclass(frozen=True, slots=True)
class Sold:
    """What an event is sold for; `None` where the book has no row of that kind for it."""

    sell_nanos: int | None
    credits_micros: int | None
    flags: tuple[str, ...] = ()


def conditions_of(call: Call, model: Resolution | None) -> SellConditions:
    """Return what selling goes by: the model is that of the rates, or the call's first name."""
    name = model.model if model is not None else next(iter(call.names), "")
    return SellConditions(
        tenant=call.tenant,
        plan=call.plan,
        feature=call.feature,
        provider=canonical_provider(call.provider),
        model=name.strip().lower(),
    )


def sell_call(book: PriceBook, call: Call, priced: Priced) -> Sold:
    """Return what an event is sold for, given what `price_call` made of it."""
    if not book.sells:
        return Sold(None, None)
    return sell_by(book.sell_rates, book, call, priced)


def sell_by(sells: SellRates, book: PriceBook, call: Call, priced: Priced) -> Sold:
    """Return the same by rows that the book itself need not have."""
    model = book.resolve(call.provider, call.names, call.tenant)
    rows = sells.choose(conditions_of(call, model), at=call.at)
    nanos, flagged = _amount(rows, "nanos", call, priced)
    credit, flagged_too = _amount(rows, "credits", call, priced)
    return Sold(nanos, credit, (UNSOLD,) if flagged or flagged_too else ())


def _amount(rows: SellSet, out: Out, call: Call, priced: Priced) -> tuple[int | None, bool]:
    """Return the amount of one kind, and whether something was used that it leaves out."""
    if not rows.sells(out):
        return None, False
    cost, calls = rows.cost(out), rows.calls(out)
    amounts = []
    by_unit = costless = False
    for line in priced.lines:
        if line.basis == PROVIDER_STATED:
            continue
        unit = rows.unit(line.unit, out)
        if unit is not None:
            by_unit = True
            amounts.append(line_nanos(line.quantity, unit.per_million))
        elif cost is not None:
            costless |= line.basis == UNPRICED
            amounts.append(line_nanos(line.nanos, cost.per_million))
    if cost is not None and not by_unit:
        stated = (line.nanos for line in priced.lines if line.basis == PROVIDER_STATED)
        amounts.extend(line_nanos(nanos, cost.per_million) for nanos in stated)
    if calls is not None and call.billed == "yes" and call.succeeded:
        amounts.append(line_nanos(1, calls.per_million))
    fitting = [amount for amount in amounts if abs(amount) <= MAX_LINE_NANOS]
    total = sum(fitting)
    if abs(total) > MAX_NANOS // 2:
        return 0, True
    # A cost that the provider stated for the whole event covers its lines without a price.
    covered = priced.price_basis == PROVIDER_STATED and not by_unit
    return total, len(fitting) < len(amounts) or (costless and not covered)
