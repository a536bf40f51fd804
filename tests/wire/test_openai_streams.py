"""Own streams in OpenAI's shapes: any chunking, cut anywhere, encoded anyhow."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

import pytest

from outlay.wire.base import Reading
from outlay.wire.encoding import Decoder
from tests.wire.harness import (
    Exchange,
    assert_same_in_any_chunking,
    assert_sane,
    byte_by_byte,
    cut_after_events,
    fixture,
    in_chunks,
    read,
)

STREAMS = {
    "openai-chat-stream": {"input": 40, "output": 4, "output_reasoning": 5},
    "openai-chat-tools-stream": {"input": 60, "output": 30},
    # 23 characters asked, 10 answered, four a token
    "openai-chat-stream-no-usage": {"input": 6, "output": 3},
    "groq-stream": {"input": 30, "output": 5, "output_reasoning": 3},
    "groq-stream-error": {"input": 6, "output": 4},
    "deepseek-stream": {"input": 4, "input_cache_read": 16, "output": 3, "output_reasoning": 4},
    "openrouter-stream-error": {"input": 43, "output_reasoning": 10},
    "openai-responses-stream": {
        "input": 16, "input_cache_read": 64, "input_cache_write": 20, "output": 20,
        "output_reasoning": 10, "web_search": 1,
    },
    "openai-responses-stream-incomplete": {
        "input": 16, "input_cache_read": 64, "input_cache_write": 20, "output": 20,
        "output_reasoning": 10, "web_search": 1,
    },
}  # fmt: skip

JSON = {
    "openai-chat": {
        "input": 220, "input_cache_read": 1024, "input_cache_write": 256, "output": 8,
        "output_reasoning": 12,
    },
    "openai-responses": {"input": 100, "output": 20, "output_reasoning": 10, "web_search": 2},
    "openai-embeddings": {"input": 2},
}  # fmt: skip

CUT = [name for name in STREAMS if "error" not in name]


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_gives_its_buckets_however_it_is_split(name: str) -> None:
    reading = assert_same_in_any_chunking(fixture(name), most=10_000)
    assert reading.usage == STREAMS[name]
    assert reading.streamed


@pytest.mark.parametrize("name", JSON)
def test_a_body_gives_its_buckets_however_it_is_split(name: str) -> None:
    reading = assert_same_in_any_chunking(fixture(name), most=10_000)
    assert reading.usage == JSON[name]
    assert reading.status == "ok"
    assert not reading.streamed


@pytest.mark.parametrize("name", CUT)
def test_a_stream_cut_after_any_event_is_aborted_until_its_end_was_told(name: str) -> None:
    exchange = fixture(name)
    whole = read(exchange)
    seen = 0
    for count, reading in cut_after_events(exchange):
        assert_sane(reading)
        if reading.status != "aborted":
            assert reading.status == whole.status
            assert reading.usage == whole.usage
            continue
        assert reading.billed == "possible", count
        assert reading.usage_source == "estimated", count
        # what the caller asked is 23 characters in all these fixtures
        assert reading.usage["input"] == 6, count
        assert reading.output_total >= max(1, seen), "what was seen only grows"
        seen = reading.output_total


@pytest.mark.parametrize("name", CUT)
def test_a_stream_cut_in_the_middle_of_an_event_reads_as_if_cut_before_it(name: str) -> None:
    exchange = fixture(name)
    events = exchange.events
    for count in range(len(events)):
        before = b"".join(events[:count])
        half = events[count][: len(events[count]) // 2]
        cut = read(exchange, [before, half], complete=False)
        clean = read(exchange, [before], complete=False)
        assert (cut.status, cut.usage) == (clean.status, clean.usage)


def test_a_stream_that_timed_out_is_a_timeout_not_an_abort() -> None:
    exchange = fixture("openai-chat-stream")
    reading = read(exchange, exchange.events[:2], complete=False, error="timeout")
    assert (reading.status, reading.error_type, reading.billed) == (
        "timeout", "timeout", "possible",
    )  # fmt: skip


def test_a_stream_without_counts_that_ended_well_is_ok_billed_and_estimated() -> None:
    reading = read(fixture("openai-chat-stream-no-usage"))
    assert (reading.status, reading.billed, reading.usage_source) == ("ok", "yes", "estimated")
    assert reading.findings == ["usage_missing", "input_estimated", "output_estimated"]


def test_a_server_that_leaves_done_out_has_ended_with_its_finish_reason() -> None:
    exchange = fixture("openai-chat-stream-no-usage")
    body = exchange.body.removesuffix(b"data: [DONE]\n\n")
    assert read(exchange.with_body(body)).status == "ok"
    assert read(exchange.with_body(body), complete=False).status == "aborted"


def test_an_error_in_a_stream_of_status_200_is_an_error_with_what_was_counted() -> None:
    told = read(fixture("openrouter-stream-error"))
    assert (told.status, told.error_type, told.usage_source) == ("error", "400", "provider")
    assert (told.provider_cost_nanos, told.billed) == (123_450, "yes")
    seen = read(fixture("groq-stream-error"))
    assert (seen.status, seen.error_type) == ("error", "invalid_request_error")
    assert (seen.usage_source, seen.billed) == ("estimated", "possible")


def _reading_through(exchange: Exchange, encoding: str, body: bytes, size: int) -> Reading:
    decoder = Decoder(encoding)
    chunks = [decoder.feed(chunk) for chunk in in_chunks(body, size)]
    return read(exchange, [*chunks, decoder.flush()])


@pytest.mark.parametrize("name", [*STREAMS, *JSON])
def test_the_content_encoding_changes_nothing(name: str) -> None:
    exchange = fixture(name)
    whole = read(exchange)
    encodings = {
        "identity": exchange.body,
        "gzip": gzip.compress(exchange.body),
        "deflate": zlib.compress(exchange.body),
    }
    for encoding, body in encodings.items():
        for size in (1, 13, 4096):
            assert _reading_through(exchange, encoding, body, size) == whole


@pytest.mark.parametrize("name", [*STREAMS, *JSON])
def test_the_case_of_header_names_changes_nothing(name: str) -> None:
    exchange = fixture(name)
    shouted = replace(exchange, headers={k.title(): v for k, v in exchange.headers.items()})
    assert read(shouted) == read(exchange)


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
def test_the_line_ends_of_a_stream_change_nothing(name: str, end: bytes) -> None:
    exchange = fixture(name)
    other = exchange.with_body(exchange.body.replace(b"\n", end))
    whole = read(exchange)
    assert read(other) == whole
    assert read(other, byte_by_byte(other.body)) == whole
