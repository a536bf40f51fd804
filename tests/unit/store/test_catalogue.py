"""The catalogue: genai-prices as rows, checked by hand and against its own calculator."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Usage,
)

from outlay.core.match import canonical_provider
from outlay.core.money import usd_from_nanos
from outlay.core.prices import PriceBook
from outlay.core.rating import Priced, call_of, price_call
from outlay.store.books import catalogue
from outlay.store.books.catalogue import CatalogueReport, load_catalogue, read_catalogue
from outlay.store.books.change import first_overlap, rate_key

Read = tuple[PriceBook, CatalogueReport]


@pytest.fixture(scope="module")
def read() -> Read:
    return read_catalogue()


@pytest.fixture(scope="module")
def book(read: Read) -> PriceBook:
    return read[0]


def micros(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000_000)


def priced(book: PriceBook, at: str, provider: str, model: str, **fields: Any) -> Priced:
    call = {"provider": provider, "model_served": model, **fields}
    return price_call(book, call_of(call, at=micros(at)))


def usd(book: PriceBook, at: str, provider: str, model: str, **fields: Any) -> str:
    cost = priced(book, at, provider, model, **fields)
    assert cost.price_basis == "catalogue", cost
    return format(usd_from_nanos(cost.cost_nanos).normalize(), "f")


class TestByHand:
    def test_gpt_5_6_sol_cost_more_until_20_august_2026(self, book: PriceBook) -> None:
        def sol(at: str, **usage: int) -> str:
            return usd(book, at, "openai", "gpt-5.6-sol", usage=usage)

        first = {"input": 8, "input_cache_write": 4012, "output": 5}
        second = {"input": 8, "input_cache_read": 4012, "output": 5}
        assert sol("2026-08-03", **first) == "0.025265"
        assert sol("2026-08-03", **second) == "0.002196"
        assert sol("2026-08-20T23:59:59", **second) == "0.002196"
        assert sol("2026-08-21", **second) == "0.0017368"

    def test_grok_4_3_agrees_with_the_ticks_that_xai_billed(self, book: PriceBook) -> None:
        cost = {"input": 61, "input_cache_read": 128, "output": 1}
        assert usd(book, "2026-07-02", "xai", "grok-4.3", **cost) == "0.00010435"

    def test_anthropic_cache_writes_cost_1_25_and_2_times_input(self, book: PriceBook) -> None:
        sonnet = ("2026-06-01", "anthropic", "claude-sonnet-4-5-20250929")
        assert usd(book, *sonnet, input_cache_write_5m=1000) == "0.00375"
        assert usd(book, *sonnet, input_cache_write_1h=1000) == "0.006"
        assert usd(book, *sonnet, input=3, input_cache_read=1111, output=33) == "0.0008373"

    def test_above_272k_every_token_of_the_call_costs_more(self, book: PriceBook) -> None:
        sol = ("2026-09-01", "openai", "gpt-5.6-sol")
        assert usd(book, *sol, input=272_000, output=1000) == "1.108"
        assert usd(book, *sol, input=272_001, output=1000) == "2.206008"
        assert usd(book, *sol, input=1, input_cache_read=272_000, output=1000) == "0.247608"

    def test_haiku_5_5_costs_five_times_as_much_above_100k(self, book: PriceBook) -> None:
        haiku = ("2026-11-01", "anthropic", "claude-haiku-5-5")
        assert usd(book, *haiku, input=100_000, output=100) == "0.01005"
        assert usd(book, *haiku, input=100_001, output=100) == "0.0502505"

    def test_batch_is_half_price_on_every_bucket(self, book: PriceBook) -> None:
        for unit in (
            "input", "input_cache_read", "input_cache_write_5m", "input_cache_write_1h", "output",
            "output_reasoning",
        ):  # fmt: skip
            full, half = (
                priced(
                    book, "2026-11-01", "anthropic", "claude-sonnet-4-5",
                    usage={unit: 10**6}, batch=batch,
                )
                for batch in (False, True)
            )  # fmt: skip
            assert 2 * half.cost_nanos == full.cost_nanos > 0, unit
            assert half.flags == ()

    def test_batch_before_the_catalogue_knows_it_is_flagged(self, book: PriceBook) -> None:
        cost = priced(book, "2026-06-01", "anthropic", "claude-sonnet-4-5", input=5, batch=True)
        assert (cost.flags, cost.price_confidence) == (("no_batch_rate",), "estimated")

    def test_tiers_and_speeds(self, book: PriceBook) -> None:
        sol = ("2026-11-01", "openai", "gpt-5.6-sol")
        costs = [
            usd(book, *sol, input=1_000, tier_served=t) for t in ("default", "flex", "priority")
        ]
        assert costs == ["0.004", "0.002", "0.008"]

    def test_us_only_inference_costs_a_tenth_more_from_opus_4_6_on(self, book: PriceBook) -> None:
        def opus(model: str) -> str:
            return usd(book, "2026-06-01", "anthropic", model, input=1_000, region_class="us")

        assert opus("claude-opus-4-6") == "0.0055"
        assert opus("claude-opus-4-5") == "0.005"

    def test_web_search_is_charged_and_web_fetch_is_free(self, book: PriceBook) -> None:
        sonnet = ("2026-06-01", "anthropic", "claude-sonnet-4-5")
        assert usd(book, *sonnet, usage={"web_search": 2, "web_fetch": 3}) == "0.02"

    def test_hours_of_day_count_only_inside_their_dates(self, book: PriceBook) -> None:
        v4 = ("deepseek", "deepseek-v4-flash")
        assert usd(book, "2026-08-01T02:00", *v4, input=10**6) == "0.14"
        assert usd(book, "2026-09-20T02:00", *v4, input=10**6) == "0.3"
        assert usd(book, "2026-09-20T04:00", *v4, input=10**6) == "0.15"

    def test_audio_without_a_rate_is_unpriced_not_text(self, book: PriceBook) -> None:
        cost = priced(
            book, "2026-06-01", "openai", "gpt-4o-audio-preview", usage={"input_audio": 10**6}
        )
        assert (cost.cost_nanos, cost.price_basis) == (0, "unpriced")

    def test_audio_by_the_hour_is_kept_by_the_second(self, book: PriceBook) -> None:
        assert (
            usd(book, "2026-06-01", "openai", "whisper-1", usage={"audio_seconds": 3600}) == "0.36"
        )


class TestNames:
    @pytest.mark.parametrize(
        ("provider", "name", "model", "rule"),
        [
            ("openai", "o4-mini-2025-04-16", "o4-mini", "match"),
            ("openai", "gpt-5.2-20251211", "gpt-5.2", "dash_date+match"),
            ("openai", "ft:gpt-4o-2024-08-06:acme::x", "ft:gpt-4o", "match"),
            ("google", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro",
             "strip_path+exact"),
            ("vertex", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5", "provider_alias+match"),
            ("aws", "eu.anthropic.claude-haiku-4-5-20251001-v1:0",
             "regional.anthropic.claude-haiku-4-5-20251001-v1:0", "match"),
            ("aws", "global.anthropic.claude-haiku-4-5-20251001-v1:0",
             "global.anthropic.claude-haiku-4-5-20251001-v1:0", "exact"),
            ("azure", "gpt-4.1-2025-04-14", "gpt-4.1", "provider_fallback+match"),
            ("openrouter", "openai/gpt-5.2-20251211", "openai/gpt-5.2", "match"),
            ("fireworks", "accounts/fireworks/models/deepseek-v3p2", "deepseek-v3p2", "match"),
        ],
    )  # fmt: skip
    def test_names_as_they_are_on_the_wire(
        self, book: PriceBook, provider: str, name: str, model: str, rule: str
    ) -> None:
        found = book.resolve(provider, [name])
        assert found is not None
        assert (found.model, found.rule) == (model, rule)

    @pytest.mark.parametrize(
        ("provider", "name"),
        [("openai", "gpt-77"), ("openai", "ft:gpt-4.1-2025-04-14:acme::x"), ("acme", "gpt-5")],
    )
    def test_what_the_catalogue_does_not_know_stays_unknown(
        self, book: PriceBook, provider: str, name: str
    ) -> None:
        assert book.resolve(provider, [name]) is None


class TestReading:
    def test_everything_it_could_not_say_is_counted(self, read: Read) -> None:
        report = read[1]
        assert report.version
        free = [
            model.id
            for provider, model in every_model()
            if provider.id == "openrouter" and model.id.endswith(":free")
        ]
        assert free
        assert report.models == sum(len(provider.models) for provider in providers) - len(free)
        assert report.rates > report.models
        assert set(report.skipped) == {"variant route", "variant search_type"}

    def test_few_prices_are_not_whole_nanos(self, read: Read) -> None:
        # Prices by the hour, kept by the second, and float noise of the source.
        assert 0 < read[1].rounded < 100

    def test_ids_are_distinct_and_the_same_at_each_reading(self, book: PriceBook) -> None:
        assert len({row.rate_id for row in book.rates}) == len(book.rates)
        assert load_catalogue().hash == book.hash

    def test_one_rate_of_a_key_holds_at_a_time(self, book: PriceBook) -> None:
        for layer in ("catalogue", "correction"):
            rows = [row for row in book.rates if row.layer == layer]
            assert first_overlap(rows, rate_key) is None

    def test_it_survives_a_snapshot(self, book: PriceBook) -> None:
        assert PriceBook.from_snapshot(book.to_snapshot()).rates == book.rates

    def test_of_dated_prices_each_ends_where_the_next_begins(self) -> None:
        report = CatalogueReport()
        prices = [
            ConditionalPrice(prices=ModelPrice(input_mtok=Decimal(5), output_mtok=Decimal(9))),
            ConditionalPrice(
                StartDateConstraint(date(2026, 8, 21)), prices=ModelPrice(input_mtok=Decimal(4))
            ),
        ]
        model = ModelInfo(id="m", match=providers[0].models[0].match, prices=prices)
        day = micros("2026-08-21")
        found = {
            (row.unit, row.nanos_per_million, row.valid_from, row.valid_to)
            for row in catalogue._model_rates("p", model, "s", report)
        }
        assert found == {
            ("input", 5_000_000_000, None, day),
            ("output", 9_000_000_000, None, day),
            ("input", 4_000_000_000, day, None),
        }

    def test_an_unknown_unit_is_counted_and_left_out(self) -> None:
        report = CatalogueReport()
        price = ModelPrice(input_gpixels=Decimal(1))
        assert not list(catalogue._rows("p", "m", price, "s", report, {}))
        assert report.skipped == {"unit input_gpixels": 1}

    @pytest.mark.parametrize("amount", ["-1", "Infinity", "1000001"])
    def test_a_price_that_is_absurd_is_counted_and_left_out(self, amount: str) -> None:
        report = CatalogueReport()
        price = ModelPrice(input_mtok=Decimal(amount))
        assert not list(catalogue._rows("p", "m", price, "s", report, {}))
        assert report.skipped == {"absurd price of input": 1}

    def test_an_amount_finer_than_a_nano_is_rounded_and_counted(self) -> None:
        report = CatalogueReport()
        assert catalogue._nanos_per_million(Decimal("0.0000000025"), 10**6, report) == 2
        assert report.rounded == 1


TIMES = ("2026-01-15T12:00", "2026-08-03T18:00", "2026-10-20T12:00", "2026-11-21T12:00")
USAGES = (
    {"input": 1000, "input_cache_read": 500, "output": 200},
    {"input": 150_000, "input_cache_read": 60_000, "output": 10},
    {"input": 300_000, "output": 10},
)
CONTEXTS: tuple[tuple[dict[str, Any], dict[str, str]], ...] = (
    ({}, {}),
    ({"batch": True}, {"processing": "batch"}),
    ({"tier_served": "flex"}, {"service_tier": "flex"}),
    ({"tier_served": "priority"}, {"service_tier": "priority"}),
    ({"speed": "fast"}, {"speed": "fast"}),
)


def every_model() -> Iterator[tuple[Provider, ModelInfo]]:
    for provider in providers:
        for model in provider.models:
            yield provider, model


def test_token_prices_agree_with_the_packages_own_calculator(book: PriceBook) -> None:
    compared = 0
    corrected = {row.rate_id for row in book.rates if row.layer == "correction"}
    for number, (provider, model) in enumerate(every_model()):
        at = TIMES[number % len(TIMES)]
        usage = USAGES[number % len(USAGES)]
        contexts = CONTEXTS if model.price_variants else CONTEXTS[:1]
        for fields, context in contexts:
            owner = canonical_provider(provider.id)
            cost = priced(book, at, owner, model.id, usage=usage, **fields)
            if cost.price_basis != "catalogue" or corrected & {x.rate_id for x in cost.lines}:
                continue
            read = usage.get("input_cache_read", 0)
            expected = model.calc_price(
                Usage(
                    input_tokens=usage["input"] + read,
                    cache_read_tokens=read,
                    output_tokens=usage["output"],
                ),
                provider,
                genai_request_timestamp=datetime.fromisoformat(at).replace(tzinfo=UTC),
                price_context=context,
            )
            apart = abs(usd_from_nanos(cost.cost_nanos) - expected.total_price)
            assert apart <= Decimal("0.000000002"), (owner, model.id, at, usage, context)
            compared += 1
    assert compared > 2000
