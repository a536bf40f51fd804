"""Bodies through the tap on urllib3: every way to read gives what it gives without the tap, and
every end makes one event."""

from __future__ import annotations

import gc
import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import urllib3
from urllib3.util import Timeout

from outlay.capture.testing import capture_events
from tests.guest.bodies import CHAT_BODY, DONE, JSON, PLAIN_CHUNKS, SSE, asked
from tests.guest.replies import Cut, Paused, Provider

SHOWN = b"".join([*PLAIN_CHUNKS, DONE])


@pytest.fixture
def events(provider: Provider) -> Iterator[list[dict[str, Any]]]:
    with capture_events(hosts=provider.hosts) as captured:
        yield captured


READS: dict[str, Callable[[Any], Any]] = {
    "read": lambda r: r.read(),
    "read by 7": lambda r: list(iter(lambda: r.read(7), b"")),
    "read by 7, packed": lambda r: list(iter(lambda: r.read(7, decode_content=False), b"")),
    "read1": lambda r: [r.read(0), r.read1(0), *iter(lambda: r.read1(50), b"")],
    "read -1": lambda r: [r.read(-1), r.read(-1)],
    "stream": lambda r: list(r.stream()),
    "stream, unpacked": lambda r: list(r.stream(16, decode_content=True)),
    "data": lambda r: [r.data, r.data],
    "json": lambda r: r.json(),
    "lines": list,
    "buffered": lambda r: io.BufferedReader(r, 64).read(),
    "text": lambda r: io.TextIOWrapper(r).read(),
    "readinto": lambda r: [r.readinto(bytearray(4096)), r.read()],
}


@pytest.mark.parametrize("packing", ["", "gzip", "deflate"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
@pytest.mark.parametrize("way", READS)
def test_every_way_to_read_gives_the_same_pieces_and_one_event(
    provider: Provider, pool: urllib3.PoolManager, way: str, chunked: bool, packing: str
) -> None:
    provider.packing, provider.chunked = packing, chunked

    def call() -> tuple[Any, bool, type]:
        response: Any = pool.request("POST", provider.url, json=asked(), preload_content=False)
        response.auto_close = way not in ("buffered", "text")
        seen = READS[way](response)
        return seen, response.closed, type(response)

    plain = call()
    with capture_events(hosts=provider.hosts) as events:
        tapped = call()
        gc.collect()
    assert tapped[:2] == plain[:2]
    assert issubclass(tapped[2], plain[2])
    assert repr(tapped[2]) == repr(plain[2])
    assert [(e["status"], e["input"], e["output"]) for e in events] == [("ok", 12, 7)]


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("packing", ["", "gzip"])
def test_a_preloaded_body_is_the_same_and_read(
    provider: Provider, pool: urllib3.PoolManager, packing: str, decode: bool
) -> None:
    provider.packing = packing

    def call() -> bytes:
        return pool.request("POST", provider.url, json=asked(), decode_content=decode).data

    plain = call()
    with capture_events(hosts=provider.hosts) as events:
        assert call() == plain
    assert [(e["status"], e["input"]) for e in events] == [("ok", 12)]


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
@pytest.mark.parametrize(
    "read",
    [
        lambda r: b"".join(r.iter_content(11)),
        lambda r: b"".join(r.iter_content(None)),
        lambda r: b"".join(line + b"\n" for line in r.iter_lines()) + b"\n",
        lambda r: r.content,
        lambda r: r.raw.read(),
        lambda r: r.raw.read(-1),
        lambda r: r.raw.read(0) + r.raw.read1(0) + r.raw.read(),
        lambda r: b"".join(iter(lambda: r.raw.read(9), b"")),
        lambda r: b"".join(iter(lambda: r.raw.read1(9), b"")),
        lambda r: r.raw.data and r.raw.data,
    ],
)
def test_the_usage_chunk_of_a_stream_is_asked_for_and_hidden(
    provider: Provider,
    session: requests.Session,
    events: list[dict[str, Any]],
    read: Callable[[requests.Response], bytes],
    chunked: bool,
) -> None:
    provider.chunked = chunked
    with session.post(provider.url, json=asked(stream=True), stream=True) as response:
        seen = read(response)
    assert seen.rstrip() == SHOWN.rstrip()
    assert provider.sent()[0]["stream_options"] == {"include_usage": True}
    _, _, headers, body = provider.server.requests[0]
    assert int(headers["content-length"]) == len(body)
    assert headers["accept-encoding"] == "identity"
    sent = response.request
    assert sent.body == json.dumps(asked(stream=True)).encode()
    assert sent.headers["accept-encoding"] != "identity"
    (event,) = events
    assert (event["streamed"], event["status"], event["output"]) == (True, "ok", 7)
    assert 0 <= event["ttft_ms"] <= event["latency_ms"]


def test_the_setting_leaves_streams_alone(provider: Provider, session: requests.Session) -> None:
    with (
        capture_events(hosts=provider.hosts, include_usage=False) as events,
        session.post(provider.url, json=asked(stream=True), stream=True) as response,
    ):
        assert response.content == SHOWN
    assert "stream_options" not in provider.sent()[0]
    assert events[0]["usage_source"] == "estimated"


def test_nothing_is_read_ahead_of_the_caller(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]]
) -> None:
    pieces = Paused([*PLAIN_CHUNKS, DONE])
    provider.first = [(200, SSE, pieces)]
    with session.post(provider.url, json=asked(stream=True), stream=True) as response:
        chunks = response.iter_content(None)
        assert next(chunks) == PLAIN_CHUNKS[0]
        pieces.go_on.set()
        assert b"".join(chunks) == b"".join([*PLAIN_CHUNKS[1:], DONE])
    assert [e["status"] for e in events] == ["ok"]


