"""Long values go, everything else stays, and the chunking does not matter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.wire.long_values import (
    HELD_WHOLE_BYTES,
    MAX_NUMBERS_BYTES,
    MAX_STRING_BYTES,
    Held,
    LongValues,
)
from tests.wire.harness import byte_by_byte, in_chunks, split_at

AT_BOUND = "x" * MAX_STRING_BYTES
OVER = AT_BOUND + "x"


def passed(*chunks: bytes) -> bytes:
    values = LongValues()
    return b"".join(map(values.feed, chunks)) + values.flush()


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"a": "short", "n": 1}, {"a": "short", "n": 1}),
        ({"a": AT_BOUND}, {"a": AT_BOUND}),
        ({"a": OVER, "n": [1, OVER, "y"]}, {"a": "", "n": [1, "", "y"]}),
        ({"a": 'quoted " and \\ and \n'}, {"a": 'quoted " and \\ and \n'}),
        ({"a": OVER + '"\\', "b": 2}, {"a": "", "b": 2}),
        ({"ä": "é" * (MAX_STRING_BYTES // 2)}, {"ä": "é" * (MAX_STRING_BYTES // 2)}),
    ],
)
def test_a_string_over_the_bound_comes_out_empty(given: Any, left: Any) -> None:
    for ascii_only in (True, False):
        body = json.dumps(given, ensure_ascii=ascii_only).encode()
        if ascii_only and "ä" in given:
            continue  # escapes make it longer than the bound
        assert json.loads(passed(body)) == left


def test_a_stream_keeps_its_lines_and_a_lone_quote_ends_with_its_line() -> None:
    body = b': say "hi\nevent: a\r\ndata: {"b64":"' + OVER.encode() + b'","n":1}\n\n'
    assert passed(body) == b': say "hi\nevent: a\r\ndata: {"b64":"","n":1}\n\n'


def test_nothing_is_held_of_a_string_that_is_too_long() -> None:
    values = LongValues()
    values.feed(b'{"a":"')
    for _ in range(10):
        assert values.feed(AT_BOUND.encode()) == b""
    assert len(values._held) == 0
    assert values.feed(b'"}') == b'"}'


NUMBERS = b",".join([b"-1.5e-05"] * (MAX_NUMBERS_BYTES // 9)) + b",1234567"
assert len(NUMBERS) == MAX_NUMBERS_BYTES


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (b'{"a":[' + NUMBERS + b'],"n":1}', b'{"a":[' + NUMBERS + b'],"n":1}'),
        (b'{"a":[' + NUMBERS + b'8],"n":1}', b'{"a":[],"n":1}'),
        (b"[[\n  " + NUMBERS + b"\n],[" + NUMBERS + b" ]]", b"[[],[]]"),
        (b"[" + NUMBERS + b', null, "x", 2]', b'[null, "x", 2]'),
        (b'{"n":' + b"1" * 2000 + b"}", b'{"n":' + b"1" * 2000 + b"}"),
    ],
)
def test_long_numbers_of_an_array_are_left_out(given: bytes, left: bytes) -> None:
    assert passed(given) == left
    assert passed(*in_chunks(given, 7)) == left


def test_only_a_large_text_loses_its_long_values() -> None:
    text = b'{"a":"' + AT_BOUND.encode() * (HELD_WHOLE_BYTES // MAX_STRING_BYTES - 1) + b'"}'
    pad = b" " * (HELD_WHOLE_BYTES - len(text))
    for size in (1000, 10**9):
        held = Held()
        for chunk in in_chunks(text + pad, size):
            held.add(chunk)
        assert held.take() == text + pad
        for chunk in in_chunks(text + pad + b" ", size):
            held.add(chunk)
        assert len(held) < 10_000 + len(pad)
        assert held.take() == b'{"a":""}' + pad + b" "
        assert (len(held), held.take()) == (0, b"")


PIECES = st.sampled_from(
    [b'"', b"\\", b"\n", b"\r", b"a", OVER.encode(), b"{", b"\xff", b"[", b"]", b"1,", NUMBERS]
)


@given(st.lists(PIECES, max_size=12).map(b"".join), st.integers(0, 4000), st.integers(1, 700))
def test_any_chunking_of_any_bytes_gives_the_same(body: bytes, place: int, size: int) -> None:
    whole = passed(body)
    assert passed(*split_at(body, place)) == whole
    assert passed(*in_chunks(body, size)) == whole
    assert passed(*byte_by_byte(body[:50])) == passed(body[:50])


JSONS = st.recursive(
    st.none() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSONS)
def test_json_of_short_strings_passes_unchanged(value: Any) -> None:
    body = json.dumps(value).encode()
    assert passed(body) == body
