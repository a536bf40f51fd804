"""Corrections of the catalogue: what they say, from where, and that they fall away when mended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from outlay.core.money import usd_from_nanos
from outlay.core.prices import PriceBook, RateRow
from outlay.core.rating import call_of, price_call
from outlay.store.books.catalogue import load_catalogue
from outlay.store.books.corrections import LAYER, corrections


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_catalogue()


def usd(book: PriceBook, at: str, provider: str, model: str, **fields: Any) -> str:
    micros = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp() * 1_000_000)
    call = {"provider": provider, "model_served": model, **fields}
    cost = price_call(book, call_of(call, at=micros))
    assert cost.price_basis == "catalogue", cost
    return format(usd_from_nanos(cost.cost_nanos).normalize(), "f")


class TestP39FlexPriceTakenForThePrice:
    """OpenRouter's row of gpt-5.6-sol in the catalogue is the flex price, 60 % under the bill."""

    def test_both_captured_bills_are_met_exactly(self, book: PriceBook) -> None:
        sol = ("2026-08-03", "openrouter", "openai/gpt-5.6-sol-20260709")
        written = {"input": 8, "input_cache_write": 4012, "output": 5}
        read = {"input": 8, "input_cache_read": 4012, "output": 5}
        assert usd(book, *sol, usage=written) == "0.025265"
        assert usd(book, *sol, usage=read) == "0.002196"

    def test_the_later_price_and_the_long_context_band_follow_openai(self, book: PriceBook) -> None:
        sol = ("openrouter", "openai/gpt-5.6-sol")
        assert usd(book, "2026-09-01", *sol, input=1000, output=100) == "0.006"
        assert usd(book, "2026-11-01", *sol, input=1000, output=100) == "0.006"
        assert usd(book, "2026-09-01", *sol, input=272_001) == "2.176008"

    def test_it_falls_away_when_the_catalogue_says_the_price(self) -> None:
        made = RateRow.make("openai", "gpt-5.6-sol", "input", 4)
        assert not list(
            corrections([made, RateRow.make("openrouter", "openai/gpt-5.6-sol", "input", 4)])
        )
        half = RateRow.make("openrouter", "openai/gpt-5.6-sol", "input", 2, valid_from=7)
        (mended,) = corrections([made, half])
        assert (mended.nanos_per_million, mended.valid_from, mended.layer) == (4, 7, LAYER)


class TestP32Regions:
    @pytest.mark.parametrize(
        ("model", "region", "cost"),
        [
            ("claude-sonnet-4-5@20250929", "global", "0.003"),
            ("claude-sonnet-4-5@20250929", "regional", "0.0033"),
            ("claude-opus-4-6", "regional", "0.0055"),
            ("claude-haiku-4-5@20251001", "regional", "0.0011"),
            ("claude-opus-4-1@20250805", "regional", "0.015"),
            ("claude-sonnet-5", "regional", "0.0022"),
            ("claude-sonnet-5", "global", "0.002"),
        ],
    )
    def test_claude_on_vertex_costs_a_tenth_more_outside_the_global_endpoint(
        self, book: PriceBook, model: str, region: str, cost: str
    ) -> None:
        found = usd(
            book, "2026-06-01" if "4" in model else "2026-11-01", "google", model, input=1000,
            region_class=region, host_class="vertex",
        )  # fmt: skip
        assert found == cost

    def test_the_makers_own_price_is_not_touched_by_vertex(self, book: PriceBook) -> None:
        sonnet = ("2026-11-01", "anthropic", "claude-sonnet-5")
        assert usd(book, *sonnet, input=1000) == "0.002"
        assert usd(book, *sonnet, input=1000, region_class="us") == "0.0022"


def test_every_correction_tells_its_source_and_is_whole(book: PriceBook) -> None:
    rows = [row for row in book.rates if row.layer == LAYER]
    assert len(rows) > 200
    assert all(row.source and row.rate_id == row.content_id() for row in rows)
