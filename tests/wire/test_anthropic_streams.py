"""The rules of reading Anthropic streams, whole and cut."""

from __future__ import annotations

import pytest

from outlay.core import units
from tests.wire.anthropic_payloads import STOP, delta, start, stream, text
from tests.wire.harness import (
    assert_same_in_any_chunking,
    assert_sane,
    cut_after_events,
    fixture,
    read,
)


def test_a_stream_gives_the_same_reading_in_any_chunking() -> None:
    reading = assert_same_in_any_chunking(fixture("anthropic-stream"), most=4000)
    assert reading.usage == {
        "input": 25, "input_cache_read": 2000, "input_cache_write_5m": 160,
        "output": 33, "output_reasoning": 15,
    }  # fmt: skip
    assert (reading.status, reading.finish_reason) == ("ok", "tool_use")
    assert (reading.streamed, reading.tool_calls) == (True, 1)
    assert (reading.usage_source, reading.billed) == ("provider", "yes")
    assert reading.usage_raw["cache_read_input_tokens"] == 2000


def test_p4_cache_reads_keep_their_bucket_when_streamed() -> None:
    reading = read(stream(start(cache_read_input_tokens=900), delta(output_tokens=6), STOP))
    assert reading.usage == {"input": 10, "input_cache_read": 900, "output": 6}


def test_later_counts_overwrite_earlier_ones_and_are_never_added() -> None:
    reading = read(
        stream(
            start(cache_read_input_tokens=5),
            delta(None, input_tokens=20, output_tokens=6, cache_read_input_tokens=None),
            delta(input_tokens=30, output_tokens=9),
            STOP,
        )
    )
    assert reading.usage == {"input": 30, "input_cache_read": 5, "output": 9}


def test_p8_writes_that_grew_after_the_start_keep_the_stated_split() -> None:
    split = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 31_490}
    begun = start(cache_creation_input_tokens=31_490, cache_creation=split)
    reading = read(stream(begun, delta(cache_creation_input_tokens=184_457, output_tokens=2), STOP))
    assert reading.usage[units.CACHE_WRITE_1H] == 184_457


def test_p19_the_placeholder_of_the_start_is_not_the_output() -> None:
    cut = read(stream(start(output_tokens=3), text("x" * 400)), complete=False)
    assert cut.usage == {"input": 10, "output": 100}
    assert (cut.status, cut.billed, cut.usage_source) == ("aborted", "possible", "estimated")


def test_thinking_and_tool_arguments_count_towards_the_estimate_but_citations_do_not() -> None:
    events = (
        start(),
        text("x" * 40, "thinking_delta", "thinking"),
        text("x" * 40, "input_json_delta", "partial_json"),
        text("x" * 40, "signature_delta", "signature"),
        {
            "type": "content_block_delta",
            "delta": {"type": "citations_delta", "citation": {"cited_text": "x" * 400}},
        },
    )
    assert read(stream(*events), complete=False).usage[units.OUTPUT] == 20


@pytest.mark.parametrize("name", ["anthropic-stream"])
def test_p19_cut_after_any_event_the_input_is_exact_and_the_output_estimated(name: str) -> None:
    whole = read(fixture(name))
    for count, reading in cut_after_events(fixture(name)):
        assert_sane(reading)
        assert reading.output_total > 0
        if count == 0:
            assert "input_estimated" in reading.findings
        elif count <= 12:
            assert reading.input_total == 20 + 100 + 1000
            assert (reading.status, reading.usage_source) == ("aborted", "estimated")
        else:
            assert reading == whole, "message_delta with a stop reason is the end"


def test_a_stream_whose_counts_came_without_a_stop_reason_ends_with_message_stop() -> None:
    events = (start(), delta(None, output_tokens=9))
    assert read(stream(*events, STOP)).usage_source == "provider"
    cut = read(stream(*events), complete=False)
    assert (cut.status, cut.usage_source, cut.usage) == (
        "aborted", "estimated", {"input": 10, "output": 9},
    )  # fmt: skip


def test_an_end_without_final_counts_is_estimated() -> None:
    ended = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}}
    reading = read(stream(start(output_tokens=1), text("x" * 40), ended, STOP))
    assert (reading.status, reading.usage_source) == ("ok", "estimated")
    assert reading.usage == {"input": 10, "output": 10}
    assert "usage_missing" in reading.findings


def test_an_error_inside_a_stream_keeps_the_input_and_estimates_the_output() -> None:
    failed = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    reading = read(stream(start(output_tokens=4), text("x" * 80), failed))
    assert (reading.status, reading.error_type) == ("error", "overloaded_error")
    assert (reading.billed, reading.usage_source) == ("possible", "estimated")
    assert reading.usage == {"input": 10, "output": 20}


def test_searches_done_before_a_cut_are_still_charged() -> None:
    found = {"type": "web_search_tool_result", "content": [{"type": "web_search_result"}]}
    failed = {"type": "web_search_tool_result", "content": {"error_code": "unavailable"}}
    blocks = [{"type": "content_block_start", "content_block": b} for b in (found, failed, found)]
    reading = read(stream(start(), *blocks), complete=False)
    assert reading.usage["web_search"] == 2
    assert "input_lower_bound" in reading.findings


def test_a_final_count_without_any_input_is_completed_by_an_estimate() -> None:
    reading = read(stream(delta(output_tokens=6), STOP))
    assert reading.usage == {"input": 2, "output": 6}
    assert (reading.usage_source, reading.findings) == ("estimated", ["input_estimated"])


def test_a_timeout_in_the_stream_is_a_timeout_that_may_be_billed() -> None:
    reading = read(stream(start(), text("x" * 8)), complete=False, error="timeout")
    assert (reading.status, reading.billed) == ("timeout", "possible")
    assert reading.usage == {"input": 10, "output": 2}
