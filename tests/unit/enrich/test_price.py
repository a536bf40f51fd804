"""Columnar pricing agrees exactly with the scalar reference, and keeps every row in its place."""

from __future__ import annotations

import json
import random
from typing import Any

import pyarrow as pa
import pytest

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.rating import COST_COLUMNS, FLAGS
from outlay.core.sell import SellRow
from outlay.core.units import EVENT_UNITS
from outlay.enrich.price import OUTPUT, price_table
from outlay.store.books.catalogue import load_catalogue
from outlay.stream.columns import CAPTURED_SCHEMA, ENRICHED_SCHEMA
from tests.unit.enrich.pricing import AT, USD, by_columns, by_scalar, event, table

MODELS = (
    ("openai", "gpt-5.6-sol"), ("openai", "o4-mini-2025-04-16"), ("openai", "gpt-77"),
    ("anthropic", "claude-sonnet-4-5"), ("anthropic", "claude-haiku-5-5"), ("azure", "gpt-4.1"),
    ("google", "gemini-2.5-pro"), ("vertex", "publishers/google/models/gemini-2.5-flash"),
    ("deepseek", "deepseek-v4-flash"), ("xai", "grok-4.3"), ("perplexity", "sonar"),
    ("aws", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"), (None, None), ("azure", "ours"),
    ("vllm", "llama"), ("openrouter", "x-ai/grok-4"), ("openrouter", "acme/new:free"),
)  # fmt: skip


@pytest.fixture(scope="module")
def catalogue() -> PriceBook:
    return load_catalogue()


@pytest.fixture(scope="module")
def contracts(catalogue: PriceBook) -> PriceBook:
    own = (
        RateRow.make("openai", "gpt-5.6-sol", "input", 3 * USD, layer="contract"),
        RateRow.make("openai", "gpt-5.6-sol", "input_audio", 7 * USD, layer="contract"),
        RateRow.make("tool", "serp.search", "requests", 5_000 * USD, layer="override"),
        RateRow.make("google", "gemini-2.5-pro", "input", USD, layer="contract", tenant="acme"),
        RateRow.make("vllm", "llama", "duration_ms", USD, layer="override", min_quantity=500),
    )
    deployed = ModelRow(
        "azure", "gpt-4.1", '{"equals":"ours"}', layer="override", region_class="eu"
    )
    sold = (
        SellRow.make("cost", "nanos", 1_300_000),
        SellRow.make("cost", "nanos", 1_100_000, tenant="acme", plan="pro"),
        SellRow.make("output", "credits", 2_000_000, feature="chat"),
        SellRow.make("calls", "credits", 10**12, model="gemini-2.5-pro"),
    )
    return PriceBook((*catalogue.models, deployed), (*catalogue.rates, *own), sold)


def random_event(dice: random.Random) -> dict[str, Any]:
    provider, model = dice.choice(MODELS)
    fields: dict[str, Any] = {
        "provider": provider,
        "model_served": model if dice.random() < 0.9 else None,
        "model_requested": dice.choice((model, "gpt-4.1", None)),
        "started_at": AT + dice.randrange(15_000_000_000_000),
        "latency_ms": dice.choice((None, 0.1, 750.0)),
        "tenant_id": dice.choice(("acme", "globex", "unattributed")),
        "plan": dice.choice((None, "pro")),
        "feature": dice.choice((None, "chat")),
        "status": dice.choice(("ok", "ok", "error")),
        "tier_served": dice.choice((None, None, "default", "flex", "priority", "batch")),
        "batch": dice.random() < 0.1,
        "speed": dice.choice((None, None, "standard", "fast")),
        "region_class": dice.choice((None, "us", "eu")),
        "billed": dice.choice(("yes",) * 8 + ("no", "possible")),
        "usage_source": dice.choice(("provider",) * 8 + ("estimated", "counted", "none")),
        "provider_cost_nanos": dice.choice((None,) * 6 + (0, -5, 10**18, dice.randrange(10**9))),
    }
    if dice.random() < 0.9:
        fields |= {unit: dice.choice((0, 0, 7, dice.randrange(300_000))) for unit in EVENT_UNITS}
    if dice.random() < 0.3:
        names = (
            "web_search", "input_audio", "requests", "input_image", "input_cache_write", "odd",
            "requests_low",
        )  # fmt: skip
        fields["other_units"] = {
            name: dice.choice((0, 1, dice.randrange(250_000))) for name in dice.sample(names, 2)
        }
    if provider is None:
        fields |= {"operation": "tool", "name": dice.choice(("serp.search", "other", None))}
    if dice.random() < 0.03:
        fields["other_units"] = {"web_search": 10**15, "input": 5}
    if dice.random() < 0.1:
        parts = [{"model": dice.choice((model, "gpt-4.1", "")), "usage": {"input": 9}}]
        fields["segments"] = dice.choice((json.dumps(parts), "{", ""))
    return event(**fields)


@pytest.mark.parametrize("seed", range(4))
def test_columns_and_scalar_agree_exactly_on_the_catalogue(
    catalogue: PriceBook, contracts: PriceBook, seed: int
) -> None:
    dice = random.Random(seed)
    events = [random_event(dice) for _ in range(1000)]
    book = contracts if seed % 2 else catalogue
    for fields, found in zip(events, by_columns(table(events), book), strict=True):
        assert found == by_scalar(fields, book), fields


def test_a_unit_named_twice_in_a_map_is_priced_once(catalogue: PriceBook) -> None:
    fields = event(input=5)
    fields["other_units"] = [("web_search", 1), ("web_search", 2)]
    events = [event(other_units={"web_search": 4}), fields]
    found = by_columns(table(events), catalogue)
    assert found == [by_scalar(fields, catalogue) for fields in events]
    assert found[1]["cost_other_nanos"] == 20_000_000


class TestShape:
    def test_columns_have_the_types_of_the_enriched_schema(self, catalogue: PriceBook) -> None:
        for events in ([], [event()], [event(input=1)] * 3):
            columns = price_table(table(events), catalogue)
            assert list(columns) == list(OUTPUT)
            for name, column in columns.items():
                assert len(column) == len(events)
                if name != "price_flags":
                    assert column.type == ENRICHED_SCHEMA.field(name).type
                else:
                    assert column.type == pa.list_(pa.string())

    def test_chunks_slices_and_more_columns_change_nothing(self, catalogue: PriceBook) -> None:
        dice = random.Random(9)
        events = [random_event(dice) for _ in range(300)]
        assert by_columns(table(events).select(CAPTURED_SCHEMA.names), catalogue) == by_columns(
            table([{**e, "plan": None} for e in events]), catalogue
        )
        whole = by_columns(table(events), catalogue)
        chunked = pa.concat_tables([table(events[:100]), table(events[100:])])
        chunked = chunked.append_column("received_at", pa.nulls(300, pa.timestamp("us")))
        assert by_columns(chunked, catalogue) == whole
        assert by_columns(table(events).slice(37, 200), catalogue) == whole[37:237]

    def test_cost_columns_always_sum_to_the_cost(self, contracts: PriceBook) -> None:
        dice = random.Random(5)
        for row in by_columns(table([random_event(dice) for _ in range(500)]), contracts):
            assert row["cost_nanos"] == sum(row[name] for name in COST_COLUMNS)
            assert row["cost_nanos"] == sum(line["nanos"] for line in row["lines"])
            assert set(row["price_flags"]) <= set(FLAGS)


class TestKnownTotals:
    def cost(self, catalogue: PriceBook, **fields: Any) -> dict[str, Any]:
        (row,) = by_columns(table([event(**fields)]), catalogue)
        return row

    def test_a_cache_write_is_charged_in_its_own_column(self, catalogue: PriceBook) -> None:
        row = self.cost(
            catalogue, started_at=1_785_715_200_000_000, input=8, output=5,
            other_units={"input_cache_write": 4012},
        )  # fmt: skip
        assert (row["cost_nanos"], row["cost_cache_write_nanos"]) == (25_265_000, 25_075_000)
        assert [line["unit"] for line in row["lines"]] == ["input", "output", "input_cache_write"]

    def test_a_null_where_there_is_no_name(self, catalogue: PriceBook) -> None:
        row = self.cost(catalogue, model_served="gpt-77", input=5)
        assert (row["price_model"], row["price_rule"], row["list_cost_nanos"]) == (None,) * 3
        assert row["price_flags"] == ["unpriced", "unknown_model"]

    def test_provider_stated_cost_that_drifts_is_flagged(self, catalogue: PriceBook) -> None:
        row = self.cost(catalogue, input=1_000_000, provider_cost_nanos=6 * USD)
        assert (row["cost_nanos"], row["price_basis"]) == (6 * USD, "provider_stated")
        assert row["price_flags"] == ["price_drift"]
        assert row["lines"][-1]["unit"] == "provider_adjustment"

    def test_a_line_without_a_rate_shows_beside_a_stated_cost(self, catalogue: PriceBook) -> None:
        row = self.cost(catalogue, input=1, other_units={"odd": 1}, provider_cost_nanos=7)
        assert (row["price_basis"], row["price_flags"]) == ("provider_stated", ["unpriced_line"])


class TestSelling:
    def rows(self, *sells: SellRow, events: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        rates = (RateRow.make("openai", "gpt-5.6-sol", "input", 2 * USD),)
        found = by_columns(table(events), PriceBook(rates=rates, sells=sells))
        return [(row["sell_nanos"], row["credits_micros"], row["price_flags"]) for row in found]

    def test_each_event_is_sold_by_its_tenants_and_its_plans_row(self) -> None:
        sells = (
            SellRow.make("cost", "nanos", 1_500_000),
            SellRow.make("cost", "nanos", 1_300_000, plan="pro"),
            SellRow.make("input", "credits", 10**6, tenant="acme"),
        )
        events = [
            event(input=1000),
            event(input=1000, plan="pro"),
            event(input=1000, plan="pro", tenant_id="acme"),
        ]
        assert self.rows(*sells, events=events) == [
            (3_000_000, None, []),
            (2_600_000, None, []),
            (2_600_000, 1000, []),
        ]

    def test_a_markup_on_what_has_no_price_is_flagged(self) -> None:
        sells = (SellRow.make("cost", "nanos", 1_500_000),)
        events = [event(input=1000, output=5), event(input=1000, output=5, segments="[]")]
        assert self.rows(*sells, events=events) == [(3_000_000, None, ["unpriced", "unsold"])] * 2

    def test_amounts_beyond_64_bits_on_the_way_are_exact(self) -> None:
        sells = (SellRow.make("input", "nanos", 10**18 + 1),)
        events = [event(input=99_999), event(input=100_001)]
        assert self.rows(*sells, events=events) == [
            (99_999_000_000_000_000, None, []),
            (0, None, ["unsold"]),
        ]

    def test_without_a_row_there_is_no_price(self) -> None:
        assert self.rows(events=[event(input=1)]) == [(None, None, [])]
        sells = (SellRow.make("cost", "nanos", 1, tenant="acme"),)
        assert self.rows(*sells, events=[event(input=1)]) == [(None, None, [])]
