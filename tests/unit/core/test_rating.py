"""Rating: lines, totals, basis and confidence of one call, by the scalar reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core import units
from outlay.core.money import line_nanos
from outlay.core.prices import ModelRow, PriceBook, RateRow, RateSet
from outlay.core.rating import (
    COST_COLUMNS,
    Priced,
    call_of,
    price_call,
    rate,
    total_nanos,
    totals,
)

AT = 1_800_000_000_000_000
USD = 1_000_000_000


def rows(provider: str, model: str, *, layer: str = "catalogue", **prices: float) -> list[RateRow]:
    return [
        RateRow.make(provider, model, unit, round(usd * 1000) * USD // 1000, layer=layer)
        for unit, usd in prices.items()
    ]


CLAUDE = rows(
    "anthropic", "claude", input=3, input_cache_read=0.3, input_cache_write=3.75,
    input_cache_write_1h=6, output=15, web_search=10_000,
)  # fmt: skip
ADVISOR = rows("anthropic", "advisor", input=10, output=50)
LONG = [
    *rows("anthropic", "long", input=1, output=5),
    RateRow.make("anthropic", "long", "input", 2 * USD, min_context=1001),
    RateRow.make("anthropic", "long", "output", 10 * USD, min_context=1001),
]
SEARCH = rows("tool", "serp.search", requests=5_000)
BOOK = PriceBook(
    (ModelRow("anthropic", "claude", '{"starts_with":"claude"}'),),
    (*CLAUDE, *ADVISOR, *LONG, *SEARCH),
)


def priced(book: PriceBook = BOOK, **fields: Any) -> Priced:
    fields = {"provider": "anthropic", "model_served": "claude", "operation": "chat", **fields}
    return price_call(book, call_of(fields, at=AT))


class TestLines:
    def test_each_bucket_is_priced_at_its_own_rate(self) -> None:
        cost = priced(
            usage={
                "input": 3,
                "input_cache_read": 1111,
                "input_cache_write_5m": 418,
                "input_cache_write_1h": 100,
                "output": 33,
                "output_reasoning": 7,
            }
        )
        assert [line.nanos for line in cost.lines] == [
            9_000, 333_300, 1_567_500, 600_000, 495_000, 105_000,
        ]  # fmt: skip
        assert cost.cost_nanos == 3_109_800
        assert cost.columns == {
            "cost_input_nanos": 9_000,
            "cost_cache_read_nanos": 333_300,
            "cost_cache_write_nanos": 2_167_500,
            "cost_output_nanos": 600_000,
            "cost_other_nanos": 0,
        }
        assert (cost.price_basis, cost.price_confidence) == ("catalogue", "exact")
        assert (cost.price_model, cost.price_rule, cost.flags) == ("claude", "exact", ())
        assert cost.list_cost_nanos == cost.cost_nanos

    def test_a_line_names_the_rate_it_used(self) -> None:
        (line,) = priced(usage={"input": 1}).lines
        assert (line.rate_id, line.nanos_per_million) == (CLAUDE[0].rate_id, 3 * USD)

    def test_fees_are_per_piece(self) -> None:
        cost = priced(usage={"web_search": 3})
        assert cost.columns["cost_other_nanos"] == cost.cost_nanos == 30_000_000

    def test_a_call_without_a_count_is_one_request_where_requests_are_charged(self) -> None:
        book = PriceBook(rates=tuple(rows("p", "m", input=1, requests=12_000)))
        assert [(x.unit, x.quantity) for x in priced(book, **M, usage={"input": 9}).lines] == [
            ("input", 9),
            ("requests", 1),
        ]
        assert priced(book, **M, usage={"input": 9, "requests": 3}).lines[1].quantity == 3
        sized = priced(book, **M, usage={"input": 9, "requests_low": 1})
        assert [line.unit for line in sized.lines] == ["input", "requests_low"]
        assert priced(book, **M, usage={}).lines == []

    def test_less_than_the_minimum_is_charged_as_the_minimum_and_flagged(self) -> None:
        row = RateRow.make("p", "m", "audio_seconds", 30 * USD, min_quantity=10)
        book = PriceBook(rates=(row,))
        short = priced(book, **M, usage={"audio_seconds": 3})
        (line,) = short.lines
        assert (line.quantity, line.nanos, short.flags) == (10, 300_000, ("minimum_charge",))
        assert (short.price_basis, short.price_confidence) == ("catalogue", "exact")
        assert priced(book, **M, usage={"audio_seconds": 10}).flags == ()
        assert priced(book, **M, usage={"audio_seconds": 0}).lines == []

    def test_a_minimum_of_a_rate_that_is_assumed_is_flagged_with_the_assumption(self) -> None:
        book = PriceBook(rates=(RateRow.make("p", "m", "input", USD, min_quantity=10),))
        cost = priced(book, **M, usage={"input_image": 3})
        assert cost.flags == ("modality_at_text_rate", "minimum_charge")
        assert (cost.cost_nanos, cost.price_confidence) == (10_000, "estimated")

    def test_a_model_charged_by_duration_is_charged_for_the_events_own(self) -> None:
        book = PriceBook(rates=tuple(rows("p", "m", input=0, duration_ms=1000)))
        times = {"started_at": AT, "ended_at": AT + 1_500_001}
        cost = priced(book, **M, usage={"input": 9}, **times)
        assert [(x.unit, x.quantity, x.nanos) for x in cost.lines] == [
            ("input", 9, 0),
            ("duration_ms", 1501, 1_501_000_000),
        ]
        assert priced(book, **M, usage={"duration_ms": 7}, **times).lines[0].quantity == 7
        assert priced(book, **M, usage={}, **times).cost_nanos == cost.cost_nanos
        assert priced(book, **M, usage={}, billed="no", **times).cost_nanos == 0
        assert priced(book, **M, usage={}).price_basis == "free"

    def test_the_duration_is_charged_once_however_many_parts_a_call_has(self) -> None:
        book = PriceBook(rates=tuple(rows("p", "m", input=0, duration_ms=1000)))
        parts = [{"model": "m", "usage": {"input": 5}}] * 2
        cost = priced(book, **M, usage={"input": 10}, segments=parts, latency_ms=2.0)
        assert [line.unit for line in cost.lines] == ["input", "input", "duration_ms"]

    def test_gpu_seconds_are_a_unit_like_any_other(self) -> None:
        book = PriceBook(rates=tuple(rows("own", "h100", gpu_seconds=700)))
        cost = priced(book, provider="own", model_served="h100", usage={"gpu_seconds": 10})
        assert cost.cost_nanos == 7_000_000

    def test_the_whole_call_moves_to_the_next_context_band(self) -> None:
        short = priced(model_served="long", usage={"input": 600, "input_cache_read": 400})
        long = priced(model_served="long", usage={"input": 600, "input_cache_read": 401})
        assert short.columns["cost_input_nanos"] == 600_000
        assert long.columns["cost_input_nanos"] == 1_200_000


M = {"provider": "p", "model_served": "m"}
UNITS_60 = [f"u{i}" for i in range(60)]


class TestUnpriced:
    def test_an_unpriced_line_is_kept_and_makes_the_cost_a_lower_bound(self) -> None:
        cost = priced(usage={"input": 1000, "input_audio": 5})
        assert [(x.unit, x.nanos, x.basis, x.rate_id) for x in cost.lines[1:]] == [
            ("input_audio", 0, "unpriced", "")
        ]
        assert cost.cost_nanos == 3_000_000
        assert (cost.price_basis, cost.price_confidence) == ("unpriced", "unknown")
        assert (cost.flags, cost.list_cost_nanos) == (("unpriced",), None)

    def test_an_unknown_model_is_unpriced_and_never_free(self) -> None:
        cost = priced(model_served="gpt-77", usage={"input": 1})
        assert (cost.cost_nanos, cost.price_basis, cost.price_model) == (0, "unpriced", None)
        assert cost.flags == ("unpriced", "unknown_model")

    def test_a_call_that_may_have_been_billed_for_unknown_usage_is_not_free(self) -> None:
        cost = priced(billed="possible")
        assert (cost.price_basis, cost.price_confidence) == ("unpriced", "unknown")
        assert (cost.flags, cost.list_cost_nanos) == (("usage_unknown",), None)

    def test_an_absurd_line_is_a_fault_and_not_a_price(self) -> None:
        cost = priced(usage={"web_search": 10**15, "input": 1})
        assert cost.cost_nanos == 3_000
        assert cost.flags == ("unpriced", "cost_overflow")

    def test_a_sum_that_does_not_fit_is_unpriced_as_a_whole(self) -> None:
        book = PriceBook(rates=tuple(RateRow.make("p", "m", u, 99_000 * USD) for u in UNITS_60))
        cost = priced(book, **M, usage=dict.fromkeys(UNITS_60, 10**12))
        assert (cost.cost_nanos, cost.price_basis) == (0, "unpriced")
        assert "cost_overflow" in cost.flags


class TestBasis:
    @pytest.mark.parametrize("fields", [{"billed": "no", "usage": {"input": 5}}, {"usage": {}}])
    def test_nothing_billed_or_nothing_used_is_free(self, fields: dict[str, Any]) -> None:
        cost = priced(**fields)
        assert (cost.lines, cost.cost_nanos) == ([], 0)
        assert (cost.price_basis, cost.price_confidence) == ("free", "exact")

    def test_estimated_usage_gives_an_estimate(self) -> None:
        cost = priced(usage={"input": 5}, usage_source="estimated")
        assert (cost.price_basis, cost.price_confidence) == ("estimate", "estimated")

    def test_usage_we_counted_is_priced_by_the_catalogue_but_not_exact(self) -> None:
        cost = priced(usage={"input": 5}, usage_source="counted")
        assert (cost.price_basis, cost.price_confidence) == ("catalogue", "estimated")

    @pytest.mark.parametrize(
        ("fields", "flag"),
        [
            ({"batch": True}, "no_batch_rate"),
            ({"tier_served": "priority"}, "no_tier_rate"),
            ({"speed": "fast"}, "no_speed_rate"),
        ],
    )
    def test_a_standard_price_for_a_special_call_is_flagged(
        self, fields: dict[str, Any], flag: str
    ) -> None:
        cost = priced(usage={"input": 5}, **fields)
        assert (cost.flags, cost.price_confidence) == ((flag,), "estimated")

    def test_a_contract_price_is_named_and_the_list_price_kept(self) -> None:
        contract = rows("anthropic", "claude", layer="contract", input=2)
        book = PriceBook(BOOK.models, (*BOOK.rates, *contract))
        cost = priced(book, usage={"input": 1000, "output": 10})
        assert (cost.price_basis, cost.lines[0].basis) == ("contract", "contract")
        assert (cost.cost_nanos, cost.list_cost_nanos) == (2_150_000, 3_150_000)

    def test_a_tenants_contract_is_a_contract_for_that_tenant_alone(self) -> None:
        own = RateRow.make("anthropic", "claude", "input", USD, layer="contract", tenant="acme")
        book = PriceBook(BOOK.models, (*BOOK.rates, own))
        found = {
            tenant: priced(book, usage={"input": 1000}, tenant_id=tenant)
            for tenant in ("acme", "globex")
        }
        assert [(c.cost_nanos, c.price_basis) for c in found.values()] == [
            (1_000_000, "contract"),
            (3_000_000, "catalogue"),
        ]
        assert [c.list_cost_nanos for c in found.values()] == [3_000_000, 3_000_000]

    def test_a_model_that_only_a_tenants_contract_names_is_unknown_to_others(self) -> None:
        own = RateRow.make("anthropic", "secret", "input", USD, layer="contract", tenant="acme")
        book = PriceBook(rates=(own,))
        said = {"model_served": "secret", "usage": {"input": 1}}
        assert priced(book, tenant_id="acme", **said).price_model == "secret"
        assert priced(book, tenant_id="globex", **said).flags == ("unpriced", "unknown_model")

    def test_the_region_class_of_an_alias_prices_a_call_that_states_none(self) -> None:
        alias = ModelRow("azure", "gpt", '{"equals":"ours"}', layer="override", region_class="eu")
        rates = (
            RateRow.make("azure", "gpt", "input", USD),
            RateRow.make("azure", "gpt", "input", 2 * USD, region_class="eu"),
        )
        said = {"provider": "azure", "model_served": "ours", "usage": {"input": 1000}}
        book = PriceBook((alias,), rates)
        assert priced(book, **said).cost_nanos == 2_000_000
        assert priced(book, **said, region_class="us").cost_nanos == 1_000_000

    def test_a_tool_is_priced_by_its_name(self) -> None:
        cost = priced(
            provider=None, operation="tool", model_served=None, name="serp.search",
            other_units={"requests": 2},
        )  # fmt: skip
        assert (cost.cost_nanos, cost.price_model) == (10_000_000, "serp.search")


class TestProviderStated:
    def test_the_stated_cost_wins_and_a_line_carries_the_difference(self) -> None:
        cost = priced(usage={"input": 1000}, provider_cost_nanos=3_001_000)
        assert (cost.cost_nanos, cost.price_basis) == (3_001_000, "provider_stated")
        assert (cost.columns["cost_input_nanos"], cost.columns["cost_other_nanos"]) == (
            3_000_000,
            1_000,
        )
        line = cost.lines[-1]
        assert (line.unit, line.nanos, line.basis) == (
            "provider_adjustment",
            1_000,
            "provider_stated",
        )
        assert (cost.flags, cost.list_cost_nanos) == ((), 3_000_000)

    @pytest.mark.parametrize(
        ("stated", "drift"),
        [(3_030_304, True), (3_030_303, False), (2_970_298, False), (2_970_297, True), (0, True)],
    )
    def test_more_than_one_percent_apart_is_drift(self, stated: int, drift: bool) -> None:
        cost = priced(usage={"input": 1000}, provider_cost_nanos=stated)
        assert ("price_drift" in cost.flags) is drift

    def test_equal_costs_need_no_adjustment(self) -> None:
        assert len(priced(usage={"input": 1000}, provider_cost_nanos=3_000_000).lines) == 1

    def test_it_prices_what_the_catalogue_does_not_know(self) -> None:
        cost = priced(model_served="x", usage={"input": 1}, provider_cost_nanos=7)
        assert (cost.cost_nanos, cost.price_basis, cost.price_confidence) == (
            7,
            "provider_stated",
            "exact",
        )
        assert cost.flags == ("unknown_model", "unpriced_line")

    def test_a_line_without_a_rate_shows_and_changes_nothing_else(self) -> None:
        cost = priced(usage={"input": 1000, "odd": 1}, provider_cost_nanos=3_000_000)
        assert (cost.flags, cost.price_basis) == (("unpriced_line",), "provider_stated")
        assert (cost.cost_nanos, cost.price_confidence) == (3_000_000, "exact")

    def test_estimated_usage_proves_no_drift(self) -> None:
        cost = priced(usage={"input": 1}, usage_source="estimated", provider_cost_nanos=9)
        assert cost.flags == ()

    @pytest.mark.parametrize("stated", [-1, 10**18])
    def test_a_cost_that_cannot_be_is_not_taken(self, stated: int) -> None:
        cost = priced(usage={"input": 1}, provider_cost_nanos=stated)
        assert (cost.price_basis, cost.flags) == ("catalogue", ("bad_provider_cost",))


class TestSegments:
    def test_each_part_is_priced_with_its_own_model(self) -> None:
        segments = [
            {"model": "claude", "usage": {"input": 100, "output": 10}, "kind": "message"},
            {"model": "advisor", "usage": {"input": 200, "output": 20}, "kind": "advisor"},
        ]
        cost = priced(usage={"input": 300, "output": 30}, segments=segments)
        assert [line.nanos for line in cost.lines] == [300_000, 150_000, 2_000_000, 1_000_000]

    def test_each_part_has_its_own_context_band(self) -> None:
        parts = [{"model": "long", "usage": {"input": 800}}] * 2
        cost = priced(usage={"input": 1600}, segments=json.dumps(parts))
        assert cost.cost_nanos == 1_600_000

    def test_what_is_used_beyond_the_parts_is_priced_as_the_call(self) -> None:
        parts = [{"model": "advisor", "usage": {"input": 100}}]
        cost = priced(usage={"input": 150, "web_search": 1}, segments=parts)
        assert [(x.unit, x.quantity, x.nanos) for x in cost.lines] == [
            ("input", 100, 1_000_000),
            ("input", 50, 150_000),
            ("web_search", 1, 10_000_000),
        ]

    def test_a_part_of_an_unknown_model_makes_the_call_unpriced(self) -> None:
        parts = [{"model": "who", "usage": {"input": 100}}]
        cost = priced(usage={"input": 150}, segments=parts)
        assert (cost.cost_nanos, cost.flags) == (150_000, ("unpriced", "unknown_model"))

    @pytest.mark.parametrize("segments", ["{", "[1]", '[{"model":"claude"}]', "7", "[" * 5000])
    def test_unreadable_parts_are_flagged_and_the_sum_is_priced(self, segments: str) -> None:
        cost = priced(usage={"input": 1000}, segments=segments)
        assert (cost.cost_nanos, cost.flags) == (3_000_000, ("bad_segments",))


usages = st.dictionaries(
    st.sampled_from((*units.EVENT_UNITS, "input_audio", "web_search", "odd")),
    st.integers(0, 10**9),
)
rate_tables = st.dictionaries(
    st.sampled_from((*units.EVENT_UNITS, "input_cache_write", "web_search")),
    st.integers(0, 10**13),
)


class TestProperties:
    @given(usages, rate_tables)
    def test_a_total_is_the_sum_of_its_lines_and_of_its_columns(
        self, usage: Mapping[str, int], table: Mapping[str, int]
    ) -> None:
        book = PriceBook(rates=tuple(RateRow.make("p", "m", u, n) for u, n in table.items()))
        cost = priced(book, **M, usage=usage)
        assert cost.cost_nanos == sum(line.nanos for line in cost.lines)
        assert cost.cost_nanos == sum(cost.columns.values())
        assert set(cost.columns) == set(COST_COLUMNS)
        assert {line.unit: line.quantity for line in cost.lines} == {
            unit: n for unit, n in usage.items() if n
        }

    @given(usages, rate_tables)
    def test_every_line_is_its_count_times_its_rate_and_no_float(
        self, usage: Mapping[str, int], table: Mapping[str, int]
    ) -> None:
        rates = RateSet({u: RateRow.make("p", "m", u, n) for u, n in table.items()})
        for line in rate(usage, rates):
            assert line.nanos == line_nanos(line.quantity, line.nanos_per_million)
            assert type(line.nanos) is type(line.nanos_per_million) is int

    @given(usages, rate_tables, st.integers(0, 10**6), st.integers(0, 50))
    def test_the_short_way_to_the_sum_is_the_sum_of_the_lines(
        self, usage: Mapping[str, int], table: Mapping[str, int], took_ms: int, least: int
    ) -> None:
        rates = RateSet(
            {u: RateRow.make("p", "m", u, n, min_quantity=least) for u, n in table.items()}
        )
        lines = rate(usage, rates, duration_ms=took_ms)
        whole = None if any(x.basis == "unpriced" for x in lines) else sum(x.nanos for x in lines)
        assert total_nanos(usage, rates, duration_ms=took_ms) == whole

    @given(usages, rate_tables, st.sampled_from(units.EVENT_UNITS), st.integers(1, 10**6))
    def test_using_more_never_costs_less(
        self, usage: Mapping[str, int], table: Mapping[str, int], unit: str, more: int
    ) -> None:
        rates = RateSet({u: RateRow.make("p", "m", u, n) for u, n in table.items()})
        less = sum(totals(rate(usage, rates)).values())
        larger = {**usage, unit: usage.get(unit, 0) + more}
        assert sum(totals(rate(larger, rates)).values()) >= less

    @given(usages, rate_tables, st.integers(0, 10**15))
    def test_columns_sum_to_what_the_provider_stated(
        self, usage: Mapping[str, int], table: Mapping[str, int], stated: int
    ) -> None:
        book = PriceBook(rates=tuple(RateRow.make("p", "m", u, n) for u, n in table.items()))
        cost = priced(book, **M, usage=usage, provider_cost_nanos=stated)
        assert cost.cost_nanos == sum(cost.columns.values()) == stated
