"""The comparison with LiteLLM's file: what its keys mean, and what counts as a difference."""

from __future__ import annotations

import json
from typing import Any

import pytest

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.errors import BadRequestError, TooLargeError
from outlay.store.books import litellm
from outlay.store.books.litellm import Comparison, compare, read_litellm

NOW = 1_790_000_000_000_000


def row(
    unit: str, dollars: float, model: str = "gpt", provider: str = "openai", **values: Any
) -> RateRow:
    return RateRow.make(provider, model, unit, round(dollars * 10**9), **values)


BOOK = PriceBook(
    models=(ModelRow("openai", "gpt", '{"regex":"^gpt-20\\\\d\\\\d$"}'),),
    rates=(
        row("input", 2), row("output", 8), row("input_cache_read", 0.5),
        row("input", 1, batch=True), row("input", 1, tier="flex"),
        row("input", 4, min_context=200_001), row("input", 4, speed="fast"),
        row("input", 3, model="only-ours"), row("input", 1, model="titan", provider="aws"),
        row("input", 1, model="gemini", provider="google"),
        row("input", 1, model="contracted", layer="catalogue"),
        row("input", 9, model="contracted", layer="contract"),
    ),
)  # fmt: skip


def run(entries: dict[str, Any], tolerance: float = 1.0) -> Comparison:
    sample = {"sample_spec": {"litellm_provider": "one of", "input_cost_per_token": 0.0}}
    read = read_litellm(json.dumps({**sample, **entries}).encode())
    return compare(BOOK, read, at=NOW, tolerance_percent=tolerance)


def entry(provider: str = "openai", **prices: Any) -> dict[str, Any]:
    return {"litellm_provider": provider, "mode": "chat", "max_tokens": 5, **prices}


def one(**prices: Any) -> list[tuple[str, str, float]]:
    return [
        (d.unit, d.condition, round(d.percent, 3))
        for d in run({"gpt": entry(**prices)}).differences
    ]


@pytest.mark.parametrize(
    ("key", "price", "found"),
    [
        ("input_cost_per_token", 2e-06, []),
        ("input_cost_per_token", 2.02e-06, []),
        ("input_cost_per_token", 2.03e-06, [("input", "", 1.5)]),
        ("output_cost_per_token", 4e-06, [("output", "", -50.0)]),
        ("cache_read_input_token_cost", 1e-06, [("input_cache_read", "", 100.0)]),
        ("input_cost_per_token_batches", 2e-06, [("input", "batches", 100.0)]),
        ("input_cost_per_token_flex", 2e-06, [("input", "flex", 100.0)]),
        ("input_cost_per_token_fast", 2e-06, [("input", "fast", -50.0)]),
        ("input_cost_per_token_above_200k_tokens", 2e-06, [("input", "from 200001 tokens", -50.0)]),
    ],
)  # fmt: skip
def test_a_key_names_unit_band_and_processing(
    key: str, price: float, found: list[tuple[str, str, float]]
) -> None:
    assert one(**{key: price}) == found


@pytest.mark.parametrize(
    "key",
    [
        "input_cost_per_token_priority", "output_cost_per_token_batches",
        "output_cost_per_token_above_200k_tokens", "input_cost_per_token_above_200k_tokens_flex",
        "cache_creation_input_token_cost", "cache_creation_input_token_cost_above_1hr",
        "input_cost_per_audio_token",
    ],
)  # fmt: skip
def test_a_price_that_we_lack_is_listed_and_never_compared_with_another(key: str) -> None:
    prices: dict[str, Any] = {key: 1e-3}
    found = run({"gpt": entry(**prices)})
    assert (found.compared, found.differences, len(found.prices_only_theirs)) == (0, [], 1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_cost_per_token", 0.0), ("input_cost_per_token", None), ("input_cost_per_image", 1),
        ("max_input_tokens", 9), ("input_cost_per_token", "free"), ("input_cost_per_token", True),
        ("input_cost_per_token", -1), ("input_cost_per_token", 1e30),
    ],
)  # fmt: skip
def test_what_says_no_price_of_a_unit_is_left_out(key: str, value: Any) -> None:
    found = run({"gpt": entry(**{key: value})})
    assert (found.compared, found.prices_only_theirs) == (0, set())


def test_models_that_only_one_side_knows_are_listed() -> None:
    found = run(
        {
            "gpt": entry(input_cost_per_token=2e-06),
            "gpt-77": entry(input_cost_per_token=1e-06),
            "ours/none": entry("nobody", input_cost_per_token=1e-06),
        }
    )
    assert found.models_only_theirs == {"openai/gpt-77", "nobody/ours/none"}
    assert found.models_only_ours == {"openai/only-ours", "openai/contracted"}


def test_providers_go_by_our_names_and_lose_their_prefix() -> None:
    found = run(
        {
            "bedrock/titan": entry("bedrock_converse", input_cost_per_token=2e-06),
            "vertex_ai/gemini": entry("vertex_ai-language-models", input_cost_per_token=2e-06),
            "bedrock/us-east-1/titan": entry("bedrock", input_cost_per_token=9e-06),
        }
    )
    assert [d.subject() for d in found.differences] == ["aws/titan input", "google/gemini input"]


def test_several_names_of_one_model_make_one_finding_of_the_worst() -> None:
    found = run(
        {"gpt": entry(input_cost_per_token=3e-06), "gpt-2026": entry(input_cost_per_token=4e-06)}
    )
    (finding,) = found.findings(at=5)
    assert (finding.kind, finding.subject) == ("catalogue_drift", "openai/gpt input")
    assert finding.details["percent"] == 100.0
    assert finding.details["key"] == "gpt-2026: input_cost_per_token"


def test_list_prices_are_compared_not_contracts() -> None:
    assert run({"contracted": entry(input_cost_per_token=1e-06)}).differences == []


def test_the_tolerance_is_the_callers() -> None:
    entries = {"gpt": entry(input_cost_per_token=2.01e-06)}
    assert run(entries).differences == []
    assert len(run(entries, tolerance=0.1).differences) == 1


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"a": 1}', b'{"a": {"b": 1}}', b"[" * 100_000, b"\xff"]
)
def test_what_is_not_that_file_is_refused(content: bytes) -> None:
    with pytest.raises(BadRequestError):
        read_litellm(content)


def test_the_number_of_entries_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litellm, "MAX_ENTRIES", 1)
    assert run({"a": entry()}).compared == 0
    with pytest.raises(TooLargeError):
        run({"a": entry(), "b": entry()})


@pytest.mark.parametrize("price", ["1e999999", "1e-999999", "-1", "1001"])
def test_a_price_that_is_none_is_left_out(price: str) -> None:
    text = f'{{"gpt": {{"litellm_provider": "openai", "input_cost_per_token": {price}}}}}'
    read = read_litellm(text.encode())
    assert compare(BOOK, read, at=NOW, tolerance_percent=1).differences == []
