"""What takes a stream apart into events, by its content type; imported when first needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from outlay.wire.sse import ServerSentEvent, SseParser


class Splitter(Protocol):
    """Turns the bytes of a stream into events with JSON data; it never raises on any bytes."""

    dropped: int
    """Events that were too large, or damaged, and passed over."""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take a chunk and yield the events it completes."""

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield an event that the stream's end completes."""


def _event_stream() -> Splitter:
    from outlay.wire.eventstream import EventStreamParser

    return EventStreamParser()


def _lines() -> Splitter:
    from outlay.wire.ndjson import NdjsonParser

    return NdjsonParser()


_SPLITTERS: Final[Mapping[str, Callable[[], Splitter]]] = {
    "text/event-stream": SseParser,
    "application/vnd.amazon.eventstream": _event_stream,
    "application/x-ndjson": _lines,
    "application/ndjson": _lines,
    "application/jsonl": _lines,
    "application/x-jsonl": _lines,
}
"""What takes a stream apart, by content type."""


def splitter_of(content_type: str) -> Callable[[], Splitter] | None:
    """Return what makes a splitter for a content type; `None` for what is no stream."""
    return _SPLITTERS.get(content_type.partition(";")[0].strip().lower())
