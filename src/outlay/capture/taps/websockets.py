"""The tap on `websockets`: what passes a client connection to a known provider is followed.

The public methods of the connection classes are wrapped, so it does not matter who connects, nor
how. The caller keeps its own connection object, its messages and its exceptions; a message is
looked at once it is in the caller's hands. One implementation serves the threading, asyncio and
legacy clients, whose modules it never imports.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any, Final

from outlay.capture.guard import caught
from outlay.capture.runtime import active
from outlay.capture.session import Follower
from outlay.capture.taps import socket_limits
from outlay.capture.taps.shared import MARK
from outlay.capture.taps.shared import mark as marked
from outlay.wire.refusals import REASON
from outlay.wire.sessions import MAX_MESSAGE_BYTES

_CONNECTIONS: Final = ("ClientConnection", "WebSocketClientProtocol")
"""The connection's class in the client modules, and in the legacy one."""
_SLOT: Final = "_outlay_follower"
"""The attribute of a followed connection."""


def install(module: ModuleType) -> None:
    """Tap one client module of `websockets`; a second time does nothing."""
    connection = _connection(module)
    wrappers = _THREADING if module.__name__.endswith("sync.client") else _ASYNCIO
    for name, wrap in wrappers.items():
        original = getattr(connection, name, None)
        if original is not None and not hasattr(original, MARK):
            setattr(connection, name, marked(wrap(original)))


def remove(module: ModuleType) -> None:
    """Take the tap off again, where nobody wrapped it since."""
    connection = _connection(module)
    for name in (*_THREADING, *_ASYNCIO):
        tapped = connection.__dict__.get(name)
        if tapped is None or not hasattr(tapped, MARK):
            continue
        delattr(connection, name)
        if getattr(connection, name, None) is not tapped.__wrapped__:
            setattr(connection, name, tapped.__wrapped__)


def _connection(module: ModuleType) -> Any:
    return next(getattr(module, name) for name in _CONNECTIONS if hasattr(module, name))


def _begin(connection: Any) -> None:
    """Follow a connection whose handshake is done."""
    runtime = active()
    if runtime is None:
        return
    try:
        url = _url(connection)
        follower = None if url is None else Follower.begin(runtime, url)
        if follower is not None:
            setattr(connection, _SLOT, follower)
    except Exception as error:
        caught("tap.websockets", error)


def _url(connection: Any) -> str | None:
    """Return where a connection goes to, as its own handshake said."""
    request = getattr(connection, "request", None)
    if request is not None:
        return f"wss://{request.headers['Host']}{request.path}"
    headers = getattr(connection, "request_headers", None)
    return None if headers is None else f"wss://{headers['Host']}{connection.path}"


def _goes_to(connection: Any, args: tuple[Any, ...]) -> str | None:
    """Return where a connection is about to go; `None` when that cannot be told."""
    try:
        uri = connection.protocol.uri if hasattr(connection, "protocol") else args[0]
        return f"wss://{uri.host}:{uri.port}{uri.resource_name}"
    except Exception as error:
        caught("tap.websockets", error)
        return None


def _refusal(status: int, headers: dict[str, str], body: bytes) -> Exception:
    """Return the library's own error for a handshake that was answered so."""
    from websockets.datastructures import Headers
    from websockets.exceptions import InvalidStatus
    from websockets.http11 import Response

    return InvalidStatus(Response(status, REASON, Headers(headers), body))


def _legacy_refusal(status: int, headers: dict[str, str], _body: bytes) -> Exception:
    from websockets.datastructures import Headers
    from websockets.legacy.exceptions import InvalidStatusCode

    return InvalidStatusCode(status, Headers(headers))


def _follower(connection: Any) -> Follower | None:
    found: Follower | None = connection.__dict__.get(_SLOT)
    return found


