"""Server-sent events, incrementally.

Source: WHATWG HTML §9.2.6 (event stream interpretation). Bounded: a long line is held without its
long values, and an event that is longer than `MAX_EVENT_BYTES` even so is dropped and counted, and
reading goes on behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from outlay.wire.long_values import HELD_WHOLE_BYTES, Held

MAX_EVENT_BYTES = 4 * 1024 * 1024

LINES: Final = re.compile(rb"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
"""Finds lines with their ends; the last one found may have none yet."""

_EVENT_END: Final = b"\n\n"
_DATA: Final = b"data: "

BOM: Final = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One dispatched event; `data` joins its data lines with newlines."""

    event: str
    data: bytes


class SseParser:
    """Turns chunks of bytes into events; the chunking does not matter."""

    __slots__ = ("_after_cr", "_data", "_event", "_rest", "_size", "_skipping", "_start", "dropped")

    def __init__(self) -> None:
        self._start: bytes | None = b""
        """The first bytes, until they are no byte order mark."""
        self._rest = Held()
        """The line that has not ended yet."""
        self._after_cr = False
        """The last byte ended a line: an LF next belongs to the same line end."""
        self._data: list[bytes] = []
        self._event = b""
        self._size = 0
        self._skipping = False
        """The event was too large: what is left of it is passed over."""
        self.dropped = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take a chunk and yield the events it completes."""
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(BOM) and BOM.startswith(chunk):
                self._start = chunk
                return
            self._start = None
            chunk = chunk.removeprefix(BOM)
        if not chunk:
            return
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        if not (self._rest or self._data or self._event or self._skipping or b"\r" in chunk):
            # Nearly always: events of one line, and whole.
            *whole, chunk = chunk.split(_EVENT_END)
            for part in whole:
                if part.startswith(_DATA) and b"\n" not in part and len(part) <= HELD_WHOLE_BYTES:
                    yield ServerSentEvent("", part[len(_DATA) :])
                else:
                    yield from self._lines(part + _EVENT_END)
        yield from self._lines(chunk)

    def _lines(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        for piece in LINES.findall(chunk):
            if piece[-1] not in b"\r\n":
                self._hold(piece)
                continue
            line = piece.rstrip(b"\r\n")
            if self._rest or len(line) > HELD_WHOLE_BYTES:
                self._hold(line)
                line = self._rest.take()
            if (event := self._line(line)) is not None:
                yield event

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield an event that ended without its blank line, as lenient clients do."""
        rest = (self._start or b"") + self._rest.take()
        self._start = None
        if rest:
            self._line(rest)
        if (event := self._line(b"")) is not None:
            yield event

    def _hold(self, piece: bytes) -> None:
        if not self._skipping:
            self._rest.add(piece)
            if len(self._rest) + self._size <= MAX_EVENT_BYTES:
                return
            self._overflow()
        # A line that is passed over keeps one byte, so that it is not taken for a blank one.
        self._rest.take()
        self._rest.add(b":")

    def _overflow(self) -> None:
        self.dropped += 1
        self._skipping = True
        self._data, self._event, self._size = [], b"", 0

    def _line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        if line.startswith(b":") or self._skipping:
            return None
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value) + 1  # an empty line is held, too
            if self._size > MAX_EVENT_BYTES:
                self._overflow()
        elif name == b"event":
            self._event = value
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        data, event = self._data, self._event
        self._data, self._event, self._size = [], b"", 0
        self._skipping = False
        if not data:
            return None
        return ServerSentEvent(event.decode("utf-8", "replace"), b"\n".join(data))
