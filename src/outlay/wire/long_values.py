"""Empties long JSON strings and long runs of numbers as bytes pass.

Images and audio in base64, and vectors, are then never held, and cost no time to parse. Works on
bare JSON and on the lines of an event stream. It decodes nothing and never raises; what is no JSON
comes out as it went in, except for what follows a lone quote on the same line.
"""

from __future__ import annotations

import re
from typing import Final

MAX_STRING_BYTES: Final = 1024
"""A longer string comes out empty; counts, names and ids are far shorter."""
MAX_NUMBERS_BYTES: Final = 1024
"""A longer run of numbers at the beginning of an array is left out."""
HELD_WHOLE_BYTES: Final = 1024 * 1024
"""`Held` empties nothing before it holds more than this."""

_OPENS: Final = re.compile(rb'["\[]')
_INSIDE: Final = re.compile(rb'(?:[^"\\\r\n]++|\\[^\r\n])*+')
"""What belongs to a string: it ends before its quote, or before a line's end, which it cannot
hold."""
_NUMBERS: Final = re.compile(rb"[-+0-9.eE,\s]*+")


class LongValues:
    """Gives the bytes it takes, with long values emptied; the chunking does not matter."""

    __slots__ = ("_escape", "_held", "_inside", "_long", "_numbers")

    def __init__(self) -> None:
        self._inside = False
        """In a string."""
        self._numbers = False
        """Behind the bracket of an array, where only numbers have come."""
        self._long = False
        self._escape = False
        """The last byte was a backslash: the next one belongs to it."""
        self._held = bytearray()
        """The string or the numbers so far, until they end or are too long."""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk and return what is left of it; the rest of an open value is held back."""
        out = bytearray()
        at = 0
        while at < len(chunk):
            if self._inside:
                at = self._string(chunk, at, out)
            elif self._numbers:
                at = self._array(chunk, at, out)
            else:
                opens = _OPENS.search(chunk, at)
                end = len(chunk) if opens is None else opens.end()
                out += chunk[at:end]
                if opens is not None:
                    self._inside = opens.group() == b'"'
                    self._numbers = not self._inside
                at = end
        return bytes(out)

    def flush(self) -> bytes:
        """Return what is held back of a value that has no end."""
        held = bytes(self._held)
        self._held.clear()
        self._inside = self._numbers = self._long = self._escape = False
        return held

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
        self._hold(chunk[start:at], MAX_STRING_BYTES)
        if at < len(chunk):
            out += self._held
            self._held.clear()
            out.append(chunk[at])
            self._inside = self._long = False
            at += 1
        return at

    def _array(self, chunk: bytes, at: int, out: bytearray) -> int:
        """Take what the chunk has of an array's numbers and return where the chunk goes on."""
        match = _NUMBERS.match(chunk, at)
        end = match.end() if match else at
        self._hold(chunk[at:end], MAX_NUMBERS_BYTES)
        if end < len(chunk):
            out += self._held
            self._held.clear()
            self._numbers = self._long = False
        return end

    def _hold(self, content: bytes, most: int) -> None:
        if self._long:
            return
        self._held += content
        if len(self._held) > most:
            self._held.clear()
            self._long = True


class Held:
    """Holds one JSON text until it is whole; of a large one, only what is not a long value."""

    __slots__ = ("_kept", "_values")

    def __init__(self) -> None:
        self._kept = bytearray()
        self._values: LongValues | None = None
        """What empties the long values of a text that has turned out to be large."""

    def add(self, piece: bytes) -> None:
        """Take a piece of the text."""
        if self._values is None:
            self._kept += piece
            if len(self._kept) <= HELD_WHOLE_BYTES:
                return
            self._values = LongValues()
            piece = bytes(self._kept)
            self._kept = bytearray()
        self._kept += self._values.feed(piece)

    def take(self) -> bytes:
        """Return the text, and hold nothing."""
        if self._values is not None:
            self._kept += self._values.flush()
            self._values = None
        text = bytes(self._kept)
        self._kept.clear()
        return text

    def __len__(self) -> int:
        return len(self._kept)
