"""AWS event-stream framing: any chunking, checksums, bounds, and what an exception becomes."""

from __future__ import annotations

import struct
import zlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.wire import eventstream
from outlay.wire.eventstream import MAX_HEADERS, EventStreamParser, unwrap_chunk
from tests.wire.bedrock_payloads import chunk, event, failure, frame, header, messages
from tests.wire.harness import byte_by_byte, in_chunks, sample, split_at

BODY = event("one", {"a": 1}) + event("two", {"b": "ü"}) + failure("throttlingException")
EVENTS = [
    ("one", b'{"a":1}'),
    ("two", '{"b":"ü"}'.encode()),
    ("throttlingException", b'{"type": "error", "error": {"type": "throttlingException"}}'),
]


def parse(*chunks: bytes) -> tuple[list[tuple[str, bytes]], EventStreamParser]:
    parser = EventStreamParser()
    found = [(event.event, event.data) for chunk in chunks for event in parser.feed(chunk)]
    return found + [(event.event, event.data) for event in parser.close()], parser


def test_events_are_the_same_in_any_chunking() -> None:
    assert parse(BODY)[0] == EVENTS
    assert parse(*byte_by_byte(BODY))[0] == EVENTS
    for place in range(len(BODY) + 1):
        assert parse(*split_at(BODY, place))[0] == EVENTS


def test_an_event_is_given_with_its_last_byte_and_not_before() -> None:
    whole = event("one", {"a": 1})
    parser = EventStreamParser()
    assert list(parser.feed(whole[:-1])) == []
    assert len(list(parser.feed(whole[-1:]))) == 1


def test_a_recorded_stream_is_read_whole() -> None:
    body = sample("bedrock-converse-stream-0").body
    found, parser = parse(body)
    names = [name for name, _ in found]
    assert names[0] == "messageStart"
    assert names[-3:] == ["contentBlockStop", "messageStop", "metadata"]
    assert set(names[1:-3]) == {"contentBlockDelta"}
    assert (len(found), parser.dropped) == (len(messages(body)), 0)


def test_an_exception_keeps_its_name_and_loses_its_text() -> None:
    ((name, data),), _ = parse(failure("modelStreamErrorException", "secret words"))
    assert name == "modelStreamErrorException"
    assert b"secret" not in data


def test_an_error_that_no_model_defines_is_named_by_its_code() -> None:
    headers = header(":message-type", "error") + header(":error-code", "InternalError")
    assert parse(frame(headers, b""))[0][0][0] == "InternalError"
    assert parse(frame(header(":message-type", "error"), b""))[0][0][0] == "error"


def test_headers_of_every_type_are_passed_over() -> None:
    values = {0: b"", 1: b"", 2: b"x", 3: b"xx", 4: b"xxxx", 5: b"x" * 8, 8: b"x" * 8, 9: b"x" * 16}
    odd = b"".join(b"\x01h" + bytes([kind]) + value for kind, value in values.items())
    odd += b"\x01h\x06" + struct.pack(">H", 3) + b"\xff\xff\xff"
    assert parse(frame(odd + header(":event-type", "named"), b"{}"))[0] == [("named", b"{}")]


def test_a_message_without_a_payload_is_no_event() -> None:
    assert parse(frame(header(":event-type", "initial-response"), b""))[0] == []


@pytest.mark.parametrize(
    "headers",
    [
        b"\x05abc", b"\x01h", b"\x01h\x0a", b"\x01h\x07\x00", b"\x01\xff\x00",
        b"\x01h\x07\x00\x01\xff",
        b"\x01h\x00" * (MAX_HEADERS + 1),
    ],
    ids=["name cut", "no type", "unknown type", "length cut", "name", "value", "too many"],
)  # fmt: skip
def test_headers_that_cannot_be_read_make_a_damaged_message(headers: bytes) -> None:
    found, parser = parse(frame(headers, b"{}") + event("next", {}))
    assert found == [("next", b"{}")]
    assert (parser.dropped, parser.damaged) == (1, 1)


def test_as_many_headers_as_are_allowed_are_read() -> None:
    headers = b"\x01h\x00" * (MAX_HEADERS - 1) + header(":event-type", "named")
    assert parse(frame(headers, b"{}"))[0] == [("named", b"{}")]


