"""What holds on every surface, whatever passes: no exception, sane buckets, lines that add up.

The fuzz tests of single codecs feed them what their authors thought of; these bend a realistic
reply of each surface at places drawn at random, and price what comes out.
"""

from __future__ import annotations

import copy
import gzip
import json
import math
import zlib
from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.core import units
from outlay.wire.base import Reading
from outlay.wire.encoding import Decoder
from outlay.wire.registry import _MODULES, find_endpoint
from outlay.wire.sessions import SHAPES
from tests.wire.harness import Exchange, assert_sane, in_chunks, read, reader_for
from tests.wire.pricing import priced
from tests.wire.sockets import opened
from tests.wire.surfaces import HOSTS, SEEDS, SESSIONS, Seed, words

AUGUST = 1_785_542_400
CASES = [(surface, place) for surface, seeds in SEEDS.items() for place in range(len(seeds))]
QUICK = settings(max_examples=60, deadline=None)

ODD: st.SearchStrategy[Any] = st.one_of(
    st.integers(-3, 200), st.integers(), st.floats(), st.text(max_size=6), st.none(),
    st.booleans(), st.sampled_from([10**30, "5", 2.5]), st.builds(list), st.builds(dict),
    st.builds(lambda: [{}]), st.builds(lambda: {"a": []}),
)  # fmt: skip


def test_every_surface_has_a_reply_here() -> None:
    assert set(SEEDS) == set(_MODULES)
    assert set(SESSIONS) == {shape.surface for shape in SHAPES}


@pytest.mark.parametrize(("surface", "place"), CASES)
def test_the_reply_as_it_is_belongs_to_its_surface_and_tells_usage(
    surface: str, place: int
) -> None:
    seed = SEEDS[surface][place]
    told = seed.exchange(seed.parts)
    endpoint = find_endpoint(told.request, hosts=HOSTS)
    assert endpoint is not None
    own = f"{endpoint.provider}:{endpoint.surface}"
    assert surface in (own, endpoint.surface)
    readings = finished(told)
    assert readings
    assert any(reading.usage for reading in readings) or surface.endswith(".batch")


def finished(told: Exchange, size: int = 0, *, whole: bool = True) -> list[Reading]:
    """Return every reading of a reply: its own, and those of the calls that it tells of."""
    reader = reader_for(told)
    reader.response(told.status, told.headers)
    for chunk in in_chunks(told.body, size) if size else [told.body]:
        reader.feed(chunk)
    reading = reader.finish(complete=whole)
    return [reading, *reader.ready]


@st.composite
def bent(draw: st.DrawFn, parts: Any, vocabulary: tuple[str, ...]) -> Any:
    """Draw a copy of a JSON value with a few places changed, dropped, or added to."""
    value = copy.deepcopy(parts)
    keys = st.sampled_from(vocabulary) if vocabulary else st.just("x")
    for _ in range(draw(st.integers(0, 4))):
        holder = value
        for _ in range(draw(st.integers(0, 7))):
            inner = [v for v in _values(holder) if isinstance(v, dict | list) and v]
            if not inner:
                break
            holder = draw(st.sampled_from(inner))
        if isinstance(holder, dict) and draw(st.booleans()):
            holder[draw(keys)] = draw(ODD)
        elif isinstance(holder, dict) and holder:
            key = draw(st.sampled_from(sorted(holder)))
            if draw(st.booleans()):
                holder[key] = draw(ODD)
            else:
                del holder[key]
        elif holder:
            place = draw(st.integers(0, len(holder) - 1))
            # A part of a stream stays an object, or there is nothing to frame.
            holder[place] = copy.deepcopy(holder[0]) if holder is value else draw(ODD)
    return value


def _values(holder: Any) -> list[Any]:
    return list(holder.values()) if isinstance(holder, dict) else list(holder)


def assert_holds(reading: Reading) -> None:
    """Check what is true of every reading, and of what it costs."""
    assert_sane(reading)
    assert not [found for found in reading.findings if found.startswith("codec_error")]
    assert reading.billed in ("yes", "no", "possible")
    inside: dict[str, int] = {}
    for segment in reading.segments:
        for unit, count in segment.usage.items():
            inside[unit] = inside.get(unit, 0) + count
    assert all(reading.usage.get(unit, 0) >= count for unit, count in inside.items())
    if reading.surface == "anthropic.messages" and inside:
        assert inside == reading.usage, "everything belongs to a model call"
    cost = priced(reading, AUGUST)
    assert cost.cost_nanos == sum(line.nanos for line in cost.lines)
    assert cost.cost_nanos == sum(cost.columns.values()) >= 0
    billed = {line.unit for line in cost.lines} - {"requests", "provider_adjustment"}
    if reading.billed != "no":
        assert billed == set(reading.usage), "every bucket has a line"
    else:
        assert not billed
    if cost.price_basis == "free":
        assert not reading.usage or reading.billed == "no"


def shown(readings: list[Reading]) -> str:
    """Write readings so that they compare: NaN differs from itself."""
    return repr(readings)


