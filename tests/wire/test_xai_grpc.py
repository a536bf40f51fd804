"""xAI's gRPC messages, real ones and look-alikes: their counts, their stated cost, their ends."""

from __future__ import annotations

import json
from types import SimpleNamespace as Like
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st
from xai_sdk.proto import batch_pb2, chat_pb2, image_pb2, usage_pb2, video_pb2

from outlay.wire.base import Reading
from outlay.wire.xai_grpc import MAX_ITEMS, METHODS, PACKAGE, XaiCall, is_paid
from tests.wire.harness import assert_sane, require_samples

UNARY = PACKAGE + "Chat/GetCompletion"
STREAM = PACKAGE + "Chat/GetCompletionChunk"

ASKED = chat_pb2.GetCompletionsRequest(
    model="grok-4-fast",
    max_tokens=100,
    service_tier=usage_pb2.SERVICE_TIER_PRIORITY,
    messages=[chat_pb2.Message(content=[chat_pb2.Content(text="x" * 40)])],
)
USAGE = {
    "prompt_tokens": 165, "completion_tokens": 40, "reasoning_tokens": 121, "total_tokens": 326,
    "prompt_text_tokens": 150, "prompt_image_tokens": 15, "cached_prompt_text_tokens": 128,
    "num_sources_used": 2, "server_side_tools_used": [1, 2, 1, 3, 6, 7],
    "cost_in_usd_ticks": 5_000_001,
}  # fmt: skip


def reply(usage: dict[str, Any] | None = None, **more: Any) -> Any:
    told = {} if usage is None else {"usage": usage_pb2.SamplingUsage(**usage)}
    return chat_pb2.GetChatCompletionResponse(id="r_1", model="grok-4.3", **told, **more)


def chunk(text: str = "", finish: int = 0, usage: dict[str, Any] | None = None) -> Any:
    told = {} if usage is None else {"usage": usage_pb2.SamplingUsage(**usage)}
    output = chat_pb2.CompletionOutputChunk(
        delta=chat_pb2.Delta(content=text),
        finish_reason=finish,
    )
    return chat_pb2.GetChatCompletionChunk(id="r_1", model="grok-4.3", outputs=[output], **told)


def call(*messages: Any, method: str = UNARY, asked: Any = ASKED, code: str = "OK") -> Reading:
    following = XaiCall(method, asked)
    for message in messages:
        assert following.take(message) == []
    reading = following.finish(code=code)
    assert reading is not None
    assert_sane(reading)
    return reading


def looks(method: str, asked: Any, message: Any) -> list[Reading]:
    """Return what a look at earlier work brings; the look itself is free."""
    following = XaiCall(PACKAGE + method, asked)
    readings = following.take(message)
    assert following.finish() is None
    return readings


# -- counts --------------------------------------------------------------------------------------


def test_the_recorded_call_that_was_cancelled_keeps_what_it_was_told() -> None:
    text = (require_samples() / "xai-grpc-stream-cancel.json").read_text(encoding="utf-8")
    (told,) = json.loads(text)["cassette"]["interactions"]
    asked = chat_pb2.GetCompletionsRequest()
    json_format.ParseDict(told["request_stream"]["json"], asked)
    following = XaiCall(STREAM, asked)
    for line in told["response_stream"]["chunks_json"]:
        message = chat_pb2.GetChatCompletionChunk()
        json_format.ParseDict(line["chunk"], message)
        following.take(message)
    reading = following.finish(code="CANCELLED")
    assert reading is not None
    assert reading.usage == {"input": 61, "input_cache_read": 128, "output": 1}
    assert reading.provider_cost_nanos == 104_350
    assert (reading.model_requested, reading.model_served) == (
        "grok-4-fast-non-reasoning", "grok-4.3",
    )  # fmt: skip
    assert (reading.status, reading.usage_source) == ("aborted", "provider")
    assert reading.findings == ["usage_not_final"]
    assert reading.created_at == 1_786_507_252_357_993