def _sent(connection: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    follower = _follower(connection)
    if follower is None:
        return
    message = args[0] if args else kwargs.get("message")
    # A message in fragments is an iterator, which only the connection may use up.
    if isinstance(message, str | bytes | bytearray | memoryview):
        follower.sent(message)


def _failed(connection: Any, error: BaseException) -> None:
    """End the session if the error says that the connection is closed."""
    follower = _follower(connection)
    if follower is None:
        return
    names = [cls.__name__ for cls in type(error).__mro__]
    if "ConnectionClosed" in names:
        follower.end(None if "ConnectionClosedOK" in names else error)


class _Pieces:
    """Puts a message together that the caller takes in fragments, up to a message's bound."""

    def __init__(self) -> None:
        self._pieces: list[Any] = []
        self._size = 0

    def add(self, piece: Any) -> None:
        # One piece over the bound is kept: the codec then says that the message was too large.
        if self._size <= MAX_MESSAGE_BYTES:
            self._pieces.append(piece)
            self._size += len(piece)

    def whole(self) -> str | bytes:
        if self._pieces and isinstance(self._pieces[0], str):
            return "".join(self._pieces)
        return b"".join(self._pieces)


# -- threading -----------------------------------------------------------------------------------


def _handshake(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def handshake(self: Any, *args: Any, **kwargs: Any) -> Any:
        refused = socket_limits.refuse(_goes_to(self, args), _refusal)
        if refused is not None:
            raise refused
        result = original(self, *args, **kwargs)
        _begin(self)
        return result

    return handshake


def _send(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        _sent(self, args, kwargs)
        try:
            return original(self, *args, **kwargs)
        except Exception as error:
            _failed(self, error)
            raise

    return send


def _recv(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def recv(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            message = original(self, *args, **kwargs)
        except Exception as error:
            _failed(self, error)
            raise
        if (follower := _follower(self)) is not None:
            follower.received(message)
        return message

    return recv


def _recv_streaming(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def recv_streaming(self: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        if (follower := _follower(self)) is None:
            yield from original(self, *args, **kwargs)
            return
        pieces = _Pieces()
        try:
            for piece in original(self, *args, **kwargs):
                pieces.add(piece)
                yield piece
        except Exception as error:
            _failed(self, error)
            raise
        follower.received(pieces.whole())

    return recv_streaming


def _close(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(self, *args, **kwargs)
        finally:
            if (follower := _follower(self)) is not None:
                follower.end()

    return close


# -- asyncio -------------------------------------------------------------------------------------


def _handshake_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def handshake(self: Any, *args: Any, **kwargs: Any) -> Any:
        make = _refusal if hasattr(self, "protocol") else _legacy_refusal
        refused = await socket_limits.refuse_async(_goes_to(self, args), make)
        if refused is not None:
            raise refused
        result = await original(self, *args, **kwargs)
        _begin(self)
        return result

    return handshake


def _send_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, *args: Any, **kwargs: Any) -> Any:
        _sent(self, args, kwargs)
        try:
            return await original(self, *args, **kwargs)
        except Exception as error:
            _failed(self, error)
            raise

    return send


def _recv_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def recv(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            message = await original(self, *args, **kwargs)
        except Exception as error:
            _failed(self, error)
            raise
        if (follower := _follower(self)) is not None:
            follower.received(message)
        return message

    return recv


def _recv_streaming_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def recv_streaming(self: Any, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        follower, pieces = _follower(self), _Pieces()
        stream = original(self, *args, **kwargs)
        try:
            async for piece in stream:
                if follower is not None:
                    pieces.add(piece)
                yield piece
        except Exception as error:
            _failed(self, error)
            raise
        finally:
            await stream.aclose()
        if follower is not None:
            follower.received(pieces.whole())

    return recv_streaming


def _close_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def close(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await original(self, *args, **kwargs)
        finally:
            if (follower := _follower(self)) is not None:
                follower.end()

    return close


_THREADING: Final = {
    "handshake": _handshake,
    "send": _send,
    "recv": _recv,
    "recv_streaming": _recv_streaming,
    "close": _close,
}
_ASYNCIO: Final = {
    "handshake": _handshake_async,
    "send": _send_async,
    "recv": _recv_async,
    "recv_streaming": _recv_streaming_async,
    "close": _close_async,
}