@pytest.mark.parametrize("how", ["close", "leave the loop", "forget"])
def test_a_stream_that_is_left_is_one_aborted_event(
    provider: Provider, session: requests.Session, events: list[dict[str, Any]], how: str
) -> None:
    pieces = Paused([*PLAIN_CHUNKS, DONE])
    provider.first = [(200, SSE, pieces)]
    response = session.post(provider.url, json=asked(stream=True), stream=True)
    if how == "close":
        assert response.raw.read(4) == PLAIN_CHUNKS[0][:4]
        response.close()
        response.close()
    elif how == "leave the loop":
        for _ in response.iter_content(5):
            break
    else:
        assert events == []
    del response
    gc.collect()
    pieces.go_on.set()
    assert [(e["status"], e["billed"]) for e in events] == [("aborted", "possible")]


def _failure(call: Callable[[], Any]) -> tuple[type, str]:
    with pytest.raises(Exception) as caught:
        call()
    return type(caught.value), str(caught.value.args)[:20]


def test_a_connection_that_breaks_raises_the_same_and_is_an_event(
    provider: Provider, session: requests.Session
) -> None:
    def call() -> Any:
        provider.first = [(200, SSE, Cut(PLAIN_CHUNKS[:1]))]
        return session.post(provider.url, json=asked(stream=True)).content

    plain = _failure(call)
    with capture_events(hosts=provider.hosts) as events:
        assert _failure(call) == plain
    assert [(e["status"], e["error_type"]) for e in events] == [("aborted", "ProtocolError")]


def test_a_time_limit_raises_the_same_and_is_an_event(
    provider: Provider, pool: urllib3.PoolManager
) -> None:
    pauses: list[Paused] = []

    def call() -> Any:
        pauses.append(Paused([CHAT_BODY, b""]))
        provider.first = [(200, JSON, pauses[-1])]
        return pool.request("POST", provider.url, json=asked(), timeout=Timeout(read=0.1))

    plain = _failure(call)
    with capture_events(hosts=provider.hosts) as events:
        assert _failure(call) == plain
    for pause in pauses:
        pause.go_on.set()
    assert [(e["status"], e["billed"]) for e in events] == [("timeout", "possible")]