def test_reasoning_is_beside_completion_and_tools_are_counted() -> None:
    reading = call(reply(USAGE))
    assert reading.usage == {
        "input": 22, "input_image": 15, "input_cache_read": 128, "output": 40,
        "output_reasoning": 121, "search_sources": 2, "web_search": 2, "social_search": 1,
        "code_execution": 1, "file_search": 1,
    }  # fmt: skip
    assert reading.findings == []
    assert reading.usage_raw["server_side_tools_used"] == [1, 2, 1, 3, 6, 7]
    assert reading.provider_cost_nanos == 500_000, "a tick is 0.1 nano-dollars"


def test_a_reply_states_who_served_it_and_how() -> None:
    message = chat_pb2.CompletionMessage(
        content="x", tool_calls=[{"type": 1}, {"type": 2}, {"type": 0}]
    )
    output = chat_pb2.CompletionOutput(message=message, finish_reason=4)
    reading = call(reply(USAGE, outputs=[output], service_tier=2))
    assert (reading.provider, reading.vendor, reading.surface) == ("x-ai", "xai", "xai.grpc")
    assert (reading.model_requested, reading.model_served) == ("grok-4-fast", "grok-4.3")
    assert (reading.tier_requested, reading.tier_served) == ("priority", "priority")
    assert (reading.max_tokens, reading.tool_calls, reading.finish_reason) == (100, 2, "tool_calls")
    assert (reading.response_id, reading.streamed, reading.operation) == ("r_1", False, "chat")


@pytest.mark.parametrize(
    ("finish", "reason", "status"),
    [(1, "max_len", "incomplete"), (2, "max_context", "incomplete"), (3, "stop", "ok"),
     (5, "time_limit", "incomplete"), (0, None, "ok"), (99, None, "ok")],
)  # fmt: skip
def test_how_it_finished_is_told(finish: int, reason: str | None, status: str) -> None:
    output = Like(message=Like(content="x"), finish_reason=finish)
    reading = call(Like(outputs=[output], usage=Like(**USAGE)))
    assert (reading.finish_reason, reading.status) == (reason, status)


def test_the_last_counts_of_a_stream_are_taken() -> None:
    growing = [{**USAGE, "completion_tokens": n, "total_tokens": 286 + n} for n in (1, 20, 40)]
    reading = call(*(chunk("x", usage=usage) for usage in growing), method=STREAM)
    assert reading.usage["output"] == 40
    assert (reading.streamed, reading.findings) == (True, [])


def test_a_cost_that_is_not_stated_is_not_zero() -> None:
    without = {key: value for key, value in USAGE.items() if key != "cost_in_usd_ticks"}
    assert call(reply(without)).provider_cost_nanos is None
    assert call(reply({**USAGE, "cost_in_usd_ticks": 0})).provider_cost_nanos == 0


def test_a_search_of_attachments_is_charged_by_its_own_unit() -> None:
    usage = {"prompt_tokens": 5, "server_side_tools_used": [8, 6, 8]}
    reading = call(reply(usage))
    assert (reading.usage["attachment_search"], reading.usage["file_search"]) == (2, 1)
    assert reading.findings == []


def test_a_tool_without_a_price_is_found_where_no_cost_is_stated() -> None:
    usage = {"prompt_tokens": 5, "server_side_tools_used": [10]}
    assert "unpriced_tool:10" in call(reply(usage)).findings
    assert call(reply({**usage, "cost_in_usd_ticks": 7})).findings == []


def test_counts_that_do_not_add_up_are_found() -> None:
    assert call(reply({**USAGE, "total_tokens": 9})).findings == ["identity:total"]


