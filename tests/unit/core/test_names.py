"""Names of models: aliases of the operator's own, clouds that bill by the id, one's own models."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.core.prices import ModelRow, PriceBook, RateRow, Resolution

BILLED = "anthropic.claude-haiku-4-5-20251001-v1:0"
LIST = (
    ModelRow("openai", "gpt-4.1", '{"starts_with":"gpt-4.1"}'),
    ModelRow("aws", f"global.{BILLED}", json.dumps({"contains": f"global.{BILLED}"})),
    ModelRow("aws", f"regional.{BILLED}", '{"contains":"claude-haiku-4-5"}'),
    ModelRow("xai", "grok-4-fast", '{"equals":"grok-4-fast"}'),
    ModelRow("xai", "grok-4.3", '{"equals":"grok-4.3"}'),
)


def alias(provider: str, model: str, name: str, **values: Any) -> ModelRow:
    clause = json.dumps({"equals": name})
    return ModelRow(provider, model, clause, **{"layer": "override", **values})


def found(provider: str, *names: str, own: tuple[ModelRow, ...] = ()) -> Resolution:
    resolution = PriceBook((*LIST, *own)).resolve(provider, names)
    assert resolution is not None
    return resolution


class TestAliases:
    def test_a_deployment_is_the_model_that_the_operator_says(self) -> None:
        own = (alias("azure", "gpt-4.1", "ours", region_class="eu"),)
        said = found("azure", "ours", own=own)
        assert said == Resolution(
            "gpt-4.1", "alias+provider_fallback+exact", "openai", region_class="eu"
        )

    def test_an_alias_wins_over_the_catalogues_own_name(self) -> None:
        own = (alias("xai", "grok-4.3", "grok-4-fast", layer="contract"),)
        said = found("xai", "grok-4-fast", own=own)
        assert (said.model, said.rule, said.estimated) == ("grok-4.3", "alias", False)

    def test_its_model_may_be_written_in_any_form(self) -> None:
        own = (alias("openai", "gpt-4.1-2025-04-14", "fast-one"),)
        said = found("openai", "fast-one", own=own)
        assert (said.model, said.rule) == ("gpt-4.1", "alias+match")

    def test_an_alias_is_not_followed_by_another(self) -> None:
        own = (alias("openai", "b", "a"), alias("openai", "gpt-4.1", "b"))
        assert found("openai", "a", own=own) == Resolution("b", "alias", "openai")

    def test_it_tells_the_region_of_a_deployment_whose_model_the_reply_names(self) -> None:
        own = (alias("azure", "gpt-4.1", "ours", region_class="datazone"),)
        said = found("azure", "gpt-4.1-2025-04-14", "ours", own=own)
        assert said.rule == "region_alias+provider_fallback+match"
        assert said.region_class == "datazone"

    def test_a_profile_of_ones_own_hides_its_model_until_it_is_named(self) -> None:
        arn = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc"
        assert PriceBook(LIST).resolve("aws", [arn]) is None
        said = found("aws", arn, own=(alias("aws", f"global.{BILLED}", arn),))
        assert (said.model, said.rule) == (f"global.{BILLED}", "alias")

    def test_an_alias_known_by_a_form_of_the_name_says_so(self) -> None:
        own = (alias("openai", "gpt-4.1", "ours"),)
        said = found("openai", "ours-2026-01-01", own=own)
        assert (said.rule, said.estimated) == ("strip_date+alias", True)

    def test_a_correction_of_the_catalogue_is_no_alias(self) -> None:
        own = (alias("xai", "grok-4.3", "grok-4-fast", layer="correction"),)
        assert found("xai", "grok-4-fast", own=own).rule == "exact"


class TestClouds:
    def test_bedrock_bills_by_the_id_in_the_request(self) -> None:
        said = found("bedrock", "claude-haiku-4-5-20251001", f"global.{BILLED}")
        assert (said.model, said.rule, said.estimated) == (
            f"global.{BILLED}",
            "provider_alias+exact",
            False,
        )

    def test_the_name_in_the_reply_is_a_guess_where_the_id_hides_the_model(self) -> None:
        arn = "arn:aws:bedrock:eu-west-1:1:application-inference-profile/abc"
        said = found("aws", "claude-haiku-4-5-20251001", arn)
        assert (said.model, said.rule, said.estimated) == (
            f"regional.{BILLED}",
            "served+match",
            True,
        )

    def test_an_id_in_the_profile_of_a_region_is_that_id(self) -> None:
        arn = f"arn:aws:bedrock:us-east-1:1:inference-profile/global.{BILLED}"
        said = found("aws", arn)
        assert (said.rule, said.model) == ("match", f"global.{BILLED}")


class TestRouter:
    MADE = (
        ModelRow("openrouter", "x-ai/grok-4.3", '{"equals":"x-ai/grok-4.3"}'),
        ModelRow("openai", "ft:gpt-4.1", '{"starts_with":"ft:gpt-4.1"}'),
        ModelRow("google", "gemini", '{"starts_with":"gemini-2.5"}'),
    )

    def routed(self, *names: str, rates: tuple[RateRow, ...] = ()) -> Resolution | None:
        return PriceBook((*LIST, *self.MADE), rates).resolve("openrouter", names)

    def test_a_row_of_its_own_comes_first(self) -> None:
        found = self.routed("x-ai/grok-4.3")
        assert found == Resolution("x-ai/grok-4.3", "exact", "openrouter")

    def test_a_model_without_one_costs_what_its_maker_takes_as_an_estimate(self) -> None:
        found = self.routed("x-ai/grok-4-fast")
        assert found == Resolution("grok-4-fast", "maker_fallback+exact", "xai")
        assert found.estimated
        assert self.routed("openai/gpt-4.1-20250414") is not None

    @pytest.mark.parametrize(
        "name",
        [
            "acme/grok-4-fast", "x-ai/grok-9", "grok-4-fast", "x-ai/grok-4-fast:nitro",
            "openai/ft:gpt-4.1:acme::x", "ft:gpt-4.1:acme::x", "google/gemini-2.5-flash:free",
        ],
    )  # fmt: skip
    def test_another_makers_model_a_variant_and_ones_own_do_not(self, name: str) -> None:
        assert self.routed(name) is None

    def test_only_a_router_resells_so(self) -> None:
        assert PriceBook(LIST).resolve("together", ["x-ai/grok-4-fast"]) is None

    def test_a_free_variant_is_the_free_model_unless_another_was_served(self) -> None:
        free = (RateRow.make("openrouter", ":free", "input", 0),)
        found = self.routed("google/gemini-2.5-flash:free", rates=free)
        assert found == Resolution(":free", "free_variant+exact", "openrouter")
        assert not found.estimated
        fell = ("x-ai/grok-4-fast", "google/gemini-2.5-flash:free")
        assert self.routed(*fell, rates=free) == Resolution(
            "grok-4-fast", "maker_fallback+exact", "xai"
        )
        assert self.routed("acme/other", fell[1], rates=free) is None

    def test_a_rate_of_ones_own_for_a_free_variant_wins(self) -> None:
        own = RateRow.make("openrouter", "a/b:free", "input", 3, layer="override")
        free = RateRow.make("openrouter", ":free", "input", 0)
        found = self.routed("a/b:free", rates=(own, free))
        assert found == Resolution("a/b:free", "exact", "openrouter")


class TestOnesOwnModels:
    @pytest.mark.parametrize(
        ("provider", "name"),
        [
            ("openai", "ft:gpt-4.1-2025-04-14:acme::x"),
            ("openai", "gpt-4.1:ft-acme"),
            ("aws", "arn:aws:bedrock:us-east-1:1:custom-model/anthropic.claude-haiku-4-5/abc"),
            ("aws", "arn:aws:bedrock:us-east-1:1:provisioned-model/claude-haiku-4-5"),
        ],
    )
    def test_they_are_priced_only_by_rows_that_say_so(self, provider: str, name: str) -> None:
        """P40: a fine-tuned model does not cost what its base does."""
        assert PriceBook(LIST).resolve(provider, [name]) is None
        own = (alias(provider, "mine", name),)
        assert found(provider, name, own=own) == Resolution("mine", "alias", provider)


class TestTenants:
    rates = (RateRow.make("openai", "own-model", "input", 1, layer="contract", tenant="acme"),)

    def test_a_tenants_rates_name_models_for_that_tenant_alone(self) -> None:
        book = PriceBook(LIST, self.rates)
        assert book.resolve("openai", ["own-model"], "globex") is None
        mine = book.resolve("openai", ["own-model"], "acme")
        assert mine == Resolution("own-model", "exact", "openai")

    def test_ceiling_rows_name_nothing(self) -> None:
        book = PriceBook(rates=(RateRow.make("*", "*", "input", 1, layer="override"),))
        assert book.resolve("*", ["*"]) is None