@pytest.mark.parametrize(("surface", "place"), CASES)
def test_any_bent_reply_gives_sane_readings_in_any_chunking(surface: str, place: int) -> None:
    seed = SEEDS[surface][place]

    @QUICK
    @given(
        parts=bent(seed.parts, words(surface)),
        ask=bent(seed.ask or {"model": "m", "messages": []}, words(surface)),
        status=st.sampled_from([200, 200, 200, 429, 500]),
        whole=st.booleans(),
        size=st.integers(1, 90),
    )
    def holds(parts: Any, ask: Any, status: int, whole: bool, size: int) -> None:
        told = seed.exchange(parts, status, ask)
        readings = finished(told, whole=whole)
        for reading in readings:
            assert_holds(reading)
        assert shown(finished(told, size, whole=whole)) == shown(readings)

    holds()


@pytest.mark.parametrize("surface", SEEDS)
def test_any_bytes_give_sane_readings(surface: str) -> None:
    seed = SEEDS[surface][-1]

    @QUICK
    @given(
        ask=st.binary(max_size=60),
        chunks=st.lists(st.binary(max_size=60), max_size=4),
        kind=st.sampled_from(["application/json", "text/event-stream", "", "text/plain",
                              "application/vnd.amazon.eventstream", "application/x-ndjson"]),
    )  # fmt: skip
    def holds(ask: bytes, chunks: list[bytes], kind: str) -> None:
        told = seed.exchange(seed.parts)
        wild = replace(
            told, headers={"content-type": kind}, request=replace(told.request, body=ask)
        )
        reader = reader_for(wild)
        reader.response(200, wild.headers)
        for chunk in chunks:
            reader.feed(chunk)
        for reading in [reader.finish(complete=True), *reader.ready]:
            assert_holds(reading)
        assert reader.finish(complete=True) is not None, "a second end does no harm"

    holds()


def packed(coding: str, body: bytes) -> bytes:
    """Pack a body, or skip where nothing here can."""
    if coding == "gzip":
        return gzip.compress(body, mtime=0)
    if coding == "deflate":
        return zlib.compress(body)
    name = {"br": "brotli", "zstd": "zstandard"}[coding]
    try:
        module = import_module(name)
    except ImportError:
        pytest.skip(f"{name} is not installed")
    compress = module.compress if coding == "br" else module.ZstdCompressor().compress
    result: bytes = compress(body)
    return result


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
def test_no_surface_sees_how_its_body_was_packed(coding: str) -> None:
    for surface, place in CASES:
        seed = SEEDS[surface][place]
        told = seed.exchange(seed.parts)
        body = packed(coding, told.body)
        for size in (1, 7, len(body)):
            decoder = Decoder(coding.upper())
            parts = [decoder.feed(piece) for piece in in_chunks(body, size)]
            parts.append(decoder.flush())
            assert (decoder.supported, decoder.failed) == (True, False)
            unpacked = told.with_body(b"".join(parts))
            assert unpacked.body == told.body
            assert read(told, [part for part in parts if part]) == read(told), surface


@pytest.mark.parametrize(("surface", "place"), CASES)
def test_the_case_of_header_names_changes_nothing(surface: str, place: int) -> None:
    seed: Seed = SEEDS[surface][place]
    told = seed.exchange(seed.parts)
    headers = {
        **told.headers, "x-request-id": "req_1", "x-amzn-bedrock-input-token-count": "5",
        "num_tokens": "7",
    }  # fmt: skip
    told = replace(told, headers=headers)
    for shout in (str.upper, str.title):
        loud = replace(told, headers={shout(name): value for name, value in headers.items()})
        assert finished(loud) == finished(told)


@pytest.mark.parametrize("surface", SESSIONS)
def test_any_bent_socket_gives_sane_readings(surface: str) -> None:
    url, messages = SESSIONS[surface]
    module = next(shape.module for shape in SHAPES if shape.surface == surface)
    vocabulary = tuple(sorted({*words("openai.responses"), *words("google.generate"), module}))

    @QUICK
    @given(
        said=bent(messages * 2, vocabulary),
        sent=st.lists(st.sampled_from([b"{}", b"", b"\xff", b'{"type":"response.create"}']),
                      max_size=3),
        error=st.sampled_from([None, "ConnectionClosedError"]),
    )  # fmt: skip
    def holds(said: Any, sent: list[bytes], error: str | None) -> None:
        session = opened(url)
        for message in sent:
            session.sent(message)
        readings = [r for message in said for r in session.received(json.dumps(message))]
        readings += session.finish(error=error)
        for reading in readings:
            assert_holds(reading)
        assert session.finish() == session.received(b"{}") == []

    holds()


@pytest.mark.parametrize("surface", SESSIONS)
def test_any_bytes_on_a_socket_give_sane_readings(surface: str) -> None:
    @QUICK
    @given(st.lists(st.binary(max_size=40) | st.text(max_size=40), max_size=6))
    def holds(messages: list[bytes | str]) -> None:
        session = opened(SESSIONS[surface][0])
        for message in messages:
            session.sent(message)
            for reading in session.received(message):
                assert_holds(reading)
        for reading in session.finish():
            assert_holds(reading)

    holds()


@QUICK
@given(st.floats() | st.integers())
def test_numbers_that_are_no_counts_never_become_any(count: float) -> None:
    seed = SEEDS["openai.chat"][0]
    chat = copy.deepcopy(seed.parts)
    chat[0]["usage"] = {"prompt_tokens": count, "completion_tokens": 1}
    (reading,) = finished(seed.exchange(chat))
    assert_holds(reading)
    if not math.isfinite(count) or count < 0:
        assert "provider" not in reading.usage_source or not reading.usage.get(units.INPUT)
