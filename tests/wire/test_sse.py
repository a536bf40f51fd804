"""Server-sent events: what the standard says, in any chunking, bounded."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire import sse
from outlay.wire.sse import SseParser
from tests.wire.harness import byte_by_byte, in_chunks, split_at


def parse(*chunks: bytes, close: bool = True) -> list[tuple[str, bytes]]:
    parser = SseParser()
    found = [(event.event, event.data) for chunk in chunks for event in parser.feed(chunk)]
    if close:
        found += [(event.event, event.data) for event in parser.close()]
    return found


BODY = (
    b"\xef\xbb\xbf: hello\n\ndata: one\n\nevent: name\ndata:two\ndata:  three\nid: 9\n\n"
    b"event: nothing\n\ndata\n\ndata: f\xc3\xbcr\n\n"
)
EVENTS = [("", b"one"), ("name", b"two\n three"), ("", b""), ("", "für".encode())]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_events_are_the_same_with_any_line_end_and_any_chunking(end: bytes) -> None:
    body = BODY.replace(b"\n", end)
    assert parse(body) == EVENTS
    assert parse(*byte_by_byte(body)) == EVENTS
    for place in range(len(body) + 1):
        assert parse(*split_at(body, place)) == EVENTS


def test_an_event_is_given_as_soon_as_its_blank_line_begins() -> None:
    for end in (b"\n\n", b"\r\r", b"\r\n\r"):
        assert parse(b"data: x" + end, close=False) == [("", b"x")]


def test_an_event_without_its_blank_line_is_given_at_the_end() -> None:
    assert parse(b"data: x", close=False) == []
    assert parse(b"data: x") == [("", b"x")]
    assert parse(b"data: x\r") == [("", b"x")]


@pytest.mark.parametrize("size", [1, 7, 64, 10**6])
def test_an_event_too_large_is_dropped_whole_and_counted(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    large = b"data: " + b"x" * 300 + b"\ndata: rest\n\n"
    many = b"data: 12345678901234567890\n" * 20 + b"\n"
    parser = SseParser()
    body = b"data: a\n\n" + large + b"data: b\n\n" + many + b"data: c\n\n"
    found = [event.data for chunk in in_chunks(body, size) for event in parser.feed(chunk)]
    assert found == [b"a", b"b", b"c"]
    assert parser.dropped == 2
    assert len(parser._rest) <= 100


def test_an_event_of_empty_lines_without_end_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    parser = SseParser()
    assert list(parser.feed(b"data:\n" * 1000)) == []
    assert (parser.dropped, len(parser._data)) == (1, 0)
    assert [event.data for event in parser.feed(b"\ndata: x\n\n")] == [b"x"]


@pytest.mark.parametrize("size", [1000, 65536, 10**8])
def test_a_long_line_is_held_without_its_long_values(size: int) -> None:
    body = b'data: {"b64":"' + b"A" * (5 * 1024 * 1024) + b'","n":1}\n\ndata: x\n\n'
    parser = SseParser()
    found = [event.data for chunk in in_chunks(body, size) for event in parser.feed(chunk)]
    assert (found, parser.dropped) == ([b'{"b64":"","n":1}', b"x"], 0)


@given(st.lists(st.sampled_from([b"\n", b"\r", b"data:", b"event:", b"x", b": "]), max_size=30))
def test_the_chunking_never_matters(parts: list[bytes]) -> None:
    body = b"".join(parts)
    assert parse(body) == parse(*parts) == parse(*byte_by_byte(body))


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_whatever_comes_nothing_raises(chunks: list[bytes]) -> None:
    assert parse(*chunks) == parse(b"".join(chunks))


def by_the_standard(body: bytes) -> list[tuple[str, bytes]]:
    """The events of a whole stream, line by line as the standard has it; its end ends the last."""
    found: list[tuple[str, bytes]] = []
    data: list[bytes] = []
    name = b""
    text = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in [*text.split(b"\n"), b""]:
        field, colon, value = line.partition(b":")
        if not line:
            if data:
                found.append((name.decode(), b"\n".join(data)))
            data, name = [], b""
        elif field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
        assert field or colon or not line
    return found


LINES = [
    b"data: x", b"data: ", b"data:", b"data", b"data:  y", b"data: {", b"data: [DONE]", b": c",
    b"event: n", b"event", b"id: 1", b"dataset: z", b" data: x", b"\xef\xbb\xbf",
]  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(LINES), st.sampled_from([b"\n", b"\n\n", b"\r\n", b"\r"]))),
    st.lists(st.integers(0, 300), max_size=5),
    st.booleans(),
)
def test_the_short_way_for_events_of_one_line_is_the_standards(
    lines: list[tuple[bytes, bytes]], places: list[int], mark: bool
) -> None:
    body = b"\xef\xbb\xbf" * mark + b"".join(line + end for line, end in lines)
    at = sorted({0, len(body), *(min(place, len(body)) for place in places)})
    chunks = [body[low:high] for low, high in pairwise(at)]
    assert parse(*chunks) == parse(body) == by_the_standard(body)
