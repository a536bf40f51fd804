"""JSON lines, incrementally: one JSON text a line, as Ollama streams and batch results come.

Bounded: a long line is held without its long values, and one that is longer than `max_line_bytes`
even so is dropped and counted, and reading goes on behind it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from outlay.wire.long_values import Held
from outlay.wire.sse import ServerSentEvent

MAX_LINE_BYTES: Final = 4 * 1024 * 1024


class NdjsonParser:
    """Turns chunks of bytes into lines that are not blank; the chunking does not matter."""

    __slots__ = ("_max", "_rest", "_skipping", "dropped")

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._rest = Held()
        """The line that has not ended yet."""
        self._skipping = False
        """The line is too long: what is left of it is passed over."""
        self.dropped = 0

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take a chunk and yield the lines it completes."""
        *whole, rest = chunk.split(b"\n")
        for piece in whole:
            self._hold(piece)
            yield from self.close()
        self._hold(rest)

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield a last line that ended without its line feed."""
        line = self._rest.take().strip()
        skipped, self._skipping = self._skipping, False
        if line and not skipped:
            yield ServerSentEvent("", line)

    def _hold(self, piece: bytes) -> None:
        if self._skipping:
            return
        self._rest.add(piece)
        if len(self._rest) > self._max:
            self.dropped += 1
            self._skipping = True
            self._rest.take()
