"""What the reader of an `aiohttp` response is while its attempt is followed.

Readers have no room for attributes, so what follows one is found by its id. Two subclasses of the
reader's own class: one looks at bytes as they are handed out, as the caller takes them; the other,
for a stream that limits may cut, stands where bytes come in, since it has to keep some back.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from outlay.capture.attempt import Attempt
from outlay.capture.guard import caught

_CLOSED_BY_CALLER: Final = "ClientConnectionError"
"""The exact class of the error that a reader gets when its response is closed or released."""


def classes(module: ModuleType) -> tuple[Any, Any]:
    """Return the two classes that readers of this `aiohttp` get."""
    reader = module.StreamReader
    same = {"__slots__": (), "__module__": reader.__module__}
    return tuple(type("StreamReader", (own, reader), same) for own in (_Tee, _Gate))  # type: ignore[return-value]


def follow(content: Any, tees: tuple[Any, Any], attempt: Attempt) -> None:
    """Let an attempt see what passes a reader whose response has just begun."""
    cuts = attempt.relays and not content.is_eof()
    _followed[id(content)] = _Follow(attempt)
    content.__class__ = tees[cuts]
    if cuts:
        content.take_again()


class _Follow:
    """The attempt behind one reader."""

    __slots__ = ("attempt", "error")

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.error: BaseException | None = None
        """What ended the last wait for bytes; the caller may still read on."""


_followed: Final[dict[int, _Follow]] = {}
"""By the reader's id, since readers have no room for more: `_Tee` removes it, at the latest as it
is deleted, so no id is ever another reader's."""


class _Tee:
    """A `StreamReader` whose bytes the attempt sees as they are handed out."""

    __slots__ = ()

    def _read_nowait_chunk(self, n: int) -> bytes:
        own: Any = super()
        data: bytes = own._read_nowait_chunk(n)  # noqa: SLF001
        follow = _followed.get(id(self))
        if follow is not None:
            follow.attempt.take(data)
            if own.at_eof():
                _end(self, complete=True)
        return data

    def feed_eof(self) -> None:
        own: Any = super()
        own.feed_eof()
        if own.at_eof():
            _end(self, complete=True)

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        own: Any = super()
        own.set_exception(exc, *args, **kwargs)
        closed = type(exc).__name__ == _CLOSED_BY_CALLER
        _end(self, complete=False, error=None if closed else exc)

    async def _wait(self, *args: Any, **kwargs: Any) -> None:
        own: Any = super()
        follow = _followed.get(id(self))
        try:
            await own._wait(*args, **kwargs)  # noqa: SLF001
        except BaseException as error:
            if follow is not None:
                follow.error = error
            raise
        if follow is not None:
            follow.error = None

    def __del__(self, _remove: Callable[..., _Follow | None] = _followed.pop) -> None:
        # Abandoned without being closed: the last place to hear of it. As the interpreter ends,
        # the names of this module may be gone already.
        follow = _remove(id(self), None)
        if follow is not None:
            follow.attempt.end(complete=False, error=follow.error)


def _end(reader: Any, *, complete: bool, error: BaseException | None = None) -> None:
    follow = _followed.pop(id(reader), None)
    if follow is not None:
        if complete:
            follow.attempt.rest()
        follow.attempt.end(complete=complete, error=error or follow.error)


class _Gate:
    """A `StreamReader` that gets no more than the attempt lets through, and ends where it says."""

    __slots__ = ()

    def take_again(self) -> None:
        """Pass on what came together with the headers."""
        own: Any = self
        waiting = own._buffer  # noqa: SLF001
        data = b"".join(waiting)[own._buffer_offset :]  # noqa: SLF001
        if not data:
            return
        waiting.clear()
        own._buffer_offset = own._size = 0  # noqa: SLF001
        own.total_bytes -= len(data)
        if own._http_chunk_splits:  # noqa: SLF001
            own._http_chunk_splits.clear()  # noqa: SLF001
        self.feed_data(data)

    def feed_data(self, data: bytes, *args: Any, **kwargs: Any) -> Any:
        """Take what comes."""
        own: Any = super()
        follow = _followed.get(id(self))
        if follow is None:
            # After a cut: the connection is closed, and the rest is nobody's.
            return False if own.is_eof() else own.feed_data(data, *args, **kwargs)
        shown = follow.attempt.take(data)
        fed = own.feed_data(shown) if shown else False
        if follow.attempt.cut:
            self._hang_up()
        return fed

    def feed_eof(self) -> None:
        """Take the end."""
        own: Any = super()
        follow = _followed.get(id(self))
        if follow is not None:
            rest = follow.attempt.rest()
            if rest:
                own.feed_data(rest)
        if not own.is_eof():
            own.feed_eof()
        _end(self, complete=True)

    def set_exception(self, exc: BaseException, *args: Any, **kwargs: Any) -> None:
        """Take a failure."""
        own: Any = super()
        follow = _followed.get(id(self))
        if follow is None and own.is_eof() and type(exc).__name__ != _CLOSED_BY_CALLER:
            return  # the connection was closed on purpose
        own.set_exception(exc, *args, **kwargs)
        closed = type(exc).__name__ == _CLOSED_BY_CALLER
        _end(self, complete=False, error=None if closed else exc)

    def _hang_up(self) -> None:
        """End here, and close the connection, on which more would come."""
        own: Any = super()
        _end(self, complete=False)
        protocol = own._protocol  # noqa: SLF001
        try:
            protocol.force_close()
            protocol.close()
        except Exception as error:
            caught("tap.cut", error)
        if not own.is_eof():
            own.feed_eof()

    def __del__(self, _remove: Callable[..., _Follow | None] = _followed.pop) -> None:
        follow = _remove(id(self), None)
        if follow is not None:
            follow.attempt.end(complete=False, error=follow.error)
