"""The rules of reading `streamGenerateContent`, as events and as one array, whole and cut."""

from __future__ import annotations

import pytest

from outlay.core import units
from tests.wire.google_payloads import ARRAY_URL, ASKED, FIXTURE_BUCKETS, reply, stream
from tests.wire.harness import (
    assert_same_in_any_chunking,
    assert_sane,
    cut_after_events,
    exchange,
    fixture,
    read,
)


def test_a_stream_gives_every_fact_and_the_same_reading_in_any_chunking() -> None:
    reading = assert_same_in_any_chunking(fixture("google-stream"), most=4000)
    assert reading.usage == FIXTURE_BUCKETS
    assert reading.input_total == 1290 + 60
    assert reading.output_total == 50
    assert (reading.model_requested, reading.model_served) == ("gemini-3-pro", "gemini-3-pro-002")
    assert (reading.tier_requested, reading.tier_served) == ("flex", "flex")
    assert (reading.status, reading.finish_reason) == ("ok", "STOP")
    assert (reading.streamed, reading.tool_calls, reading.max_tokens) == (True, 1, 400)
    assert (reading.response_id, reading.provider_request_id) == ("own-google-1", "own-google-1")
    assert (reading.usage_source, reading.findings) == ("provider", [])
    assert reading.usage_raw["thoughtsTokenCount"] == 30


def test_the_last_count_wins_and_counts_are_never_summed() -> None:
    chunks = (
        reply({"promptTokenCount": 15, "candidatesTokenCount": 4}, None),
        reply(None, None),
        reply({"promptTokenCount": 13, "candidatesTokenCount": 9}),
    )
    assert read(stream(*chunks)).usage == {"input": 13, "output": 9}


def test_details_of_an_earlier_count_do_not_outlive_it() -> None:
    audio = {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 15}]}
    chunks = (
        reply({"promptTokenCount": 15, **audio}, None),
        reply({"promptTokenCount": 13, "candidatesTokenCount": 9}),
    )
    assert read(stream(*chunks)).usage == {"input": 13, "output": 9}


def test_usage_that_comes_after_the_finish_is_the_final_one() -> None:
    chunks = (
        reply({"promptTokenCount": 10, "candidatesTokenCount": 1}, None),
        reply(None),
        {"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 9}},
    )
    reading = read(stream(*chunks))
    assert (reading.usage, reading.usage_source) == ({"input": 10, "output": 9}, "provider")


def test_a_finish_without_fresh_usage_is_estimated_from_what_was_seen() -> None:
    first = reply({"promptTokenCount": 10, "candidatesTokenCount": 1}, None, text="x" * 20)
    reading = read(stream(first, reply(None, text="x" * 20)))
    assert (reading.usage, reading.usage_source) == ({"input": 10, "output": 10}, "estimated")
    assert (reading.status, "usage_missing" in reading.findings) == ("ok", True)


def test_one_finished_candidate_of_two_does_not_end_the_stream() -> None:
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 2}
    first = reply(usage, None)
    second = reply(usage, None, candidate={"index": 1})
    cut = read(stream(first, second, reply(usage)), complete=False)
    assert cut.status == "aborted"
    ended = stream(first, second, reply(usage), reply(usage, candidate={"index": 1}))
    assert read(ended).usage_source == "provider"


@pytest.mark.parametrize("name", ["google-stream"])
def test_p19_cut_after_any_chunk_the_input_is_told_and_the_output_estimated(name: str) -> None:
    inputs = {1: 1300, 2: 1290}
    for count, reading in cut_after_events(fixture(name)):
        assert_sane(reading)
        assert (reading.status, reading.usage_source) == ("aborted", "estimated")
        assert reading.output_total > 0
        assert count not in inputs or reading.input_total == inputs[count]


def test_visible_text_and_thoughts_are_estimated_apart() -> None:
    thought = {"content": {"parts": [{"text": "x" * 8, "thought": True}]}}
    chunks = (
        reply(None, None, candidate=thought),
        reply({"promptTokenCount": 10, "thoughtsTokenCount": 90}, None, text="x" * 400),
    )
    reading = read(stream(*chunks), complete=False)
    assert reading.usage == {"input": 10, "output": 100, "output_reasoning": 90}


# -- the array form of a stream -------------------------------------------------------------------


def test_an_array_stream_reads_as_its_sse_twin_in_any_chunking() -> None:
    reading = assert_same_in_any_chunking(fixture("google-array"), most=4000)
    assert reading.usage == FIXTURE_BUCKETS
    assert (reading.streamed, reading.status, reading.findings) == (True, "ok", [])


def test_a_cut_array_stream_keeps_what_was_whole() -> None:
    whole = fixture("google-array")
    place = whole.body.index(b'"functionCall"')
    reading = read(whole, [whole.body[:place]], complete=False)
    assert (reading.status, reading.usage_source) == ("aborted", "estimated")
    assert reading.input_total == 1290
    assert reading.usage[units.REASONING] == 30


def test_an_array_stream_with_brackets_and_quotes_in_its_text_reads_right() -> None:
    odd = 'a "quoted" } { \\ ] one more quote " and } }} text\\'
    chunks = [reply(None, None, text=odd), reply({"promptTokenCount": 1, "thoughtsTokenCount": 2})]
    reading = assert_same_in_any_chunking(exchange(ARRAY_URL, ASKED, chunks))
    assert reading.usage == {"input": 1, "output_reasoning": 2}


def test_an_oversize_object_is_dropped_and_reading_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("outlay.wire.google_array.MAX_EVENT_BYTES", 300)
    chunks = [reply(None, None, text="x" * 400), reply({"promptTokenCount": 1})]
    reading = assert_same_in_any_chunking(exchange(ARRAY_URL, ASKED, chunks))
    assert reading.usage == {"input": 1}
    assert "event_too_large" in reading.findings
