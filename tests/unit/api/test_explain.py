"""One event's price taken apart: every number can be redone by hand."""

from __future__ import annotations

from typing import Any

from outlay.api.explain import explain, rate_ids
from outlay.core.prices import RateRow

RATE = RateRow.make("openai", "gpt", "input", 2_500_000_000, source="genai-prices 1")
EVENT: dict[str, Any] = {
    "event_id": "e", "tenant_id": "acme", "tenant_source": "key", "input": 1200, "output": 0,
    "other_units": {"web_search": 2}, "usage_raw": '{"prompt_tokens":1200}', "usage_source":
    "provider", "model_requested": "gpt-latest", "model_served": "gpt-1", "price_model": "gpt",
    "price_rule": "match", "price_basis": "catalogue", "price_book_hash": "h", "findings": ["f"],
    "cost_nanos": 23_000_000,
    "lines": [
        {"unit": "input", "quantity": 1200, "rate_id": RATE.rate_id, "nanos": 3_000_000,
         "basis": "catalogue"},
        {"unit": "web_search", "quantity": 2, "rate_id": None, "nanos": 20_000_000,
         "basis": "provider_stated"},
    ],
}  # fmt: skip


def test_the_lines_show_rate_source_and_arithmetic() -> None:
    got = explain(EVENT, {RATE.rate_id: RATE})
    first, second = got["lines"]
    assert (first["nanos_per_million"], first["source"]) == (2_500_000_000, "genai-prices 1")
    assert first["rate"]["model"] == "gpt"
    assert first["text"] == "input: 1200 x 2500000000 nano-dollars / 1000000 = 3000000 nano-dollars"
    assert second["nanos_per_million"] is None
    assert "provider_stated" in second["text"]
    assert got["derivation"]["arithmetic"] == [first["text"], second["text"]]
    assert got["derivation"]["adds_up"]
    assert got["event"] == EVENT


def test_the_derivation_shows_where_usage_and_model_came_from() -> None:
    got = explain(EVENT, {})["derivation"]
    assert got["usage"] == {"input": 1200, "web_search": 2}
    assert got["usage_raw"] == '{"prompt_tokens":1200}'
    assert got["model"] == {
        "requested": "gpt-latest", "served": "gpt-1", "priced_as": "gpt", "rule": "match",
    }  # fmt: skip
    assert got["tenant"] == {"id": "acme", "vouched_by": "key"}
    assert got["price"] == {"basis": "catalogue", "book": "h"}


def test_a_line_that_its_rate_does_not_give_is_shown_as_such() -> None:
    lines = [{**EVENT["lines"][0], "nanos": 5}]
    got = explain({**EVENT, "lines": lines}, {RATE.rate_id: RATE})
    assert "the line says 5" in got["lines"][0]["text"]
    assert not got["derivation"]["adds_up"]


def test_the_rates_to_look_up_are_those_of_the_lines() -> None:
    assert rate_ids(EVENT) == {RATE.rate_id}
    assert rate_ids({"lines": None}) == set()


def test_an_unpriced_event_has_no_lines_and_adds_up() -> None:
    got = explain({"event_id": "e", "cost_nanos": 0, "price_basis": "unpriced"}, {})
    assert (got["lines"], got["derivation"]["adds_up"]) == ([], True)


def confidences(event: dict[str, Any], *rates: RateRow) -> list[str]:
    got = explain(event, {rate.rate_id: rate for rate in rates})
    return [line["confidence"] for line in got["lines"]]


def line(unit: str, rate: RateRow | None, basis: str = "catalogue") -> dict[str, Any]:
    rate_id = None if rate is None else rate.rate_id
    return {"unit": unit, "quantity": 1, "rate_id": rate_id, "nanos": 2500, "basis": basis}


def test_each_line_says_how_far_it_can_be_trusted() -> None:
    lines = [
        line("input", RATE),
        line("input_cache_read", RATE),
        line("output_audio", None, "unpriced"),
        line("provider_adjustment", None, "provider_stated"),
    ]
    assert confidences({**EVENT, "lines": lines}, RATE) == [
        "exact", "estimated", "unknown", "exact",
    ]  # fmt: skip


def test_what_was_guessed_of_the_call_is_guessed_of_every_line() -> None:
    for guess in (
        {"usage_source": "estimated"},
        {"flags": ["no_tier_rate"]},
        {"price_rule": "strip_date+match"},
    ):
        assert confidences({**EVENT, **guess, "lines": [line("input", RATE)]}, RATE) == [
            "estimated"
        ]


def test_an_event_shows_its_convention_and_what_was_adjusted() -> None:
    change = {
        "event_id": "a", "received_at": 5, "reason": "a new list", "cost_nanos": -20,
        "price_basis": "contract", "price_rule": "alias", "price_book_hash": "h2",
        "lines": [line("input", RATE)],
    }  # fmt: skip
    told = {"surface": "anthropic.messages", "vendor": "anthropic", "adjustments": [change]}
    got = explain({**EVENT, **told}, {RATE.rate_id: RATE})["derivation"]
    assert "excludes cache reads and writes" in got["convention"]
    (shown,) = got["adjustments"]
    assert (shown["reason"], shown["nanos"], shown["rule"]) == ("a new list", -20, "alias")
    assert shown["arithmetic"] == [shown["lines"][0]["text"]]
    assert got["cost_now_nanos"] == 23_000_000 - 20
    assert rate_ids({**EVENT, **told}) == {RATE.rate_id}
