"""Which price holds for a call: its tier, its name, its region, its time, and what it really used.

P39's endpoint lists and P40's tables are those of the installed catalogue; where it is wrong, a
correction of ours stands in the book.
"""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core.calls import call_of
from outlay.core.ceiling import ceiling_nanos
from outlay.core.prices import ModelRow, PriceBook
from tests.pitfalls.calls import (
    BEDROCK,
    CHAT,
    GEMINI,
    MESSAGES,
    NOVEMBER,
    OPENAI,
    RESPONSES,
    bases,
    candidate,
    chat,
    lines,
    message,
    nanos,
    rated,
)
from tests.wire.pricing import catalogue

AUGUST_US = 1_785_542_400_000_000
TOKENS = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
XAI = "https://api.x.ai/v1/chat/completions"
OPENROUTER = "https://openrouter.ai/api/v1/chat/completions"


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [], **more}


def at_tier(requested: str | None, served: str | None) -> dict[str, Any]:
    usage = {"input_tokens": 1000, "output_tokens": 300, "total_tokens": 1300,
             "input_tokens_details": {"cached_tokens": 400},
             "output_tokens_details": {"reasoning_tokens": 200}}  # fmt: skip
    reply: Any = {
             "id": "resp_1", "object": "response", "model": "gpt-5-2025-08-07", "output": [],
             "status": "completed", "usage": usage, "service_tier": served}  # fmt: skip
    ask = {"model": "gpt-5", "input": "x", "service_tier": requested}
    return rated(RESPONSES, ask, reply, at=NOVEMBER)


STANDARD = nanos((600, "1.25"), (400, "0.125"), (100, "10"), (200, "10"))
FLEX = nanos((600, "0.625"), (400, "0.0625"), (100, "5"), (200, "5"))
PRIORITY = nanos((600, "2.50"), (400, "0.25"), (100, "20"), (200, "20"))


@pytest.mark.parametrize(
    ("requested", "served", "cost"),
    [
        ("flex", "flex", FLEX),
        ("priority", "priority", PRIORITY),
        ("flex", "default", STANDARD),
        ("auto", "default", STANDARD),
        ("auto", "flex", FLEX),
        ("flex", None, FLEX),
        (None, None, STANDARD),
    ],
)
def test_p29_the_tier_that_was_served_decides_every_line(
    requested: str | None, served: str | None, cost: int
) -> None:
    """The reply's tier prices cached and reasoning tokens too; both words stay on the event."""
    row = at_tier(requested, served)
    assert row["cost_nanos"] == cost
    assert (row["tier_requested"], row["tier_served"]) == (requested, served)


def test_p29_a_tier_without_a_price_is_said() -> None:
    """Where the book knows no price of the tier the standard one is used, and flagged."""
    usage = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100,
             "serviceTier": "FLEX"}  # fmt: skip
    row = rated(GEMINI, {"contents": []}, candidate(usage))
    assert "no_tier_rate" in row["findings"]
    assert row["price_confidence"] == "estimated"


@pytest.mark.parametrize(
    ("url", "name", "model"),
    [
        (CHAT, "o4-mini-2025-04-16", "o4-mini"),
        (CHAT, "gpt-4o-2024-08-06", "gpt-4o"),
        (CHAT, "gpt-4.1-mini-20250414", "gpt-4.1-mini"),
        ("https://api.fireworks.ai/inference/v1/chat/completions",
         "accounts/fireworks/models/glm-5p2", "glm-5p2"),
        ("https://api.fireworks.ai/inference/v1/chat/completions",
         "fireworks/models/glm-5p2", "glm-5p2"),
    ],
)  # fmt: skip
def test_p30_every_form_of_a_name_is_the_model(url: str, name: str, model: str) -> None:
    """Dates, compact dates and paths do not hide a model."""
    row = rated(url, asked(name), chat(TOKENS, name))
    assert row["price_model"] == model
    assert row["cost_nanos"] > 0


def test_p30_a_dated_name_keeps_the_tiers_of_its_model() -> None:
    """A snapshot's flex call costs what the alias's does."""
    row = rated(CHAT, asked("o4-mini", service_tier="flex"),
                chat(TOKENS, "o4-mini-2025-04-16", service_tier="flex"), at=NOVEMBER)  # fmt: skip
    assert row["cost_nanos"] == nanos((1000, "0.55"), (100, "2.20"))


