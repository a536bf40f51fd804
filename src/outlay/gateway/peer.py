"""The client's end of one request: whether it is still there, and how to break off.

The listener offers it in the ASGI scope under `EXTENSION`; under a server without it a client never
seems gone.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any, Final, Protocol

EXTENSION: Final = "outlay.peer"
"""The name in the scope's `extensions`."""


class Peer(Protocol):
    """What the listener knows of a client."""

    @property
    def gone(self) -> bool:
        """Whether the client has hung up before its answer was whole."""

    @property
    def arrived(self) -> bool:
        """Whether all of the request is here, so that nobody waits for its body."""

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Have a callback called once, on the event loop, when the client hangs up."""

    def abort(self) -> None:
        """Break the connection off, so that the answer does not look whole."""


class NoPeer:
    """A client of whom the server tells nothing."""

    gone = False
    arrived = False

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Do nothing."""

    def abort(self) -> None:
        """Do nothing: the server ends an answer that was not finished."""


def peer_of(scope: MutableMapping[str, Any]) -> Peer:
    """Return the client of a request."""
    found: Peer | None = scope.get("extensions", {}).get(EXTENSION)
    return NoPeer() if found is None else found
