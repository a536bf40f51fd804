"""What a call may use, before it is made: by metric, as learned and at worst.

Prices are the process's own copy; a model without one is held at its ceiling, and while no prices
are known at all, at `NO_BOOK`. What output calls of a tenant, agent and model really have is
learned; so is what calls cost, in money and in credits, that are not priced by tokens. Never
raises, never waits.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from outlay.capture.limits.lines import METRICS
from outlay.capture.limits.sales import Buyer, Sale, sale_of, sample
from outlay.capture.limits.steps import Asked
from outlay.capture.rates import Rates
from outlay.core import units
from outlay.core.calls import Call
from outlay.core.ceiling import UNKNOWN_OUTPUT, ceiling_nanos
from outlay.core.limits.estimate import Estimator
from outlay.core.prices import PriceBook
from outlay.core.rating import UNPRICED, price_call
from outlay.core.sell import SellRates


class CallRates(NamedTuple):
    """What a kind of call costs, in nano-dollars; tokens by the million."""

    read: int
    wrote: int
    flat: int
    """Of every call."""
    piece: int
    """Of each answer that is not priced by tokens alone, such as a picture."""
    most_read: int
    """Of tokens read at worst, such as those that are written to a cache."""
    most_wrote: int


NO_BOOK: Final = CallRates(
    20_000_000_000, 100_000_000_000, 0, 0, 20_000_000_000, 100_000_000_000
)  # fmt: skip
"""What dear models cost."""
RATES_S: Final = 60.0
"""How long a model's rates are believed; some change with the hour."""
MAX_RATES: Final = 4096
SAMPLE: Final = 1000
"""Tokens that rates are found with."""
LARGE_STEP: Final = 50_000
"""Calls of so many more tokens may have other rates."""
STRICT_INPUT: Final = 4
"""The input's estimate is a quarter of its characters; at worst each is a token, and each byte of
the request where its bytes are known."""

_MILLION: Final = 1_000_000
_NO_OUTPUT: Final = frozenset(("embeddings", "rerank"))
_PIECES: Final[Mapping[str, tuple[str, int]]] = {
    "image": (units.IMAGES, 1),
    "speech": (units.CHARACTERS, 4096),
    "transcription": (units.AUDIO_SECONDS, 600),
}
"""Unit and count at worst of one answer of operations that are not priced by tokens alone."""
_DEAR_READ: Final = (units.CACHE_WRITE, units.CACHE_WRITE_5M, units.CACHE_WRITE_1H)
_DEAR_WROTE: Final = (units.REASONING, "output_audio", "output_image")


class Quote:
    """The amounts of one call in the order of `lines.METRICS`: as learned, then at worst."""

    __slots__ = ("amounts", "buyer", "key", "output", "output_rate", "sale", "worst_output")

    def __init__(
        self, amounts: tuple[int, ...], key: tuple[str, ...], output: int, worst: int, rate: int,
        buyer: Buyer | None, sale: Sale | None,
    ) -> None:  # fmt: skip
        self.amounts = amounts
        self.key = key
        self.output = output
        self.worst_output = worst
        self.output_rate = rate
        self.buyer = buyer
        """Whose credits it costs, if there is a balance."""
        self.sale = sale