def test_p31_a_silent_redirect_is_paid_as_stated_and_flagged() -> None:
    """The name in the reply is worth $0.0005; the ticks say $0.00773975 as of another model."""
    usage = {"prompt_tokens": 1006, "completion_tokens": 595, "total_tokens": 1601,
             "prompt_tokens_details": {"cached_tokens": 5},
             "cost_in_usd_ticks": 77_397_500}  # fmt: skip
    row = rated(XAI, asked("grok-4-fast-reasoning"), chat(usage, "grok-4-fast-reasoning"))
    assert row["cost_nanos"] == 7_739_750
    # 1001 + 5 + 595 tokens of grok-4.3, and one search at $5 a thousand
    assert row["cost_nanos"] == nanos((1001, "1.25"), (5, "0.20"), (595, "2.50"), (1, "5000"))
    assert row["price_basis"] == "provider_stated"
    assert "price_drift" in row["findings"]
    assert sum(lines(row).values()) == row["cost_nanos"], "the lines still add up"


def claude_at(url: str, **usage: Any) -> int:
    body = message({"input_tokens": 1000, "output_tokens": 100, **usage}, "claude-opus-4-6")
    cost: int = rated(url, {"model": "claude-opus-4-6", "messages": []}, body)["cost_nanos"]
    return cost


PROFILE = (
    "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.claude-opus-4-6-v1"
)
VERTEX = (
    "https://aiplatform.googleapis.com/v1/projects/p/locations/{}"
    "/publishers/anthropic/models/claude-opus-4-6:rawPredict"
)


@pytest.mark.parametrize(
    ("url", "usage", "rates"),
    [
        (MESSAGES, {}, ("5", "25")),
        (MESSAGES, {"inference_geo": "us"}, ("5.50", "27.50")),
        (MESSAGES, {"inference_geo": "global"}, ("5", "25")),
        (VERTEX.format("global"), {}, ("5", "25")),
        (VERTEX.format("europe-west1"), {}, ("5.50", "27.50")),
        (f"{BEDROCK}/global.anthropic.claude-opus-4-6-v1/invoke", {}, ("5", "25")),
        (f"{BEDROCK}/us.anthropic.claude-opus-4-6-v1/invoke", {}, ("5.50", "27.50")),
        (f"{BEDROCK}/{PROFILE}/invoke", {}, ("5.50", "27.50")),
    ],
)
def test_p32_where_a_call_ran_decides_its_price(
    url: str, usage: dict[str, Any], rates: tuple[str, str]
) -> None:
    """Regional inference costs a tenth more: by host, by path, by profile, or as the reply says."""
    assert claude_at(url, **usage) == nanos((1000, rates[0]), (100, rates[1]))


@pytest.mark.parametrize(
    ("url", "model"),
    [
        (CHAT, "gpt-99-unheard-of"),
        ("https://api.moonshot.ai/v1/chat/completions", "kimi-99"),
        ("https://api.groq.com/openai/v1/chat/completions", "groq/compound"),
    ],
)
def test_p33_what_has_no_price_is_never_zero_for_a_cap(url: str, model: str) -> None:
    """An unknown model is unpriced, borrows no other's price, and is held at a ceiling."""
    row = rated(url, asked(model), chat(TOKENS, model))
    assert (row["price_basis"], row["price_confidence"]) == ("unpriced", "unknown")
    assert (row["price_model"], row["list_cost_nanos"]) == (None, None)
    assert {"unpriced", "unknown_model"} <= set(row["findings"])
    held = ceiling_nanos(catalogue(), call_of(row, at=AUGUST_US))
    assert held >= nanos((1000, "1"), (100, "1"))


