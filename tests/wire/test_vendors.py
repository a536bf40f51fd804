"""What is particular about each vendor of the OpenAI shape, as a table of payloads and buckets.

Recorded payloads are in `test_openai_samples`; the ones here are `vendor_cases`.
"""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading, Request
from outlay.wire.registry import find_endpoint
from outlay.wire.vendor_rows import UNVERIFIED
from outlay.wire.vendors import VENDORS
from tests.wire.harness import (
    SAMPLES,
    assert_same_in_any_chunking,
    exchange,
    read,
    require_samples,
    sse,
)
from tests.wire.vendor_cases import CASES, CHAT, Case, counts

HOSTS = {"gpu:8000": "vllm", "gpu:30000": "sglang", "gpu:11434": "ollama"}
ASK = {"model": "m-1", "messages": [{"role": "user", "content": "12345678"}]}


def whole(case: Case, **more: Any) -> Reading:
    body = {
        "id": "r-1", "model": "m-1", "object": "response", "status": "completed", "output": [],
        "choices": [{"index": 0, "message": {"content": "hello"}, "finish_reason": "stop"}],
        "provider": "Upstream", "time_info": {"queue_time": 0.1}, "usage": {**case.usage, **more},
    }  # fmt: skip
    return read(exchange(case.url, ASK, body, hosts=HOSTS))


@pytest.mark.parametrize("name", CASES)
def test_a_vendors_counters_become_disjoint_buckets_by_its_row(name: str) -> None:
    case = CASES[name]
    reading = whole(case)
    assert reading.usage == case.buckets
    assert (reading.provider, reading.provider_cost_nanos) == (case.provider, case.cost)
    assert (tuple(reading.findings), reading.tier_served) == (case.findings, case.tier)
    assert reading.usage_source == "provider"
    assert reading.usage_raw.keys() >= {key for key, value in case.usage.items() if value}


@pytest.mark.parametrize("name", CASES)
def test_a_key_that_is_not_known_is_drift_at_every_vendor(name: str) -> None:
    case = CASES[name]
    reading = whole(case, novel_tokens=7)
    assert reading.findings[0] == "drift:novel_tokens"
    assert reading.usage == case.buckets
    assert reading.usage_raw["novel_tokens"] == 7


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if CHAT in case.url])
def test_a_stream_comes_to_the_same_buckets_in_any_chunking(name: str) -> None:
    case = CASES[name]
    partial = {**case.usage, "completion_tokens": 1, "total_tokens": 0}
    head = {"choices": [{"index": 0, "delta": {"content": "he"}}], "usage": partial}
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": case.usage}
    ask = {**ASK, "stream": True}
    stream = exchange(case.url, ask, sse(head, last, "[DONE]"), hosts=HOSTS)
    reading = assert_same_in_any_chunking(stream, most=40)
    assert reading.usage == case.buckets
    assert reading.provider_cost_nanos == case.cost
    cut = read(stream, stream.events[:1], complete=False)
    assert (cut.status, cut.usage_source) == ("aborted", "estimated")
    assert cut.provider_cost_nanos is None, "what was stated half way is not what it cost"


def test_the_zero_cost_that_perplexity_sends_along_is_not_believed() -> None:
    url = CASES["perplexity"].url
    skeleton = counts(
        20, 1, cost={"input_tokens_cost": 0, "output_tokens_cost": 0, "total_cost": 0}
    )
    head = {"choices": [{"index": 0, "delta": {"content": "x" * 40}}], "usage": skeleton}
    stream = exchange(url, {**ASK, "stream": True}, sse(head))
    reading = read(stream, complete=False)
    assert (reading.status, reading.provider_cost_nanos) == ("aborted", None)
    assert reading.usage == {"input": 20, "output": 10}


def test_a_cost_in_another_currency_is_not_taken_for_dollars() -> None:
    reading = whole(CASES["perplexity"], cost={"currency": "EUR", "total_cost": 1.0})
    assert (reading.provider_cost_nanos, reading.findings) == (None, ["bad_cost"])


