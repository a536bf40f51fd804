"""The rules of reading `generateContent` replies, each on a hand-written payload."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core import units
from tests.wire.google_payloads import ARRAY_URL, ASKED, STREAM_URL, URL, of_usage, reply, stream
from tests.wire.harness import Exchange, exchange, in_chunks, read, sse

# -- buckets --------------------------------------------------------------------------------------


def test_p5_the_prompt_count_includes_cached_tokens() -> None:
    reading = of_usage(cachedContentTokenCount=8)
    assert reading.usage == {"input": 2, "input_cache_read": 8}


def test_p5_the_text_detail_includes_cached_tokens_too() -> None:
    reading = of_usage(
        cachedContentTokenCount=8, promptTokensDetails=[{"modality": "TEXT", "tokenCount": 10}]
    )
    assert reading.usage == {"input": 2, "input_cache_read": 8}


@pytest.mark.parametrize("url", [URL, STREAM_URL, ARRAY_URL], ids=["whole", "events", "array"])
def test_p16_a_large_image_in_the_reply_hides_no_count(url: str) -> None:
    usage = {
        "promptTokenCount": 10, "candidatesTokenCount": 1290, "totalTokenCount": 1300,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
    }  # fmt: skip
    body: Any = reply(usage, "STOP")
    image = {"inlineData": {"mimeType": "image/png", "data": "A" * (18 << 20)}}
    body["candidates"][0]["content"] = {"parts": [image]}
    if url == STREAM_URL:
        body = sse(body)
    elif url == ARRAY_URL:
        body = [body]
    whole = exchange(url, ASKED, body)
    for size in (256 * 1024, len(whole.body)):
        reading = read(whole, in_chunks(whole.body, size))
        assert reading.usage == {"input": 10, "output_image": 1290}
        assert (reading.status, reading.findings) == ("ok", [])


def test_a_count_that_cannot_be_one_is_found_and_left_out() -> None:
    reading = of_usage(promptTokenCount=10**30, candidatesTokenCount=3, totalTokenCount=3)
    assert reading.usage == {"output": 3}
    assert "too_large:promptTokenCount" in reading.findings


def test_p14_thoughts_are_beside_the_candidates() -> None:
    reading = of_usage(candidatesTokenCount=5, thoughtsTokenCount=90, totalTokenCount=105)
    assert reading.usage == {"input": 10, "output": 5, "output_reasoning": 90}
    assert reading.findings == []


def test_thoughts_without_any_candidate_are_still_billed() -> None:
    reading = read(
        exchange(URL, ASKED, reply({"promptTokenCount": 4, "thoughtsTokenCount": 9}, "MAX_TOKENS"))
    )
    assert reading.usage == {"input": 4, "output_reasoning": 9}
    assert (reading.status, reading.usage_source) == ("incomplete", "provider")


def test_what_tools_fed_back_is_input_beside_the_prompt() -> None:
    reading = of_usage(
        toolUsePromptTokenCount=30,
        toolUsePromptTokensDetails=[{"modality": "IMAGE", "tokenCount": 20}],
    )
    assert reading.usage == {"input": 20, "input_image": 20}


def test_p15_modalities_are_buckets_of_their_own_and_documents_are_images() -> None:
    details = [
        {"modality": "TEXT", "tokenCount": 100},
        {"modality": "AUDIO", "tokenCount": 20},
        {"modality": "IMAGE", "tokenCount": 30},
        {"modality": "DOCUMENT", "tokenCount": 40},
        {"modality": "VIDEO", "tokenCount": 50},
    ]
    reading = of_usage(
        promptTokenCount=240,
        promptTokensDetails=details,
        candidatesTokenCount=60,
        candidatesTokensDetails=[{"modality": "IMAGE", "tokenCount": 50}],
    )
    assert reading.usage == {
        "input": 100, "input_audio": 20, "input_image": 70, "input_video": 50,
        "output": 10, "output_image": 50,
    }  # fmt: skip


def test_cached_tokens_of_no_stated_modality_are_taken_from_text_first() -> None:
    reading = of_usage(
        promptTokenCount=100,
        promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 70}],
        cachedContentTokenCount=40,
    )
    assert reading.usage == {"input_audio": 60, "input_cache_read": 40}


def test_more_cached_than_prompted_is_found_and_nothing_goes_negative() -> None:
    reading = of_usage(cachedContentTokenCount=15)
    assert reading.usage == {"input_cache_read": 15}
    assert "identity:cache_read" in reading.findings


def test_details_larger_than_their_count_are_clamped_and_found() -> None:
    reading = of_usage(promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 99}])
    assert reading.usage == {"input_audio": 10}
    assert "details_exceed_count" in reading.findings


def test_a_total_that_does_not_add_up_is_found() -> None:
    assert "identity:total" in of_usage(totalTokenCount=99).findings


def test_p9_unknown_keys_and_modalities_are_found_as_drift() -> None:
    reading = of_usage(
        smellTokenCount=4, promptTokensDetails=[{"modality": "SMELL", "tokenCount": 4}]
    )
    assert reading.usage == {"input": 10}
    assert reading.findings == ["drift:smellTokenCount", "drift:modality.SMELL"]


@pytest.mark.parametrize(
    ("key", "value", "tier"),
    [
        ("serviceTier", "standard", "standard"),
        ("serviceTier", "unspecified", "standard"),
        ("serviceTier", "flex", "flex"),
        ("serviceTier", "priority", "priority"),
        ("trafficType", "ON_DEMAND", "standard"),
        ("trafficType", "ON_DEMAND_FLEX", "flex"),
        ("trafficType", "ON_DEMAND_PRIORITY", "priority"),
        ("trafficType", "PROVISIONED_THROUGHPUT", "provisioned"),
        ("trafficType", "TRAFFIC_TYPE_UNSPECIFIED", "standard"),
    ],
)
def test_p29_the_tier_is_the_one_served(key: str, value: str, tier: str) -> None:
    assert of_usage(**{key: value}).tier_served == tier


def test_vertex_asks_for_its_tier_in_a_header() -> None:
    asked = exchange(URL, ASKED, reply({"promptTokenCount": 1}))
    headers = {"x-vertex-ai-llm-shared-request-type": "flex"}
    request = type(asked.request)("POST", URL, headers, asked.request.body)
    flex = Exchange(request, headers=asked.headers, body=asked.body)
    assert read(flex).tier_requested == "flex"


# -- outcome --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        ("STOP", "ok"),
        ("MAX_TOKENS", "incomplete"),
        ("SAFETY", "refused"),
        ("RECITATION", "refused"),
        ("PROHIBITED_CONTENT", "refused"),
        ("BLOCKLIST", "refused"),
        ("SPII", "refused"),
        ("MALFORMED_FUNCTION_CALL", "error"),
        ("SOMETHING_NEW", "ok"),
    ],
)
def test_the_finish_reason_gives_the_status_and_the_tokens_stay_billed(
    reason: str, status: str
) -> None:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 3}
    for asked in (exchange(URL, ASKED, reply(usage, reason)), stream(reply(usage, reason))):
        reading = read(asked)
        assert (reading.status, reading.finish_reason) == (status, reason)
        assert (reading.usage, reading.billed) == ({"input": 10, "output": 3}, "yes")
        assert (reading.error_type == reason) == (status == "error")
        assert ("drift:finishReason.SOMETHING_NEW" in reading.findings) == (
            reason == "SOMETHING_NEW"
        )


def test_a_blocked_prompt_is_refused_with_its_input() -> None:
    blocked = {
        "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
        "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7},
    }
    for asked in (exchange(URL, ASKED, blocked), stream(blocked)):
        reading = read(asked)
        assert (reading.status, reading.finish_reason) == ("refused", "PROHIBITED_CONTENT")
        assert (reading.usage, reading.usage_source) == ({"input": 7}, "provider")


def test_function_calls_are_counted_once_each_also_when_streamed_in_pieces() -> None:
    pieces = [
        {"functionCall": {"name": "f", "willContinue": True}},
        {"functionCall": {"partialArgs": [{"jsonPath": "$.a"}], "willContinue": True}},
        {"functionCall": {}},
        {"functionCall": {"name": "g", "args": {"a": 1}}},
    ]
    chunks = [reply(None, None, candidate={"content": {"parts": [p]}}) for p in pieces]
    assert read(stream(*chunks, reply({"promptTokenCount": 1}))).tool_calls == 2


def test_p37_searches_are_the_fullest_list_of_queries_never_the_sum_over_chunks() -> None:
    def grounded(*queries: str, finish: str | None = None) -> Any:
        return reply(
            {"promptTokenCount": 1},
            finish,
            candidate={"groundingMetadata": {"webSearchQueries": list(queries)}},
        )

    chunks = (grounded("a"), grounded("a", "b"), grounded("a", "b", finish="STOP"))
    assert read(stream(*chunks)).usage == {"input": 1, "web_search": 2}
    assert units.WEB_SEARCH not in read(stream(grounded(finish="STOP"))).usage


@pytest.mark.parametrize(
    ("model", "queries", "searches"),
    [
        # each distinct query that is not empty is charged
        ("gemini-3-flash-preview", ["a", "", "b", "a"], 2),
        ("gemini-3-flash-preview", [""], 0),
        # up to Gemini 2.5 the grounded prompt is charged, however many queries it took
        ("gemini-2.5-flash-002", ["a", "b", "c"], 1),
        ("gemini-2.0-flash", ["a"], 1),
        ("gemini-2.5-pro", [], 0),
    ],
)
def test_p37_searches_are_charged_by_query_or_by_prompt(
    model: str, queries: list[str], searches: int
) -> None:
    grounded = {"groundingMetadata": {"webSearchQueries": queries}}
    body = reply({"promptTokenCount": 1}, candidate=grounded, modelVersion=model)
    assert read(exchange(URL, {}, body)).usage.get(units.WEB_SEARCH, 0) == searches


def test_an_http_error_costs_nothing_and_keeps_its_status_name_only() -> None:
    body = {"error": {"code": 429, "message": "secret", "status": "RESOURCE_EXHAUSTED"}}
    shapes = [
        exchange(URL, ASKED, body, status=429),
        exchange(ARRAY_URL, ASKED, [body], status=429),
        exchange(STREAM_URL, ASKED, body, status=429),
    ]
    for asked in shapes:
        reading = read(asked)
        assert (reading.status, reading.error_type) == ("error", "RESOURCE_EXHAUSTED")
        assert (reading.billed, reading.usage) == ("no", {})
        assert "secret" not in repr(reading)


def test_an_error_inside_a_stream_keeps_what_was_counted_before() -> None:
    failed = {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}}
    before = reply({"promptTokenCount": 10, "candidatesTokenCount": 3}, None)
    reading = read(stream(before, failed))
    assert (reading.status, reading.error_type) == ("error", "UNAVAILABLE")
    assert (reading.billed, reading.usage_source) == ("possible", "estimated")
    assert reading.usage == {"input": 10, "output": 3}


def test_a_reply_without_usage_is_estimated_and_says_so() -> None:
    asked = {**ASKED, "systemInstruction": {"parts": [{"text": "x" * 8}]}}
    reading = read(exchange(URL, asked, reply(None, text="x" * 40)))
    assert reading.usage == {"input": 4, "output": 10}
    assert reading.usage_source == "estimated"
    assert "usage_missing" in reading.findings
