"""Cuts the bytes of a stream into whole events and leaves every byte as it came.

What readers use (`sse`, `ndjson`, `eventstream`, `google_array`) gives the meaning of events; this
gives their places, for whoever relays a stream and may end it between two of them. Bounded: what is
longer than `MAX_HELD_BYTES` without an end passes through, and then nothing is known of the rest.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, Protocol

from outlay.wire.base import load_json
from outlay.wire.long_values import HELD_WHOLE_BYTES
from outlay.wire.sse import SseParser

MAX_HELD_BYTES: Final = 4 * 1024 * 1024
"""Of an event that is not whole yet."""
MAX_ECHO: Final = 4096
"""Events of one piece that are parsed only once."""

_BLANK_LINE: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_LONGEST_END: Final = 4
_SIZES: Final = struct.Struct(">II")
_CRC: Final = struct.Struct(">I")
_LEAST_BYTES: Final = 16
"""Of a message: two sizes and two checksums."""
_TEXT: Final = b"\x07"
_STRUCTURE: Final = re.compile(rb'[{}"]')
_IN_STRING: Final = re.compile(rb'["\\]')

Echo = deque[tuple[bytes, Any]]
"""The JSON texts of a stream's events and what they say, in order; nobody may change these."""


class Frames(Protocol):
    """How one kind of stream is cut into events."""

    lost: bool
    """An event was too long: from there on everything passes, and nothing can be added."""

    echo: Echo | None
    """What a reader of the same stream has parsed of the latest piece; `None`: of no use here."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk and return the events that it completes, each with its own bytes."""

    def flush(self) -> bytes:
        """Return what is held of an event that did not end."""

    def read(self, event: bytes) -> tuple[str, Any]:
        """Return an event's name and JSON; no JSON is `None`, OpenAI's last word is `[DONE]`."""

    def write(self, name: str, body: Any) -> bytes:
        """Return the bytes of an event; without a body, those of the stream's last word."""


class _Held:
    """The bytes of an event that is not whole yet."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self.lost = False
        self.echo: Echo | None = None

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take a chunk and return the events that it completes, each with its own bytes."""
        if self.lost:
            return [chunk] if chunk else []
        rest = self._rest
        seen = len(rest)
        rest += chunk
        made = []
        start = 0
        for end in self._ends(rest, seen):
            made.append(bytes(rest[start:end]))
            start = end
        del rest[:start]
        if len(rest) > MAX_HELD_BYTES:
            self.lost = True
        if self.lost and rest:
            made.append(self.flush())
        return made

    def flush(self) -> bytes:
        """Return what is held of an event that did not end."""
        rest, self._rest = bytes(self._rest), bytearray()
        return rest

    def _ends(self, data: bytearray, seen: int) -> Iterator[int]:
        """Yield where events end; up to `seen` no end was found before."""
        raise NotImplementedError


class SseFrames(_Held):
    """Server-sent events; `named` says whether events of our own carry their names."""

    def __init__(self, *, named: bool = False) -> None:
        super().__init__()
        self._named = named
        self.echo = deque(maxlen=MAX_ECHO)

    def _ends(self, data: bytearray, seen: int) -> Iterator[int]:
        for found in _BLANK_LINE.finditer(data, max(0, seen - _LONGEST_END + 1)):
            yield found.end()

    def read(self, event: bytes) -> tuple[str, Any]:
        """Return an event's name and JSON, or `[DONE]`; a comment has neither."""
        end = len(event) - 2
        one_line = event.startswith(b"data: ") and event.find(b"\n", 6) == end
        if one_line and end <= HELD_WHOLE_BYTES and b"\r" not in event:
            name, data = "", event[6:end]
        else:
            parser = SseParser()
            found = next(chain(parser.feed(event), parser.close()), None)
            if found is None:
                return "", None
            name, data = found
        if data.strip() == b"[DONE]":
            return "", "[DONE]"
        return name, self._json(data)

    def _json(self, data: bytes) -> Any:
        """Return what a text says, from who has parsed it if he has."""
        echo = self.echo
        while echo:
            text, body = echo.popleft()
            if text == data:  # else the reader saw an event that is not relayed
                return body
        return load_json(data)

    def write(self, name: str, body: Any) -> bytes:
        """Return the bytes of an event, or of `[DONE]`."""
        if body is None:
            return b"data: [DONE]\n\n"
        head = b"event: %s\n" % name.encode() if self._named else b""
        return b"%sdata: %s\n\n" % (head, dumped(body))


