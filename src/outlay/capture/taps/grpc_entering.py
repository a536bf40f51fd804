"""Calls of `grpc` before the limits: waiting to be let in, and the library's own error for a no.

A refused call is never started and fails with `RESOURCE_EXHAUSTED`, which no client of xAI tries
again. Streams are let in and settled, and not cut: gRPC has no end for a stream that a client ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from outlay.capture.attempt_events import record_blocked
from outlay.capture.guard import caught
from outlay.capture.retries import FIRST
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope
from outlay.wire.xai_grpc import METHODS, PACKAGE, XaiCall

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.core.limits.refusal import Refusal

_LOOKS: Final = ("deferred", "result", "results")
"""Kinds of methods that bring what was made before: nobody is asked about them."""


def entry_of(
    runtime: Runtime, scope: Scope, call: XaiCall, method: str, request: Any
) -> Entry | None:
    """Return the way of a call past the limits; `None` where nothing asks, or where this fails."""
    if runtime.gate is None and scope.run is None:
        return None
    known = METHODS.get(method.removeprefix(PACKAGE))
    if known is not None and known.kind in _LOOKS:
        return None
    try:
        from outlay.capture.limits.opening import entry_apart

        size = getattr(request, "ByteSize", int)()
        return entry_apart(runtime, runtime.gate, scope, call.reading, method, size)
    except Exception as error:
        caught("limits.entry", error)
        return None


def record(
    runtime: Runtime, scope: Scope, call: XaiCall, refusal: Refusal, entry: Entry | None
) -> None:
    """Record a call that was refused."""
    try:
        fields: dict[str, Any] = {}
        if entry is not None:
            entry.fill(fields)
            entry.drop()
        record_blocked(runtime, scope, call.reading, refusal, FIRST, None, fields)
    except Exception as error:
        caught("grpc.block", error)
        runtime.stats.drop("internal_error")


def error_of(refusal: Refusal) -> Exception:
    """Return the error of `grpc` for a refusal."""
    import grpc
    from grpc import _channel

    told = (("outlay-limit", refusal.limit_id or refusal.code),)
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    state = _channel._RPCState((), (), told, code, refusal.message)  # noqa: SLF001
    error: Exception = _channel._InactiveRpcError(state)  # noqa: SLF001
    return error


def aio_error_of(refusal: Refusal) -> Exception:
    """Return the error of `grpc.aio` for a refusal."""
    import grpc

    told = grpc.aio.Metadata(("outlay-limit", refusal.limit_id or refusal.code))
    error: Exception = grpc.aio.AioRpcError(
        grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.aio.Metadata(), told, details=refusal.message
    )
    return error


class EnteringCall:
    """A call of `grpc.aio` that is on its way past the limits, and then the real one.

    It starts by itself, as real calls do, and is awaited or iterated as they are.
    """

    def __init__(
        self, enter: Callable[[], Any], start: Callable[[], Any], forget: Callable[[], None]
    ) -> None:
        """Begin.

        Args:
            enter: waits to be let in, or raises.
            start: starts the real call.
            forget: told when the call was cancelled before it was one.
        """
        self._forget = forget
        self._task = asyncio.ensure_future(self._begin(enter, start))
        self._task.add_done_callback(self._entered)

    def _entered(self, task: asyncio.Task[Any]) -> None:
        # Whoever awaits the call hears of its failure; of one that nobody awaits, nobody does.
        if task.cancelled() or task.exception() is not None:
            self._forget()

    @staticmethod
    async def _begin(enter: Callable[[], Any], start: Callable[[], Any]) -> Any:
        await enter()
        return start()

    def _now(self) -> Any:
        """Return the real call, if it has begun well."""
        task = self._task
        if not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    async def _result(self) -> Any:
        return await (await self._task)

    async def __aiter__(self) -> AsyncIterator[Any]:
        async for message in await self._task:
            yield message

    def cancel(self) -> bool:
        """Cancel the call, or its waiting."""
        call = self._now()
        return bool(self._task.cancel() if call is None else call.cancel())

    def cancelled(self) -> bool:
        """Tell whether it was cancelled."""
        call = self._now()
        return self._task.cancelled() if call is None else bool(call.cancelled())

    def done(self) -> bool:
        """Tell whether it is over."""
        call = self._now()
        return self._task.done() if call is None else bool(call.done())

    def __getattr__(self, name: str) -> Any:
        call = self._now()
        if call is not None:
            return getattr(call, name)

        async def later(*args: Any, **kwargs: Any) -> Any:
            return await getattr(await self._task, name)(*args, **kwargs)

        # `read`, `code`, `details` and the metadata are awaited in any case.
        return later
