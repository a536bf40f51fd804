"""Frames of an event stream: every byte as it came, and what each event says, by the short way or
the long one, and from a reader that has parsed it or not."""

from __future__ import annotations

import json
from itertools import chain, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire import frames
from outlay.wire.base import load_json
from outlay.wire.closing import Closing
from outlay.wire.frames import ArrayFrames, LineFrames, MessageFrames, SseFrames
from outlay.wire.long_values import HELD_WHOLE_BYTES
from outlay.wire.sse import SseParser

PIECES = [
    b"data: ", b"data:", b"data", b"event: a\n", b": ping\n", b"\xef\xbb\xbf", b"{}", b'{"a": 1}',
    b'{"a":', b"[DONE]", b" [DONE] ", b"x", b" ", b"\n", b"\n\n", b"\r", b"\r\n", b"\r\n\r\n",
    b"id: 1\n", b"\n\r\n",
]  # fmt: skip
streams = st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join)
cuts = st.lists(st.integers(0, 200), max_size=6)


def told(event: bytes) -> tuple[str, Any]:
    """What an event says, by the rules of event streams alone."""
    parser = SseParser()
    found = next(chain(parser.feed(event), parser.close()), None)
    if found is None:
        return "", None
    if found.data.strip() == b"[DONE]":
        return "", "[DONE]"
    return found.event, load_json(found.data)


def in_pieces(raw: bytes, places: list[int]) -> list[bytes]:
    at = sorted({0, len(raw), *(min(place, len(raw)) for place in places)})
    return [raw[low:high] for low, high in pairwise(at)]


@given(streams, cuts)
def test_every_byte_comes_out_once_and_every_event_says_what_it_says(
    raw: bytes, places: list[int]
) -> None:
    made = SseFrames()
    events = [event for piece in in_pieces(raw, places) for event in made.feed(piece)]
    assert b"".join(events) + made.flush() == raw
    assert [made.read(event) for event in events] == [told(event) for event in events]


@pytest.mark.parametrize("event", [b'data: {"a":1}\rdata: {}\n\n', b"data: \r[DONE]\n\n"])
def test_a_lone_carriage_return_ends_a_line(event: bytes) -> None:
    assert SseFrames().read(event) == told(event)


def test_an_event_too_large_to_be_held_whole_is_read_without_its_long_values() -> None:
    text = json.dumps({"b64": "A" * HELD_WHOLE_BYTES, "n": 1}).encode()
    assert SseFrames().read(b"data: %s\n\n" % text) == ("", {"b64": "", "n": 1})


class Seen(Closing):
    """Notes what it is shown."""

    def __init__(self) -> None:
        super().__init__(SseFrames(), {})
        self.bodies: list[dict[str, Any]] = []

    def see(self, name: str, body: dict[str, Any]) -> None:
        self.bodies.append(body)


def follow(closing: Closing, parser: SseParser, piece: bytes, hidden: bytes = b"") -> list[Any]:
    """Read a piece as a reader does, then relay it without what is hidden from the caller."""
    echo = closing.echo
    assert echo is not None
    found = [(event.data, load_json(event.data)) for event in parser.feed(piece)]
    echo.extend(pair for pair in found if pair[0] != b"[DONE]")
    closing.pass_on(piece.replace(hidden, b"") if hidden else piece)
    return [body for _, body in found]


@given(streams, cuts)
def test_a_reader_before_it_changes_nothing_of_what_is_seen_and_nothing_is_left(
    raw: bytes, places: list[int]
) -> None:
    alone, closing, parser = Seen(), Seen(), SseParser()
    for piece in in_pieces(raw, places):
        alone.pass_on(piece)
        follow(closing, parser, piece)
        assert not closing.echo
    assert closing.bodies == alone.bodies


def test_what_the_reader_has_parsed_is_not_parsed_again() -> None:
    closing, parser = Seen(), SseParser()
    parsed = follow(closing, parser, b'data: {"n":1}\n\ndata: {"n":2}\n\n')
    assert [id(body) for body in closing.bodies] == [id(body) for body in parsed]


def test_an_event_that_is_not_relayed_takes_nothing_from_the_next() -> None:
    closing, parser = Seen(), SseParser()
    hidden = b'data: {"usage":1}\n\n'
    parsed = follow(closing, parser, b'data: {"n":1}\n\n' + hidden + b'data: {"n":2}\n\n', hidden)
    assert [id(body) for body in closing.bodies] == [id(parsed[0]), id(parsed[2])]


def test_more_events_than_are_kept_are_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_ECHO", 2)
    closing, parser = Seen(), SseParser()
    follow(closing, parser, b"".join(b'data: {"n":%d}\n\n' % n for n in range(9)))
    assert [body["n"] for body in closing.bodies] == list(range(9))
    assert not closing.echo


def test_nothing_is_kept_for_a_stream_whose_event_was_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "MAX_HELD_BYTES", 10)
    closing, parser = Seen(), SseParser()
    for piece in (b"data: " + b"x" * 20, b'\n\ndata: {"n":1}\n\n', b'data: {"n":2}\n\n'):
        follow(closing, parser, piece)
        assert not closing.echo
    assert closing.bodies == []


@pytest.mark.parametrize("made", [LineFrames(), ArrayFrames(), MessageFrames()])
def test_frames_that_parse_themselves_ask_for_nothing(made: Any) -> None:
    assert Closing(made, {}).echo is None
