"""Selling: which row wins, and what it makes of an event's lines."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from outlay.core.calls import call_of
from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.rating import MAX_LINE_NANOS, price_call
from outlay.core.sell import SellConditions, SellRates, SellRow
from outlay.core.selling import Sold, sell_call

AT = 1_800_000_000_000_000
USD = 1_000_000_000
MARKUP = 1_300_000
"""1.3 times."""

RATES = (
    RateRow.make("openai", "gpt", "input", 2 * USD),
    RateRow.make("openai", "gpt", "output", 10 * USD),
    RateRow.make("openai", "gpt", "input_cache_write", 3 * USD),
)
MODELS = (ModelRow("openai", "gpt", '{"starts_with":"gpt"}'),)
USAGE = {"input": 1000, "output": 100}
"""Costs 2,000,000 and 1,000,000."""


def nanos(unit: str, per_million: int, **values: Any) -> SellRow:
    return SellRow.make(unit, "nanos", per_million, **values)


def credit(unit: str, per_million: int, **values: Any) -> SellRow:
    return SellRow.make(unit, "credits", per_million, **values)


def sold(*rows: SellRow, **fields: Any) -> Sold:
    said = {"provider": "openai", "model_served": "gpt-5", "usage": USAGE, **fields}
    book, call = PriceBook(MODELS, RATES, rows), call_of(said, at=AT)
    return sell_call(book, call, price_call(book, call))


class TestChoice:
    said = SellConditions("acme", "pro", "search", "openai", "gpt")

    def chosen(self, *rows: SellRow, said: SellConditions = said) -> int | None:
        row = SellRates(rows).choose(said, at=AT).cost("nanos")
        return None if row is None else row.per_million

    def test_tenant_beats_plan_beats_feature_beats_model_beats_provider_beats_none(self) -> None:
        conditions: tuple[dict[str, str], ...] = (
            {}, {"provider": "openai"}, {"model": "gpt"}, {"feature": "search"}, {"plan": "pro"},
            {"tenant": "acme"},
        )  # fmt: skip
        rows = [nanos("cost", place, **values) for place, values in enumerate(conditions)]
        for number in range(1, len(rows) + 1):
            assert self.chosen(*rows[:number]) == number - 1
            assert self.chosen(*reversed(rows[:number])) == number - 1

    def test_more_conditions_never_beat_a_higher_one(self) -> None:
        many = nanos("cost", 1, feature="search", model="gpt", provider="openai")
        assert self.chosen(many, nanos("cost", 2, plan="pro")) == 2

    def test_of_two_alike_the_youngest_that_holds_wins(self) -> None:
        rows = (nanos("cost", 1), nanos("cost", 2, valid_from=AT), nanos("cost", 3, valid_to=AT))
        assert self.chosen(*rows) == 2
        assert self.chosen(nanos("cost", 9, valid_from=AT + 1)) is None

    def test_a_row_of_other_conditions_never_holds(self) -> None:
        others: tuple[dict[str, str], ...] = (
            {"tenant": "globex"}, {"plan": "free"}, {"feature": "chat"}, {"model": "gpt-5"},
            {"provider": "azure"},
        )  # fmt: skip
        assert [self.chosen(nanos("cost", 1, **values)) for values in others] == [None] * 5

    def test_providers_and_models_are_told_by_any_case_and_name(self) -> None:
        said = SellConditions(provider="google", model="gemini")
        assert self.chosen(nanos("cost", 1, provider="Vertex", model="Gemini"), said=said) == 1


class TestAmounts:
    def test_a_markup_multiplies_what_each_line_costs(self) -> None:
        assert sold(nanos("cost", MARKUP)) == Sold(3_900_000, None)

    def test_each_line_is_rounded_half_to_even(self) -> None:
        usage = {"input": 1}  # costs 2000
        assert sold(nanos("cost", 250), usage=usage).sell_nanos == 0
        assert sold(nanos("cost", 750), usage=usage).sell_nanos == 2

    def test_a_unit_has_a_price_of_its_own_and_the_rest_the_markup(self) -> None:
        rows = (nanos("output", 20 * USD), nanos("cost", MARKUP))
        assert sold(*rows).sell_nanos == 2_000_000 + 2_600_000

    def test_what_no_row_sells_is_not_sold(self) -> None:
        assert sold(nanos("output", 20 * USD)) == Sold(2_000_000, None)
        assert sold(nanos("web_search", USD)) == Sold(0, None)

    def test_reasoning_is_sold_as_output_and_a_short_cache_write_as_one(self) -> None:
        usage = {"output_reasoning": 100, "input_cache_write_5m": 10, "input_cache_read": 5}
        rows = (nanos("output", 20 * USD), nanos("input_cache_write", USD), nanos("input", USD))
        assert sold(*rows, usage=usage).sell_nanos == 2_000_000 + 10_000

    def test_calls_are_charged_once_where_billed_and_ended_well(self) -> None:
        rows = (credit("calls", 5 * 10**12),)
        assert sold(*rows) == Sold(None, 5_000_000)
        assert sold(*rows, usage={}).credits_micros == 5_000_000
        for fields in ({"status": "error"}, {"billed": "no"}, {"billed": "possible"},
                       {"kind": "adjustment"}):  # fmt: skip
            assert sold(*rows, **fields).credits_micros == 0

    def test_nanos_and_credits_stand_side_by_side(self) -> None:
        rows = (nanos("cost", MARKUP), credit("output", 10**6), credit("calls", 10**6))
        assert sold(*rows) == Sold(3_900_000, 101)

    def test_without_a_row_for_the_event_both_are_unknown(self) -> None:
        assert sold() == Sold(None, None)
        assert sold(nanos("cost", MARKUP, tenant="acme"), tenant_id="globex") == Sold(None, None)

    def test_nothing_billed_is_sold_for_nothing(self) -> None:
        assert sold(nanos("cost", MARKUP), billed="no") == Sold(0, None)

    def test_a_unit_named_like_a_kind_of_row_is_not_that_row(self) -> None:
        usage = {"calls": 7, "cost": 3}
        assert sold(nanos("calls", 10**6), usage=usage) == Sold(1, None)

    def test_a_minimum_is_sold_as_billed(self) -> None:
        book = PriceBook(
            rates=(RateRow.make("p", "m", "audio_seconds", USD, min_quantity=10),),
            sells=(nanos("audio_seconds", 2 * USD),),
        )
        call = call_of({"provider": "p", "model_served": "m", "usage": {"audio_seconds": 1}}, at=AT)
        assert sell_call(book, call, price_call(book, call)).sell_nanos == 20_000


class TestStated:
    def test_a_markup_sells_what_the_provider_stated(self) -> None:
        assert sold(nanos("cost", MARKUP), provider_cost_nanos=4_000_000) == Sold(5_200_000, None)
        assert sold(nanos("cost", MARKUP), provider_cost_nanos=1_000_000) == Sold(1_300_000, None)

    def test_a_price_per_unit_is_the_price_whatever_was_stated(self) -> None:
        rows = (nanos("output", 20 * USD), nanos("cost", MARKUP))
        assert sold(*rows, provider_cost_nanos=9_000_000).sell_nanos == 2_000_000 + 2_600_000

    def test_a_unit_row_of_the_other_kind_does_not_keep_it_from_being_sold(self) -> None:
        rows = (credit("output", 10**6), nanos("cost", MARKUP))
        assert sold(*rows, provider_cost_nanos=4_000_000) == Sold(5_200_000, 100)


class TestUnsold:
    usage: ClassVar = {"input": 1000, "odd": 5}

    def test_a_markup_on_a_line_without_a_price_is_flagged(self) -> None:
        assert sold(nanos("cost", MARKUP), usage=self.usage) == Sold(2_600_000, None, ("unsold",))

    def test_a_price_per_unit_needs_no_cost(self) -> None:
        rows = (nanos("cost", MARKUP), nanos("odd", 10**6))
        assert sold(*rows, usage=self.usage) == Sold(2_600_005, None)

    def test_a_stated_cost_covers_the_lines_without_a_price(self) -> None:
        row = nanos("cost", MARKUP)
        stated = sold(row, usage=self.usage, provider_cost_nanos=3_000_000)
        assert stated == Sold(3_900_000, None)
        per_unit = nanos("input", USD)
        stated = sold(row, per_unit, usage=self.usage, provider_cost_nanos=3_000_000)
        assert stated == Sold(1_000_000, None, ("unsold",))

    @pytest.mark.parametrize("sign", [1, -1])
    def test_an_absurd_amount_is_left_out_and_flagged(self, sign: int) -> None:
        rows = (nanos("input", sign * 10**18), nanos("calls", 10**6))
        most = sign * MAX_LINE_NANOS
        assert sold(*rows, usage={"input": 10**5}) == Sold(most + 1, None)
        assert sold(*rows, usage={"input": 10**5 + 1}) == Sold(1, None, ("unsold",))

    def test_a_sum_that_does_not_fit_is_left_out_as_a_whole(self) -> None:
        usage = {f"u{i}": 10**8 for i in range(60)}
        rows = [nanos(unit, 99 * 10**13) for unit in usage]
        assert sold(*rows, usage=usage) == Sold(0, None, ("unsold",))