def test_images_are_counted_by_piece_where_no_tokens_are() -> None:
    usage = usage_pb2.SamplingUsage(cost_in_usd_ticks=700_000_000)
    images = [image_pb2.GeneratedImage(), image_pb2.GeneratedImage()]
    message = image_pb2.ImageResponse(images=images, model="grok-image", usage=usage)
    reading = call(message, method=PACKAGE + "Image/GenerateImage")
    assert (reading.usage, reading.operation) == ({"images": 2}, "image")
    assert reading.provider_cost_nanos == 70_000_000


def test_embeddings_are_counted_by_piece() -> None:
    usage = Like(num_text_embeddings=3, num_image_embeddings=0)
    reading = call(Like(model="e", usage=usage), method=PACKAGE + "Embedder/Embed")
    assert (reading.usage, reading.operation) == ({"text_embeddings": 3}, "embeddings")


# -- ends ----------------------------------------------------------------------------------------


def test_a_stream_that_was_let_go_before_any_count_is_estimated() -> None:
    reading = call(chunk("y" * 20), chunk("y" * 20), method=STREAM, code="CANCELLED")
    assert reading.usage == {"input": 10, "output": 10}
    assert (reading.status, reading.billed, reading.usage_source) == (
        "aborted", "possible", "estimated",
    )  # fmt: skip
    assert reading.findings == ["input_estimated", "output_estimated"]


@pytest.mark.parametrize(
    ("code", "status", "billed"),
    [
        ("CANCELLED", "aborted", "possible"),
        ("DEADLINE_EXCEEDED", "timeout", "possible"),
        ("UNAVAILABLE", "error", "possible"),
        ("RESOURCE_EXHAUSTED", "error", "no"),
        ("UNAUTHENTICATED", "error", "no"),
    ],
)
def test_a_call_that_failed_before_any_reply_is_billed_only_if_it_may_be(
    code: str, status: str, billed: str
) -> None:
    reading = call(code=code)
    assert (reading.status, reading.billed, reading.usage) == (status, billed, {})
    assert reading.error_type == code.lower()


def test_a_reply_without_counts_is_estimated_and_said_to_be() -> None:
    message = chat_pb2.CompletionMessage(content="y" * 8)
    reading = call(reply(outputs=[chat_pb2.CompletionOutput(message=message)]))
    assert reading.findings == ["usage_missing", "input_estimated", "output_estimated"]
    assert reading.usage == {"input": 10, "output": 2}


def test_a_search_of_documents_tells_no_cost_and_is_never_free() -> None:
    reading = call(Like(matches=[]), method=PACKAGE + "Documents/Search")
    assert (reading.billed, reading.findings) == ("possible", ["usage_missing"])
    assert reading.operation == "retrieval"


def test_a_method_that_is_not_known_is_said_to_be() -> None:
    reading = call(Like(), method=PACKAGE + "Dream/Dream")
    assert (reading.surface, reading.billed) == ("xai.unknown", "possible")
    assert reading.findings == ["unknown_endpoint"]


def test_a_call_ends_once() -> None:
    following = XaiCall(UNARY, ASKED)
    assert following.finish() is not None
    assert following.finish() is None
    assert following.take(reply(USAGE)) == []


# -- which methods -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_paid_methods_are_followed(name: str) -> None:
    assert is_paid(PACKAGE + name)


@pytest.mark.parametrize(
    "path",
    [
        "/xai_api.Models/ListLanguageModels", "/xai_api.Tokenize/TokenizeText",
        "/xai_api.Auth/get_api_key_info", "/xai_api.Chat/StartDeferredCompletion",
        "/xai_api.Video/GenerateVideo", "/xai_api.BatchMgmt/CreateBatch", "/xai_apis.Chat/X",
        "/google.pubsub.v1.Publisher/Publish", "xai_api.Chat/GetCompletion", "",
    ],
)  # fmt: skip
def test_free_methods_and_other_services_are_not(path: str) -> None:
    assert not is_paid(path)


# -- earlier work --------------------------------------------------------------------------------


