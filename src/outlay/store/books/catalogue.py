"""Builds a price book from the installed package `genai-prices`, exactly and without the network.

Owns the mapping of that catalogue's ids, units and conditions to ours; the few corrections it
needs are in `corrections`. What cannot be said as rows is counted in the `CatalogueReport`, never
guessed. It stores nothing: `Books.save_catalogue` does.

How the catalogue is read: of a model's dated prices the last active one holds; a daily window
holds inside the dates of its neighbours; a tier holds for the whole request once the input total
is above its start; a variant overrides single prices for a batch call, a service tier or a speed.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

from outlay.core import units
from outlay.core.match import FREE_VARIANT, ROUTER, canonical_clause, canonical_provider
from outlay.core.money import NANOS_PER_USD, RATE_SCALE
from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.errors import UnavailableError
from outlay.store.books.change import cut_row, rate_key, span
from outlay.store.books.corrections import corrections
from outlay.store.books.corrections_router import router_names

PACKAGE: Final = "genai-prices"
MAX_PRICE: Final = 1_000_000
"""Dollars that a price of the catalogue may be, for whatever it is for; beyond it is a slip."""

_TOKENS: Final = 1_000_000
_MODALITIES: Final = ("", *(f"_{name}" for name in units.MODALITIES))


def _token_units() -> Iterator[tuple[str, tuple[str, int]]]:
    for suffix in _MODALITIES:
        name = suffix[1:]
        cache = f"cache_{name}_" if name else "cache_"
        yield f"input{suffix}_mtok", (f"{units.INPUT}{suffix}", _TOKENS)
        yield f"output{suffix}_mtok", (f"{units.OUTPUT}{suffix}", _TOKENS)
        yield f"{cache}read_mtok", (f"{units.CACHE_READ}{suffix}", _TOKENS)
        yield f"{cache}write_mtok", (f"{units.CACHE_WRITE}{suffix}", _TOKENS)
        yield f"{cache}write_5m_mtok", (f"{units.CACHE_WRITE_5M}{suffix}", _TOKENS)
        yield f"{cache}write_1h_mtok", (f"{units.CACHE_WRITE_1H}{suffix}", _TOKENS)


UNITS: Final[Mapping[str, tuple[str, int]]] = {
    **dict(_token_units()),
    "output_reasoning_mtok": (units.REASONING, _TOKENS),
    "output_citation_mtok": ("output_citation", _TOKENS),
    "input_mchars": ("characters", 1_000_000),
    "input_text_messages_kcount": ("text_messages", 1000),
    "audio_hours": ("audio_seconds", 3600),
    "input_audio_hours": ("audio_seconds", 3600),
    "input_document_kpages": ("pages", 1000),
    "input_annotated_document_kpages": ("annotated_pages", 1000),
    "rerank_searches_kcount": ("search_units", 1000),
    "web_searches_kcount": (units.WEB_SEARCH, 1000),
    "social_searches_kcount": ("social_search", 1000),
    "storage_searches_kcount": ("file_search", 1000),
    "code_executions_kcount": ("code_execution", 1000),
    "requests_kcount": (units.REQUESTS, 1000),
}
"""The catalogue's price keys: our unit, and how many of them one price is for."""


@dataclass(slots=True)
class CatalogueReport:
    """What came of reading the catalogue: how much, and what could not be said, by reason."""

    version: str = ""
    models: int = 0
    rates: int = 0
    corrections: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    rounded: int = 0
    """Rates that are not whole nano-dollars per million units, rounded half to even."""


@dataclass(frozen=True, slots=True)
class _Period:
    """When a price of the catalogue holds."""

    start: int | None = None
    end: int | None = None
    window: str = ""


def load_catalogue() -> PriceBook:
    """Read the installed catalogue.

    Raises:
        UnavailableError: if the package is not installed.
    """
    return read_catalogue()[0]


def installed() -> tuple[list[Any], str]:
    """Return the providers of the installed catalogue, and its version.

    Raises:
        UnavailableError: if the package is not installed.
    """
    try:
        from genai_prices.data import providers

        return providers, importlib.metadata.version(PACKAGE)
    except ImportError as error:
        raise UnavailableError(
            f"the price catalogue {PACKAGE} is not installed",
            hint="pip install 'outlay[server]', or load prices of your own.",
        ) from error


def read_catalogue(
    providers: list[Any] | None = None, *, version: str = ""
) -> tuple[PriceBook, CatalogueReport]:
    """Read a catalogue, by default the installed one, and report what it held.

    Args:
        providers: objects of the package's class `Provider`, if not those it brings.
        version: what those are, for the source of their rows.

    Raises:
        UnavailableError: if the package is not installed.
    """
    if providers is None:
        providers, version = installed()
    report = CatalogueReport(version=version)
    source = f"{PACKAGE} {version}"
    models: list[ModelRow] = []
    rates: dict[str, RateRow] = {}
    for provider in providers:
        owner = canonical_provider(provider.id)
        for model in provider.models:
            rows = list(_model_rates(owner, model, source, report))
            if not rows and owner == ROUTER and model.id.endswith(FREE_VARIANT):
                continue  # `core.names` knows it by its suffix, as a model at 0
            clause = canonical_clause(_clause(model.match))
            models.append(ModelRow(owner, model.id, clause, source=source))
            for row in rows:
                rates.setdefault(row.rate_id, row)
    rates = {row.rate_id: row for row in _one_at_a_time(rates.values())}
    report.models = len(models)
    report.rates = len(rates)
    for row in list(corrections(tuple(rates.values()))):
        report.corrections += row.rate_id not in rates
        rates.setdefault(row.rate_id, row)
    return PriceBook((*models, *router_names(models)), tuple(rates.values())), report


