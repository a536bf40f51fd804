"""Ceilings: an unpriced call is held at an upper guess for limits, never at nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.calls import call_of
from outlay.core.ceiling import UNKNOWN_OUTPUT, UNKNOWN_UNIT, UNKNOWN_UNITS, ceiling_nanos
from outlay.core.money import line_nanos
from outlay.core.prices import PriceBook, RateRow
from outlay.core.rating import MAX_LINE_NANOS, price_call

AT = 1_800_000_000_000_000
USD = 1_000_000_000


def row(provider: str, model: str, unit: str, usd: int, **values: Any) -> RateRow:
    return RateRow.make(provider, model, unit, usd * USD, **values)


LIST = (
    row("openai", "cheap", "input", 1), row("openai", "cheap", "output", 4),
    row("openai", "dear", "input", 30), row("openai", "dear", "output", 60),
    row("openai", "dear", "output", 90, min_context=1000),
    row("openai", "old", "input", 500, valid_to=AT),
    row("openai", "dear", "input", 700, tier="priority"),
    row("openai", "dear", "input", 800, tenant="acme", layer="contract"),
    row("mistral", "ocr", "pages", 4000),
    row("tool", "satellite", "requests", 100_000_000, layer="override"),
)  # fmt: skip


def held(*rows: RateRow, book: tuple[RateRow, ...] = LIST, **fields: Any) -> int:
    said = {"provider": "openai", "model_served": "gpt-77", **fields}
    return ceiling_nanos(PriceBook(rates=(*book, *rows)), call_of(said, at=AT))


class TestUnits:
    def test_a_call_with_a_price_is_held_at_its_price(self) -> None:
        assert held(model_served="cheap", usage={"input": 1000}) == 1_000_000
        assert held(usage={"input": 1000}, provider_cost_nanos=7) == 7
        assert held(usage={"input": 1000}, billed="no") == 0

    def test_a_line_without_a_price_is_held_at_the_providers_highest_standard_rate(self) -> None:
        assert held(usage={"input": 1000, "output": 10}) == 30_000_000 + 900_000

    def test_lines_that_have_a_price_keep_it(self) -> None:
        assert held(model_served="cheap", usage={"input": 1000, "pages": 1}) == 5_000_000

    def test_reasoning_is_held_as_output_and_a_unit_nobody_prices_as_the_plain_one(self) -> None:
        assert held(row("p", "m", "output_reasoning", 3), usage={"output_reasoning": 10}) == 900_000
        assert held(usage={"input_audio": 1000}) == 30_000_000

    def test_another_provider_is_the_measure_where_the_own_has_none(self) -> None:
        assert held(provider="acme", usage={"input": 1000}) == 30_000_000
        assert held(provider="azure", usage={"output": 1000}) == 90_000_000
        assert held(usage={"pages": 2}) == 8_000_000

    def test_what_the_operator_wrote_for_one_provider_is_no_measure_for_others(self) -> None:
        unknown = line_nanos(1, UNKNOWN_UNIT)
        assert held(provider="other", usage={"requests": 1}) == unknown
        assert held(provider="tool", usage={"requests": 1}) == 100 * USD

    @pytest.mark.parametrize(("unit", "rate"), [*UNKNOWN_UNITS.items(), ("odd", UNKNOWN_UNIT)])
    def test_a_unit_that_nobody_prices_has_a_ceiling_all_the_same(
        self, unit: str, rate: int
    ) -> None:
        assert held(usage={unit: 3}) == line_nanos(3, rate) > 0


class TestCeilingRows:
    def test_the_operators_ceiling_wins(self) -> None:
        own = row("*", "*", "input", 5, layer="override")
        assert held(own, usage={"input": 1000}) == 5_000_000

    def test_it_is_chosen_by_the_calls_conditions_like_any_rate(self) -> None:
        rows = (
            row("*", "*", "input", 5, layer="override"),
            row("*", "*", "input", 7, layer="override", tenant="acme"),
            row("*", "*", "input", 6, layer="override", min_context=10_000),
        )
        assert held(*rows, usage={"input": 1000}, tenant_id="acme") == 7_000_000
        assert held(*rows, usage={"input": 10_000}) == 60_000_000

    def test_a_ceiling_of_nothing_is_none(self) -> None:
        own = row("*", "*", "input", 0, layer="override")
        assert held(own, usage={"input": 1000}) == 30_000_000

    def test_a_ceiling_row_never_prices_an_event(self) -> None:
        book = PriceBook(rates=(row("*", "*", "input", 5, layer="override"),))
        call = call_of({"provider": "*", "model_served": "*", "usage": {"input": 5}}, at=AT)
        assert price_call(book, call).price_basis == "unpriced"


class TestUnknownUsage:
    def test_it_is_held_at_the_limit_of_output_tokens(self) -> None:
        assert held(billed="possible", max_tokens=1000) == 90_000_000
        assert held(billed="possible", max_tokens=1000, model_served="cheap") == 4_000_000
        assert held(billed="possible") == UNKNOWN_OUTPUT * 90_000

    def test_a_limit_of_nothing_is_no_limit_of_cost(self) -> None:
        assert held(billed="possible", max_tokens=0) > 0


class TestBounds:
    def test_an_absurd_count_is_held_at_the_bound(self) -> None:
        assert held(usage={"input": 10**15, "output": 10**15}) == MAX_LINE_NANOS

    def test_the_smallest_use_is_held_at_something(self) -> None:
        cheap = (RateRow.make("openai", "m", "input", 1),)
        assert held(book=cheap, usage={"input": 1}) == 1

    @given(
        st.dictionaries(
            st.sampled_from(("input", "output", "input_cache_read", "odd", "images")),
            st.integers(1, 10**15),
            min_size=1,
        ),
        st.sampled_from(("openai", "acme", "", "tool")),
    )
    def test_an_unpriced_call_is_never_held_at_nothing_and_always_alike(
        self, usage: dict[str, int], provider: str
    ) -> None:
        first = held(usage=usage, provider=provider)
        assert 0 < first <= MAX_LINE_NANOS
        assert held(book=LIST[::-1], usage=usage, provider=provider) == first
