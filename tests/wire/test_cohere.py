"""Cohere's own API: what is billed is what it says it bills, in replies and in streams."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from outlay.wire.base import Reading
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    assert_sane,
    exchange,
    read,
    sample,
    sse,
    to_bytes,
)

V2 = "https://api.cohere.com/v2/chat"
V1 = "https://api.cohere.com/v1/chat"
EMBED = "https://api.cohere.com/v2/embed"
ASK = {"model": "command-a", "messages": [{"role": "user", "content": "12345678"}]}


def counts(billed: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"billed_units": billed, **more}


def reply(usage: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    content = [{"type": "thinking", "thinking": "1234"}, {"type": "text", "text": "1234"}]
    body = {"id": "c-1", "finish_reason": "COMPLETE", "message": {"content": content}, **more}
    return body if usage is None else {**body, "usage": usage}


def chat(usage: dict[str, Any] | None, **more: Any) -> Reading:
    return read(exchange(V2, ASK, reply(usage, **more)))


def v2_stream(*events: dict[str, Any]) -> Exchange:
    return exchange(V2, {**ASK, "stream": True}, sse(*events, names=True))


def v1_stream(*lines: dict[str, Any], url: str = V1) -> Exchange:
    body = b"".join(to_bytes(line) + b"\n" for line in lines)
    asked = {"model": "command-r", "message": "12345678", "stream": True}
    return exchange(url, asked, {}, headers={"content-type": "application/stream+json"}).with_body(
        body
    )


TEXT = {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "x" * 40}}}}
START = {"type": "message-start", "id": "c-2", "delta": {"message": {"role": "assistant"}}}
END = {
    "type": "message-end",
    "delta": {
        "finish_reason": "COMPLETE",
        "usage": counts({"input_tokens": 11, "output_tokens": 7}, tokens={"input_tokens": 500}),
    },
}


# -- buckets -----------------------------------------------------------------------------------


def test_the_recorded_reply_is_billed_by_billed_units_and_never_less_the_cache() -> None:
    reading = read(sample("cohere-cached-0"))
    # 2,928 of the 2,935 prompt tokens were cached; 2,406 are billed, at the full price
    assert reading.usage == {"input": 2406, "output": 2}
    assert reading.usage_source == "provider"
    assert reading.findings == ["cached_not_subtracted"]
    assert reading.usage_raw == {
        "billed_units": {"input_tokens": 2406, "output_tokens": 2},
        "cached_tokens": 2928,
        "tokens": {"input_tokens": 2935, "output_tokens": 4},
        "num_tokens": 2408,
    }
    assert (reading.provider, reading.surface) == ("cohere", "cohere.chat")
    assert (reading.model_requested, reading.model_served) == ("command-r7b-12-2024", None)
    assert reading.response_id == "0bf8e1a5-2af6-4014-a539-c12363a043a3"
    assert (reading.finish_reason, reading.status) == ("COMPLETE", "ok")


def test_every_billed_unit_has_a_bucket_of_its_own() -> None:
    billed = {"input_tokens": 5.0, "output_tokens": 3, "search_units": 2, "classifications": 4}
    assert chat(counts(billed)).usage == {
        "input": 5, "output": 3, "search_units": 2, "classifications": 4,
    }  # fmt: skip


def test_tokens_count_where_nothing_is_said_to_be_billed() -> None:
    reading = chat({"tokens": {"input_tokens": 9, "output_tokens": 4}})
    assert reading.usage == {"input": 9, "output": 4}
    assert reading.findings == ["billed_units_missing"]


def test_a_reply_without_counts_is_estimated_and_says_so() -> None:
    reading = chat(None)
    assert reading.usage == {"input": 2, "output": 2}
    assert reading.findings == ["usage_missing", "input_estimated", "output_estimated"]


def test_nothing_billed_is_told_and_found() -> None:
    reading = chat(counts({"input_tokens": 0, "output_tokens": 0}))
    assert (reading.usage, reading.usage_source) == ({}, "provider")
    assert reading.findings == ["usage_zero"]


def test_a_key_that_is_not_known_is_found_at_every_level() -> None:
    usage = counts({"input_tokens": 1, "smell_units": 2}, tokens={"odd": 1}, extra=3)
    assert chat(usage).findings == [
        "drift:extra", "drift:billed_units.smell_units", "drift:tokens.odd",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (-5, "negative:input_tokens"),
        (10**30, "too_large:input_tokens"),
        (0.5, "drift:input_tokens"),
    ],
)
def test_a_count_that_is_none_is_left_out_and_found(told: float, found: str) -> None:
    reading = chat(counts({"input_tokens": told, "output_tokens": 1}))
    assert reading.usage == {"output": 1}
    assert found in reading.findings


# -- how it ended ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "status", "error"),
    [
        ("COMPLETE", "ok", None),
        ("STOP_SEQUENCE", "ok", None),
        ("TOOL_CALL", "ok", None),
        ("MAX_TOKENS", "incomplete", None),
        ("ERROR_LIMIT", "incomplete", None),
        ("ERROR_TOXIC", "refused", None),
        ("ERROR", "error", "error"),
        ("TIMEOUT", "error", "timeout"),
        ("USER_CANCEL", "aborted", None),
    ],
)
def test_the_finish_reason_decides_the_status(reason: str, status: str, error: str | None) -> None:
    reading = chat(counts({"input_tokens": 1, "output_tokens": 1}), finish_reason=reason)
    assert (reading.status, reading.error_type) == (status, error)
    assert (reading.billed, reading.finish_reason) == ("yes", reason)


def test_an_http_error_costs_nothing_and_keeps_the_debug_trace_id() -> None:
    body = {"message": "the prompt was: my secret"}
    headers = {"x-debug-trace-id": "trace-1"}
    reading = read(exchange(V2, ASK, body, status=429, headers=headers))
    assert (reading.status, reading.error_type, reading.billed) == ("error", "http_429", "no")
    assert reading.provider_request_id == "trace-1"
    assert "secret" not in repr(reading)


# -- streams -----------------------------------------------------------------------------------


def test_a_v2_stream_is_billed_by_its_message_end_in_any_chunking() -> None:
    call = {"message": {"tool_calls": {"id": "t", "function": {"name": "f", "arguments": ""}}}}
    part = {"message": {"tool_calls": {"function": {"arguments": "{}"}}}}
    events = (
        START,
        TEXT,
        {"type": "tool-plan-delta", "delta": {"message": {"tool_plan": "1234"}}},
        {"type": "tool-call-start", "index": 0, "delta": call},
        {"type": "tool-call-delta", "index": 0, "delta": part},
        END,
    )
    reading = assert_same_in_any_chunking(v2_stream(*events))
    assert reading.usage == {"input": 11, "output": 7}
    assert (reading.response_id, reading.tool_calls) == ("c-2", 1)
    assert (reading.status, reading.streamed, reading.findings) == ("ok", True, [])


def test_a_v2_stream_that_is_cut_is_estimated_after_every_event() -> None:
    whole = v2_stream(START, TEXT, TEXT, END)
    outputs = []
    for count in range(len(whole.events)):
        reading = read(whole, whole.events[:count], complete=False)
        assert_sane(reading)
        assert (reading.status, reading.billed) == ("aborted", "possible")
        assert reading.usage["input"] == 2
        outputs.append(reading.usage["output"])
    assert outputs == [1, 1, 10, 20]


def test_a_v1_stream_of_lines_is_billed_by_its_stream_end_in_any_chunking() -> None:
    end = {
        "event_type": "stream-end", "is_finished": True, "finish_reason": "MAX_TOKENS",
        "response": {
            "text": "x" * 40, "generation_id": "g-1", "response_id": "r-1",
            "meta": {
                "api_version": {"version": "1"}, "warnings": ["deprecated"],
                "billed_units": {"input_tokens": 8, "output_tokens": 10},
                "tokens": {"input_tokens": 70, "output_tokens": 10},
            },
        },
    }  # fmt: skip
    lines = (
        {"event_type": "stream-start", "generation_id": "g-1", "is_finished": False},
        {"event_type": "text-generation", "text": "x" * 40, "is_finished": False},
        {"event_type": "tool-calls-generation", "tool_calls": [{"name": "f"}, {"name": "g"}]},
        end,
    )
    reading = assert_same_in_any_chunking(v1_stream(*lines))
    assert reading.usage == {"input": 8, "output": 10}
    assert (reading.status, reading.response_id, reading.tool_calls) == ("incomplete", "r-1", 2)
    assert reading.findings == []
    assert reading.usage_raw == {
        "billed_units": {"input_tokens": 8, "output_tokens": 10},
        "tokens": {"input_tokens": 70, "output_tokens": 10},
    }
    cut = read(v1_stream(*lines[:2]), complete=False)
    assert (cut.status, cut.usage) == ("aborted", {"input": 2, "output": 10})


def test_a_generate_stream_that_fails_says_so() -> None:
    lines = (
        {"event_type": "text-generation", "text": "x" * 8, "is_finished": False},
        {"event_type": "stream-error", "is_finished": True, "finish_reason": "ERROR", "err": "no"},
    )
    reading = read(v1_stream(*lines, url="https://api.cohere.com/v1/generate"))
    assert (reading.status, reading.error_type, reading.billed) == ("error", "error", "possible")
    assert (reading.usage, reading.usage_source) == ({"input": 2, "output": 2}, "estimated")


@pytest.mark.parametrize(
    ("reason", "status"), [("ERROR", "error"), ("TIMEOUT", "error"), ("USER_CANCEL", "aborted")]
)
def test_a_v2_stream_that_fails_without_counts_is_estimated_from_what_was_seen(
    reason: str, status: str
) -> None:
    end: dict[str, Any] = {"type": "message-end", "delta": {"finish_reason": reason}}
    reading = assert_same_in_any_chunking(v2_stream(START, TEXT, end))
    assert (reading.status, reading.billed) == (status, "possible")
    assert (reading.usage, reading.usage_source) == ({"input": 2, "output": 10}, "estimated")
    unseen = read(v2_stream(START, end))
    assert (unseen.status, unseen.billed, unseen.usage) == (status, "no", {})
    counted = {**end, "delta": {**end["delta"], "usage": counts({"input_tokens": 1})}}
    told = read(v2_stream(START, TEXT, counted))
    assert (told.status, told.billed, told.usage) == (status, "yes", {"input": 1})


# -- v1, classify, parse -----------------------------------------------------------------------

META = {"api_version": {"version": "1"}, "billed_units": {"input_tokens": 5, "output_tokens": 6}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("chat", {"text": "1234", "generation_id": "g", "finish_reason": "COMPLETE"}),
        ("generate", {"id": "g", "generations": [{"text": "1234", "finish_reason": "COMPLETE"}]}),
        ("summarize", {"id": "g", "summary": "1234"}),
    ],
)
def test_v1_replies_hold_their_counts_in_meta(path: str, body: dict[str, Any]) -> None:
    reading = read(exchange(f"https://api.cohere.com/v1/{path}", ASK, {**body, "meta": META}))
    assert (reading.usage, reading.response_id) == ({"input": 5, "output": 6}, "g")
    assert (reading.operation, reading.findings) == ("chat", [])


def test_a_classification_is_billed_by_the_text() -> None:
    url = "https://api.cohere.com/v1/classify"
    asked = {"model": "embed-english-v3.0", "inputs": ["a", "b", "c"]}
    meta = {"billed_units": {"classifications": 3}}
    told = read(exchange(url, asked, {"id": "k", "classifications": [], "meta": meta}))
    assert (told.usage, told.usage_source) == ({"classifications": 3}, "provider")
    counted = read(exchange(url, asked, {"id": "k", "classifications": []}))
    assert (counted.usage, counted.usage_source) == ({"classifications": 3}, "counted")
    assert counted.findings == ["usage_missing"]


def test_a_parsed_document_is_billed_by_the_page() -> None:
    url = "https://api.cohere.com/v2/parse"
    asked = {"model": "parse-1"}
    told = read(exchange(url, asked, {"id": "p", "meta": {"billed_units": {"pages": 12}}}))
    assert told.usage == {"pages": 12}
    untold = read(exchange(url, asked, {"id": "p"}))
    assert (untold.usage, untold.billed) == ({}, "possible")
    assert untold.findings == ["usage_missing"]


# -- embed -------------------------------------------------------------------------------------


def embed(billed: dict[str, Any] | None, asked: dict[str, Any] | None = None) -> Reading:
    body: dict[str, Any] = {"id": "e-1", "embeddings": {"float": [[0.5]]}}
    if billed is not None:
        body["meta"] = {"api_version": {"version": "2"}, "billed_units": billed}
    return read(exchange(EMBED, {"model": "embed-v4.0", **(asked or {})}, body))


def test_embeddings_are_billed_by_texts_and_images() -> None:
    assert embed({"input_tokens": 9}).usage == {"input": 9}
    assert embed({"images": 2}).usage == {"images": 2}
    assert embed({"input_tokens": 9}).operation == "embeddings"


@pytest.mark.parametrize(
    ("billed", "usage", "findings"),
    [
        # image tokens replace the count of images
        ({"images": 1, "image_tokens": 1000}, {"input_image": 1000}, []),
        # told apart
        (
            {"input_tokens": 7, "text_tokens": 7, "image_tokens": 1000},
            {"input": 7, "input_image": 1000},
            [],
        ),
        # told as a sum
        (
            {"input_tokens": 1007, "text_tokens": 7, "image_tokens": 1000},
            {"input": 7, "input_image": 1000},
            [],
        ),
        (
            {"input_tokens": 7, "image_tokens": 1000},
            {"input": 7, "input_image": 1000},
            ["image_tokens_assumed_beside"],
        ),
        (
            {"input_tokens": 50, "text_tokens": 7, "image_tokens": 1000},
            {"input": 7, "input_image": 1000},
            ["identity:input_tokens"],
        ),
    ],
)
def test_text_and_image_tokens_are_never_counted_twice(
    billed: dict[str, Any], usage: dict[str, int], findings: list[str]
) -> None:
    reading = embed(billed)
    assert (reading.usage, reading.findings) == (usage, findings)


def test_untold_texts_are_estimated() -> None:
    texts = embed(None, {"texts": ["1234", "12345"]})
    assert (texts.usage, texts.usage_source) == ({"input": 3}, "estimated")
    inputs = [{"content": [{"type": "text", "text": "12345678"}]}]
    assert embed(None, {"inputs": inputs}).usage == {"input": 2}


def test_the_compatible_endpoint_is_read_as_openai_is() -> None:
    url = "https://api.cohere.ai/compatibility/v1/chat/completions"
    body = {"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2}}
    reading = read(exchange(url, ASK, body))
    assert (reading.provider, reading.surface) == ("cohere", "openai.chat")
    assert reading.usage == {"input": 4, "output": 2}


def test_a_header_that_is_no_count_is_passed_over() -> None:
    whole = exchange(V2, ASK, reply(counts({"input_tokens": 1})))
    for told in ("", "-1", "1e3", "9" * 40, "²"):
        reading = read(replace(whole, headers={**whole.headers, "num_tokens": told}))
        assert "num_tokens" not in reading.usage_raw
        assert reading.findings == []