def _one_at_a_time(rates: Iterable[RateRow]) -> Iterator[RateRow]:
    """Yield rates of which one a key holds: where dated variants overlap, the youngest does."""
    groups: dict[tuple[Any, ...], list[RateRow]] = {}
    for row in rates:
        groups.setdefault(rate_key(row), []).append(row)
    for group in groups.values():
        for row in group:
            start = row.valid_from or 0
            yield from cut_row(row, [span(r) for r in group if (r.valid_from or 0) > start])


def _clause(clause: Any) -> dict[str, Any]:
    """Return a clause of the catalogue as ours; the kinds are the same."""
    ((kind, value),) = vars(clause).items()
    if isinstance(value, str):
        return {kind: value}
    return {kind.rstrip("_"): [_clause(part) for part in value]}


def _model_rates(
    provider: str, model: Any, source: str, report: CatalogueReport
) -> Iterator[RateRow]:
    prices = model.prices if isinstance(model.prices, list) else None
    dated = (
        [(_Period(), model.prices)]
        if prices is None
        else [(period, prices[i].prices) for i, period in _periods(prices)]
    )
    for period, price in dated:
        yield from _rows(provider, model.id, price, source, report, _when(period))
    for variant in model.price_variants or ():
        said = _conditions(variant.when)
        if said is None:
            report.skipped["variant " + ",".join(sorted(variant.when))] += 1
            continue
        for _, period in _periods([variant]):
            values = {**_when(period), **said}
            yield from _rows(provider, model.id, variant.prices, source, report, values)


def _periods(prices: list[Any]) -> Iterator[tuple[int, _Period]]:
    """Yield `(index, period)` of each price that ever holds.

    The last active one wins, so a price ends where a later one that is not a window begins, and
    a later price without a condition leaves nothing of it. When none is active the first holds.
    """
    alone = len(prices) == 1
    for index, price in enumerate(prices):
        later = [p.constraint for p in prices[index + 1 :] if not _is_window(p.constraint)]
        if any(constraint is None for constraint in later):
            continue
        ends = [_midnight(constraint.start_date) for constraint in later]
        end = min(ends) if ends else None
        constraint = price.constraint
        if _is_window(constraint):
            start = max(
                (_midnight(p.constraint.start_date) for p in prices[:index] if _is_dated(p)),
                default=None,
            )
            yield index, _Period(start, end, _window(constraint))
            if index == 0 and not alone:
                yield index, _Period(None, end)
        else:
            first = index == 0 and not alone
            begin = None if constraint is None or first else _midnight(constraint.start_date)
            if begin is None or end is None or begin < end:
                yield index, _Period(begin, end)


def _is_window(constraint: Any) -> bool:
    return hasattr(constraint, "start_time")


def _is_dated(price: Any) -> bool:
    return hasattr(price.constraint, "start_date")


def _midnight(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def _window(constraint: Any) -> str:
    return f"{_utc(constraint.start_time):%H:%M:%S}-{_utc(constraint.end_time):%H:%M:%S}"


def _utc(value: time) -> time:
    if value.tzinfo is None:
        return value
    return datetime.combine(date(1970, 1, 2), value).astimezone(UTC).time()


def _when(period: _Period) -> dict[str, Any]:
    return {"valid_from": period.start, "valid_to": period.end, "window": period.window}


def _conditions(when: Mapping[str, str]) -> dict[str, Any] | None:
    """Return a variant's conditions in our words, or `None` when we have none for them."""
    said: dict[str, Any] = {}
    for key, value in when.items():
        if (key, value) == ("processing", "batch"):
            said["batch"] = True
        elif key == "service_tier":
            said["tier"] = value
        elif key == "speed":
            said["speed"] = value
        else:
            return None
    return said


def _rows(
    provider: str,
    model: str,
    prices: Any,
    source: str,
    report: CatalogueReport,
    values: Mapping[str, Any],
) -> Iterator[RateRow]:
    seen: dict[str, Any] = {}
    for key, price in vars(prices).items():
        if price is None:
            continue
        known = UNITS.get(key)
        if known is None:
            report.skipped[f"unit {key}"] += 1
            continue
        unit, per = known
        if seen.setdefault(unit, price) != price:
            report.skipped[f"second price for {unit}"] += 1
            continue
        for start, amount in _bands(price):
            if not (amount.is_finite() and 0 <= amount <= MAX_PRICE):
                report.skipped[f"absurd price of {unit}"] += 1
                continue
            nanos = _nanos_per_million(amount, per, report)
            yield RateRow.make(
                provider, model, unit, nanos, min_context=start, source=source, **values
            )


def _bands(price: Any) -> Iterator[tuple[int, Decimal]]:
    """Yield `(first input total, price)`; the catalogue's tier holds above its start."""
    if isinstance(price, Decimal):
        yield 0, price
        return
    yield 0, price.base
    for tier in price.tiers:
        yield tier.start + 1, tier.price


def _nanos_per_million(price: Decimal, per: int, report: CatalogueReport) -> int:
    exact = price * NANOS_PER_USD * RATE_SCALE / per
    nanos = int(exact.to_integral_value(rounding=ROUND_HALF_EVEN))
    if nanos * per != price * NANOS_PER_USD * RATE_SCALE:
        report.rounded += 1
    return nanos
