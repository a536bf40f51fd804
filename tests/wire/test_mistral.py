"""Mistral's OCR by the page, and conversations with connectors on top."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from outlay.wire.mistral import MAX_CONNECTORS
from outlay.wire.reader import BodyReader
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    cut_after_events,
    exchange,
    read,
    reader_for,
    sse,
)

# -- OCR ---------------------------------------------------------------------------------------

OCR = "https://api.mistral.ai/v1/ocr"
DOCUMENT = {"type": "document_url", "document_url": "data:application/pdf;base64," + "A" * 9999}
PAGE = {"index": 0, "markdown": "# Title\n" * 400, "images": [], "dimensions": {"dpi": 200}}
PAGES = {
    "pages": [PAGE, PAGE], "model": "mistral-ocr-2512", "document_annotation": None,
    "usage_info": {"pages_processed": 2, "doc_size_bytes": 40_000},
}  # fmt: skip


def scanned(reply: dict[str, Any] | None = None, **more: Any) -> Exchange:
    ask = {"model": "mistral-ocr-latest", "document": DOCUMENT, **more}
    return exchange(OCR, ask, PAGES if reply is None else reply)


def test_pages_processed_are_counted() -> None:
    reading = assert_same_in_any_chunking(scanned(), most=60)
    assert (reading.usage, reading.usage_source) == ({"pages": 2}, "provider")
    assert (reading.model_requested, reading.model_served) == (
        "mistral-ocr-latest",
        "mistral-ocr-2512",
    )
    assert reading.usage_raw == {"pages_processed": 2, "doc_size_bytes": 40_000}
    assert (reading.operation, reading.findings) == ("other", [])


@pytest.mark.parametrize("key", ["bbox_annotation_format", "document_annotation_format"])
def test_annotated_pages_have_a_price_of_their_own(key: str) -> None:
    reading = read(scanned(**{key: {"type": "json_schema"}}))
    assert reading.usage == {"annotated_pages": 2}
    assert read(scanned(**{key: None})).usage == {"pages": 2}


def test_pages_are_counted_by_hand_where_the_usage_is_missing() -> None:
    reading = read(scanned({"pages": [PAGE, PAGE, PAGE], "model": "m"}))
    assert (reading.usage, reading.usage_source) == ({"pages": 3}, "counted")
    assert reading.findings == ["usage_missing"]


def test_an_unknown_number_of_pages_is_not_free() -> None:
    reading = read(scanned({"model": "m"}))
    assert (reading.usage, reading.billed) == ({}, "possible")
    assert reading.findings == ["usage_missing"]


def test_a_counter_that_is_not_known_is_drift() -> None:
    reading = read(scanned({**PAGES, "usage_info": {"pages_processed": 2, "tables": 5}}))
    assert reading.findings == ["drift:tables"]


def test_neither_the_document_nor_its_text_is_held() -> None:
    whole = scanned()
    reader = reader_for(whole)
    assert isinstance(reader, BodyReader)
    reader.response(200, whole.headers)
    reader.feed(whole.body)
    assert len(whole.body) > 6000
    assert (reader.request_body, len(reader._body) < 1000) == ({}, True)


def test_an_error_costs_nothing() -> None:
    body = {"object": "error", "message": "no", "type": "invalid_request_file", "code": "3310"}
    reading = read(exchange(OCR, {"model": "m"}, body, status=400))
    assert (reading.status, reading.error_type) == ("error", "invalid_request_file")
    assert (reading.billed, reading.usage) == ("no", {})


# -- conversations -----------------------------------------------------------------------------

TALK = "https://api.mistral.ai/v1/conversations"
ASK = {"model": "mistral-medium-latest", "instructions": "1234", "inputs": "12345678"}
USAGE = {
    "prompt_tokens": 188, "completion_tokens": 55, "total_tokens": 7355, "connector_tokens": 7112,
    "connectors": {"web_search": 2},
}  # fmt: skip
BUCKETS = {"input": 7300, "output": 55, "connector_web_search": 2}
OUTPUTS = [
    {"type": "tool.execution", "name": "web_search"},
    {
        "type": "message.output", "model": "mistral-medium-2505",
        "content": [{"type": "text", "text": "Hello."}, {"type": "tool_reference", "title": "x"}],
    },
]  # fmt: skip


def talked(usage: Any = None, outputs: Any = None, **ask: Any) -> Reading:
    reply = {
        "object": "conversation.response", "conversation_id": "conv_1",
        "outputs": OUTPUTS if outputs is None else outputs,
        "usage": USAGE if usage is None else usage,
    }  # fmt: skip
    return read(exchange(TALK, {**ASK, **ask}, reply))


def test_the_tokens_of_connectors_come_on_top_of_the_prompt() -> None:
    # 188 + 7112 read, 55 written; 188 + 55 + 7112 = 7355
    reading = talked()
    assert (reading.usage, reading.usage_source) == (BUCKETS, "provider")
    assert (reading.response_id, reading.model_served) == ("conv_1", "mistral-medium-2505")
    assert (reading.usage_raw, reading.findings) == (USAGE, [])
    assert reading.tool_calls == 0


def test_an_agent_stands_for_its_model_until_the_reply_names_that() -> None:
    reading = talked(model=None, agent_id="ag_1")
    assert (reading.model_requested, reading.model_served) == ("ag_1", "mistral-medium-2505")


def test_without_connectors_it_counts_as_a_chat() -> None:
    usage = {
        "prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 64}, "connector_tokens": None,
    }  # fmt: skip
    reading = talked(usage)
    assert reading.usage == {"input": 36, "input_cache_read": 64, "output": 20}
    assert reading.findings == []


def test_function_calls_are_tool_calls() -> None:
    calls = [{"type": "function.call", "tool_call_id": f"c{i}", "name": "f"} for i in range(2)]
    assert talked(outputs=calls).tool_calls == 2


def test_a_conversation_of_several_models_says_so() -> None:
    outputs = [{"type": "message.output", "model": name, "content": "x"} for name in ("a", "b")]
    reading = talked(outputs=outputs)
    assert (reading.model_served, reading.findings) == ("a", ["several_models"])


@pytest.mark.parametrize(
    ("count", "found"), [(MAX_CONNECTORS, []), (MAX_CONNECTORS + 1, ["drift:connectors"])]
)
def test_connectors_are_bounded(count: int, found: list[str]) -> None:
    told = {f"c{number}": 1 for number in range(count)}
    reading = talked({**USAGE, "connectors": told})
    assert sum(unit.startswith("connector_") for unit in reading.usage) == MAX_CONNECTORS
    assert reading.findings == found


def test_a_connector_with_an_odd_name_is_drift() -> None:
    reading = talked({**USAGE, "connectors": {"a b": 1, "code_interpreter": 1}})
    assert reading.usage["connector_code_interpreter"] == 1
    assert reading.findings == ["drift:connectors"]


def streamed(*last: dict[str, Any]) -> Exchange:
    events: list[dict[str, Any]] = [
        {"type": "conversation.response.started", "conversation_id": "conv_1"},
        {"type": "tool.execution.started", "name": "web_search", "output_index": 0},
        {"type": "message.output.delta", "content": "12345678", "model": "mistral-medium-2505"},
        {"type": "message.output.delta", "content": {"type": "text", "text": "1234"}},
        {"type": "function.call.delta", "tool_call_id": "c1", "arguments": "12", "output_index": 2},
        {"type": "function.call.delta", "tool_call_id": "c1", "arguments": "34", "output_index": 2},
    ]
    return exchange(TALK, {**ASK, "stream": True}, sse(*events, *last, names=True))


def test_the_last_event_of_a_stream_carries_the_counts() -> None:
    stream = streamed({"type": "conversation.response.done", "usage": USAGE})
    reading = assert_same_in_any_chunking(stream, most=80)
    assert (reading.usage, reading.status) == (BUCKETS, "ok")
    assert (reading.tool_calls, reading.response_id) == (1, "conv_1")
    assert (reading.model_served, reading.findings) == ("mistral-medium-2505", [])


def test_a_stream_that_is_cut_is_estimated_from_what_was_seen() -> None:
    # 12 characters asked are 3 tokens; of the output, by event: 0, 0, 8, 12, 14, 16 characters
    stream = streamed({"type": "conversation.response.done", "usage": USAGE})
    outputs = [1, 1, 1, 2, 3, 4, 4]
    for count, cut in cut_after_events(stream):
        assert (cut.status, cut.billed) == ("aborted", "possible")
        assert cut.usage == {"input": 3, "output": outputs[count]}
        assert cut.findings == ["input_estimated", "output_estimated"]


def test_an_error_in_a_stream_is_an_error() -> None:
    error = {"type": "conversation.response.error", "message": "no", "code": 3000}
    reading = read(streamed(error))
    assert (reading.status, reading.error_type, reading.billed) == ("error", "3000", "possible")
