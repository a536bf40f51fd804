"""Columns and scalar agree exactly on any book and any events; what else changes nothing."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.rating import COST_COLUMNS
from outlay.core.sell import SellRow
from outlay.core.units import EVENT_UNITS
from tests.unit.enrich.pricing import AT, by_columns, by_scalar, event, table

DAY = 86_400_000_000
TENANTS = ("", "acme", "globex")
UNITS = (*EVENT_UNITS, "input_cache_write", "web_search", "requests", "duration_ms")

rate_rows = st.builds(
    RateRow.make,
    st.sampled_from(("p", "p", "*")),
    st.sampled_from(("a", "a", "b", "odd", "*")),
    st.sampled_from(UNITS),
    st.one_of(st.integers(-(10**13), 10**13), st.integers(-(10**13), 10**16)),
    batch=st.booleans(),
    tier=st.sampled_from(("", "flex")),
    region_class=st.sampled_from(("", "", "eu")),
    min_context=st.sampled_from((0, 100, 1_000_000)),
    window=st.sampled_from(
        ("", "22:00:00-03:00:00", "Mon-Fri 01:00:00-04:00:00", "Sat-Mon 23:00:00-01:00:00")
    ),
    valid_from=st.sampled_from((None, AT + 50)),
    valid_to=st.sampled_from((None, AT + 60)),
    layer=st.sampled_from(("catalogue", "override", "contract")),
    tenant=st.sampled_from(TENANTS),
    min_quantity=st.sampled_from((0, 0, 1, 1500)),
)
sell_rows = st.builds(
    SellRow.make,
    st.sampled_from((*EVENT_UNITS, "web_search", "odd", "cost", "cost", "calls")),
    st.sampled_from(("nanos", "credits")),
    st.one_of(st.integers(-(10**7), 10**7), st.integers(-(10**15), 10**15)),
    tenant=st.sampled_from(TENANTS),
    plan=st.sampled_from(("", "", "pro")),
    feature=st.sampled_from(("", "", "search")),
    provider=st.sampled_from(("", "", "P", "q")),
    model=st.sampled_from(("", "", "a", "gone")),
    valid_from=st.sampled_from((None, AT + 50)),
    valid_to=st.sampled_from((None, AT + 60)),
)
models = st.lists(
    st.sampled_from(
        (
            ModelRow("p", "b", '{"contains":"b"}'),
            ModelRow("p", "a", '{"equals":"deployed"}', layer="override", region_class="eu"),
            ModelRow("p", "gone", '{"equals":"b"}', layer="override"),
        )
    ),
    max_size=3,
)
counts = st.one_of(st.integers(0, 2000), st.integers(0, 10**15))
parts = st.lists(
    st.fixed_dictionaries(
        {
            "model": st.sampled_from(("a", "b", "c", "")),
            "usage": st.dictionaries(st.sampled_from(("input", "web_search")), counts),
        }
    ),
    max_size=3,
).map(json.dumps)
hours = (0, 3_600_000_000 * 5, DAY // 2, DAY * 2 + DAY // 3, DAY * 5)
events = st.builds(
    event,
    provider=st.sampled_from(("p", "p", "q")),
    model_served=st.sampled_from(("a", "b", "c", "deployed", None)),
    deployment=st.sampled_from((None, None, "deployed")),
    started_at=st.sampled_from([AT + t + h for t in (0, 49, 50, 60) for h in hours]),
    ended_at=st.sampled_from((AT, AT + 10, AT + 8 * DAY)),
    latency_ms=st.sampled_from((None, 0.0, 0.25, 2.5, float("nan"), 1e30)),
    batch=st.booleans(),
    tier_served=st.sampled_from((None, "flex")),
    region_class=st.sampled_from((None, "us")),
    tenant_id=st.sampled_from(("acme", "globex", "other", "unattributed")),
    plan=st.sampled_from((None, "pro", "free")),
    feature=st.sampled_from((None, "search")),
    status=st.sampled_from(("ok", "ok", "error")),
    kind=st.sampled_from(("usage", "usage", "adjustment")),
    billed=st.sampled_from(("yes", "yes", "no", "possible")),
    provider_cost_nanos=st.one_of(st.none(), st.integers(0, 10**17)),
    other_units=st.dictionaries(
        st.sampled_from(("web_search", "requests", "duration_ms", "odd", "cost")), counts
    ),
    segments=st.one_of(st.none(), st.none(), st.none(), parts),
    **dict.fromkeys(EVENT_UNITS, counts),
)
books = st.builds(
    lambda *rows: PriceBook(*(tuple(some) for some in rows)),
    models,
    st.lists(rate_rows, max_size=25),
    st.lists(sell_rows, max_size=12),
)


@settings(max_examples=300, deadline=None)
@given(books, st.lists(events, max_size=12))
def test_columns_and_scalar_agree_exactly_on_any_book(
    book: PriceBook, some: list[dict[str, Any]]
) -> None:
    assert by_columns(table(some), book) == [by_scalar(fields, book) for fields in some]


def dense_book(dice: random.Random) -> PriceBook:
    """Make a book in which every condition, window, band and tenant has prices of its own."""
    made = []
    for unit in ("input", "output", "web_search", "duration_ms") * 60:
        values = {
            "batch": dice.random() < 0.2,
            "region_class": dice.choice(("", "", "eu")),
            "min_context": dice.choice((0, 0, 1000, 100_000)),
            "window": dice.choice(
                ("", "", "20:00:00-05:00:00", "Mon-Fri 09:00:00-17:00:00", "Sat 00:00:00-24:00:00")
            ),
            "valid_from": dice.choice((None, AT, AT + 2 * DAY, AT + 5 * DAY)),
            "valid_to": dice.choice((None, None, AT + 4 * DAY)),
            "layer": dice.choice(("catalogue", "override", "contract")),
            "tenant": dice.choice(("", "", "", "acme", "globex")),
            "min_quantity": dice.choice((0, 0, 0, 500)),
        }
        model = dice.choice(("a", "A", "b"))
        made.append(RateRow.make("p", model, unit, dice.randrange(10**10), **values))
    return PriceBook(rates=tuple(made))


def dense_event(dice: random.Random) -> dict[str, Any]:
    start = AT + dice.randrange(8 * DAY)
    return event(
        provider="p",
        model_served=dice.choice(("a", "b", "c")),
        started_at=start,
        ended_at=start + dice.choice((0, 1, 999, 1_000_500)),
        latency_ms=dice.choice((None, 0.5, 3.0)),
        batch=dice.random() < 0.2,
        region_class=dice.choice((None, "eu")),
        tenant_id=dice.choice(("acme", "globex", "other")),
        input=dice.choice((0, 10, 999, 1000, 150_000)),
        output=dice.choice((0, 400, 600)),
        other_units=dice.choice((None, {"web_search": 2}, {"duration_ms": 7})),
    )


@pytest.mark.parametrize("seed", range(3))
def test_columns_and_scalar_agree_where_everything_has_a_price_of_its_own(seed: int) -> None:
    dice = random.Random(seed)
    book = dense_book(dice)
    some = [dense_event(dice) for _ in range(1500)]
    found = by_columns(table(some), book)
    assert found == [by_scalar(fields, book) for fields in some]
    shuffled = PriceBook(rates=tuple(dice.sample(book.rates, len(book.rates))))
    assert by_columns(table(some), shuffled) == found
    # A book that has cached nothing yet prices alike.
    for fields, row in zip(some[::50], found[::50], strict=True):
        assert by_scalar(fields, PriceBook(rates=book.rates)) == row


@settings(max_examples=100, deadline=None)
@given(books, st.lists(events, min_size=1, max_size=6))
def test_a_cost_is_the_sum_of_its_lines_and_of_its_columns(
    book: PriceBook, some: list[dict[str, Any]]
) -> None:
    for row in by_columns(table(some), book):
        assert row["cost_nanos"] == sum(line["nanos"] for line in row["lines"])
        assert row["cost_nanos"] == sum(row[name] for name in COST_COLUMNS)


@settings(max_examples=100, deadline=None)
@given(books, st.lists(events, min_size=1, max_size=6), st.randoms())
def test_the_order_of_rates_and_sell_rows_never_matters(
    book: PriceBook, some: list[dict[str, Any]], dice: random.Random
) -> None:
    rates, sells = list(book.rates), list(book.sells)
    dice.shuffle(rates)
    dice.shuffle(sells)
    other = PriceBook(book.models, tuple(rates), tuple(sells))
    assert by_columns(table(some), book) == by_columns(table(some), other)


@settings(max_examples=150, deadline=None)
@given(books, rate_rows, sell_rows, st.lists(events, min_size=1, max_size=6))
def test_rows_of_another_tenant_change_nothing(
    book: PriceBook, rate: RateRow, sell: SellRow, some: list[dict[str, Any]]
) -> None:
    values = {name: getattr(rate, name) for name in RateRow.__dataclass_fields__}
    other = RateRow(**{**values, "tenant": "elsewhere"})
    sold = {name: getattr(sell, name) for name in SellRow.__dataclass_fields__}
    other_sell = SellRow(**{**sold, "tenant": "elsewhere"})
    more = PriceBook(book.models, (*book.rates, other), (*book.sells, other_sell))
    found = by_columns(table(some), more)
    for row, before in zip(found, by_columns(table(some), book), strict=True):
        assert {**row, "price_book_hash": before["price_book_hash"]} == before


@settings(max_examples=100, deadline=None)
@given(books, st.lists(events, min_size=1, max_size=6))
def test_the_book_for_one_tenant_prices_its_events_alike(
    book: PriceBook, some: list[dict[str, Any]]
) -> None:
    for fields in some:
        own = PriceBook.from_snapshot(book.for_tenant(fields["tenant_id"]).to_snapshot())
        priced, mine = by_scalar(fields, book), by_scalar(fields, own)
        for name in ("price_book_hash", "sell_nanos", "credits_micros", "price_flags"):
            del priced[name], mine[name]
        assert mine == priced
