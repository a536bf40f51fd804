"""What of a reply's bytes is metered and what the caller sees, where the two are not the same.

Bytes that come packed are unpacked for the meter; the usage chunk that nobody but us asked for is
taken out; and a stream that limits watch is handed on in whole events, until they end it. It owns
the order of these, and that the caller gets every byte if one of them fails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlay.capture.guard import caught
from outlay.wire.base import Reading
from outlay.wire.encoding import Decoder
from outlay.wire.include_usage import UsageChunkFilter

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.wire.closing import Closing


class Relay:
    """The way of one reply's bytes from the provider to the caller."""

    __slots__ = ("_closing", "_decoder", "_entry", "_filter", "cut")

    def __init__(self, *, encoding: str, hides: bool, kind: str, entry: Entry | None) -> None:
        """Prepare for a body that comes in pieces.

        Args:
            encoding: how the pieces are packed; empty if they are not.
            hides: the provider was asked for a usage chunk that the caller did not ask for.
            kind: the content type.
            entry: the attempt's way past the limits, if they may cut the stream.
        """
        self._decoder = Decoder(encoding) if encoding else None
        self._filter = None
        if hides and not encoding and kind.startswith("text/event-stream"):
            self._filter = UsageChunkFilter()
        self._entry = entry
        # Nothing can be put behind a packed body: it just ends.
        self._closing = None if entry is None or encoding else _closing(entry, kind)
        self.cut = False
        """The stream was ended for the caller: whoever reads it stops, and hangs up."""

    def metered(self, chunk: bytes) -> bytes:
        """Return what a piece of the body is once it is unpacked."""
        return chunk if self._decoder is None else self._decoder.feed(chunk)

    def last_metered(self) -> bytes:
        """Return what unpacking has left over when the body is over."""
        return b"" if self._decoder is None else self._decoder.flush()

    def shown(self, chunk: bytes) -> bytes:
        """Return what the caller sees of a piece, once the meter has seen it."""
        if self._filter is not None:
            try:
                chunk = self._filter.feed(chunk)
            except Exception as error:
                caught("attempt.hide", error)
                held, self._filter = self._filter, None
                chunk = _left(held) + chunk
        return chunk if self._entry is None else self._watched(self._entry, chunk)

    def last_shown(self) -> bytes:
        """Return what the caller has not seen yet when the body is over."""
        if self.cut:
            return b""
        held, self._filter = self._filter, None
        closing, self._closing = self._closing, None
        shown = b"" if held is None else _left(held)
        return shown if closing is None else closing.pass_on(shown) + closing.flush()

    def judge(self, reading: Reading) -> None:
        """Add to a reading what the way of its bytes tells."""
        decoder = self._decoder
        if decoder is not None and (decoder.failed or not decoder.supported):
            reading.find("body_undecoded")
        if self.cut:
            reading.status, reading.finish_reason = "incomplete", "limit"

    def _watched(self, entry: Entry, chunk: bytes) -> bytes:
        """Return whole events, and the end of the stream where limits let it grow no further."""
        if self.cut:
            return b""
        closing = self._closing
        try:
            if closing is not None:
                chunk = closing.pass_on(chunk)
            if entry.grow() or (closing is not None and closing.finished):
                return chunk
            self.cut = entry.cut = True
            return chunk if closing is None else chunk + closing.end(*entry.tokens())
        except Exception as error:
            caught("attempt.relay", error)
            self._entry = self._closing = None
            entry.reader.echo_to(None)
            return chunk if closing is None else chunk + closing.flush()


def _closing(entry: Entry, kind: str) -> Closing | None:
    """Return what ends a stream of this type, where the reply is one."""
    status = entry.reader.reading.http_status
    if status is None or status >= 400:
        return None
    from outlay.wire.closing import closing_of

    made = closing_of(entry.endpoint, entry.reader.request_body, kind)
    if made is not None:
        # Each piece is metered before it is shown, so what it says is known by then.
        entry.reader.echo_to(made.echo)
    return made


def _left(held: UsageChunkFilter) -> bytes:
    try:
        return held.flush()
    except Exception as error:
        caught("attempt.hide", error)
        return b""
