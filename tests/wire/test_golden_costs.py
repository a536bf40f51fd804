"""Every recorded payload comes to the dollars worked out by hand, whichever way it is priced."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from outlay.cli.rate import rate_line
from outlay.core.ceiling import ceiling_nanos
from outlay.core.rating import Priced
from outlay.core.units import EVENT_UNITS
from outlay.wire.base import Reading
from tests.unit.enrich.pricing import by_columns, event, table
from tests.wire.bedrock_payloads import cuts
from tests.wire.golden import FIXTURE, GRPC, HTTP, MADE, NOTHING, SOCKETS, UNDATED, Golden
from tests.wire.harness import (
    SAMPLES,
    Exchange,
    assert_sane,
    exchange,
    read,
    require_samples,
    sample,
)
from tests.wire.pricing import NAMES, call, catalogue, priced
from tests.wire.sockets import opened, played, recorded

CALLS = {**HTTP, **MADE}
EVERY = sorted({*CALLS, *SOCKETS, *GRPC})


def load(name: str) -> Exchange:
    """Return a recorded exchange, or the one that a made vector stands for."""
    if name in MADE:
        told = sample("mistral-prompt-cache-0")
        body = json.loads(told.body)
        body["usage"] = {
            "prompt_tokens": 268, "completion_tokens": 5, "total_tokens": 273,
            "prompt_tokens_details": {"cached_tokens": 224},
        }  # fmt: skip
        return told.with_body(json.dumps(body).encode())
    if name.startswith(FIXTURE):
        ask = {"model": "asked", "max_tokens": 64, "stream": True, "messages": []}
        raw = (require_samples() / f"{name}.response.sse").read_bytes()
        return exchange("https://api.anthropic.com/v1/messages", ask, raw)
    return sample(name)


def grpc_reading(name: str, *, chunks: int | None = None) -> Reading:
    """Play a recorded gRPC stream until the client let it go."""
    from google.protobuf import json_format
    from xai_sdk.proto import chat_pb2

    from outlay.wire.xai_grpc import XaiCall

    text = (require_samples() / f"{name}.json").read_text(encoding="utf-8")
    (told,) = json.loads(text)["cassette"]["interactions"]
    asked = chat_pb2.GetCompletionsRequest()
    json_format.ParseDict(told["request_stream"]["json"], asked)
    following = XaiCall("/xai_api.Chat/GetCompletionChunk", asked)
    for line in told["response_stream"]["chunks_json"][:chunks]:
        message = chat_pb2.GetChatCompletionChunk()
        json_format.ParseDict(line["chunk"], message)
        following.take(message)
    reading = following.finish(code="CANCELLED")
    assert reading is not None
    return reading


def results(name: str) -> list[tuple[Reading, Golden]]:
    """Return the readings of a sample of any kind, each with what it must come to."""
    require_samples()
    if name in SOCKETS:
        url, goldens = SOCKETS[name]
        return list(zip(played(url, *recorded(name)), goldens, strict=True))
    if name in GRPC:
        return [(grpc_reading(name), GRPC[name])]
    return [(read(load(name)), CALLS[name])]


def test_every_file_of_the_folder_is_in_a_table() -> None:
    files = {path.name.partition(".")[0] for path in require_samples().iterdir()}
    assert files - {"README"} == (set(EVERY) - set(MADE)) | set(NOTHING)


def test_the_times_are_those_that_the_recordings_state() -> None:
    stamps = {"vertex-flex-stream-0": "2026-03-21T18:11:55"}
    stamps["xai-grpc-stream-cancel"] = "2026-08-12T04:00:52"
    for name, golden in {**HTTP, **GRPC}.items():
        if golden.at == UNDATED:
            continue
        bodies = [path for path in require_samples().glob(f"{name}.*") if "meta" not in path.name]
        said = stamps.get(name, str(golden.at))
        assert said in bodies[0].read_text(encoding="utf-8"), name


@pytest.mark.parametrize("name", EVERY)
def test_a_recorded_call_costs_what_was_worked_out_by_hand(name: str) -> None:
    for reading, golden in results(name):
        assert_sane(reading)
        assert reading.usage == golden.usage
        cost = priced(reading, golden.at)
        lines = [(line.unit, line.quantity, line.nanos) for line in cost.lines]
        rows = [(unit, count) for unit, count, _ in golden.rows]
        expected = [(*row, nanos) for row, nanos in zip(rows, golden.nanos, strict=True)]
        assert sorted(lines) == sorted(expected)
        assert cost.cost_nanos == golden.cost
        assert (cost.price_basis, cost.price_confidence) == (golden.basis, golden.confidence)
        assert cost.flags == golden.flags
        priced_rows = {unit for unit, _, usd in golden.rows if usd is not None}
        assert {line.unit for line in cost.lines if line.basis == "catalogue"} == priced_rows


@pytest.mark.parametrize("name", EVERY)
def test_p33_a_call_is_held_at_its_price_and_without_one_at_a_ceiling(name: str) -> None:
    for reading, golden in results(name):
        held = ceiling_nanos(catalogue(), call(reading, golden.at))
        if golden.basis != "unpriced":
            assert held == golden.cost
            continue
        cost = priced(reading, golden.at)
        assert {line.basis for line in cost.lines} == {"unpriced"}
        assert cost.list_cost_nanos is None
        assert held > 0


@pytest.mark.parametrize("name", sorted(NOTHING))
def test_a_sample_that_costs_nothing_says_why(name: str) -> None:
    billed, reason = NOTHING[name]
    reading = read(sample(name))
    cost = priced(reading, UNDATED)
    assert (reading.usage, reading.billed, cost.lines) == ({}, billed, []), reason
    assert (cost.cost_nanos, cost.price_basis) == (0, "free")
    if billed == "yes":
        assert "usage_zero" in reading.findings


@pytest.mark.parametrize("name", sorted(CALLS))
def test_the_command_line_gives_the_same_cost(name: str) -> None:
    told, golden = load(name), CALLS[name]
    record: dict[str, Any] = {
        "url": told.request.url, "method": told.request.method, "at": golden.at,
        "request": json.loads(told.request.body), "response_headers": dict(told.headers),
        "response_base64": base64.b64encode(told.body).decode(), "status": told.status,
    }  # fmt: skip
    row = rate_line(json.dumps(record), catalogue(), {})
    assert (row["usage"], row["cost_nanos"]) == (golden.usage, golden.cost)
    assert row["price_basis"] == golden.basis


def test_columns_give_the_same_cost() -> None:
    pairs = [pair for name in EVERY for pair in results(name)]
    rows = by_columns(table([event_of(*pair) for pair in pairs]), catalogue())
    assert [row["cost_nanos"] for row in rows] == [golden.cost for _, golden in pairs]
    assert [row["price_basis"] for row in rows] == [golden.basis for _, golden in pairs]


def event_of(reading: Reading, golden: Golden) -> dict[str, Any]:
    """Return the event that a call with this reading leaves."""
    known = {name: getattr(reading, name) for name in NAMES if name != "usage"}
    at = golden.at * 1_000_000
    segments = [{"model": s.model, "usage": s.usage} for s in reading.segments]
    own = {unit: n for unit, n in reading.usage.items() if unit in EVENT_UNITS}
    rest = {unit: n for unit, n in reading.usage.items() if unit not in EVENT_UNITS}
    return event(
        **known, **own, other_units=rest, started_at=at, ended_at=at,
        segments=json.dumps(segments) if segments else None,
    )  # fmt: skip


# -- streams, cut and split ----------------------------------------------------------------------

EVENTS = sorted(n for n in HTTP if (SAMPLES / f"{n}.response.sse").exists())
FRAMES = sorted(n for n in HTTP if (SAMPLES / f"{n}.response.eventstream.bin").exists())


def parts(name: str) -> Iterator[Exchange]:
    """Yield a stream cut after 0, 1, … events, never after the last one."""
    told = load(name)
    if name in FRAMES:
        yield from (part for _, part in cuts(told))
    else:
        for count in range(len(told.events)):
            yield told.with_body(b"".join(told.events[:count]))


@pytest.mark.parametrize("name", [*EVENTS, *FRAMES])
def test_p19_a_stream_cut_after_any_event_is_never_free(name: str) -> None:
    for cut in parts(name):
        reading = read(cut, complete=False)
        assert_sane(reading)
        if "background_unfinished" in reading.findings:
            assert reading.billed == "no", "who sees it done is billed"
            continue
        assert_costs(reading, HTTP[name])


@pytest.mark.parametrize("name", EVENTS)
def test_a_stream_split_at_every_byte_of_every_event_gives_the_same_reading(name: str) -> None:
    """The binary streams are split at every byte in test_bedrock_samples."""
    told = load(name)
    whole = read(told)
    longest = max(map(len, told.events))
    for place in range(1, longest):
        pieces = [p for e in told.events for p in (e[:place], e[place:]) if p]
        assert read(told, pieces) == whole, f"split at byte {place} of each event"


@pytest.mark.parametrize("name", sorted(SOCKETS))
def test_p19_a_socket_cut_after_any_message_is_never_free(name: str) -> None:
    url, goldens = SOCKETS[name]
    messages = recorded(name)
    for count in range(len(messages)):
        session = opened(url)
        readings = [r for m in messages[:count] for r in session.received(json.dumps(m))]
        readings += session.finish(error="ConnectionClosedError")
        assert bool(readings) == bool(count), "work that began is told of"
        for reading in readings:
            assert_sane(reading)
            assert_costs(reading, goldens[-1])


def test_p19_a_grpc_stream_cut_before_any_message_is_never_free() -> None:
    (name,) = GRPC
    reading = grpc_reading(name, chunks=0)
    assert (reading.billed, reading.status) == ("possible", "aborted")
    cost = priced(reading, GRPC[name].at)
    assert (cost.price_basis, cost.flags) == ("unpriced", ("usage_unknown",))
    assert ceiling_nanos(catalogue(), call(reading, GRPC[name].at)) > 0


def assert_costs(reading: Reading, golden: Golden) -> None:
    """Check that generation which may have begun has counts, and a price or a ceiling."""
    assert reading.billed in ("yes", "possible")
    assert reading.usage, "generation had begun"
    cost: Priced = priced(reading, golden.at)
    assert cost.price_basis != "free"
    free_model = golden.stated == "0"
    assert cost.cost_nanos > 0 or cost.price_basis == "unpriced" or free_model
    assert ceiling_nanos(catalogue(), call(reading, golden.at)) > 0 or free_model