class Quotes:
    """Estimates calls and learns from them."""

    def __init__(self, rates: Rates) -> None:
        self._prices = rates
        self._tokens = Estimator()
        self._nanos = Estimator()
        self._credits = Estimator()
        self._book: PriceBook | None = None
        self._sells: SellRates | None = None
        self._rates: dict[tuple[object, ...], tuple[float, CallRates]] = {}
        self._sales: dict[tuple[object, ...], tuple[float, Sale]] = {}

    def of(
        self, asked: Asked, tenant: str, agent: str, now: float, buyer: Buyer | None = None
    ) -> Quote:
        """Return what a call may use; its credits are 0 where nobody has a balance to pay them."""
        operation = asked.operation
        key = (tenant, agent, asked.model, operation)
        read = asked.input_tokens
        worst_read = max(read * STRICT_INPUT, asked.most_input)
        rates = most = self._rates_of(asked, tenant, read, now)
        if worst_read // LARGE_STEP != read // LARGE_STEP:
            most = self._rates_of(asked, tenant, worst_read, now)
        if operation in _NO_OUTPUT:
            output = worst = 0
        else:
            worst = UNKNOWN_OUTPUT if asked.max_tokens is None else max(1, asked.max_tokens)
            output = self._tokens.guess(key, worst)
        flat = rates.flat + rates.piece * asked.answers
        cost = flat + _nanos(read * rates.read + output * rates.wrote)
        worst_cost = flat + _nanos(worst_read * most.most_read + worst * most.most_wrote)
        worst_cost = max(worst_cost, cost)
        if operation in _PIECES:
            cost = self._nanos.guess(key, worst_cost)
        credit = worst_credit = 0
        sale = None
        if buyer is not None:
            sale = self._sale_of(asked, buyer, (rates.read, rates.wrote, flat), now)
            credit = sale.micros(read, output)
            worst_credit = max(credit, sale.micros(worst_read, worst))
            if operation in _PIECES:
                credit = self._credits.guess(key, worst_credit)
        return Quote(
            (
                cost, read + output, read, output, 1, 1, credit,
                worst_cost, worst_read + worst, worst_read, worst, 1, 1, worst_credit,
            ),
            key, output, worst, rates.wrote, buyer, sale,
        )  # fmt: skip

    def learn(self, quote: Quote, amounts: Mapping[str, int]) -> None:
        """Learn from what a call really used, by metric."""
        if "output_tokens" in amounts:
            self._tokens.learn(quote.key, amounts["output_tokens"])
        if quote.key[-1] in _PIECES and "cost" in amounts:
            self._nanos.learn(quote.key, amounts["cost"])
        if quote.sale is not None and quote.key[-1] in _PIECES and "credits" in amounts:
            self._credits.learn(quote.key, amounts["credits"])

    def _rates_of(self, asked: Asked, tenant: str, read: int, now: float) -> CallRates:
        """Return the rates of a call that reads so many tokens."""
        book = self._prices.book
        if book is None:
            return NO_BOOK
        if book is not self._book:
            self._rates.clear()
            self._sales.clear()
            self._book = book
        size = read // LARGE_STEP
        piece = asked.operation if asked.operation in _PIECES else ""
        whose = tenant if tenant in book.tenants else ""
        key = (asked.provider, asked.model, whose, size, piece, asked.terms)
        kept = self._rates.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        made = _made(book, asked, whose, size * LARGE_STEP)
        if len(self._rates) >= MAX_RATES:
            self._rates.clear()
        self._rates[key] = (now + RATES_S, made)
        return made

    def _sale_of(self, asked: Asked, buyer: Buyer, rates: tuple[int, int, int], now: float) -> Sale:
        if buyer.sells is not self._sells:
            self._sales.clear()
            self._sells = buyer.sells
        size = asked.input_tokens // LARGE_STEP
        book, tenant = self._prices.book, buyer.tenant
        own = tenant if book is not None and tenant in book.tenants else ""
        key = (buyer.kind, own, asked.provider, asked.model, asked.operation, size, asked.answers)
        kept = self._sales.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        unit, count = _PIECES.get(asked.operation, ("", 0))
        usage = sample(size * LARGE_STEP, (unit, count * asked.answers) if unit else None)
        made = sale_of(buyer, book, asked, usage, time.time_ns() // 1000, rates)
        if len(self._sales) >= MAX_RATES:
            self._sales.clear()
        self._sales[key] = (now + RATES_S, made)
        return made


def more(quote: Quote, tokens: int) -> tuple[int, ...]:
    """Return what more tokens of output add to the amounts of a quote."""
    nanos = _nanos(tokens * quote.output_rate)
    sale = quote.sale
    credit = 0 if sale is None else sale.more(tokens)
    return (nanos, tokens, 0, tokens, 0, 0, credit) + (0,) * len(METRICS)


def _nanos(scaled: int) -> int:
    return -(-scaled // _MILLION)


def _made(book: PriceBook, asked: Asked, tenant: str, size: int) -> CallRates:
    """Return the rates of a model at so many tokens read."""
    tier, speed, host, region = asked.terms
    base = Call(
        asked.provider, (asked.model,), time.time_ns() // 1000, {}, tenant=tenant,
        tier=tier, speed=speed, host_class=host, region_class=region,
    )  # fmt: skip

    def held(usage: dict[str, int]) -> int:
        return ceiling_nanos(book, replace(base, usage=usage))

    # Of differences, since a model may have a price for each request, too; and at the size of
    # the call, since large ones may have prices of their own.
    read = max(SAMPLE, size)
    once = held({units.INPUT: read})
    twice = held({units.INPUT: read + SAMPLE})
    wrote = held({units.INPUT: read, units.OUTPUT: SAMPLE})
    scale = _MILLION // SAMPLE

    def most(rate: int, names: tuple[str, ...]) -> int:
        """Return the highest of a rate and those of units that the model has a price of."""
        for name in names:
            usage = {units.INPUT: read, name: SAMPLE}
            if price_call(book, replace(base, usage=usage)).price_basis != UNPRICED:
                rate = max(rate, (held(usage) - once) * scale)
        return rate

    read_rate, write_rate = (max(0, more - once) * scale for more in (twice, wrote))
    flat = max(0, once - _nanos(read * read_rate))
    unit, count = _PIECES.get(asked.operation, ("", 0))
    piece = held({unit: count}) if unit else 0
    dear = most(read_rate, _DEAR_READ), most(write_rate, _DEAR_WROTE)
    return CallRates(read_rate, write_rate, flat, piece, *dear)


_kept: Final[WeakKeyDictionary[Rates, Quotes]] = WeakKeyDictionary()


def quotes_of(rates: Rates) -> Quotes:
    """Return what calls inside agents' budgets are thought to cost, by the prices that are known.

    What is learned of one attempt counts for all with the same prices.
    """
    found = _kept.get(rates)
    if found is None:
        found = _kept[rates] = Quotes(rates)
    return found
