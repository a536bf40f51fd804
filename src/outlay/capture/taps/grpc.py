"""The tap on `grpc`: calls of xAI's own API are followed, all other traffic is not touched.

The channels' methods that make a callable of a method's path are wrapped. Of a paid method they
give a callable of the same public kind that opens a real one for each call, with a deserializer
that shows each reply message to the meter; the caller gets the real call, the same messages and
the same exceptions. Interceptors of the caller stay outside, so a retry of theirs is an attempt.
"""

from __future__ import annotations

import functools
import importlib
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, Final

from outlay.capture.attempt_facts import error_class
from outlay.capture.guard import caught
from outlay.capture.runtime import active
from outlay.capture.scope import working_scope
from outlay.capture.taps import grpc_entering
from outlay.capture.taps.grpc_following import Following
from outlay.capture.taps.shared import MARK, restore
from outlay.capture.taps.shared import mark as marked
from outlay.wire.xai_grpc import XaiCall, is_paid

_KINDS: Final = ("unary_unary", "unary_stream")
"""Every paid method takes one request."""
_DESERIALIZER: Final = "response_deserializer"


def install(module: ModuleType) -> None:
    """Tap the channels of `grpc` and of `grpc.aio`; a second time does nothing."""
    for channel, kinds in _channels(module):
        for name in _KINDS:
            original = getattr(channel, name)
            if not hasattr(original, MARK):
                setattr(channel, name, marked(_tapped(original, kinds[name])))


def remove(module: ModuleType) -> None:
    """Take the tap off again, where nobody wrapped it since."""
    for channel, _ in _channels(module):
        for name in _KINDS:
            restore(channel, name)


def _channels(module: ModuleType) -> list[tuple[Any, dict[str, type]]]:
    """Return the classes of real channels, and the callables that a tapped method gives."""
    made = []
    for owner, own in ((module, _SYNC), (module.aio, _AIO)):
        channel = importlib.import_module(f"{owner.__name__}._channel").Channel
        publics = (owner.UnaryUnaryMultiCallable, owner.UnaryStreamMultiCallable)
        kinds = {
            name: type(f"Outlay{public.__name__}", (own[name], public), {})
            for name, public in zip(_KINDS, publics, strict=True)
        }
        made.append((channel, kinds))
    return made


def _tapped(original: Callable[..., Any], kind: type) -> Callable[..., Any]:
    @functools.wraps(original)
    def multi_callable(self: Any, method: Any, *args: Any, **kwargs: Any) -> Any:
        made = original(self, method, *args, **kwargs)
        if not isinstance(method, str) or not is_paid(method):
            return made
        return kind(made, functools.partial(original, self, method), method, args, kwargs)

    return multi_callable


class _Callable:
    """Makes a real callable for each call, whose replies are looked at."""

    def __init__(
        self,
        made: Any,
        original: Callable[..., Any],
        method: str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> None:
        self._made = made
        self._original = original
        self._method = method
        self._args = args
        self._kwargs = kwargs

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_made"], name)

    def _open(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Following | None]:
        """Return the callable for one call, and what follows it, if anything does."""
        runtime = active()
        if runtime is None:
            return self._made, None
        following = None
        try:
            request = args[0] if args else kwargs.get("request")
            given, named = list(self._args), dict(self._kwargs)
            own = given[1] if len(given) > 1 else named.get(_DESERIALIZER)
            runtime.wake()
            call = XaiCall(self._method, request)
            following = Following(runtime, call, working_scope(), own)
            following.entry = grpc_entering.entry_of(
                runtime, following.scope, call, self._method, request
            )
            if len(given) > 1:
                given[1] = following.deserialize
            else:
                named[_DESERIALIZER] = following.deserialize
            return self._original(*given, **named), following
        except Exception as error:
            caught("grpc.begin", error)
            return self._made, None


class _UnaryUnary(_Callable):
    """A callable of `grpc`: it blocks, or gives a future."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        real, following = self._open(args, kwargs)
        return _run(real, following, args, kwargs)

    def with_call(self, *args: Any, **kwargs: Any) -> Any:
        """Call and give the message together with the call."""
        real, following = self._open(args, kwargs)
        return _run(real.with_call, following, args, kwargs)

    def future(self, *args: Any, **kwargs: Any) -> Any:
        """Call without waiting."""
        real, following = self._open(args, kwargs)
        return _until_over(real.future, following, args, kwargs)


class _UnaryStream(_Callable):
    """A callable of `grpc` whose call is an iterator of messages."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        real, following = self._open(args, kwargs)
        return _until_over(real, following, args, kwargs)


class _AioUnaryUnary(_Callable):
    """A callable of `grpc.aio` whose call is awaited."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        real, following = self._open(args, kwargs)
        if following is not None:
            following.last = True
        return _until_done(real, following, args, kwargs)


class _AioUnaryStream(_Callable):
    """A callable of `grpc.aio` whose call is an asynchronous iterator of messages."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        real, following = self._open(args, kwargs)
        return _until_done(real, following, args, kwargs)


_SYNC: Final = {"unary_unary": _UnaryUnary, "unary_stream": _UnaryStream}
_AIO: Final = {"unary_unary": _AioUnaryUnary, "unary_stream": _AioUnaryStream}


def _run(
    start: Callable[..., Any],
    following: Following | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Make a call that blocks, and end what follows it."""
    if following is not None:
        following.enter()
    result = _start(start, following, args, kwargs)
    if following is not None:
        following.end("OK")
    return result


def _start(
    start: Callable[..., Any],
    following: Following | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    try:
        return start(*args, **kwargs)
    except BaseException as error:
        if following is not None:
            code = getattr(error, "code", None)
            following.end(code().name if callable(code) else error_class(error))
        raise


def _until_over(
    start: Callable[..., Any],
    following: Following | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Start a call of `grpc`; what follows it ends when it is over."""
    if following is not None:
        following.enter()
    call = _start(start, following, args, kwargs)
    if following is None:
        return call
    # A call that nobody holds cancels itself: nothing here may hold it.
    held = weakref.ref(call)

    def over() -> None:
        left = held()
        following.end("CANCELLED" if left is None else left.code().name)

    try:
        if not call.add_callback(over):
            over()
    except Exception as error:
        caught("grpc.end", error)
    return call


def _until_done(
    start: Callable[..., Any],
    following: Following | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Start a call of `grpc.aio`; what follows it ends when it is done."""
    if following is not None and following.entry is not None:
        begin = functools.partial(_begun, start, following, args, kwargs)
        return grpc_entering.EnteringCall(following.enter_async, begin, following.forget)
    return _begun(start, following, args, kwargs)


def _begun(
    start: Callable[..., Any],
    following: Following | None,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    call = _start(start, following, args, kwargs)
    if following is not None:
        try:
            call.add_done_callback(functools.partial(_done, following))
        except Exception as error:
            caught("grpc.end", error)
    return call


def _done(following: Following, call: Any) -> None:
    try:
        code = _code(call)
    except Exception as error:
        caught("grpc.end", error)
        code = "UNKNOWN"
    if code != "OK" or not following.last:
        following.end(code)


def _code(call: Any) -> str:
    """Return the status code of a call that is done, which nothing has to be waited for."""
    waiting = call.code()
    try:
        waiting.send(None)
    except StopIteration as told:
        return str(told.value.name)
    waiting.close()
    return "UNKNOWN"
