"""One call of `grpc` while it is followed: what is read of it, and what limits say to it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from outlay.capture.guard import caught
from outlay.capture.runtime import Runtime
from outlay.capture.scope import Scope
from outlay.capture.session import Mark, mark, record
from outlay.capture.taps import grpc_entering
from outlay.wire.xai_grpc import XaiCall

if TYPE_CHECKING:  # limits are loaded where they are on
    from outlay.capture.limits.entering import Entry
    from outlay.core.limits.refusal import Refusal


class Following:
    """One call: shows its messages to the codec and stores its events."""

    __slots__ = (
        "_began", "_call", "_ended", "_first", "_own", "_runtime", "entry", "last", "scope",
    )  # fmt: skip

    def __init__(self, runtime: Runtime, call: XaiCall, scope: Scope, own: Any) -> None:
        self.last = False
        """The message to come is all of the reply, and comes after the status."""
        self._runtime = runtime
        self._call = call
        self.scope = scope
        self.entry: Entry | None = None
        """The way past the limits; `None`: none are on."""
        self._own = own
        self._began = mark()
        self._first: Mark | None = None
        self._ended = False

    def deserialize(self, raw: Any) -> Any:
        """Give the message that the caller's own deserializer makes, after a look at it."""
        message = raw if self._own is None else self._own(raw)
        try:
            if self._first is None:
                self._first = mark()
            for reading in self._call.take(message):
                record(self._runtime, reading, self.scope, None)
        except Exception as error:
            caught("grpc.take", error)
        if self.last:
            self.end("OK")
        return message

    def end(self, code: str) -> None:
        """End the call with the name of its status code; later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        try:
            reading = self._call.finish(code=code)
            if reading is not None:
                first = self._first if reading.streamed else None
                record(self._runtime, reading, self.scope, self._began, first, self.entry)
        except Exception as error:
            caught("grpc.end", error)
            self._runtime.stats.drop("internal_error")

    def enter(self) -> None:
        """Wait to be let in by limits; raises their refusal as an error of `grpc`."""
        if self.entry is not None:
            try:
                refusal = self.entry.enter()
            except BaseException:
                self.forget()
                raise
            self._entered(refusal, grpc_entering.error_of)

    def forget(self) -> None:
        """End without an event: the call was never made."""
        self._ended = True

    async def enter_async(self) -> None:
        """Wait to be let in by limits; raises their refusal as an error of `grpc.aio`."""
        if self.entry is not None:
            self._entered(await self.entry.enter_async(), grpc_entering.aio_error_of)

    def _entered(self, refusal: Refusal | None, error_of: Callable[[Refusal], Exception]) -> None:
        self._began = mark()  # waiting is no part of the call
        if refusal is None:
            return
        try:
            error = error_of(refusal)
        except Exception as problem:
            caught("grpc.blocked", problem)
            return
        self._ended = True
        grpc_entering.record(self._runtime, self.scope, self._call, refusal, self.entry)
        raise error

    def __del__(self) -> None:
        # Let go without an end: the last place to hear of it.
        self.end("CANCELLED")
