"""Runs a function of any kind inside a scope: plain, coroutine, generator, async generator.

A generator's scope is current only while its body runs: its caller never sees it, and what the
body opened across a `yield` is there again when it goes on. It owns nothing but that switching.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Protocol


class Opener(Protocol):
    """What opens and closes a scope."""

    def enter(self) -> Any:
        """Open it, make it the current one, and return it; `None` if that did not work."""

    def exit(self, error: BaseException | None = None) -> None:
        """Close it; `error` is what ends the block, in whose place another may be raised."""

    def end(self, scope: Any, error: BaseException | None = None) -> None:
        """Finish with a scope that is not the current one, as `exit` does."""


Swap = Callable[[Any], Any]


def wrap(function: Callable[..., Any], opener: Opener, swap: Swap) -> Callable[..., Any]:
    """Return the function, of the same kind, whose body runs inside the opener's scope."""
    if inspect.isasyncgenfunction(function):
        return _async_generator(function, opener, swap)
    if inspect.isgeneratorfunction(function):
        return _generator(function, opener, swap)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def run(*args: Any, **kwargs: Any) -> Any:
            opener.enter()
            try:
                value = await function(*args, **kwargs)
            except BaseException as error:
                opener.exit(error)
                raise
            opener.exit()
            return value

        return run

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        opener.enter()
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            opener.exit(error)
            raise
        opener.exit()
        return value

    return call


class _Suspended:
    """The scope of a generator's body while it waits; `with` makes it current for one step."""

    __slots__ = ("_inside", "_opened", "_opener", "_outside", "_swap")

    def __init__(self, opener: Opener, swap: Swap) -> None:
        self._opener = opener
        self._swap = swap
        self._outside: Any = None
        before = swap(None)
        swap(before)
        self._opened = opener.enter()
        self._inside = swap(before)

    def end(self, error: BaseException | None = None) -> None:
        """Finish with the scope when the body has ended, or an error ends it."""
        if self._opened is not None:
            self._opener.end(self._opened, error)

    def __enter__(self) -> None:
        self._outside = self._swap(self._inside)

    def __exit__(self, *exc: object) -> None:
        self._inside = self._swap(self._outside)


def _generator(
    function: Callable[..., Generator[Any, Any, Any]], opener: Opener, swap: Swap
) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        body = function(*args, **kwargs)
        scope = _Suspended(opener, swap)
        step: Callable[[Any], Any] = body.send
        value: Any = None
        try:
            while True:
                with scope:
                    try:
                        item = step(value)
                    except StopIteration as stop:
                        value = stop.value
                        break
                try:
                    value = yield item
                    step = body.send
                except GeneratorExit:
                    with scope:
                        body.close()
                    raise
                except BaseException as error:
                    step, value = body.throw, error
        except BaseException as error:
            scope.end(error)
            raise
        scope.end()
        return value

    return run


def _async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], opener: Opener, swap: Swap
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def run(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        body = function(*args, **kwargs)
        scope = _Suspended(opener, swap)
        step: Callable[[Any], Any] = body.asend
        value: Any = None
        try:
            while True:
                with scope:
                    try:
                        item = await step(value)
                    except StopAsyncIteration:
                        break
                try:
                    value = yield item
                    step = body.asend
                except GeneratorExit:
                    with scope:
                        await body.aclose()
                    raise
                except BaseException as error:
                    step, value = body.athrow, error
        except BaseException as error:
            scope.end(error)
            raise
        scope.end()

    return run
