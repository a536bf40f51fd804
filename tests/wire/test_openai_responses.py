"""The Responses API: created, streamed, in the background, and fetched again."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading, Segment
from tests.wire.harness import Exchange, exchange, fixture, read, reader_for, sse

URL = "https://api.openai.com/v1/responses"
ASK = {"model": "m-1", "instructions": "1234", "input": "12345678"}
USAGE = {
    "input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 30,
    "output_tokens_details": {"reasoning_tokens": 10}, "total_tokens": 130,
}  # fmt: skip
BUCKETS = {"input": 40, "input_cache_read": 60, "output": 20, "output_reasoning": 10}


def response(status: str | None = "completed", **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"id": "resp_1", "object": "response", "model": "m-1-2026"}
    body |= {"output": [], "created_at": 1_790_000_000}
    return {**body, "status": status, "background": False, "usage": USAGE, **more}


def created(status: str | None = "completed", **more: Any) -> Reading:
    return read(exchange(URL, ASK, response(status, **more)))


def stream(*events: tuple[str, dict[str, Any]]) -> Exchange:
    body = sse(*({"type": kind, **values} for kind, values in events), names=True)
    return exchange(URL, {**ASK, "stream": True}, body)


def fetched(status: int = 200, **more: Any) -> Reading:
    return read(
        exchange(f"{URL}/resp_1?include=x", None, response(**more), method="GET", status=status)
    )


@pytest.mark.parametrize(
    ("state", "status", "finish"),
    [
        ({"status": "completed"}, "ok", "completed"),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "incomplete",
            "max_output_tokens",
        ),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}},
            "refused",
            "content_filter",
        ),
        ({"status": "failed", "error": {"code": "server_error"}}, "error", "failed"),
        ({"status": "cancelled"}, "aborted", "cancelled"),
        ({"status": None}, "ok", None),
    ],
)
def test_the_state_decides_the_status_and_counts_are_kept(
    state: dict[str, Any], status: str, finish: str | None
) -> None:
    reading = created(**state)
    assert (reading.status, reading.finish_reason) == (status, finish)
    assert (reading.usage, reading.billed) == (BUCKETS, "yes")


@pytest.mark.parametrize("state", ["completed", "failed", "incomplete"])
def test_each_terminal_event_carries_the_counts(state: str) -> None:
    begun = response("in_progress", usage=None)
    events = [
        ("response.created", {"response": begun}),
        (f"response.{state}", {"response": response(state, error=None)}),
    ]
    reading = read(stream(*events))
    assert reading.usage == BUCKETS
    assert reading.usage_source == "provider"


def test_a_failure_without_counts_costs_only_what_was_made() -> None:
    error = {"code": "server_error", "message": "secret"}
    gone = ("response.failed", {"response": response("failed", usage=None, error=error)})
    nothing = read(stream(gone))
    assert (nothing.status, nothing.error_type, nothing.billed) == ("error", "server_error", "no")
    assert nothing.usage == {}
    begun = read(stream(("response.output_text.delta", {"delta": "x" * 40}), gone))
    assert (begun.billed, begun.usage) == ("possible", {"input": 3, "output": 10})


def test_an_error_event_ends_the_stream() -> None:
    reading = read(stream(("error", {"code": "rate_limit_exceeded", "message": "secret"})))
    assert (reading.status, reading.error_type) == ("error", "rate_limit_exceeded")
    assert "secret" not in repr(reading)


def test_a_cut_stream_is_estimated_from_every_kind_of_delta() -> None:
    kinds = ("output_text", "refusal", "reasoning_summary_text", "function_call_arguments")
    events = [(f"response.{kind}.delta", {"delta": "x" * 8}) for kind in kinds]
    audio = ("response.audio.delta", {"delta": "x" * 800})
    reading = read(stream(*events, audio), complete=False)
    assert (reading.status, reading.usage) == ("aborted", {"input": 3, "output": 8})


def test_a_search_done_before_the_cut_is_charged() -> None:
    item = {"type": "web_search_call", "action": {"type": "search"}}
    reading = read(stream(("response.output_item.done", {"item": item})), complete=False)
    assert reading.usage["web_search"] == 1


def test_the_input_estimate_counts_instructions_and_input_text() -> None:
    parts = [{"type": "input_text", "text": "1234"}, {"type": "input_image", "image_url": "x"}]
    given = [
        {"role": "user", "content": "1234"},
        {"role": "user", "content": parts},
        {"type": "function_call_output", "output": "x" * 99},
    ]
    body = response(usage=None)
    assert read(exchange(URL, {**ASK, "input": given}, body)).usage["input"] == 3
    assert read(exchange(URL, ASK, body)).usage["input"] == 3


# -- tools -------------------------------------------------------------------------------------


def test_searches_are_charged_as_the_provider_counts_them() -> None:
    item = {"type": "web_search_call", "action": {"type": "search"}}
    told = {"web_search": {"num_requests": 3}}
    assert created(output=[item], tool_usage=told).usage["web_search"] == 3


def test_searches_are_counted_where_the_provider_does_not() -> None:
    items = [
        {"type": "web_search_call", "action": {"type": "search"}},
        {"type": "web_search_call", "action": {"type": "open_page"}},
        {"type": "web_search_call"},
        {"type": "file_search_call"},
    ]
    reading = created(output=items)
    assert (reading.usage["web_search"], reading.usage["file_search"]) == (2, 1)
    assert reading.tool_calls == 0


def test_calls_asked_of_the_caller_are_tool_calls() -> None:
    items = [{"type": "function_call"}, {"type": "custom_tool_call"}, {"type": "message"}]
    assert created(output=items).tool_calls == 2


IMAGE_GEN = {
    "input_tokens": 50, "input_tokens_details": {"image_tokens": 20, "text_tokens": 30},
    "output_tokens": 900, "output_tokens_details": {"image_tokens": 900, "text_tokens": 0},
    "total_tokens": 950,
}  # fmt: skip
IMAGE_TOOL = {"type": "image_generation", "model": "gpt-image-2", "size": "auto"}
IMAGE_BUCKETS = {"input": 30, "input_image": 20, "output_image": 900}


def test_images_made_by_a_tool_are_a_part_priced_with_the_image_model() -> None:
    reading = created(tool_usage={"image_gen": IMAGE_GEN}, tools=[{"type": "x"}, IMAGE_TOOL])
    assert reading.segments == [Segment("gpt-image-2", IMAGE_BUCKETS, "image_gen")]
    assert reading.usage == {**BUCKETS, **IMAGE_BUCKETS, "input": 40 + 30}
    assert reading.findings == []


def test_the_image_model_is_looked_for_in_the_request_where_the_reply_does_not_name_it() -> None:
    body = response(tool_usage={"image_gen": IMAGE_GEN})
    reading = read(exchange(URL, {**ASK, "tools": [IMAGE_TOOL]}, body))
    assert [part.model for part in reading.segments] == ["gpt-image-2"]


@pytest.mark.parametrize("tools", [[], [{"type": "image_generation"}], [IMAGE_TOOL, {
    "type": "image_generation", "model": "gpt-image-1"}]])  # fmt: skip
def test_images_of_a_tool_whose_model_is_not_named_are_units_without_a_price(tools: Any) -> None:
    reading = created(tool_usage={"image_gen": IMAGE_GEN}, tools=tools)
    assert reading.segments == []
    assert reading.usage == {
        **BUCKETS, "image_gen_input_image": 20, "image_gen_input": 30,
        "image_gen_output_image": 900,
    }  # fmt: skip
    assert (reading.input_total, reading.output_total) == (100, 30)
    assert reading.findings == ["unpriced_tool:image_gen"]


def test_p16_images_of_a_tool_without_details_are_image_tokens() -> None:
    told = {
        "input_tokens": 50, "output_tokens": 900, "total_tokens": 950, "cached_tokens": 40,
        "cached_tokens_details": {"cached_image_tokens": 15, "cached_text_tokens": 25},
        "input_tokens_details": {"image_tokens": 20, "text_tokens": 30},
    }  # fmt: skip
    reading = created(tool_usage={"image_gen": told}, tools=[IMAGE_TOOL])
    assert reading.segments[0].usage == {
        "input": 5, "input_image": 5, "input_cache_read": 25, "input_cache_read_image": 15,
        "output_image": 900,
    }  # fmt: skip
    assert reading.findings == []


def test_p16_a_large_image_in_the_terminal_event_hides_no_count() -> None:
    image = {"type": "image_generation_call", "result": "A" * (5 << 20)}
    told = response(output=[image], tool_usage={"image_gen": {"output_tokens": 1000}})
    reading = read(stream(("response.completed", {"response": told})))
    assert reading.usage == {**BUCKETS, "image_gen_output_image": 1000}
    assert "event_too_large" not in reading.findings


@pytest.mark.parametrize("told", [None, {}, {"num_requests": None}])
def test_searches_that_the_provider_lists_without_a_count_are_charged(told: Any) -> None:
    items = [{"type": "web_search_call", "action": {"type": "search"}}]
    reading = created(output=items, tool_usage={"web_search": told})
    assert reading.usage["web_search"] == 1


def test_a_tool_charged_by_time_is_found() -> None:
    reading = created(output=[{"type": "code_interpreter_call"}])
    assert reading.findings == ["unpriced_tool:code_interpreter"]


def test_a_refusal_is_refused() -> None:
    part = {"type": "refusal", "refusal": "no"}
    assert created(output=[{"type": "message", "content": [part]}]).status == "refused"


# -- background and stored responses -----------------------------------------------------------


@pytest.mark.parametrize("state", ["queued", "in_progress"])
def test_a_background_response_is_not_billed_when_it_is_queued(state: str) -> None:
    reading = created(state, background=True, usage=None)
    assert (reading.billed, reading.usage, reading.status) == ("no", {}, "ok")
    assert (reading.response_id, reading.findings) == ("resp_1", ["background"])
    assert reading.once == ""


def test_a_background_response_is_billed_by_the_reading_that_finds_it_done() -> None:
    done = fetched(background=True)
    assert (done.billed, done.usage, done.operation) == ("yes", BUCKETS, "chat")
    assert (done.response_id, done.findings) == ("resp_1", ["retrieved", "background"])
    assert (done.once, done.created_at) == ("resp_1", 1_790_000_000_000_000)


@pytest.mark.parametrize("state", ["completed", "failed", "incomplete"])
def test_every_way_to_see_a_background_response_done_names_the_same_response(state: str) -> None:
    body = response(state, background=True)
    end = (f"response.{state}", {"response": body})
    looks = [
        read(stream(("response.created", {"response": response("queued", usage=None)}), end)),
        read(exchange(f"{URL}/resp_1", None, body, method="GET")),
        read(exchange(f"{URL}/resp_1?stream=true", None, sse(_named(end)), method="GET")),
    ]
    told = {
        (seen.once, seen.created_at, seen.billed, str(sorted(seen.usage.items()))) for seen in looks
    }
    assert told == {("resp_1", 1_790_000_000_000_000, "yes", str(sorted(BUCKETS.items())))}


def _named(event: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"type": event[0], **event[1]}


def test_a_response_that_is_billed_when_it_is_made_may_be_seen_again_for_nothing() -> None:
    assert created().once == ""


def test_a_background_stream_that_is_cut_leaves_the_bill_to_a_later_look() -> None:
    begun = ("response.created", {"response": response("queued", background=True, usage=None)})
    text = ("response.output_text.delta", {"delta": "x" * 80})
    reading = read(stream(begun, text), complete=False)
    assert (reading.status, reading.billed, reading.usage) == ("aborted", "no", {})
    assert (reading.once, reading.response_id) == ("", "resp_1")
    assert reading.findings == ["background", "background_unfinished"]


def test_a_background_request_that_was_refused_costs_nothing_and_one_without_answer_may() -> None:
    ask = {**ASK, "background": True}
    refused = read(exchange(URL, ask, {"error": {"type": "rate_limit"}}, status=429))
    assert (refused.status, refused.billed, refused.findings) == ("error", "no", ["background"])
    lost = reader_for(exchange(URL, ask, {})).finish(complete=False, error="timeout")
    assert (lost.status, lost.billed) == ("timeout", "possible")


def test_looking_at_a_response_that_was_billed_when_made_is_free() -> None:
    reading = fetched()
    assert (reading.billed, reading.usage, reading.operation) == ("no", {}, "other")
    assert (reading.surface, reading.once) == ("openai.free", "")
    assert reading.usage_raw["input_tokens"] == 100
    assert (reading.findings, reading.response_id) == (["retrieved"], "resp_1")


def test_looking_at_a_response_that_is_not_done_is_free() -> None:
    body = response("in_progress", background=True, usage=None)
    reading = read(exchange(f"{URL}/resp_1", None, body, method="GET"))
    assert (reading.billed, reading.usage) == ("no", {})


def test_a_look_that_fails_or_is_cut_is_free() -> None:
    look = exchange(f"{URL}/resp_1", None, response(background=True), method="GET")
    assert read(look, [look.body[:20]], complete=False).billed == "no"
    timed_out = reader_for(look).finish(complete=False, error="timeout")
    assert (timed_out.billed, timed_out.usage) == ("no", {})
    assert fetched(status=404).billed == "no"


def test_cancelling_a_background_response_bills_what_it_counts() -> None:
    body = response("cancelled", background=True)
    reading = read(exchange(f"{URL}/resp_1/cancel", {}, body))
    assert (reading.status, reading.billed, reading.usage) == ("aborted", "yes", BUCKETS)
    assert reading.once == "resp_1"


def test_cancelling_without_counts_waits_for_the_look_that_has_them() -> None:
    body = response("cancelled", background=True, usage=None)
    reading = read(exchange(f"{URL}/resp_1/cancel", {}, body))
    assert (reading.billed, reading.once, reading.surface) == ("no", "", "openai.free")


def test_compacting_is_a_call_of_its_own() -> None:
    body = {"id": "resp_2", "object": "response.compaction", "output": [], "usage": USAGE}
    reading = read(exchange(f"{URL}/compact", ASK, body))
    assert (reading.surface, reading.usage, reading.status) == ("openai.responses", BUCKETS, "ok")


def test_azure_names_the_deployment_in_the_body() -> None:
    reading = read(fixture("openai-responses"))
    assert (reading.provider, reading.deployment) == ("azure", "our-deployment")
    assert reading.model_served == "gpt-5.6-sol-2026-05-01"


def test_openrouter_states_the_cost_on_responses_too() -> None:
    body = response(usage={**USAGE, "cost": 0.025265, "is_byok": False})
    reading = read(exchange("https://openrouter.ai/api/v1/responses", ASK, body))
    assert (reading.provider_cost_nanos, reading.usage) == (25_265_000, BUCKETS)


def test_reasoning_is_part_of_the_output_on_xai_responses() -> None:
    reading = read(exchange("https://api.x.ai/v1/responses", ASK, response()))
    assert (reading.usage, reading.findings) == (BUCKETS, [])
