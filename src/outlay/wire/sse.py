"""Server-sent events, incrementally.

Source: WHATWG HTML §9.2.6 (event stream interpretation). Bounded: an event longer than
`MAX_EVENT_BYTES` is dropped and counted, and reading goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAX_EVENT_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event; `data` joins its data lines with newlines."""

    event: str
    data: bytes


class SseParser:
    """Turns chunks of bytes into events; the chunking does not matter."""

    __slots__ = ("_buffer", "_data", "_event", "_first", "_size", "dropped")

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._event = b""
        self._size = 0
        self._first = True
        self.dropped = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take a chunk and yield the events it completes."""
        data = self._buffer + chunk if self._buffer else chunk
        if self._first and data:
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):
                self._buffer = data
                return
            self._first = False
            data = data.removeprefix(b"\xef\xbb\xbf")
        if b"\r" in data:
            # A lone CR at the end may be half of a CRLF: it waits for the next chunk.
            held = b"\r" if data.endswith(b"\r") else b""
            if held:
                data = data[:-1]
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        *lines, rest = data.split(b"\n")
        for line in lines:
            if (event := self._line(line)) is not None:
                yield event
        if len(rest) + self._size > MAX_EVENT_BYTES:
            self._overflow()
            rest = b""
        self._buffer = rest + held

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield an event that ended without its blank line, as lenient clients do."""
        rest, self._buffer = self._buffer.rstrip(b"\r"), b""
        if rest:
            self._line(rest)
        if (event := self._line(b"")) is not None:
            yield event

    def _overflow(self) -> None:
        self.dropped += 1
        self._data, self._event, self._size = [], b"", 0

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(b":"):
            return None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
            if self._size > MAX_EVENT_BYTES:
                self._overflow()
        elif name == b"event":
            self._event = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], b"", 0
        if not data:
            return None
        return ServerSentEvent(event.decode("utf-8", "replace"), b"\n".join(data))
