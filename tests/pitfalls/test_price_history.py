"""Prices that change, are entered wrong or drift away: nothing is believed without a trace."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.core.prices import PriceBook, RateRow
from outlay.store.base import PriceChange
from outlay.store.books.litellm import compare, read_litellm
from outlay.store.books.sql import SqlBooks
from outlay.store.pricefile.items import PriceFileError
from outlay.store.pricefile.read import read_change
from tests.pitfalls.calls import CHAT, chat, nanos, rated
from tests.unit.enrich.pricing import by_columns, event, table
from tests.wire.pricing import catalogue

AUGUST_US = 1_785_542_400_000_000
TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
RERANK = "https://api.cohere.com/v2/rerank"


@pytest.fixture
def books(tmp_path: Path) -> Iterator[SqlBooks]:
    opened = SqlBooks(f"sqlite:///{tmp_path / 'books.db'}")
    opened.save_catalogue(catalogue(), source="test", actor="test", at=10)
    yield opened
    opened.close()


def price_file(books: SqlBooks, *rates: str, force: bool = False) -> PriceChange:
    text = "version: 1\ncurrency: USD\nrates:\n" + "".join(f"  - {rate}\n" for rate in rates)
    return read_change(text.encode(), "yaml", books.load_prices(), at=AUGUST_US, force=force)


def test_p38_a_price_by_the_thousand_searches_is_one_by_the_thousand(books: SqlBooks) -> None:
    """`per: 1000` of searches is $2 a thousand, not $2 a million tokens."""
    change = price_file(
        books, "{provider: cohere, model: rerank-v3.5, unit: search_units, price: 2, per: 1000}"
    )
    books.change_prices(change, reason="cohere.com/pricing", actor="me", at=20)
    reply = {"id": "x", "results": [], "meta": {"billed_units": {"search_units": 3}}}
    row = rated(RERANK, {"model": "rerank-v3.5"}, reply, book=books.load_prices())
    assert row["cost_nanos"] == 3 * 2_000_000


@pytest.mark.parametrize(
    "rate",
    [
        "{provider: openai, model: gpt-5, unit: input, price: 0.00000125}",
        "{provider: openai, model: gpt-5, unit: input, price: 1.25, per: 1}",
        "{provider: openai, model: gpt-5, unit: output, price: 10000}",
        "{provider: openai, model: gpt-99, unit: output, price: 150000}",
    ],
    ids=["per token as per million", "per one", "a thousand times", "a new model"],
)
def test_p41_a_slip_of_units_is_refused_before_anybody_pays_it(books: SqlBooks, rate: str) -> None:
    """A price a thousand times off its neighbour is not taken, unless it is meant."""
    with pytest.raises(PriceFileError, match="price"):
        price_file(books, rate)
    assert price_file(books, rate, force=True).rates


def test_p41_a_plausible_price_is_taken(books: SqlBooks) -> None:
    """The check is for slips, not for opinions about prices."""
    assert price_file(books, "{provider: openai, model: gpt-5, unit: input, price: 2}").rates


def test_p42_a_second_catalogue_that_disagrees_is_a_finding(books: SqlBooks) -> None:
    """A difference is kept until a person settles it, and counted when it is found again."""
    second = {
        "gpt-5": {"litellm_provider": "openai", "input_cost_per_token": 1.5e-06},
        "gpt-4o": {"litellm_provider": "openai", "input_cost_per_token": 2.5e-06},
    }
    entries = read_litellm(json.dumps(second).encode())
    for at in (AUGUST_US, AUGUST_US + 1):
        found = compare(books.load_prices(), entries, at=AUGUST_US, tolerance_percent=1.0)
        books.find(found.findings(at=at), at=at)
    (finding,) = books.findings()
    assert (finding.kind, finding.times) == ("catalogue_drift", 2)
    assert "gpt-5" in finding.subject
    closed = books.resolve_finding(
        finding.kind, finding.subject, reason="theirs is old", actor="me", at=AUGUST_US + 2
    )
    assert closed.resolved_at is not None
    assert books.findings() == []


def test_p42_a_stated_cost_far_off_the_catalogue_is_flagged_on_the_event() -> None:
    """What a provider says it took is compared with list price on each call."""
    told = {"provider": "openrouter", "model_served": "openai/gpt-5-mini", "input": 1_000_000,
            "started_at": AUGUST_US}  # fmt: skip
    stated = [250_000_000, 252_000_000, 6_000_000_000]
    rows = by_columns(
        table([event(**told, provider_cost_nanos=nanos_) for nanos_ in stated]), catalogue()
    )
    assert [row["cost_nanos"] for row in rows] == stated
    assert ["price_drift" in row["price_flags"] for row in rows] == [False, False, True]


def gpt(price: str, **more: Any) -> RateRow:
    return RateRow.make("openai", "gpt", "input", int(price) * 10**9, **more)


def test_p43_a_price_that_changes_leaves_the_past_as_it_was(tmp_path: Path) -> None:
    """What a call costs depends on the call's own time, and on what was believed then."""
    opened = SqlBooks(f"sqlite:///{tmp_path / 'books.db'}")
    try:
        opened.save_catalogue(PriceBook(rates=(gpt("5"),)), source="v1", actor="me", at=100)
        opened.save_catalogue(PriceBook(rates=(gpt("7"),)), source="v2", actor="me", at=200)
        costs = {
            known: rated(
                CHAT, {"model": "gpt"}, chat({**TOKENS, "completion_tokens": 0}, "gpt"),
                book=opened.load_prices(known_at=known),
            )["cost_nanos"]
            for known in (150, 250)
        }  # fmt: skip
        assert costs == {150: nanos((1000, "5")), 250: nanos((1000, "7"))}
        history, _ = opened.price_history("openai", "gpt")
        assert [row.nanos_per_million for row in history] == [7 * 10**9, 5 * 10**9]
        old = gpt("5").rate_id
        assert opened.rates([old])[old].superseded_at is not None, "an old id can be looked up"
    finally:
        opened.close()


def test_p43_dated_prices_hold_at_the_time_of_the_call() -> None:
    """Sol became cheaper on 2026-08-20; a call of the day before pays the old price."""
    reply = chat(TOKENS)
    before = rated(CHAT, {"model": "gpt-5.6-sol"}, reply, at="2026-08-19T23:59:59Z")
    after = rated(CHAT, {"model": "gpt-5.6-sol"}, reply, at="2026-08-21T00:00:00Z")
    assert before["cost_nanos"] == nanos((1000, "5"), (100, "30"))
    assert after["cost_nanos"] == nanos((1000, "4"), (100, "20"))


def test_p43_a_rates_id_is_the_hash_of_what_it_says() -> None:
    """Equal content has one id wherever and whenever it is made, and any change another one."""
    row = gpt("5")
    assert row.rate_id == gpt("5").rate_id == row.content_id()
    changes: list[dict[str, Any]] = [
        {"tier": "flex"}, {"batch": True}, {"valid_from": 1}, {"min_context": 1},
        {"layer": "override"}, {"source": "elsewhere"}, {"min_quantity": 1},
    ]  # fmt: skip
    ids = {row.rate_id, gpt("6").rate_id, *(gpt("5", **change).rate_id for change in changes)}
    assert len(ids) == len(changes) + 2
    line = rated(CHAT, {"model": "gpt-5.6-sol"}, chat(TOKENS))["lines"][0]
    (priced,) = [rate for rate in catalogue().rates if rate.rate_id == line["rate_id"]]
    assert (priced.unit, priced.content_id()) == ("input", line["rate_id"])