def test_groq_names_the_tools_and_models_of_a_compound_call() -> None:
    url = CASES["groq"].url
    rows = [{"model": name, "usage": counts(100, 10)} for name in ("a", "b")]
    message = {"content": "x", "executed_tools": [{"type": "search"}, {"type": "python"}, {}]}
    body = {
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": counts(100, 10), "usage_breakdown": {"models": rows},
        "x_groq": {"id": "req", "usage": {"dram_cached_tokens": 5}},
    }  # fmt: skip
    reading = read(exchange(url, ASK, body))
    assert reading.usage == {"input": 100, "output": 10}, "the rows repeat the sum"
    assert reading.findings == [
        "compound", "unpriced_tool:python", "unpriced_tool:search", "unpriced_tool:unnamed",
    ]  # fmt: skip
    assert len(reading.usage_raw["usage_breakdown"]["models"]) == 2


# -- the table ---------------------------------------------------------------------------------


def test_every_row_names_what_backs_it() -> None:
    for vendor in VENDORS:
        assert vendor.source, vendor.name
    unverified = {vendor.name for vendor in VENDORS if vendor.source == UNVERIFIED}
    assert unverified == {
        "avian", "novita", "deepinfra", "hyperbolic", "jina", "nebius", "nvidia", "sambanova",
    }  # fmt: skip


def test_every_sample_that_a_row_names_is_there() -> None:
    require_samples()
    present = {path.name for path in SAMPLES.iterdir()}
    for vendor in VENDORS:
        if not vendor.source.startswith("sample"):
            continue
        named = [word.strip(",") for word in vendor.source.split()[1:] if word[-2:-1] == "-"]
        for name in filter(lambda word: word.count("-") > 1, named):
            assert any(file.startswith(name) for file in present), (vendor.name, name)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.cloudflare.com/client/v4/zones/z/dns_records",
        "https://dbc-1.cloud.databricks.com/api/2.0/sql/statements",
    ],
)
def test_a_host_that_serves_other_things_is_ours_only_below_its_models(url: str) -> None:
    assert find_endpoint(Request("POST", url)) is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "https://api.cloudflare.com/client/v4/accounts/a1/ai/v1/chat/completions",
            ("cloudflare", "openai.chat"),
        ),
        (
            "https://dbc-1.cloud.databricks.com/serving-endpoints/chat/completions",
            ("databricks", "openai.chat"),
        ),
        ("https://adb-1.2.azuredatabricks.net/ai-gateway/anthropic/v1/messages",
            ("databricks", "anthropic.messages")),
        ("https://api.z.ai/api/paas/v4/chat/completions", ("zai", "openai.chat")),
        ("https://api.z.ai/api/anthropic/v1/messages", ("zai", "anthropic.messages")),
        ("https://open.bigmodel.cn/api/paas/v4/embeddings", ("zhipuai", "openai.embeddings")),
        ("https://api.novita.ai/openai/v1/rerank", ("novita", "openai.rerank")),
        ("https://api.minimaxi.com/anthropic/v1/messages", ("minimax", "anthropic.messages")),
        ("https://inference.baseten.co/v1/messages", ("baseten", "anthropic.messages")),
        ("https://integrate.api.nvidia.com/v1/chat/completions", ("nvidia", "openai.chat")),
        ("https://api.cohere.com/v1/tokenize", ("cohere", "cohere.free")),
        ("https://api.cohere.com/v2/chat", ("cohere", "cohere.chat")),
    ],
)  # fmt: skip
def test_vendors_serve_their_shapes_below_their_own_bases(
    url: str, expected: tuple[str, str]
) -> None:
    endpoint = find_endpoint(Request("POST", url))
    assert endpoint is not None
    assert (endpoint.provider, endpoint.surface) == expected


@pytest.mark.parametrize(
    ("usage", "output", "findings"),
    [
        # thoughts are in the total alone
        ({"completion_tokens": 12, "total_tokens": 344}, (12, 324), ["reasoning_from_total"]),
        ({"completion_tokens": 12, "total_tokens": 20}, (12, 0), []),
        (
            {
                "completion_tokens": 12, "total_tokens": 20,
                "completion_tokens_details": {"reasoning_tokens": 5},
            },
            (7, 5),
            [],
        ),
    ],
)  # fmt: skip
def test_p14_what_geminis_total_counts_beyond_both_counters_is_reasoning(
    usage: dict[str, Any], output: tuple[int, int], findings: list[str]
) -> None:
    url = "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"
    body = {
        "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 8, **usage},
    }
    reading = read(exchange(url, {"model": "gemini-2.5-flash", "messages": []}, body))
    visible, thoughts = output
    buckets = {"input": 8, "output": visible, "output_reasoning": thoughts}
    assert reading.usage == {unit: count for unit, count in buckets.items() if count}
    assert reading.findings == findings