@pytest.mark.parametrize(
    ("read", "rates"), [(150_000, ("3", "0.30", "15")), (150_001, ("6", "0.60", "22.50"))]
)
def test_p34_a_long_context_dears_every_token_cached_ones_included(
    read: int, rates: tuple[str, str, str]
) -> None:
    """All of the input counts against the threshold, and above it every rate changes."""
    usage = {"input_tokens": 50_000, "cache_read_input_tokens": read, "output_tokens": 100,
             "cache_creation_input_tokens": 0}  # fmt: skip
    row = rated(MESSAGES, asked("claude-sonnet-4-5"), message(usage))
    assert row["cost_nanos"] == nanos((50_000, rates[0]), (read, rates[1]), (100, rates[2]))


def test_p34_a_model_without_the_cliff_has_none() -> None:
    """Sonnet 4.6 lost its second band in March 2026: a later call pays the first one."""
    usage = {"input_tokens": 300_000, "output_tokens": 100}
    body = message(usage, "claude-sonnet-4-6")
    ask = asked("claude-sonnet-4-6")
    later = rated(MESSAGES, ask, body)["cost_nanos"]
    before = rated(MESSAGES, ask, body, at="2026-03-01T00:00:00Z")["cost_nanos"]
    assert later == nanos((300_000, "3"), (100, "15"))
    assert before == nanos((300_000, "6"), (100, "22.50"))


def test_p35_a_deployment_is_no_model_until_somebody_says_which() -> None:
    """A name that the customer chose is unpriced; an alias of his makes it a model."""
    url = "https://acme.openai.azure.com/openai/deployments/prod/chat/completions?api-version=1"
    reply = chat(TOKENS, "prod")
    row = rated(url, {"messages": []}, reply)
    assert (row["deployment"], row["price_basis"]) == ("prod", "unpriced")
    real = catalogue()
    alias = ModelRow("azure", "gpt-5", '{"equals":"prod"}', layer="override")
    book = PriceBook((*real.models, alias), real.rates)
    row = rated(url, {"messages": []}, reply, book=book)
    assert row["price_model"] == "gpt-5"
    assert row["cost_nanos"] == nanos((1000, "1.25"), (100, "10"))


def test_p36_a_call_of_a_batch_costs_half() -> None:
    """The results of a batch are priced at the batch rates, and a missing one is flagged."""
    url = f"{OPENAI}/files/file-1/content"
    done = ('{"id":"b","custom_id":"a","response":{"status_code":200,"body":{"id":"c","object":'
            '"chat.completion","model":"gpt-4.1-mini","usage":{"prompt_tokens":1000,'
            '"completion_tokens":100,"total_tokens":1100}}}}\n')  # fmt: skip
    row = rated(url, None, done, method="GET", at=NOVEMBER)
    (row,) = row.get("readings", [row])
    assert row["cost_nanos"] == nanos((1000, "0.20"), (100, "0.80"))
    row = rated(url, None, done, method="GET")
    (row,) = row.get("readings", [row])
    assert "no_batch_rate" in row["findings"], "the catalogue tells batch prices from October on"


@pytest.mark.parametrize("calls", [0, 1, 3])
def test_p37_a_tool_is_charged_by_use_not_by_being_offered(calls: int) -> None:
    """Web search was offered in each request; only the searches made cost $10 a thousand."""
    usage = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}
    output = [{"type": "web_search_call", "id": f"ws_{n}", "status": "completed",
               "action": {"type": "search", "query": "x"}} for n in range(calls)]  # fmt: skip
    reply = {"id": "r", "object": "response", "model": "gpt-5-2025-08-07", "output": output,
             "status": "completed", "usage": usage, "tools": [{"type": "web_search"}]}  # fmt: skip
    ask = {"model": "gpt-5", "input": "x", "tools": [{"type": "web_search"}]}
    row = rated(RESPONSES, ask, reply)
    assert row["usage"].get("web_search", 0) == calls
    assert row["cost_nanos"] == nanos((1000, "1.25"), (100, "10"), (calls, "10000"))


@pytest.mark.parametrize(("grounding", "count"), [(None, 0), ({"webSearchQueries": ["a", "b"]}, 1)])
def test_p37_grounding_of_google_is_charged_when_it_was_used(
    grounding: dict[str, Any] | None, count: int
) -> None:
    """Gemini 2.5 charges $35 a thousand grounded prompts, however many queries one made."""
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
    more = {} if grounding is None else {"groundingMetadata": grounding}
    row = rated(GEMINI, {"contents": [], "tools": [{"google_search": {}}]},
                candidate(usage, **more))  # fmt: skip
    assert row["cost_nanos"] == nanos((10, "0.30"), (5, "2.50"), (count, "35000"))


