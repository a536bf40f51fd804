"""What a response of `urllib3` is while its attempt is followed: a subclass of its own class.

Owns what each way to read a response hands out: all that comes, or, where a stream is edited or
cut on its way, what the caller may see of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from outlay.capture.attempt import Attempt

FOLLOW: Final = "_outlay_follow"
"""The attribute of a response with what follows it."""
_STREAM_BYTES: Final = 2**16
"""What `stream` reads at once by itself."""


class Follow:
    """The attempt behind one response; it ends with the response at the latest."""

    __slots__ = ("_encoding", "_kind", "_started", "attempt", "held", "over", "reading")

    def __init__(self, attempt: Attempt, headers: dict[str, str]) -> None:
        self.attempt = attempt
        self._encoding = headers.get("content-encoding", "")
        self._kind = headers.get("content-type", "")
        self._started = False
        self.held = bytearray()
        """What the caller of a `EditingTee` may see, but has not asked for yet."""
        self.over = False
        self.reading = False
        """The library is at work: it tells of an error after it has closed the response."""

    def take(self, data: bytes | None, *, decoded: bool | None) -> bytes:
        """Take what was read and return what the caller sees of it."""
        if not data:
            return b""
        if not self._started:
            self._started = True
            self.attempt.expect("" if decoded else self._encoding, self._kind)
        return self.attempt.take(data)

    def finish(self) -> bytes:
        """End the attempt at the body's end; return what the caller has not seen yet."""
        rest = b"" if self.over else self.attempt.rest()
        self.over = True
        self.attempt.end(complete=True)
        return rest

    def is_cut(self) -> bool:
        """Tell whether the stream was ended for the caller; then the attempt is over, too."""
        if self.attempt.cut:
            self.over = True
            self.attempt.end(complete=False)
        return self.over and self.attempt.cut

    def __del__(self) -> None:
        # Abandoned without being closed: the last place to hear of it.
        self.attempt.end(complete=False)


class Tee:
    """An `HTTPResponse` whose reads the attempt sees.

    All other ways to read it (`stream`, `data`, `json`, `readinto`, iteration) come down to these.
    """

    def read(
        self, amt: int | None = None, decode_content: bool | None = None, *args: Any, **more: Any
    ) -> Any:
        """Read as the class does."""
        own: Any = super()

        def read() -> Any:
            return own.read(amt, decode_content, *args, **more)

        return _see(self, read, amt, decode_content, own.close)

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
        """Read what there is."""
        own: Any = super()
        # Without an amount it gives what there is, which need not be all.
        least = 1 if amt is None else amt
        return _see(self, lambda: own.read1(amt, decode_content), least, decode_content, own.close)

    def read_chunked(
        self, amt: int | None = None, decode_content: bool | None = None
    ) -> Iterator[bytes]:
        """Read chunk by chunk."""
        follow: Follow = vars(self)[FOLLOW]
        own: Any = super()
        source = own.read_chunked(amt, decode_content=decode_content)
        follow.reading = True
        try:
            for chunk in source:
                shown = follow.take(chunk, decoded=decode_content)
                if shown:
                    follow.reading = False
                    yield shown
                    follow.reading = True
                if follow.is_cut():
                    return
            rest = follow.finish() if own.isclosed() else b""
            if rest:
                yield rest
        except GeneratorExit:
            # The library hangs up when its generator is left.
            follow.attempt.end(complete=False)
            raise
        except BaseException as error:
            follow.attempt.end(complete=False, error=error)
            raise
        finally:
            follow.reading = False
            source.close()

    def drain_conn(self) -> None:
        """Read to the end for nobody."""
        own: Any = super()
        own.drain_conn()
        vars(self)[FOLLOW].attempt.end(complete=False)

    def close(self) -> None:
        """Hang up."""
        own: Any = super()
        follow: Follow = vars(self)[FOLLOW]
        try:
            own.close()
        finally:
            if not follow.reading:
                follow.attempt.end(complete=False)


class EditingTee(Tee):
    """A `Tee` that shows other bytes than come: without the usage chunk, or up to a cut."""

    def read(
        self, amt: int | None = None, decode_content: bool | None = None, *args: Any, **more: Any
    ) -> Any:
        """Read as the class does."""

        def first() -> Any:
            return Tee.read(self, amt, decode_content, *args, **more)

        shown = self._fill(first, amt, decode_content)
        if vars(self).get("_body"):
            self._body = shown  # kept for the next look at `data`
        return shown

    def read1(self, amt: int | None = None, decode_content: bool | None = None) -> Any:
        """Read what there is."""

        def first() -> Any:
            return Tee.read1(self, amt, decode_content)

        return self._fill(first, amt, decode_content)

    def stream(
        self, amt: int | None = _STREAM_BYTES, decode_content: bool | None = None
    ) -> Iterator[bytes]:
        """Read piece by piece."""
        own: Any = self
        if own.chunked and own.supports_chunked_reads():
            yield from self.read_chunked(amt, decode_content)
            return
        follow: Follow = vars(self)[FOLLOW]
        while follow.held or not follow.over:
            if data := self.read(amt, decode_content):
                yield data

    def _fill(
        self, first: Callable[[], bytes | None], amt: int | None, decode_content: bool | None
    ) -> bytes:
        """Read on until there is something to show, since nothing would mean the end."""
        follow: Follow = vars(self)[FOLLOW]
        held = follow.held
        if not held or not amt:
            held += first() or b""
        while amt != 0 and not held and not follow.over:
            # The end of an event may be here already where as much as was asked for is not.
            held += Tee.read1(self, amt, decode_content) or b""
        if amt is not None and amt < 0:
            amt = None  # to the library both mean all
        shown = bytes(held[:amt])
        del held[:amt]
        return shown


def _see(
    response: Any,
    read: Callable[[], bytes | None],
    amt: int | None,
    decode: bool | None,
    hang_up: Callable[[], None],
) -> bytes | None:
    """Read as the response's own class does, and let the attempt see it."""
    follow: Follow = vars(response)[FOLLOW]
    if follow.attempt.cut:
        return b""
    decoded = response.decode_content if decode is None else decode
    try:
        data = read()
    except BaseException as error:
        follow.attempt.end(complete=False, error=error)
        raise
    shown = follow.take(data, decoded=decoded)
    if follow.is_cut():
        hang_up()
        return shown
    if amt is None or (not data and amt != 0) or _is_over(response):
        rest = follow.finish()
        return shown + rest if rest else shown
    return shown


def _is_over(response: Any) -> bool:
    """Tell whether the body is read and nothing of it waits in the response."""
    if not response.isclosed() or len(getattr(response, "_decoded_buffer", ())):
        return False
    return not getattr(getattr(response, "_decoder", None), "has_unconsumed_tail", False)
