"""What calls cost in credits: as a quote before they are made, and from what they really used.

The rules are those of `core.sell` and `core.selling`, as the server's policy tells them; this owns
only their short form for one kind of call. An event's own credits are the server's, and replace
what was said from here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from outlay.capture.limits.steps import Asked
from outlay.core import units
from outlay.core.calls import Call, call_of
from outlay.core.ceiling import ceiling_nanos
from outlay.core.limits.limit import CREDITS, MAX_AMOUNT
from outlay.core.money import RATE_SCALE, line_nanos
from outlay.core.prices import PriceBook
from outlay.core.rating import UNPRICED, price_call
from outlay.core.sell import SellRates, SellSet
from outlay.core.selling import conditions_of, sell_by
from outlay.wire.base import Reading

UNSOLD: Final = 1
"""Micro-credits that a call holds which no rule sells, so that an empty balance refuses it."""
NO_BOOK: Final = PriceBook()

_SAMPLE: Final = 1000
_TOKENS: Final = frozenset((units.INPUT, units.OUTPUT))
_READ: Final = (
    "provider", "operation", "model_served", "model_requested", "deployment", "tier_served",
    "tier_requested", "host_class", "region_class", "batch", "speed", "billed", "usage_source",
    "usage", "provider_cost_nanos", "status",
)  # fmt: skip


class Buyer:
    """Whose balance pays, and by which rules."""

    __slots__ = ("feature", "kind", "plan", "sells", "tenant")

    def __init__(self, sells: SellRates, tenant: str, plan: str, feature: str) -> None:
        self.sells = sells
        self.tenant = tenant
        self.plan = plan
        self.feature = feature
        self.kind = (
            tenant if tenant in sells.tenants else "",
            plan if plan in sells.plans else "",
            feature if feature in sells.features else "",
        )
        """What the rules tell this buyer from others by."""


@dataclass(frozen=True, slots=True)
class Sale:
    """What a kind of call costs in credits.

    `read` and `wrote` are the micro-credits for a million tokens; where a rate of nano-dollars for
    a million tokens goes with them, for a million nano-dollars of what the tokens cost us by it.
    `flat` is what every call costs, in micro-credits.
    """

    read: int = 0
    read_rate: int = 0
    wrote: int = 0
    wrote_rate: int = 0
    flat: int = 0

    def micros(self, read: int, wrote: int) -> int:
        """Return what tokens of input and output cost."""
        if self.read_rate:
            read = line_nanos(read, self.read_rate)
        if self.wrote_rate:
            wrote = line_nanos(wrote, self.wrote_rate)
        total = self.flat + line_nanos(read, self.read) + line_nanos(wrote, self.wrote)
        return total if 0 <= total <= MAX_AMOUNT else max(0, min(total, MAX_AMOUNT))

    def more(self, wrote: int) -> int:
        """Return what tokens of output cost besides."""
        if self.wrote_rate:
            wrote = line_nanos(wrote, self.wrote_rate)
        return max(0, line_nanos(wrote, self.wrote))


NOT_SOLD: Final = Sale(flat=UNSOLD)


def sale_of(
    buyer: Buyer,
    book: PriceBook | None,
    asked: Asked,
    usage: dict[str, int],
    at: int,
    rates: tuple[int, int, int],
) -> Sale:
    """Find what a kind of call costs in credits.

    Args:
        buyer: who pays.
        book: what models cost us, if that is known.
        asked: a call of this kind.
        usage: what every such call uses, tokens of input and output among it.
        at: the time of the rules, microseconds UTC.
        rates: what such a call costs us, in nano-dollars: a million tokens read, a million written,
            and what there is beside its tokens.
    """
    book = book or NO_BOOK
    call = Call(
        asked.provider, (asked.model,), at, usage,
        tenant=buyer.tenant, plan=buyer.plan, feature=buyer.feature,
    )  # fmt: skip
    model = book.resolve(call.provider, call.names, call.tenant)
    rows = buyer.sells.choose(conditions_of(call, model), at=at)
    if not rows.sells(CREDITS):
        return NOT_SOLD
    read_rate, write_rate, flat = rates
    read, wrote = _token(rows, units.INPUT, read_rate), _token(rows, units.OUTPUT, write_rate)
    return Sale(*read, *wrote, _flat(rows, book, call, flat))


def sample(read: int, piece: tuple[str, int] | None) -> dict[str, int]:
    """Return the usage that the price of a kind of call is found with."""
    usage = {units.INPUT: max(read, _SAMPLE), units.OUTPUT: _SAMPLE}
    if piece is not None:
        usage[piece[0]] = piece[1]
    return usage


def charge(
    amounts: dict[str, int],
    buyer: Buyer,
    book: PriceBook | None,
    reading: Reading,
    at: int,
    took_us: int,
) -> None:
    """Add the credits that a call costs to what it counts for.

    Nothing is added where they depend on a price that is not known here: what the call held counts
    until its event comes.

    Args:
        amounts: what it counts for, by metric.
        buyer: who pays.
        book: what models cost us, if that is known.
        reading: what the call's codec read.
        at: when it started, microseconds UTC.
        took_us: how long it took, in microseconds.
    """
    book = book or NO_BOOK
    fields = {name: getattr(reading, name) for name in _READ}
    fields["segments"] = [{"model": s.model, "usage": s.usage} for s in reading.segments]
    fields |= {"tenant_id": buyer.tenant, "plan": buyer.plan, "feature": buyer.feature}
    call = call_of({**fields, "started_at": at, "ended_at": at + took_us}, at=at)
    sold = sell_by(buyer.sells, book, call, price_call(book, call))
    if not sold.flags:
        amounts[CREDITS] = min(max(0, sold.credits_micros or 0), MAX_AMOUNT)


def _token(rows: SellSet, unit: str, rate: int) -> tuple[int, int]:
    """Return the price of tokens, and the rate that goes with it."""
    own, cost = rows.unit(unit, CREDITS), rows.cost(CREDITS)
    if own is not None:
        return own.per_million, 0
    if cost is None:
        return 0, 0
    if rate % RATE_SCALE:
        return cost.per_million, rate
    # The cost is not rounded, so that both make one price.
    return rate // RATE_SCALE * cost.per_million, 0


def _flat(rows: SellSet, book: PriceBook, call: Call, flat: int) -> int:
    """Return what a call costs beside its tokens; what has a price of its own goes by that."""
    total = 0
    for line in price_call(book, call).lines:
        row = None if line.unit in _TOKENS else rows.unit(line.unit, CREDITS)
        if row is None:
            continue
        total += line_nanos(line.quantity, row.per_million)
        if line.basis == UNPRICED:
            flat -= ceiling_nanos(book, replace(call, usage={line.unit: line.quantity}))
        else:
            flat -= line.nanos
    cost, calls = rows.cost(CREDITS), rows.calls(CREDITS)
    if cost is not None:
        total += line_nanos(max(0, flat), cost.per_million)
    return total + (0 if calls is None else line_nanos(1, calls.per_million))
