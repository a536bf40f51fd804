"""The tap on the websockets of `aiohttp`: what passes a socket to a known provider is followed.

A socket that is followed gets a subclass of its own class, so the caller keeps its object, its
messages and its exceptions; all other sockets are not touched. A message is looked at once it is
in the caller's hands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any, Final

from outlay.capture.guard import caught
from outlay.capture.runtime import Runtime, active
from outlay.capture.session import Follower
from outlay.capture.taps import socket_limits
from outlay.capture.taps.shared import MARK, is_inside, mark, restore

_CONNECT: Final = "_ws_connect"
_SLOT: Final = "_outlay_follower"
"""The attribute of a followed socket."""
_MESSAGES: Final = ("TEXT", "BINARY")
_ENDS: Final = ("CLOSE", "CLOSING", "CLOSED", "ERROR")


def install(session: Any) -> None:
    """Tap aiohttp's `ClientSession`; a second time does nothing."""
    original = getattr(session, _CONNECT, None)
    if original is not None and not hasattr(original, MARK):
        setattr(session, _CONNECT, _tapped(original))


def remove(session: Any) -> None:
    """Take the tap off again, where nobody wrapped it since."""
    if hasattr(session, _CONNECT):
        restore(session, _CONNECT)


def _tapped(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def connect(*args: Any, **kwargs: Any) -> Any:
        runtime = active()
        if runtime is not None and not is_inside():
            url = _goes_to(args)
            refused = await socket_limits.refuse_async(url, functools.partial(_refusal, url))
            if refused is not None:
                raise refused
        socket = await original(*args, **kwargs)
        runtime = active()
        if runtime is not None and not is_inside():
            _follow(runtime, socket)
        return socket

    return mark(connect)  # type: ignore[no-any-return]


def _goes_to(args: tuple[Any, ...]) -> str | None:
    """Return where a socket is about to go; `None` when that cannot be told."""
    try:
        session, target = args[:2]
        return str(session._build_url(target))  # noqa: SLF001
    except Exception as error:
        caught("tap.aiohttp", error)
        return None


def _refusal(target: str | None, status: int, headers: dict[str, str], body: bytes) -> Exception:
    """Return aiohttp's own error for a handshake that was answered so."""
    import aiohttp
    import multidict
    import yarl

    url = yarl.URL(target or "")
    named = multidict.CIMultiDictProxy(multidict.CIMultiDict(headers))
    asked = aiohttp.RequestInfo(url, "GET", multidict.CIMultiDictProxy(multidict.CIMultiDict()))
    return aiohttp.WSServerHandshakeError(
        asked, (), status=status, message=body.decode(), headers=named
    )


def _follow(runtime: Runtime, socket: Any) -> None:
    try:
        # Where the handshake went, also after a redirect.
        follower = Follower.begin(runtime, str(socket._response.url))  # noqa: SLF001
        if follower is not None:
            socket.__dict__[_SLOT] = follower
            own: Any = type(socket)
            socket.__class__ = _followed(own)
    except Exception as error:
        caught("tap.aiohttp", error)


def _seen(follower: Follower, message: Any) -> None:
    try:
        kind = message.type.name
        if kind in _MESSAGES:
            follower.received(message.data)
        elif kind in _ENDS:
            follower.end(message.data if kind == "ERROR" else None)
    except Exception as error:
        caught("tap.aiohttp", error)


@functools.lru_cache(maxsize=16)
def _followed(own: Hashable) -> Any:
    """Return a subclass whose messages are seen; all ways of a socket come down to these methods.

    It has one base, since no other layout can be given to a socket that is there.
    """
    base: Any = own

    class ClientWebSocketResponse(base):  # type: ignore[misc]
        __slots__ = ()

        async def send_str(self, data: str, *args: Any, **kwargs: Any) -> None:
            self.__dict__[_SLOT].sent(data)
            await super().send_str(data, *args, **kwargs)

        async def send_bytes(self, data: bytes, *args: Any, **kwargs: Any) -> None:
            self.__dict__[_SLOT].sent(data)
            await super().send_bytes(data, *args, **kwargs)

        async def receive(self, *args: Any, **kwargs: Any) -> Any:
            message = await super().receive(*args, **kwargs)
            _seen(self.__dict__[_SLOT], message)
            return message

        async def close(self, *args: Any, **kwargs: Any) -> Any:
            try:
                return await super().close(*args, **kwargs)
            finally:
                self.__dict__[_SLOT].end()

    for name in ("__module__", "__name__", "__qualname__"):
        setattr(ClientWebSocketResponse, name, getattr(base, name))
    return ClientWebSocketResponse