def test_p37_a_fee_inside_the_stated_cost_is_not_lost() -> None:
    """A plug-in that only the stated cost tells of stays on the bill as an adjustment."""
    usage = {**TOKENS, "cost": 0.0024, "is_byok": False}
    row = rated(OPENROUTER, asked("openai/gpt-5-mini"), chat(usage, "openai/gpt-5-mini"))
    tokens = nanos((1000, "0.25"), (100, "2"))
    assert row["cost_nanos"] == 2_400_000
    assert lines(row)["provider_adjustment"] == 2_400_000 - tokens
    assert "price_drift" in row["findings"]


def test_p39_the_price_of_another_tier_in_the_catalogue_is_corrected() -> None:
    """OpenRouter's row of Sol is the flex price; what was billed in August is in the book."""
    usage = {"prompt_tokens": 4020, "completion_tokens": 5, "total_tokens": 4025,
             "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 4012},
             "cost": 0.025265}  # fmt: skip
    row = rated(OPENROUTER, asked("openai/gpt-5.6-sol"), chat(usage, "openai/gpt-5.6-sol"))
    assert row["cost_nanos"] == nanos((8, "5"), (4012, "6.25"), (5, "30")) == 25_265_000
    assert "price_drift" not in row["findings"]
    wrong = rated(OPENROUTER, asked("openai/gpt-5.6-sol"),
                  chat({**usage, "cost": 0.0126325}, "openai/gpt-5.6-sol"))  # fmt: skip
    assert "price_drift" in wrong["findings"], "a stated half would be noticed"


@pytest.mark.parametrize("name", ["ft:gpt-4.1-2025-04-14:acme::abc", "ft:davinci-002:acme::abc"])
def test_p40_a_fine_tuned_model_never_has_its_base_models_price(name: str) -> None:
    """A customer's own model is priced by a row that names it, or not at all."""
    row = rated(CHAT, asked(name), chat(TOKENS, name))
    assert (row["price_model"], row["price_basis"]) == (None, "unpriced")
    base = name.split(":")[1]
    assert catalogue().resolve("openai", [base]) is not None


def test_p40_a_fine_tuned_model_with_a_row_of_its_own_has_that_price() -> None:
    """GPT-4o costs 2.50 / 10, fine-tuned 3.75 / 15."""
    name = "ft:gpt-4o-2024-08-06:acme::abc"
    row = rated(CHAT, asked("gpt-4o"), chat(TOKENS, name))
    assert row["cost_nanos"] == nanos((1000, "3.75"), (100, "15"))


def test_p44_with_a_key_of_ones_own_the_stated_cost_is_only_the_fee() -> None:
    """OpenRouter's `cost` is then its fee, and what the upstream took comes on top."""
    usage = {**TOKENS, "cost": 0.00005, "is_byok": True,
             "cost_details": {"upstream_inference_cost": 0.001}}  # fmt: skip
    row = rated(OPENROUTER, asked("openai/gpt-5-mini"), chat(usage, "openai/gpt-5-mini"))
    assert row["provider_cost_nanos"] == 1_050_000
    own = {**usage, "is_byok": False}
    row = rated(OPENROUTER, asked("openai/gpt-5-mini"), chat(own, "openai/gpt-5-mini"))
    assert row["provider_cost_nanos"] == 50_000, "the upstream's share is part of the cost"


def test_p38_a_rerank_is_counted_in_searches() -> None:
    """One search unit is one unit: never tokens, and unpriced until somebody prices it."""
    reply = {"id": "x", "results": [], "meta": {"billed_units": {"search_units": 1}}}
    ask = {"model": "rerank-v3.5", "query": "q", "documents": ["a" * 400] * 50}
    row = rated("https://api.cohere.com/v2/rerank", ask, reply)
    assert row["usage"] == {"search_units": 1}
    assert bases(row) == {"search_units": "unpriced"}
    assert ceiling_nanos(catalogue(), call_of(row, at=AUGUST_US)) >= nanos((1, "2000"))
