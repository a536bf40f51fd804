"""AWS event-stream framing (`application/vnd.amazon.eventstream`), incrementally.

Owns the binary framing: lengths, checksums, headers, and what an exception in place of an event
becomes. It knows nothing of models or counts. Source: the format as botocore's `eventstream`
module reads it. Bounded: a message longer than `MAX_MESSAGE_BYTES` is passed over and counted, and
so is a damaged one; when it is the lengths that are damaged no later message can be found, and
reading stops. It never raises on any bytes.
"""

from __future__ import annotations

import json
import struct
import zlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any, Final

from outlay.wire.base import load_json
from outlay.wire.sse import ServerSentEvent

MAX_HEADERS_BYTES: Final = 128 * 1024
MAX_PAYLOAD_BYTES: Final = 24 * 1024 * 1024
"""The format's own bounds: lengths beyond them are damage."""
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""A longer message is passed over."""
MAX_HEADERS: Final = 64
"""More headers in one message are damage."""

_PRELUDE: Final = struct.Struct(">III")
_CRC: Final = struct.Struct(">I")
_LENGTH: Final = struct.Struct(">H")
_LEAST_BYTES: Final = _PRELUDE.size + _CRC.size

_VALUE_BYTES: Final[Mapping[int, int]] = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Bytes of a header's value, by its type; bytes (6) and text (7) state their length."""
_BYTES: Final = 6
_TEXT: Final = 7


class EventStreamParser:
    """Turns chunks of bytes into events; the chunking does not matter.

    An event is named by its `:event-type`. An exception is named by its `:exception-type` (an
    error by its `:error-code`), and its data is `{"type": "error", "error": {"type": name}}`
    instead of its payload: what readers of other streams know an error by, without its text.
    """

    __slots__ = ("_buffer", "_skip", "_stopped", "damaged", "dropped")

    def __init__(self) -> None:
        self._buffer = bytearray()
        """What has come of a message that is not whole yet."""
        self._skip = 0
        """Bytes of a message that are still to be passed over."""
        self._stopped = False
        self.dropped = 0
        self.damaged = 0
        """How many of those that were dropped did not match their checksums."""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take a chunk and yield the events it completes."""
        if self._stopped:
            return
        buffer = self._buffer
        buffer += chunk
        while True:
            if self._skip:
                passed = min(self._skip, len(buffer))
                del buffer[:passed]
                self._skip -= passed
            if len(buffer) < _PRELUDE.size:
                return
            size, headers_size, checksum = _PRELUDE.unpack_from(buffer)
            if zlib.crc32(buffer[:8]) != checksum or not _is_possible(size, headers_size):
                self._damage()
                self._stopped = True
                buffer.clear()
                return
            if size > MAX_MESSAGE_BYTES:
                self.dropped += 1
                self._skip = size
                continue
            if len(buffer) < size:
                return
            message = bytes(buffer[:size])
            del buffer[:size]
            if (event := self._read(message, headers_size)) is not None:
                yield event

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield nothing: a message without its end is no event."""
        self._buffer.clear()
        yield from ()

    def _damage(self) -> None:
        self.dropped += 1
        self.damaged += 1

    def _read(self, message: bytes, headers_size: int) -> ServerSentEvent | None:
        body, (checksum,) = message[: -_CRC.size], _CRC.unpack_from(message, len(message) - 4)
        start = _PRELUDE.size + headers_size
        headers = _headers(body[_PRELUDE.size : start]) if zlib.crc32(body) == checksum else None
        if headers is None:
            self._damage()
            return None
        if headers.get(":message-type", "event") in ("exception", "error"):
            return _error(headers)
        payload = body[start:]
        return ServerSentEvent(headers.get(":event-type", ""), payload) if payload else None


def unwrap_chunk(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the model's own event inside a `chunk` event, or `None` when there is none."""
    wrapped = body.get("bytes")
    if not isinstance(wrapped, str):
        return None
    try:
        inner = load_json(b64decode(wrapped, validate=True))
    except ValueError:
        return None
    return inner if isinstance(inner, dict) else None


def _is_possible(size: int, headers_size: int) -> bool:
    payload = size - headers_size - _LEAST_BYTES
    return headers_size <= MAX_HEADERS_BYTES and 0 <= payload <= MAX_PAYLOAD_BYTES


def _error(headers: Mapping[str, str]) -> ServerSentEvent:
    name = headers.get(":exception-type") or headers.get(":error-code") or "error"
    return ServerSentEvent(name, json.dumps({"type": "error", "error": {"type": name}}).encode())


def _headers(raw: bytes) -> dict[str, str] | None:
    """Return the headers that are text, or `None` when they cannot be read."""
    found: dict[str, str] = {}
    place = 0
    try:
        for _ in range(MAX_HEADERS + 1):
            if place == len(raw):
                return found
            end = place + 1 + raw[place]
            name, kind = raw[place + 1 : end].decode(), raw[end]
            place = end + 1
            if kind in (_BYTES, _TEXT):
                (size,) = _LENGTH.unpack_from(raw, place)
                place += _LENGTH.size
            else:
                size = _VALUE_BYTES[kind]
            value = raw[place : place + size]
            place += size
            if kind == _TEXT:
                found[name] = value.decode()
    except (IndexError, KeyError, ValueError, struct.error):
        return None
    return None
