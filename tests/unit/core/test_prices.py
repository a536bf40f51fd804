"""The price book: which model a name means, and which of many rows prices a call."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.core.calls import Call
from outlay.core.prices import (
    ModelRow,
    PriceBook,
    RateRow,
    RateSet,
    price_speed,
    price_tier,
)
from outlay.core.rating import price_call
from outlay.core.sell import SellRow

NOON = 1_800_000_000_000_000 // 86_400_000_000 * 86_400_000_000 + 12 * 3_600_000_000
HOUR = 3_600_000_000


def row(nanos: int, unit: str = "input", **values: Any) -> RateRow:
    provider = values.pop("provider", "openai")
    model = values.pop("model", "gpt")
    return RateRow.make(provider, model, unit, nanos, **values)


def chosen(*rows: RateRow, at: int = NOON, unit: str = "input", **said: Any) -> int | None:
    found = PriceBook(rates=rows).rate_set("openai", "gpt", at=at, **said).find(unit)
    return None if found is None else found.row.nanos_per_million


def book(*models: tuple[str, str, dict[str, Any]]) -> PriceBook:
    return PriceBook(
        tuple(ModelRow(provider, model, json.dumps(clause)) for provider, model, clause in models)
    )


class TestRows:
    def test_the_id_is_the_content_without_the_times_of_belief(self) -> None:
        assert row(1).rate_id == row(1, recorded_at=5, superseded_at=6).rate_id
        assert len({row(1).rate_id, row(2).rate_id, row(1, tier="flex").rate_id}) == 3


class TestChoice:
    def test_a_row_that_names_more_conditions_wins(self) -> None:
        rows = (row(10), row(5, batch=True), row(20, tier="priority"), row(11, region_class="us"))
        assert chosen(*rows) == 10
        assert chosen(*rows, batch=True) == 5
        assert chosen(*rows, tier="priority") == 20
        assert chosen(*rows, region_class="us") == 11

    def test_a_row_whose_condition_does_not_hold_never_prices(self) -> None:
        assert chosen(row(5, batch=True)) is None
        assert chosen(row(5, host_class="vertex"), host_class="aistudio") is None
        assert chosen(row(5, speed="fast"), speed="slow") is None

    def test_the_whole_call_is_priced_at_its_context_band(self) -> None:
        rows = (row(10), row(20, min_context=200_001), row(30, min_context=500_000))
        assert [chosen(*rows, input_total=n) for n in (0, 200_000, 200_001, 499_999, 500_000)] == [
            10, 10, 20, 20, 30,
        ]  # fmt: skip

    def test_a_condition_wins_over_a_context_band(self) -> None:
        rows = (row(10), row(20, min_context=100), row(5, batch=True))
        assert chosen(*rows, batch=True, input_total=1000) == 5

    def test_the_price_of_the_time_of_the_call_is_used(self) -> None:
        rows = (row(5, valid_to=NOON), row(4, valid_from=NOON))
        assert chosen(*rows, at=NOON - 1) == 5
        assert chosen(*rows, at=NOON) == 4

    def test_of_two_rows_that_hold_the_younger_one_wins(self) -> None:
        assert chosen(row(5), row(4, valid_from=NOON), at=NOON) == 4

    def test_a_daily_window_wins_inside_and_may_pass_midnight(self) -> None:
        rows = (row(10), row(5, window="22:00:00-01:30:00"))
        hours = {h: chosen(*rows, at=NOON + h * HOUR) for h in (9, 10, 13, 14)}
        assert hours == {9: 10, 10: 5, 13: 5, 14: 10}

    def test_a_higher_layer_wins_over_a_more_specific_row_below(self) -> None:
        rows = (row(10), row(5, batch=True), row(3, layer="contract"))
        assert chosen(*rows, batch=True) == 3
        assert chosen(*rows, batch=True, list_price=True) == 5

    def test_a_tenants_own_row_wins_for_that_tenant_and_is_not_seen_by_others(self) -> None:
        rows = (
            row(10), row(9, layer="override", batch=True), row(8, layer="contract"),
            row(7, layer="contract", tenant="acme"),
        )  # fmt: skip
        found = {t: chosen(*rows, batch=True, tenant=t) for t in ("acme", "globex", "")}
        assert found == {"acme": 7, "globex": 8, "": 8}
        assert chosen(*rows, batch=True, tenant="acme", list_price=True) == 9

    def test_a_tenants_row_does_not_tell_others_that_a_batch_price_is_known(self) -> None:
        rows = (row(10), row(5, batch=True, layer="contract", tenant="acme"))
        prices = PriceBook(rates=rows)
        notes = [
            prices.rate_set("openai", "gpt", at=NOON, batch=True, tenant=t).notes
            for t in ("acme", "globex")
        ]
        assert notes == [(), ("no_batch_rate",)]

    def test_days_of_the_week_win_over_hours_of_every_day(self) -> None:
        rows = (
            row(10),
            row(5, window="00:00:00-23:00:00"),
            row(3, window="Sat-Sun 00:00:00-24:00:00"),
        )
        friday = 4 * 24 * HOUR - 3 * 24 * HOUR + 12 * HOUR  # 1970-01-02 was a Friday
        found = [chosen(*rows, at=friday + h * HOUR) for h in (0, 11, 12, 59, 60)]
        assert found == [5, 10, 3, 3, 5]

    def test_conditions_are_ranked_one_after_the_other(self) -> None:
        ranked = (
            {"window": "12:00:00-13:00:00", "min_context": 5},
            {"window": "Mon-Sun 12:00:00-13:00:00"},
            {"host_class": "vertex"}, {"region_class": "eu"}, {"speed": "fast"}, {"tier": "flex"},
            {"batch": True}, {"layer": "correction"}, {"layer": "override"}, {"layer": "contract"},
            {"layer": "contract", "tenant": "acme"},
        )  # fmt: skip
        said: dict[str, Any] = {
            "host_class": "vertex", "region_class": "eu", "speed": "fast", "tier": "flex",
        }  # fmt: skip
        for number in range(1, len(ranked) + 1):
            rows = [row(i, **values) for i, values in enumerate(ranked[:number])]
            found = chosen(*rows, **said, batch=True, tenant="acme", input_total=9)
            assert found == number - 1

    def test_choice_does_not_depend_on_the_order_of_rows(self) -> None:
        rows = (row(10), row(5, batch=True), row(20, min_context=100), row(4, valid_from=1))
        assert chosen(*rows, input_total=50) == chosen(*reversed(rows), input_total=50)

    def test_standard_rates_for_a_special_call_are_noted_as_assumed(self) -> None:
        prices = PriceBook(rates=(row(10), row(20, tier="priority")))
        rates = prices.rate_set("openai", "gpt", at=NOON, tier="flex", batch=True, speed="fast")
        assert rates.notes == ("no_batch_rate", "no_tier_rate", "no_speed_rate")
        assert prices.rate_set("openai", "gpt", at=NOON, tier="priority").notes == ()

    def test_a_price_that_is_the_same_for_the_special_call_is_no_assumption(self) -> None:
        rows = (row(10), row(1, "input_cache_read"), row(5, batch=True))
        rates = PriceBook(rates=rows).rate_set("openai", "gpt", at=NOON, batch=True)
        assert rates.notes == ()
        assert rates.rows["input_cache_read"].nanos_per_million == 1

    def test_an_unknown_model_has_no_rates(self) -> None:
        rates = PriceBook().rate_set("openai", "gpt", at=NOON, batch=True)
        assert (dict(rates.rows), rates.notes) == ({}, ())


class TestUnits:
    rates = RateSet({"input": row(10), "output": row(50, "output")})

    def find(self, unit: str, *rows: RateRow) -> tuple[int, str] | None:
        rates = RateSet({**self.rates.rows, **{r.unit: r for r in rows}})
        found = rates.find(unit)
        return None if found is None else (found.row.nanos_per_million, found.note)

    def test_reasoning_costs_as_output_unless_it_has_a_rate(self) -> None:
        assert self.find("output_reasoning") == (50, "")
        assert self.find("output_reasoning", row(30, "output_reasoning")) == (30, "")

    @pytest.mark.parametrize("unit", ["input_cache_write", "input_cache_write_5m"])
    def test_short_cache_writes_share_their_rate(self, unit: str) -> None:
        assert self.find(unit, row(12, "input_cache_write")) == (12, "")
        assert self.find(unit, row(13, "input_cache_write_5m")) == (13, "")

    @pytest.mark.parametrize("unit", ["input_cache_write_1h", "input_cache_write_12h"])
    def test_long_cache_writes_need_a_rate_of_their_own(self, unit: str) -> None:
        assert self.find(unit, row(12, "input_cache_write")) is None

    def test_without_cache_rates_cached_tokens_are_input_and_that_is_noted(self) -> None:
        assert self.find("input_cache_read") == (10, "cache_read_at_input_rate")
        assert self.find("input_cache_write_30m") == (10, "cache_write_at_input_rate")

    def test_image_and_video_input_is_input_and_that_is_noted(self) -> None:
        assert self.find("input_image") == (10, "modality_at_text_rate")
        assert self.find("input_cache_read_video", row(1, "input_cache_read")) == (
            1,
            "modality_at_text_rate",
        )

    @pytest.mark.parametrize(
        "unit",
        ["input_audio", "output_audio", "output_image", "input_cache_read_audio", "web_search"],
    )
    def test_audio_other_output_and_fees_need_a_rate_of_their_own(self, unit: str) -> None:
        assert self.find(unit) is None


class TestNames:
    def test_the_served_name_is_tried_first_and_the_requested_one_is_named_in_the_rule(
        self,
    ) -> None:
        prices = book(
            ("xai", "grok-4", {"equals": "grok-4"}), ("xai", "grok-5", {"equals": "grok-5"})
        )
        found = prices.resolve("xai", ["grok-5", "grok-4"])
        assert found is not None
        assert (found.model, found.rule, found.estimated) == ("grok-5", "exact", False)
        found = prices.resolve("xai", ["grok-9", "grok-4"])
        assert found is not None
        assert (found.model, found.rule, found.estimated) == ("grok-4", "requested+exact", True)

    def test_a_requested_name_alone_is_no_fallback(self) -> None:
        found = book(("xai", "grok-4", {"equals": "grok-4"})).resolve("xai", ["", "grok-4"])
        assert found is not None
        assert found.rule == "exact"

    def test_names_are_matched_without_case_and_clauses_in_order(self) -> None:
        prices = book(("openai", "a", {"starts_with": "gpt"}), ("openai", "b", {"contains": "gpt"}))
        found = prices.resolve("OpenAI", ["GPT-5"])
        assert found is not None
        assert (found.model, found.rule) == ("a", "match")

    def test_a_prefix_of_another_model_is_not_that_model(self) -> None:
        assert book(("openai", "gpt-5", {"equals": "gpt-5"})).resolve("openai", ["gpt-5-x"]) is None

    def test_a_dropped_date_is_recorded_and_an_estimate(self) -> None:
        found = book(("openai", "o4", {"equals": "o4"})).resolve("openai", ["o4-2025-04-16"])
        assert found is not None
        assert (found.rule, found.estimated) == ("strip_date+exact", True)

    def test_a_fine_tuned_name_is_priced_only_by_a_row_that_says_so(self) -> None:
        prices = book(("openai", "gpt", {"contains": "gpt"}))
        assert prices.resolve("openai", ["ft:gpt:acme::1"]) is None
        prices = book(("openai", "ft:gpt", {"starts_with": "ft:gpt"}))
        assert prices.resolve("openai", ["ft:gpt:acme::1"]) is not None

    def test_a_reseller_falls_back_to_the_maker_and_says_so(self) -> None:
        found = book(("openai", "gpt-5", {"equals": "gpt-5"})).resolve("azure", ["gpt-5"])
        assert found is not None
        assert (found.provider, found.rule, found.estimated) == (
            "openai",
            "provider_fallback+exact",
            True,
        )

    def test_a_contract_with_the_maker_is_none_with_the_reseller(self) -> None:
        rows = [
            RateRow.make("openai", "gpt-5", "input", nanos, layer=layer)
            for nanos, layer in ((10, "catalogue"), (7, "contract"))
        ]
        prices = PriceBook(rates=tuple(rows))
        for provider, nanos in (("openai", 7), ("azure", 10)):
            call = Call(provider, ("gpt-5",), NOON, {"input": 1_000_000})
            priced = price_call(prices, call)
            assert priced.cost_nanos == nanos
            assert (priced.price_basis == "contract") == (provider == "openai")

    def test_another_provider_is_never_tried(self) -> None:
        assert book(("openai", "gpt-5", {"equals": "gpt-5"})).resolve("groq", ["gpt-5"]) is None

    def test_rows_may_name_a_provider_by_any_of_its_names(self) -> None:
        rows = (row(1, provider="Bedrock", model="m"),)
        found = PriceBook(rates=rows).resolve("aws", ["m"])
        assert found is not None
        assert PriceBook(rates=rows).rate_set(found.provider, "m", at=NOON).rows

    def test_an_alias_of_a_provider_is_recorded(self) -> None:
        found = book(("google", "gemini", {"equals": "gemini"})).resolve("vertex", ["gemini"])
        assert found is not None
        assert (found.rule, found.estimated) == ("provider_alias+exact", False)

    def test_a_model_with_rates_alone_is_known_by_its_name(self) -> None:
        prices = PriceBook(rates=(row(1, "requests", provider="tool", model="serp.search"),))
        assert prices.resolve("tool", ["SERP.search"]) is not None

    def test_a_higher_layers_clause_is_tried_first(self) -> None:
        models = (
            ModelRow("openai", "list", '{"contains":"gpt"}'),
            ModelRow("openai", "own", '{"contains":"gpt"}', layer="override"),
        )
        found = PriceBook(models).resolve("openai", ["my-gpt"])
        assert found is not None
        assert found.model == "own"

    def test_a_name_of_absurd_length_resolves_to_nothing(self) -> None:
        assert book(("openai", "a", {"contains": "a"})).resolve("openai", ["a" * 600]) is None


class TestSnapshot:
    models = (ModelRow("openai", "gpt", '{"equals":"gpt"}', family="g", source="s"),)
    rates = (row(10), row(5, batch=True, tier="flex", valid_from=1, valid_to=2, window=""))

    def test_it_carries_what_came_later(self) -> None:
        models = (ModelRow("azure", "gpt", "{}", layer="override", region_class="eu"), *self.models)
        rates = (row(1, tenant="acme", min_quantity=5, layer="contract"), *self.rates)
        again = PriceBook.from_snapshot(PriceBook(models, rates).to_snapshot())
        assert (again.models, again.rates) == (models, rates)

    def test_what_usage_is_sold_for_is_never_in_it(self) -> None:
        sells = (SellRow.make("cost", "nanos", 1_300_000, tenant="acme"),)
        prices = PriceBook(self.models, self.rates, sells)
        assert b"1300000" not in prices.to_snapshot()
        assert prices.hash == PriceBook(self.models, self.rates).hash

    def test_a_tenants_book_has_no_row_of_another_tenant_and_nothing_of_selling(self) -> None:
        own, other = (row(7, layer="contract", tenant=t) for t in ("acme", "globex"))
        sells = (SellRow.make("cost", "nanos", 1_300_000),)
        prices = PriceBook(self.models, (*self.rates, own, other), sells)
        acme, nobody = prices.for_tenant("acme"), prices.for_tenant(None)
        assert acme.rates == (*self.rates, own)
        assert nobody.rates == prices.for_tenant("who").rates == self.rates
        assert acme.sells == nobody.sells == ()
        assert len({prices.hash, acme.hash, nobody.hash}) == 3
        assert PriceBook.from_snapshot(acme.to_snapshot()).hash == acme.hash
        assert nobody.for_tenant("acme") is nobody

    def test_it_gives_the_same_book_back(self) -> None:
        prices = PriceBook(self.models, self.rates)
        again = PriceBook.from_snapshot(prices.to_snapshot())
        assert (again.models, again.rates, again.hash) == (self.models, self.rates, prices.hash)

    def test_the_hash_is_of_the_content_and_not_of_the_order_of_rates(self) -> None:
        prices = PriceBook(self.models, self.rates)
        assert PriceBook(self.models, self.rates[::-1]).hash == prices.hash
        assert PriceBook(self.models, self.rates[:1]).hash != prices.hash
        assert PriceBook((), self.rates).hash != prices.hash

    @pytest.mark.parametrize(
        "change",
        [
            {"version": 1},
            {"hash": "0"},
            {"rates": []},
            {"models": [[1]]},
            {"rates": 5},
            {"rates": [["id", 1]]},
        ],
    )
    def test_an_altered_or_foreign_snapshot_is_refused(self, change: dict[str, Any]) -> None:
        data = json.loads(PriceBook(self.models, self.rates).to_snapshot()) | change
        with pytest.raises(ValueError, match="snapshot"):
            PriceBook.from_snapshot(json.dumps(data))

    def test_what_is_no_snapshot_is_refused(self) -> None:
        with pytest.raises(ValueError, match="not a price snapshot"):
            PriceBook.from_snapshot("[]")


class TestWords:
    @pytest.mark.parametrize(
        ("served", "requested", "expected"),
        [
            ("flex", "auto", ("flex", False)),
            ("default", "priority", ("", False)),
            (None, "Priority", ("priority", False)),
            (None, None, ("", False)),
            ("batch", None, ("", True)),
            ("standard", "batch", ("", False)),
        ],
    )
    def test_the_tier_served_counts(
        self, served: str | None, requested: str | None, expected: tuple[str, bool]
    ) -> None:
        assert price_tier(served, requested) == expected

    def test_the_standard_speed_is_no_condition(self) -> None:
        assert [price_speed(s) for s in (None, "standard", "Fast")] == ["", "", "fast"]
