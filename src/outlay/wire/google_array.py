"""A JSON array that arrives in pieces, as Google streams replies without `alt=sse`.

Yields each object of the outermost array as soon as it is whole, as the server-sent events parser
yields events, so one reader follows both. Bounded: a long object is held without its long values,
and one that is longer than `MAX_EVENT_BYTES` even so is dropped and counted, and reading goes on
behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from outlay.wire.long_values import Held
from outlay.wire.sse import MAX_EVENT_BYTES, ServerSentEvent, SseParser

_STRUCTURE = re.compile(rb'[{}"]')
_IN_STRING = re.compile(rb'["\\]')


class JsonArrayParser(SseParser):
    """Turns chunks of bytes into the array's objects; the chunking does not matter.

    Brackets and commas between objects are not checked: a bare object and newline-delimited
    objects read the same way, and whatever is no object is passed over.
    """

    __slots__ = ("_depth", "_escaped", "_item", "_oversize", "_quoted")

    def __init__(self) -> None:
        super().__init__()
        self._item = Held()
        self._depth = 0
        self._quoted = False
        self._escaped = False
        self._oversize = False

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Take a chunk and yield the objects it completes."""
        place = 0
        while place < len(chunk):
            if self._depth == 0:
                place = chunk.find(b"{", place)
                if place < 0:
                    return
            end = self._next(chunk, place)
            self._keep(chunk[place:end])
            place = end
            if self._depth == 0 and (event := self._take_item()) is not None:
                yield event

    def close(self) -> Iterator[ServerSentEvent]:
        """Yield nothing: an object that did not end is no event."""
        self._item.take()
        self.dropped += self._oversize
        self._oversize = False
        yield from ()

    def _next(self, chunk: bytes, place: int) -> int:
        """Walk from `place` to the end of the outermost object or of the chunk."""
        while place < len(chunk):
            if self._escaped:
                self._escaped = False
                place += 1
                continue
            match = (_IN_STRING if self._quoted else _STRUCTURE).search(chunk, place)
            if match is None:
                return len(chunk)
            place = match.end()
            sign = match.group()
            if sign == b'"':
                self._quoted = not self._quoted
            elif sign == b"\\":
                self._escaped = True
            elif sign == b"{":
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth == 0:
                    return place
        return place

    def _keep(self, part: bytes) -> None:
        if self._oversize:
            return
        self._item.add(part)
        if len(self._item) > MAX_EVENT_BYTES:
            self._oversize = True
            self._item.take()

    def _take_item(self) -> ServerSentEvent | None:
        data = self._item.take()
        if self._oversize:
            self._oversize = False
            self.dropped += 1
            return None
        return ServerSentEvent("", data)
