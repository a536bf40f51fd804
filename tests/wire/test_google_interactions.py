"""Interactions: the counters under their own names, streams, and being read more than once."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.base import Reading
from outlay.wire.google_interactions import MAX_GROUNDINGS
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    cut_after_events,
    exchange,
    read,
    sse,
)

URL = "https://generativelanguage.googleapis.com/v1beta/interactions"
ASK = {
    "model": "gemini-3-flash", "input": "12345678", "system_instruction": "1234",
    "generation_config": {"max_output_tokens": 500}, "service_tier": "flex",
}  # fmt: skip
USAGE = {
    "total_input_tokens": 100, "total_cached_tokens": 40, "total_output_tokens": 30,
    "total_thought_tokens": 12, "total_tool_use_tokens": 8, "total_tokens": 150,
    "initial_input_tokens": 100,
}  # fmt: skip
BUCKETS = {"input": 68, "input_cache_read": 40, "output": 30, "output_reasoning": 12}


def interaction(status: str = "completed", **more: Any) -> dict[str, Any]:
    return {
        "id": "int_1", "object": "interaction", "status": status, "model": "gemini-3-flash-002",
        "created": "2026-11-02T10:00:00.5Z", "service_tier": "flex", "usage": USAGE,
        "steps": [{"type": "model_output", "content": [{"type": "text", "text": "Hello."}]}],
        **more,
    }  # fmt: skip


def created(status: str = "completed", ask: dict[str, Any] | None = None, **more: Any) -> Reading:
    return read(exchange(URL, {**ASK, **(ask or {})}, interaction(status, **more)))


# -- counts ------------------------------------------------------------------------------------


def test_input_includes_the_cached_and_thoughts_and_tool_results_come_on_top() -> None:
    # 100 - 40 cached + 8 of tools = 68 read afresh; 100 + 30 + 12 + 8 = 150
    reading = created()
    assert (reading.usage, reading.usage_source) == (BUCKETS, "provider")
    assert (reading.model_requested, reading.model_served) == (
        "gemini-3-flash",
        "gemini-3-flash-002",
    )
    assert (reading.tier_requested, reading.tier_served) == ("flex", "flex")
    assert (reading.max_tokens, reading.host_class) == (500, "ai_studio")
    assert (reading.usage_raw, reading.findings) == (USAGE, [])


def by_modality(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": modality, "tokens": count} for modality, count in counts.items()]


def test_modalities_are_told_apart() -> None:
    usage = {
        "total_input_tokens": 1000, "input_tokens_by_modality": by_modality(text=300, audio=700),
        "total_cached_tokens": 150, "cached_tokens_by_modality": by_modality(audio=150),
        "total_output_tokens": 1300, "output_tokens_by_modality": by_modality(image=1290, text=10),
        "total_tool_use_tokens": 50, "tool_use_tokens_by_modality": by_modality(document=50),
        "total_tokens": 2350,
    }  # fmt: skip
    reading = created(usage=usage)
    assert reading.usage == {
        "input": 300, "input_audio": 550, "input_cache_read_audio": 150, "input_image": 50,
        "output": 10, "output_image": 1290,
    }  # fmt: skip
    assert reading.findings == []


@pytest.mark.parametrize(
    ("model", "searches"), [("gemini-3-flash", 3), ("gemini-2.5-pro", 1), ("agent-x", 3)]
)
def test_searches_are_charged_by_query_and_by_prompt_with_older_models(
    model: str, searches: int
) -> None:
    told = [
        {"type": "google_search", "count": 3},
        {"type": "google_maps", "count": 2},
        {"type": "google_search_images", "count": 0},
    ]
    reading = created(model=model, usage={**USAGE, "grounding_tool_count": told})
    assert reading.usage == {**BUCKETS, "web_search": searches, "grounding_google_maps": 2}
    assert reading.findings == []


@pytest.mark.parametrize(("count", "found"), [(MAX_GROUNDINGS, 0), (MAX_GROUNDINGS + 1, 1)])
def test_kinds_of_grounding_are_bounded(count: int, found: int) -> None:
    told = [{"type": f"g{number}", "count": 1} for number in range(count)]
    reading = created(usage={**USAGE, "grounding_tool_count": told})
    assert sum(unit.startswith("grounding_") for unit in reading.usage) == MAX_GROUNDINGS
    assert len(reading.findings) == found


def test_a_counter_that_is_not_known_is_drift() -> None:
    assert created(usage={**USAGE, "total_magic": 3}).findings == ["drift:total_magic"]


def test_an_agent_stands_for_its_model() -> None:
    reading = created(ask={"model": None, "agent": "deep-research-preview"}, model=None)
    assert (reading.model_requested, reading.model_served) == ("deep-research-preview", None)


def test_vertex_serves_it_below_a_location() -> None:
    url = "https://aiplatform.googleapis.com/v1beta1/projects/p/locations/europe-west4/interactions"
    reading = read(exchange(url, ASK, interaction()))
    assert (reading.host_class, reading.region_class) == ("vertex", "regional")
    assert reading.usage == BUCKETS


# -- how it ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("completed", "ok"), ("requires_action", "ok"), ("incomplete", "incomplete"),
        ("budget_exceeded", "incomplete"), ("requires_continuation", "incomplete"),
        ("cancelled", "aborted"), ("failed", "error"),
    ],
)  # fmt: skip
def test_the_state_decides_the_status_and_counts_are_kept(state: str, status: str) -> None:
    reading = created(state)
    assert (reading.status, reading.finish_reason) == (status, state)
    assert reading.usage == BUCKETS


def test_a_state_that_is_not_known_is_drift() -> None:
    assert created("paused").findings == ["drift:status.paused"]


def test_calls_asked_of_the_caller_are_tool_calls() -> None:
    steps = [{"type": "function_call", "name": "f", "arguments": {"a": 1}}, {"type": "thought"}]
    assert created("requires_action", steps=steps).tool_calls == 1


def test_untold_counts_are_estimated() -> None:
    # 8 + 4 characters asked, 6 answered
    reading = created(usage=None)
    assert (reading.usage, reading.usage_source) == ({"input": 3, "output": 2}, "estimated")
    assert reading.findings == ["usage_missing", "input_estimated", "output_estimated"]
    # a later look may tell the counts: it is the same event
    assert reading.once == "int_1"


def test_an_error_costs_nothing() -> None:
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "no"}}
    reading = read(exchange(URL, ASK, body, status=429))
    assert (reading.error_type, reading.billed) == ("RESOURCE_EXHAUSTED", "no")
    assert (reading.usage, reading.once) == ({}, "")


# -- read again --------------------------------------------------------------------------------


def looked(status: str, method: str = "GET", what: str = "/int_1", **more: Any) -> Reading:
    return read(exchange(URL + what, None, interaction(status, **more), method=method))


@pytest.mark.parametrize("state", ["queued", "in_progress"])
def test_what_is_not_done_yet_is_billed_later(state: str) -> None:
    started = created(state, ask={"background": True}, usage=None)
    assert (started.billed, started.usage, started.findings) == ("no", {}, ["background"])
    waiting = looked(state, usage=None)
    assert (waiting.billed, waiting.usage, waiting.surface) == ("no", {}, "google.free")


def test_a_look_that_shows_nothing_is_free() -> None:
    gone = read(exchange(URL + "/int_1", None, {"error": {"code": 404}}, status=404, method="GET"))
    resumed = exchange(URL + "/int_1", None, streamed().body, method="GET")
    for reading in (gone, looked("cancelled", usage=None), read(resumed, complete=False)):
        assert (reading.surface, reading.billed, reading.once) == ("google.free", "no", "")


def test_what_is_read_again_counts_once_by_its_id() -> None:
    first, again = created(), looked("completed")
    assert (again.usage, again.billed) == (BUCKETS, "yes")
    assert first.once == again.once == "int_1"
    assert again.findings == ["retrieved"]
    # 2026-11-02T10:00:00.5Z
    assert again.created_at == 1_793_613_600_500_000


def test_a_cancelled_one_is_what_was_made_of_it() -> None:
    reading = looked("cancelled", "POST", "/int_1/cancel")
    assert (reading.status, reading.usage, reading.once) == ("aborted", BUCKETS, "int_1")


@pytest.mark.parametrize("value", ["soon", "9999-99-99", 5, None, "2" * 41])
def test_an_odd_time_is_none(value: Any) -> None:
    reading = created(created=value)
    assert (reading.created_at, reading.usage) == (None, BUCKETS)


# -- streams -----------------------------------------------------------------------------------


def delta(kind: str, **values: Any) -> dict[str, Any]:
    return {"event_type": "step.delta", "index": 0, "delta": {"type": kind, **values}}


def streamed(*last: dict[str, Any]) -> Exchange:
    begun = interaction("in_progress", usage=None, steps=None)
    early = {"total_input_tokens": 100, "total_tokens": 100}
    events: list[dict[str, Any]] = [
        {"event_type": "interaction.created", "interaction": begun},
        {
            "event_type": "interaction.status_update", "interaction_id": "int_1",
            "status": "in_progress", "usage": early,
        },
        {"event_type": "step.start", "index": 0, "step": {"type": "function_call", "name": "f"}},
        delta("arguments_delta", arguments="1234"),
        delta("thought_summary", content={"type": "text", "text": "1234"}),
        delta("text", text="12345678"),
        {"event_type": "step.stop", "index": 0},
    ]  # fmt: skip
    return exchange(URL, {**ASK, "stream": True}, sse(*events, *last))


def test_the_last_event_of_a_stream_carries_the_counts() -> None:
    done = {"event_type": "interaction.completed", "interaction": interaction(steps=None)}
    stream = streamed(done)
    reading = assert_same_in_any_chunking(stream, most=80)
    assert (reading.usage, reading.status, reading.once) == (BUCKETS, "ok", "int_1")
    assert (reading.streamed, reading.tool_calls, reading.findings) == (True, 1, [])


def test_a_stream_that_is_cut_keeps_what_was_told_and_estimates_the_rest() -> None:
    # characters of output by event: 0, 0, 0, 0, 4, 8, 16, 16
    outputs = [1, 1, 1, 1, 1, 2, 4, 4]
    done = {"event_type": "interaction.completed", "interaction": interaction()}
    for count, cut in cut_after_events(streamed(done)):
        assert (cut.status, cut.billed, cut.once) == ("aborted", "possible", "int_1" * (count > 0))
        told = count >= 2
        assert cut.usage == {"input": 100 if told else 3, "output": outputs[count]}
        assert ("input_estimated" in cut.findings) is not told


def test_a_cut_stream_of_what_goes_on_in_the_background_is_billed_by_a_later_look() -> None:
    done = {"event_type": "interaction.completed", "interaction": interaction()}
    stream = streamed(done).with_request(background=True)
    for _, cut in cut_after_events(stream):
        assert (cut.billed, cut.usage, cut.once) == ("no", {}, "")
        assert cut.findings == ["background", "background_unfinished"]
    whole = read(stream)
    assert (whole.usage, whole.once, whole.findings) == (BUCKETS, "int_1", ["background"])


def test_an_error_in_a_stream_is_an_error() -> None:
    error = {"event_type": "error", "error": {"code": "internal", "message": "no"}}
    reading = read(streamed(error))
    assert (reading.status, reading.error_type, reading.billed) == ("error", "internal", "possible")