def test_a_deferred_completion_is_charged_once_it_is_done() -> None:
    asked = Like(request_id="d_1")
    path = "Chat/GetDeferredCompletion"
    pending = chat_pb2.GetDeferredCompletionResponse(status=3)
    assert looks(path, asked, pending) == []
    done = chat_pb2.GetDeferredCompletionResponse(status=1, response=reply(USAGE))
    (reading,) = looks(path, asked, done)
    assert (reading.once, reading.usage["output"], reading.status) == ("d_1", 40, "ok")
    expired = chat_pb2.GetDeferredCompletionResponse(status=2)
    (reading,) = looks(path, asked, expired)
    assert (reading.status, reading.billed, reading.usage) == ("error", "no", {})


def test_a_video_is_counted_in_seconds_once_it_is_done() -> None:
    usage = usage_pb2.SamplingUsage(cost_in_usd_ticks=10**10)
    made = video_pb2.VideoResponse(video={"duration": 8}, model="grok-video", usage=usage)
    done = video_pb2.GetDeferredVideoResponse(status=1, response=made)
    (reading,) = looks("Video/GetDeferredVideo", Like(request_id="v_1"), done)
    assert reading.usage == {"video_seconds": 8}
    assert reading.provider_cost_nanos == 10**9


def test_results_of_a_batch_are_readings_of_their_own() -> None:
    results = [
        batch_pb2.BatchResult(batch_request_id=name, response={"completion_response": reply(USAGE)})
        for name in ("one", "two")
    ]
    failed = batch_pb2.BatchResult(batch_request_id="three")
    page = batch_pb2.ListBatchResultsResponse(results=[*results, failed])
    readings = looks("BatchMgmt/ListBatchResults", Like(batch_id="b"), page)
    assert [(r.once, r.batch, r.usage["output"]) for r in readings] == [
        ("b/one", True, 40), ("b/two", True, 40),
    ]  # fmt: skip
    alone = batch_pb2.GetBatchRequestResultResponse(result=results[0])
    (reading,) = looks("BatchMgmt/GetBatchRequestResult", Like(batch_id="b"), alone)
    assert reading.once == "b/one"


# -- bounds --------------------------------------------------------------------------------------


def test_what_repeats_is_looked_at_up_to_a_bound() -> None:
    usage = Like(**{**USAGE, "server_side_tools_used": [1] * (MAX_ITEMS + 1)})
    output = Like(delta=Like(content="y" * 4))
    reading = call(Like(outputs=[output] * (MAX_ITEMS + 1), usage=usage))
    assert reading.usage["web_search"] == MAX_ITEMS
    assert len(reading.usage_raw["server_side_tools_used"]) == 64
    cut = call(Like(outputs=[output] * (MAX_ITEMS + 1)), method=STREAM, code="CANCELLED")
    assert cut.usage["output"] == MAX_ITEMS


_FIELDS = st.sampled_from(
    ["usage", "outputs", "delta", "message", "content", "created", "seconds", "images", "video",
     "duration", "tool_calls", "model", "id", "status", "response", "results", "result",
     *USAGE],
)  # fmt: skip
_LIKES = st.recursive(
    st.none() | st.integers() | st.text(max_size=4) | st.floats() | st.booleans(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_FIELDS, inner, max_size=6).map(lambda fields: Like(**fields))
    ),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(sorted(METHODS)),
    asked=_LIKES,
    messages=st.lists(_LIKES, max_size=3),
    code=st.sampled_from(["OK", "CANCELLED", "INTERNAL"]),
)
def test_whatever_the_messages_hold_the_call_answers(
    method: str, asked: Any, messages: list[Any], code: str
) -> None:
    following = XaiCall(PACKAGE + method, asked)
    readings = [reading for message in messages for reading in following.take(message)]
    last = following.finish(code=code)
    for reading in [*readings, *([last] if last is not None else [])]:
        assert_sane(reading)
        assert not any(f.startswith("codec_error") for f in reading.findings), reading.findings
