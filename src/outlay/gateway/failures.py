"""What can go wrong between the gateway and an upstream, as errors that routing understands."""

from __future__ import annotations

from typing import Final, Literal

from outlay.gateway.config import Cause

Phase = Literal["connect", "send", "first_byte", "idle"]
"""What took too long: the connection, taking the request, beginning the answer, its next piece."""

PHASES: Final[dict[Phase, str]] = {
    "connect": "The upstream took too long to connect.",
    "send": "The upstream took too long to take the request.",
    "first_byte": "The upstream took too long to begin its answer.",
    "idle": "The upstream took too long to go on with its answer.",
}


class ConnectError(TimeoutError):
    """No connection in time: nothing was sent."""


class UpstreamError(Exception):
    """No whole answer came from an upstream."""

    on: Cause = "error"
    """Why a call may go on to the next target."""

    def cause(self) -> BaseException:
        """Return what lies beneath, by whose class an event names the failure."""
        return self.__cause__ or self


class Unreachable(UpstreamError):  # noqa: N818 - a state, told to routing
    """There is no connection, so nothing was sent."""


class TimedOut(UpstreamError):  # noqa: N818 - a state, told to routing
    """The upstream was too slow."""

    on = "timeout"

    def __init__(self, phase: Phase) -> None:
        super().__init__(PHASES[phase])
        self.phase: Phase = phase

    def cause(self) -> BaseException:
        """Return a timeout, or what says that nothing was sent."""
        return ConnectError(str(self)) if self.phase == "connect" else TimeoutError(str(self))


class Broken(UpstreamError):  # noqa: N818 - a state, told to routing
    """The connection ended before the answer was whole, or what came is no HTTP."""


class TooLong(UpstreamError, ValueError):  # noqa: N818 - a state, told to its reader
    """An answer is longer than its reader wants to hold; reading it in pieces goes on."""
