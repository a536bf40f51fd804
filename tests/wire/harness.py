"""Helpers to run wire samples and own fixtures through readers, in any chunking.

Samples are real provider payloads in `shared/data/wire-samples` beside the repository; a test that
needs one is skipped, saying so, where that folder is absent. Fixtures are ours, in
`tests/wire/fixtures`, in the same form: `NAME.meta.json` and `NAME.response.{json,sse}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from outlay.wire.base import Reader, Reading, Request
from outlay.wire.registry import open_reader

FIXTURES = Path(__file__).resolve().parent / "fixtures"
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "data" / "wire-samples"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One recorded attempt: what was asked, and the reply."""

    request: Request
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hosts: Mapping[str, str] | None = None

    @property
    def request_json(self) -> dict[str, Any]:
        value = json.loads(self.request.body)
        assert isinstance(value, dict)
        return value

    def with_request(self, **changes: Any) -> Exchange:
        """Return it with other top-level fields in the request body; `None` removes one."""
        body = {**self.request_json, **changes}
        raw = to_bytes({key: value for key, value in body.items() if value is not None})
        return replace(self, request=replace(self.request, body=raw))

    def with_url(self, url: str) -> Exchange:
        return replace(self, request=replace(self.request, url=url))

    def with_body(self, body: bytes) -> Exchange:
        return replace(self, body=body)

    @property
    def events(self) -> list[bytes]:
        """The stream's blocks, each with its blank line."""
        return [block + b"\n\n" for block in self.body.split(b"\n\n") if block.strip()]


def to_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def exchange(
    url: str,
    request: Mapping[str, Any] | None,
    reply: Mapping[str, Any] | list[Any] | bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    hosts: Mapping[str, str] | None = None,
) -> Exchange:
    """Make an exchange by hand; `reply` as bytes is an SSE body, anything else JSON."""
    streamed = isinstance(reply, bytes)
    kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
    return Exchange(
        request=Request(
            method,
            url,
            {"content-type": "application/json"},
            b"" if request is None else to_bytes(request),
        ),
        status=status,
        headers={"content-type": kind, **(headers or {})},
        body=reply if isinstance(reply, bytes) else to_bytes(reply),
        hosts=hosts,
    )


def sse(*events: Mapping[str, Any] | bytes | str, names: bool = False) -> bytes:
    """Write events as an SSE body; with `names`, each event is named by its `type`."""
    blocks = []
    for event in events:
        if isinstance(event, Mapping):
            head = f"event: {event['type']}\n".encode() if names else b""
            blocks.append(head + b"data: " + to_bytes(event) + b"\n\n")
        else:
            data = event.encode() if isinstance(event, str) else event
            blocks.append(b"data: " + data + b"\n\n")
    return b"".join(blocks)


def _load(folder: Path, name: str) -> Exchange:
    meta = json.loads((folder / f"{name}.meta.json").read_text(encoding="utf-8"))
    asked, got = meta["request"], meta["response"]
    body = asked.get("body")
    return Exchange(
        request=Request(
            asked["method"],
            asked["url"],
            _headers(asked["headers"]),
            b"" if body is None else to_bytes(body),
        ),
        status=got["status"],
        headers=_headers(got["headers"]),
        body=(folder / got["body_file"]).read_bytes(),
    )


def _headers(headers: Mapping[str, str | list[str]]) -> dict[str, str]:
    return {
        name.lower(): ", ".join(value) if isinstance(value, list) else value
        for name, value in headers.items()
    }


def require_samples() -> Path:
    """Return the folder of samples, or skip the test."""
    if not SAMPLES.is_dir():
        pytest.skip("shared/data/wire-samples is not beside the repository")
    return SAMPLES


def sample(name: str) -> Exchange:
    """Load a provider sample by name, without suffix; skip where the folder is absent."""
    return _load(require_samples(), name)


def sample_body(file_name: str) -> bytes:
    """Load a bare body (one without a meta file), e.g. an SDK's SSE fixture."""
    return (require_samples() / file_name).read_bytes()


def fixture(name: str) -> Exchange:
    """Load one of our own fixtures."""
    return _load(FIXTURES, name)


def reader_for(exchange: Exchange) -> Reader:
    """Open a reader through the registry; the provider must be known."""
    reader = open_reader(exchange.request, hosts=exchange.hosts)
    assert reader is not None, f"no provider for {exchange.request.url}"
    return reader


def read(
    exchange: Exchange,
    chunks: Iterable[bytes] | None = None,
    *,
    complete: bool = True,
    error: str | None = None,
) -> Reading:
    """Feed the reply (whole, unless chunks are given) and return the reading."""
    reader = reader_for(exchange)
    reader.response(exchange.status, exchange.headers)
    for chunk in [exchange.body] if chunks is None else chunks:
        reader.feed(chunk)
    return reader.finish(complete=complete, error=error)


def byte_by_byte(body: bytes) -> Iterator[bytes]:
    return (body[i : i + 1] for i in range(len(body)))


def in_chunks(body: bytes, size: int) -> Iterator[bytes]:
    return (body[i : i + size] for i in range(0, len(body), size))


def split_at(body: bytes, place: int) -> list[bytes]:
    return [body[:place], body[place:]]


def two_part_splits(body: bytes, *, most: int = 400) -> Iterator[list[bytes]]:
    """Yield two-part splits: at every byte, or evenly spread so that there are at most `most`."""
    step = max(1, len(body) // most)
    return (split_at(body, place) for place in range(0, len(body) + 1, step))


def cut_after_events(exchange: Exchange) -> Iterator[tuple[int, Reading]]:
    """Yield the reading of the stream cut after 0, 1, … events (never after the last one)."""
    events = exchange.events
    for count in range(len(events)):
        yield count, read(exchange, [b"".join(events[:count])], complete=False)


def assert_sane(reading: Reading) -> None:
    """Check what holds for every reading, whatever came over the wire."""
    assert all(type(n) is int for n in reading.usage.values()), reading.usage
    assert all(n > 0 for n in reading.usage.values()), reading.usage
    assert len(reading.findings) <= 64
    for segment in reading.segments:
        assert all(type(n) is int for n in segment.usage.values())
        assert all(n >= 0 for n in segment.usage.values())


def assert_same_in_any_chunking(exchange: Exchange, *, most: int = 400) -> Reading:
    """Check that every chunking gives the same reading, and return it."""
    whole = read(exchange)
    assert_sane(whole)
    assert read(exchange, byte_by_byte(exchange.body)) == whole
    for chunks in two_part_splits(exchange.body, most=most):
        assert read(exchange, chunks) == whole, f"split at byte {len(chunks[0])}"
    return whole