class LineFrames(_Held):
    """JSON lines."""

    def _ends(self, data: bytearray, seen: int) -> Iterator[int]:
        place = data.find(b"\n", seen) + 1
        while place:
            yield place
            place = data.find(b"\n", place) + 1

    def read(self, event: bytes) -> tuple[str, Any]:
        """Return a line's JSON."""
        return "", load_json(event.strip())

    def write(self, name: str, body: Any) -> bytes:  # noqa: ARG002 - lines have no names
        """Return the bytes of a line; there is no last word."""
        return b"" if body is None else dumped(body) + b"\n"


class ArrayFrames(_Held):
    """The objects of one JSON array; an event begins with what stands between two of them."""

    def __init__(self) -> None:
        super().__init__()
        self._any = False
        self._depth = 0
        self._quoted = False
        self._escaped = False

    def _ends(self, data: bytearray, seen: int) -> Iterator[int]:
        place = seen + self._escaped
        self._escaped = False
        while (
            found := (_IN_STRING if self._quoted else _STRUCTURE).search(data, place)
        ) is not None:
            place = found.end()
            sign = found.group()
            if sign == b"\\":
                self._escaped = place == len(data)
                place += 1
            elif sign == b'"':
                self._quoted = not self._quoted
            else:
                self._depth += 1 if sign == b"{" else -1
                if self._depth == 0:
                    self._any = True
                    yield place

    def read(self, event: bytes) -> tuple[str, Any]:
        """Return an object."""
        return "", load_json(event.lstrip(b"[, \t\r\n"))

    def write(self, name: str, body: Any) -> bytes:  # noqa: ARG002 - objects have no names
        """Return the bytes of an object, or of the array's end."""
        if body is None:
            return b"]" if self._any else b"[]"
        before, self._any = (b",\r\n" if self._any else b"["), True
        return before + dumped(body)


class MessageFrames(_Held):
    """AWS event streams. With `wrapped`, events are in the `chunk` messages of `InvokeModel`."""

    def __init__(self, *, wrapped: bool = False) -> None:
        super().__init__()
        self._wrapped = wrapped

    def _ends(self, data: bytearray, seen: int) -> Iterator[int]:  # noqa: ARG002 - sizes tell
        place = 0
        while len(data) - place >= _SIZES.size + _CRC.size:
            size, _ = _SIZES.unpack_from(data, place)
            if size < _LEAST_BYTES:  # damage: no later message can be found
                self.lost = True
                yield len(data)
                return
            if len(data) - place < size:
                return
            place += size
            yield place

    def read(self, event: bytes) -> tuple[str, Any]:
        """Return a message's event type and JSON."""
        from outlay.wire.eventstream import EventStreamParser, unwrap_chunk

        for found in EventStreamParser().feed(event):
            body = load_json(found.data)
            if self._wrapped and found.event == "chunk" and isinstance(body, dict):
                return "", unwrap_chunk(body)
            return found.event, body
        return "", None

    def write(self, name: str, body: Any) -> bytes:
        """Return the bytes of a message; there is no last word."""
        if body is None:
            return b""
        payload = dumped(body)
        if self._wrapped:
            from base64 import b64encode

            name, payload = "chunk", dumped({"bytes": b64encode(payload).decode()})
        headers = b"".join(
            _text(key) + _TEXT + struct.pack(">H", len(value)) + value.encode()
            for key, value in (
                (":event-type", name),
                (":content-type", "application/json"),
                (":message-type", "event"),
            )
        )
        sizes = _SIZES.pack(len(headers) + len(payload) + _LEAST_BYTES, len(headers))
        message = sizes + _CRC.pack(zlib.crc32(sizes)) + headers + payload
        return message + _CRC.pack(zlib.crc32(message))


def dumped(body: Any) -> bytes:
    """Return a body as compact JSON."""
    return json.dumps(body, separators=(",", ":")).encode()


def _text(name: str) -> bytes:
    return bytes((len(name),)) + name.encode()
