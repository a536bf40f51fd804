"""Empties long JSON strings as bytes pass, so that images and audio in base64 are never held.

Works on bare JSON and on the lines of an event stream. It decodes nothing and never raises; what
is no JSON comes out as it went in, except for what follows a lone quote on the same line.
"""

from __future__ import annotations

import re
from typing import Final

MAX_STRING_BYTES: Final = 1024
"""A longer string comes out empty; counts, names and ids are far shorter."""

_INSIDE: Final = re.compile(rb'(?:[^"\\\r\n]++|\\[^\r\n])*+')
"""What belongs to a string: it ends before its quote, or before a line's end, which it cannot
hold."""


class LongStrings:
    """Gives the bytes it takes, with long strings emptied; the chunking does not matter."""

    __slots__ = ("_escape", "_held", "_inside", "_long")

    def __init__(self) -> None:
        self._inside = False
        self._long = False
        self._escape = False
        """The last byte was a backslash: the next one belongs to it."""
        self._held = bytearray()
        """The string so far, until it ends or is too long."""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk and return what is left of it; the rest of an open string is held back."""
        if not self._inside and b'"' not in chunk:
            return chunk
        out = bytearray()
        at = 0
        while at < len(chunk):
            if self._inside:
                at = self._string(chunk, at, out)
                continue
            quote = chunk.find(b'"', at)
            end = len(chunk) if quote < 0 else quote + 1
            out += chunk[at:end]
            self._inside = quote >= 0
            at = end
        return bytes(out)

    def _string(self, chunk: bytes, at: int, out: bytearray) -> int:
        """Take what the chunk has of a string and return where the chunk goes on."""
        start = at
        if self._escape and chunk[at] not in b"\r\n":
            at += 1
        self._escape = False
        match = _INSIDE.match(chunk, at)
        at = match.end() if match else at
        if chunk[at : at + 1] == b"\\":
            # Its other half is in the next chunk, or it is followed by a line's end.
            at += 1
            self._escape = at == len(chunk)
        self._hold(chunk[start:at])
        if at < len(chunk):
            out += self._held
            self._held.clear()
            out.append(chunk[at])
            self._inside = self._long = False
            at += 1
        return at

    def _hold(self, content: bytes) -> None:
        if self._long:
            return
        self._held += content
        if len(self._held) > MAX_STRING_BYTES:
            self._held.clear()
            self._long = True