def test_a_damaged_payload_is_dropped_and_reading_goes_on() -> None:
    first = bytearray(event("one", {"a": 1}))
    first[-6] ^= 1
    found, parser = parse(bytes(first) + event("two", {}))
    assert found == [("two", b"{}")]
    assert (parser.dropped, parser.damaged) == (1, 1)


@pytest.mark.parametrize("place", range(12))
def test_damaged_lengths_stop_the_reading_quietly(place: int) -> None:
    second = bytearray(event("two", {}))
    second[place] ^= 1
    body = event("one", {"a": 1}) + bytes(second) + event("three", {})
    for chunks in ([body], list(byte_by_byte(body))):
        found, parser = parse(*chunks)
        assert found == EVENTS[:1]
        assert (parser.dropped, parser.damaged) == (1, 1)


@pytest.mark.parametrize(
    ("size", "headers_size"),
    [(15, 0), (20, 8), (2**32 - 1, 0), (200_000, 128 * 1024 + 1)],
)
def test_lengths_that_cannot_be_are_damage_though_their_checksum_is_right(
    size: int, headers_size: int
) -> None:
    lengths = struct.pack(">II", size, headers_size)
    body = lengths + struct.pack(">I", zlib.crc32(lengths))
    found, parser = parse(body + event("next", {}))
    assert (found, parser.damaged) == ([], 1)


@pytest.mark.parametrize("piece", [1, 7, 10**6])
def test_a_message_too_large_is_passed_over_and_counted(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = event("exact", {"x": "y" * 100})
    monkeypatch.setattr(eventstream, "MAX_MESSAGE_BYTES", len(exact))
    body = exact + event("exact", {"x": "y" * 101}) + event("last", {})
    found, parser = parse(*in_chunks(body, piece))
    assert [name for name, _ in found] == ["exact", "last"]
    assert (parser.dropped, parser.damaged) == (1, 0)


def test_what_is_passed_over_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eventstream, "MAX_MESSAGE_BYTES", 100)
    parser = EventStreamParser()
    for piece in in_chunks(event("large", {"x": "y" * 10_000}), 64):
        assert list(parser.feed(piece)) == []
        assert len(parser._buffer) <= 100


def test_a_cut_message_is_no_event_and_no_damage() -> None:
    found, parser = parse(BODY[:-1])
    assert (found, parser.dropped) == (EVENTS[:2], 0)


@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_read_without_raising(raw: bytes, piece: int) -> None:
    whole, parser = parse(raw)
    pieces, other = parse(*in_chunks(raw, piece))
    assert whole == pieces
    assert (parser.dropped, parser.damaged) == (other.dropped, other.damaged)


@given(st.binary(max_size=60), st.binary(max_size=60), st.integers(1, 9))
@settings(deadline=None)
def test_any_well_framed_bytes_are_read_without_raising(
    headers: bytes, payload: bytes, piece: int
) -> None:
    found, _ = parse(*in_chunks(frame(headers, payload) + event("last", {}), piece))
    assert found[-1] == ("last", b"{}")


@given(st.integers(0, len(BODY) - 1), st.integers(1, 255))
def test_a_byte_that_was_altered_alters_no_other_event(place: int, bits: int) -> None:
    body = bytearray(BODY)
    body[place] ^= bits
    found, parser = parse(bytes(body))
    assert parser.damaged == 1
    assert all(event in EVENTS for event in found)
    assert all(EVENTS.index(a) < EVENTS.index(b) for a, b in pairwise(found))


def test_a_chunk_is_unwrapped() -> None:
    ((name, data),), _ = parse(chunk({"type": "ping"}))
    assert name == "chunk"
    assert b"ping" not in data
    assert unwrap_chunk({"bytes": "eyJ0eXBlIjoicGluZyJ9"}) == {"type": "ping"}


@pytest.mark.parametrize(
    "body",
    [{}, {"bytes": 1}, {"bytes": "%%%"}, {"bytes": "é"}, {"bytes": "W10="}, {"bytes": "e30"}],
)
def test_what_is_no_chunk_is_nothing(body: dict[str, object]) -> None:
    assert unwrap_chunk(body) is None
