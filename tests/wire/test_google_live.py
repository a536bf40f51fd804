"""Gemini Live: one reading for each time the model speaks, with the counts of that time."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.wire.google_live import MAX_PARTS
from tests.wire.harness import assert_sane
from tests.wire.sockets import GEMINI, VERTEX, got, opened, played, recorded, sent

SETUP = {"setup": {"model": "models/gemini-live-2.5-flash"}}


def counts(prompt: int, response: int, **more: Any) -> dict[str, Any]:
    total = prompt + response
    usage = {"promptTokenCount": prompt, "responseTokenCount": response, "totalTokenCount": total}
    return {"usageMetadata": {**usage, **more}}


def said(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"serverContent": {"modelTurn": {"parts": list(parts)}, **more}}


def over(**more: Any) -> dict[str, Any]:
    return {"serverContent": {"turnComplete": True, **more}}


def audio(seconds: float) -> dict[str, Any]:
    data = "A" * round(seconds * 64_000)
    return {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}


def test_the_recorded_turn_counts_thoughts_beside_its_total() -> None:
    (reading,) = played(GEMINI, *recorded("gemini-live"))
    assert reading.usage == {"input": 1131, "output_audio": 26, "output_reasoning": 24}
    assert reading.findings == ["thoughts_outside_total"]
    assert reading.usage_raw["totalTokenCount"] == 1157
    assert (reading.status, reading.usage_source) == ("ok", "provider")
    assert_sane(reading)


def test_thoughts_inside_the_total_are_nothing_to_find() -> None:
    usage = counts(10, 5, thoughtsTokenCount=4, totalTokenCount=19)
    (reading,) = played(GEMINI, said({"text": "x"}), {**over(), **usage})
    assert (reading.usage["output_reasoning"], reading.findings) == (4, [])


def test_a_total_that_adds_up_to_nothing_is_found() -> None:
    (reading,) = played(GEMINI, {**over(), **counts(10, 5, totalTokenCount=99)})
    assert reading.findings == ["identity:total"]


def test_every_turn_is_charged_with_its_whole_prompt() -> None:
    session = opened(GEMINI)
    sent(session, SETUP)
    first = got(session, said({"text": "x"}), {**over(), **counts(143, 19)})
    second = got(session, said({"text": "x"}), {**over(), **counts(181, 24)})
    assert [r.usage for r in (*first, *second)] == [
        {"input": 143, "output": 19}, {"input": 181, "output": 24},
    ]  # fmt: skip
    assert first[0].model_requested == "gemini-live-2.5-flash"
    assert session.finish() == []


def test_counts_within_a_turn_are_cumulative() -> None:
    (reading,) = played(
        GEMINI,
        {**said({"text": "a"}), **counts(100, 5)},
        {**said({"text": "b"}), **counts(100, 11)},
        {**over(), **counts(101, 19)},
    )
    assert reading.usage == {"input": 101, "output": 19}


def test_modalities_and_cached_tokens_are_disjoint() -> None:
    usage = counts(
        100,
        30,
        cachedContentTokenCount=40,
        promptTokensDetails=[
            {"modality": "TEXT", "tokenCount": 60},
            {"modality": "AUDIO", "tokenCount": 40},
        ],
        responseTokensDetails=[{"modality": "AUDIO", "tokenCount": 25}],
    )
    (reading,) = played(GEMINI, {**over(), **usage})
    assert reading.usage == {
        "input": 20, "input_audio": 40, "input_cache_read": 40, "output": 5, "output_audio": 25,
    }  # fmt: skip


def test_what_a_tool_returns_begins_another_generation() -> None:
    session = opened(GEMINI)
    call = {"toolCall": {"functionCalls": [{"name": "f", "args": {"x": 1}}, {"name": "g"}]}}
    assert got(session, {**call, **counts(100, 8)}) == []
    sent(session, {"toolResponse": {"functionResponses": [{"response": {"y": 2}}]}}, mark="answer")
    asked, answered = got(session, said({"text": "x"}), {**over(), **counts(130, 20)})
    assert (asked.usage, asked.tool_calls, asked.status) == ({"input": 100, "output": 8}, 2, "ok")
    assert (answered.usage, answered.began) == ({"input": 130, "output": 20}, "answer")


def test_counts_that_come_after_the_turn_still_belong_to_it() -> None:
    (reading,) = played(GEMINI, said({"text": "x"}), over(), counts(7, 3))
    assert (reading.usage, reading.findings) == ({"input": 7, "output": 3}, [])


def test_a_turn_in_which_nothing_was_said_is_counted_if_it_has_counts() -> None:
    session = opened(GEMINI)
    (reading,) = got(session, over(), counts(7, 0))
    assert reading.usage == {"input": 7}
    assert got(session, over()) == []
    assert session.finish() == []


def test_a_turn_without_counts_is_estimated_when_the_next_one_begins() -> None:
    session = opened(GEMINI)
    got(session, said(audio(2)), over())
    (reading,) = got(session, said({"text": "y"}))
    assert reading.findings == ["usage_missing", "input_estimated", "output_estimated"]
    assert (reading.usage["output_audio"], reading.status) == (50, "ok")
    assert (reading.usage_source, reading.billed) == ("estimated", "possible")


def test_a_turn_that_was_cut_is_aborted_and_never_free() -> None:
    session = opened(GEMINI)
    sent(session, {"setup": {"systemInstruction": {"parts": [{"text": "x" * 400}]}}})
    got(session, said({"text": "y" * 40}, {"text": "z" * 8, "thought": True}))
    (reading,) = session.finish(error="ConnectionClosedError")
    assert reading.usage == {"input": 100, "output": 10, "output_reasoning": 2}
    assert (reading.status, reading.error_type) == ("aborted", "ConnectionClosedError")


def test_a_cut_turn_keeps_the_counts_it_was_told() -> None:
    (reading,) = played(GEMINI, {**said({"text": "x"}), **counts(100, 5)})
    assert (reading.usage, reading.status) == ({"input": 100, "output": 5}, "aborted")
    assert reading.findings == ["usage_not_final"]


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"turnCompleteReason": "RESPONSE_REJECTED"}, "refused"),
        ({"turnCompleteReason": "MALFORMED_FUNCTION_CALL"}, "error"),
        ({"turnCompleteReason": "NEED_MORE_INPUT"}, "ok"),
        ({"interrupted": True}, "aborted"),
    ],
)
def test_a_turn_that_ended_otherwise_is_billed_as_it_counts(
    how: dict[str, Any], status: str
) -> None:
    (reading,) = played(GEMINI, said({"text": "x"}), {**over(**how), **counts(9, 4)})
    assert (reading.status, reading.billed) == (status, "yes")
    assert reading.usage == {"input": 9, "output": 4}


def test_a_reason_that_is_not_known_is_drift() -> None:
    (reading,) = played(GEMINI, {**over(turnCompleteReason="TIRED"), **counts(9, 4)})
    assert (reading.status, reading.findings) == ("ok", ["drift:turnCompleteReason.TIRED"])


@pytest.mark.parametrize(
    ("model", "charged"),
    [("gemini-live-3-flash", 2), ("gemini-live-2.5-flash", 1)],
    ids=["by query", "by prompt"],
)
def test_searches_are_counted_once_however_often_they_are_repeated(
    model: str, charged: int
) -> None:
    grounded = {"groundingMetadata": {"webSearchQueries": ["a", "b", "a", ""]}}
    session = opened(GEMINI)
    sent(session, {"setup": {"model": f"models/{model}"}})
    (reading,) = got(session, said({"text": "x"}, **grounded), {**over(**grounded), **counts(9, 4)})
    assert reading.usage["web_search"] == charged


def test_a_turn_began_where_the_model_was_asked() -> None:
    session = opened(GEMINI)
    content = {"turns": [{"parts": [{"text": "hi"}]}], "turnComplete": True}
    sent(session, {"clientContent": content}, mark="asked")
    got(session, said({"text": "x"}), mark="spoke")
    (first,) = got(session, {**over(), **counts(9, 4)}, mark="over")
    assert (first.began, first.first) == ("asked", "spoke")
    got(session, said({"text": "x"}), mark="by itself")
    (second,) = got(session, {**over(), **counts(9, 4)})
    assert second.began == "by itself"


def test_audio_that_was_sent_counts_for_an_estimate() -> None:
    session = opened(GEMINI)
    chunk = {"mimeType": "audio/pcm;rate=16000", "data": "A" * round(32_000 * 4 / 3)}
    picture = {"mimeType": "image/jpeg", "data": "A" * 9999}
    sent(session, {"realtimeInput": {"audio": chunk}}, {"realtimeInput": {"video": picture}})
    sent(session, {"realtimeInput": {"mediaChunks": [chunk, picture]}})
    got(session, said({"text": "x"}))
    (reading,) = session.finish()
    assert reading.usage["input_audio"] == 50


def test_vertex_names_the_region_in_the_setup() -> None:
    session = opened(VERTEX)
    name = "projects/p/locations/us-central1/publishers/google/models/gemini-live-2.5-flash"
    sent(session, {"setup": {"model": name}})
    (reading,) = got(session, {**over(), **counts(9, 4)})
    assert (reading.host_class, reading.region_class) == ("vertex", "regional")
    assert reading.model_requested == "gemini-live-2.5-flash"
    (studio,) = played(GEMINI, {**over(), **counts(9, 4)})
    assert (studio.host_class, studio.region_class) == ("ai_studio", "")


def test_parts_of_one_message_are_looked_at_up_to_a_bound() -> None:
    session = opened(GEMINI)
    got(session, said(*[{"text": "1234"}] * (MAX_PARTS + 1)))
    (reading,) = session.finish()
    assert reading.usage["output"] == MAX_PARTS
