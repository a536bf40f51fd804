"""Corrections of the catalogue: what they say, from where, and that they fall away when mended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from outlay.core.money import usd_from_nanos
from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.rating import call_of, price_call
from outlay.store.books.catalogue import load_catalogue
from outlay.store.books.correction_rows import LAYER
from outlay.store.books.corrections import RETIRED, corrections
from outlay.store.books.corrections_router import router_names


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
    """OpenRouter's gpt-5.6-sol cost OpenAI's price until a promotion halved it; the catalogue has
    the half for all time."""

    def test_both_captured_bills_are_met_exactly(self, book: PriceBook) -> None:
        sol = ("2026-07-17", "openrouter", "openai/gpt-5.6-sol-20260709")
        written = {"input": 8, "input_cache_write": 4012, "output": 5}
        read = {"input": 8, "input_cache_read": 4012, "output": 5}
        assert usd(book, *sol, usage=written) == "0.025265"
        assert usd(book, *sol, usage=read) == "0.002196"

    def test_from_the_promotion_on_the_catalogue_is_right(self, book: PriceBook) -> None:
        sol = ("openrouter", "openai/gpt-5.6-sol")
        assert usd(book, "2026-08-17T23:59:59", *sol, input=272_001) == "2.72001"
        assert usd(book, "2026-08-18", *sol, input=272_001) == "1.088004"
        written = {"input": 3, "input_cache_write": 24_791, "output": 7493}
        assert usd(book, "2026-09-17T12:00", *sol, usage=written) == "0.1369135"

    def test_it_falls_away_when_the_catalogue_says_the_price(self) -> None:
        made = RateRow.make("openai", "gpt-5.6-sol", "input", 4)
        row = ("openrouter", "openai/gpt-5.6-sol", "input")
        (mended,) = inputs([made, RateRow.make(*row, 2)])
        assert (mended.nanos_per_million, mended.valid_from, mended.layer) == (4, None, LAYER)
        assert mended.valid_to == at("2026-08-18")
        assert not inputs([made, RateRow.make(*row, 4)])
        assert not inputs([made, RateRow.make(*row, 2, valid_from=at("2026-08-01"))])
        assert not inputs([made, RateRow.make(*row, 2, valid_to=at("2026-08-01"))])


def inputs(rates: list[RateRow]) -> list[RateRow]:
    """Return corrections of the price of input, but for free models."""
    return [row for row in corrections(rates) if row.unit == "input" and row.model != ":free"]


def at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


class TestXai:
    @pytest.mark.parametrize(
        ("unit", "cost"),
        [
            ("web_search", "0.005"), ("social_search", "0.005"), ("code_execution", "0.005"),
            ("file_search", "0.0025"), ("attachment_search", "0.005"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("model", ["grok-4.7", "grok-4-fast-reasoning", "grok-3-mini"])
    def test_its_tools_cost_the_same_with_every_model(
        self, book: PriceBook, model: str, unit: str, cost: str
    ) -> None:
        assert usd(book, "2026-07-02", "x-ai", model, usage={unit: 1}) == cost

    def test_a_tool_that_the_catalogue_prices_is_not_corrected(self) -> None:
        listed = RateRow.make("xai", "grok-9", "web_search", 7)
        made = {row.unit for row in corrections([listed])}
        assert made == {"social_search", "code_execution", "file_search", "attachment_search"}

    @pytest.mark.parametrize("model", RETIRED)
    def test_a_retired_name_is_billed_as_grok_4_3(self, book: PriceBook, model: str) -> None:
        def costs(moment: str, name: str, **fields: Any) -> str:
            return usd(book, moment, "xai", name, **fields)

        used = {"input": 1000, "input_cache_read": 1000, "output": 1000}
        long = {"input": 200_000}
        for moment in ("2026-05-15T19:00", "2026-11-01"):
            assert costs(moment, model, **used) == costs(moment, "grok-4.3", **used)
            assert costs(moment, model, **long) == costs(moment, "grok-4.3", **long) == "0.5"
        batch = {"input": 1000, "batch": True}
        assert costs("2026-11-01", model, **batch) == costs("2026-11-01", "grok-4.3", **batch)
        before = costs("2026-05-15T18:59:59", model, **used)
        assert before != costs("2026-05-15T19:00", model, **used)
        azure = {"host_class": "azure", **used}
        assert usd(book, "2026-11-01", "azure", model, **azure) == before, "it serves them on"

    def test_a_bill_of_a_redirected_call_is_met_exactly(self, book: PriceBook) -> None:
        usage = {
            "input": 1467, "input_cache_read": 1280, "output": 23, "output_reasoning": 237,
            "web_search": 1,
        }  # fmt: skip
        fast = ("2026-07-02", "xai", "grok-4-fast-reasoning")
        assert usd(book, *fast, usage=usage) == "0.00773975"

    def test_a_redirect_that_the_catalogue_knows_is_left_to_it(self) -> None:
        now = RateRow.make("xai", "grok-4.3", "input", 5)
        (mended,) = (
            row for row in inputs([now, RateRow.make("xai", "grok-3", "input", 3)])
            if not row.host_class
        )  # fmt: skip
        assert (mended.model, mended.nanos_per_million) == ("grok-3", 5)
        assert not inputs([now, RateRow.make("xai", "grok-3", "input", 5, valid_from=1)])
        assert not inputs([now])

    def test_a_cached_token_of_grok_4_5_was_dearer_before_august(self, book: PriceBook) -> None:
        grok = ("xai", "grok-4.5")
        bill = {"input": 85, "input_cache_read": 128, "output": 3, "output_reasoning": 36}
        assert usd(book, "2026-07-08T20:15:55", *grok, usage=bill) == "0.000468"
        million = {"input_cache_read": 1_000_000}
        assert usd(book, "2026-07-29", *grok, usage=million) == "1"
        assert usd(book, "2026-07-30", *grok, usage=million) == "0.6"


class TestOpenRouter:
    def test_gemini_3_6_flash_cost_twice_as_much_before_its_introductory_price(
        self, book: PriceBook
    ) -> None:
        router = ("openrouter", "google/gemini-3.6-flash")
        bill = {"input": 30, "output": 1, "output_reasoning": 25}
        assert usd(book, "2026-08-12T00:25:53", *router, usage=bill) == "0.00024"
        assert usd(book, "2026-08-14", *router, usage=bill) == "0.00012"
        google = ("google", "gemini-3.6-flash")
        assert usd(book, "2026-08-12", *google, usage={"input_cache_read": 1000}) == "0.00015"
        assert usd(book, "2026-08-13", *google, usage={"input_cache_read": 1000}) == "0.000075"

    def test_openais_own_search_costs_a_cent_and_open_weights_have_none(
        self, book: PriceBook
    ) -> None:
        day = ("2026-08-11", "openrouter")
        bill = {"input": 8174, "output": 30, "web_search": 1}
        assert usd(book, *day, "openai/gpt-4.1-mini", usage=bill) == "0.0133176"
        searched = RateRow.make("openrouter", "openai/gpt-oss-20b", "input", 1)
        assert "web_search" not in {row.unit for row in corrections([searched])}

    @pytest.mark.parametrize("model", ["minimax/minimax-m2:free", "deepseek/deepseek-r1:free"])
    def test_a_free_model_costs_nothing_and_a_search_with_it_is_not_known(
        self, book: PriceBook, model: str
    ) -> None:
        used = {"input": 43, "input_cache_read": 9, "output": 10, "output_reasoning": 11}
        call = {"provider": "openrouter", "model_served": model}
        cost = price_call(book, call_of({**call, "usage": used}, at=0))
        assert (cost.cost_nanos, cost.price_basis, cost.flags) == (0, "catalogue", ())
        assert cost.price_rule == "free_variant+exact"
        searched = price_call(book, call_of({**call, "usage": {"web_search": 1}}, at=0))
        assert searched.price_basis == "unpriced"

    def test_a_name_that_is_listed_under_a_dated_one_is_known(self, book: PriceBook) -> None:
        bill = {"input": 31_964, "output": 2243, "output_reasoning": 18_460}
        model = ("openrouter", "qwen/qwen3.8-max")
        assert usd(book, "2026-09-04", *model, usage=bill) == "0.188146"
        listed = ModelRow("openrouter", "qwen/qwen3.8-max-0902", '{"starts_with":"qwen/qwen3.8"}')
        assert [row.layer for row in router_names([listed])] == [LAYER]
        known = ModelRow("openrouter", "other", '{"equals":"qwen/qwen3.8-max"}')
        assert not list(router_names([listed, known]))
        assert not list(router_names([]))

    def test_a_model_it_no_longer_lists_costs_what_its_maker_takes(self, book: PriceBook) -> None:
        call = {
            "provider": "openrouter", "model_served": "google/gemini-2.5-flash-image-preview",
            "usage": {"input": 16, "output": 49, "output_image": 1290},
        }  # fmt: skip
        cost = price_call(book, call_of(call, at=at("2025-12-22")))
        assert (cost.cost_nanos, cost.price_confidence) == (38_827_300, "estimated")
        assert cost.price_rule == "maker_fallback+match"


class TestUnits:
    @pytest.mark.parametrize(
        ("model", "fees"),
        [
            ("sonar", ("0.005", "0.008", "0.012")), ("sonar-pro", ("0.006", "0.01", "0.014")),
            ("sonar-reasoning-pro", ("0.006", "0.01", "0.014")),
            ("sonar-deep-research", ("0", "0", "0")),
        ],
    )  # fmt: skip
    def test_a_request_to_perplexity_costs_by_how_much_it_searches(
        self, book: PriceBook, model: str, fees: tuple[str, ...]
    ) -> None:
        found = tuple(
            usd(book, "2026-06-01", "perplexity", model, usage={f"requests_{size}": 1})
            for size in ("low", "medium", "high")
        )
        assert found == fees

    @pytest.mark.parametrize(
        ("provider", "model", "unit"),
        [
            ("openai", "gpt-image-1", "output_image"), ("openai", "gpt-image-2", "output_image"),
            ("openai", "gpt-4o-mini-tts", "output_audio"),
            ("google", "gemini-2.5-pro-tts", "output_audio"),
            ("google", "gemini-3.8-flash-tts", "output_audio"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("day", ["2026-11-01", "2027-02-01"])
    def test_what_only_makes_images_or_speech_has_its_output_for_their_price(
        self, book: PriceBook, provider: str, model: str, unit: str, day: str
    ) -> None:
        priced = usd(book, day, provider, model, usage={unit: 1000})
        assert priced == usd(book, day, provider, model, usage={"output": 1000}) != "0"

    def test_a_price_that_the_catalogue_states_is_not_corrected(self) -> None:
        rates = [
            RateRow.make("openai", "gpt-image-1", unit, 5) for unit in ("output", "output_image")
        ]
        assert not list(corrections(rates))
        assert [row.unit for row in corrections(rates[:1])] == ["output_image"]


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


def test_a_source_says_when_it_is_not_certain(book: PriceBook) -> None:
    sources = {row.source for row in book.rates if row.layer == LAYER}
    assert {"uncertain" in source for source in sources} == {True, False}
