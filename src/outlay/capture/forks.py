"""What keeps a fork safe: nothing of the guest may be half done while the process is copied.

A fork copies locks that other threads hold and modules that other threads are importing, and
nobody in the child ever finishes them. So the guest rests while the process forks: it imports
inside `gate`, and everything with a lock registers itself here. Waiting is bounded, since a host
must never hang because of its meter.
"""

from __future__ import annotations

import threading
import weakref
from typing import Final, Protocol

MAX_WAIT_S: Final = 1.0
"""Longest that a fork waits for any one part to rest."""


class Resting(Protocol):
    """Something that can be brought to rest."""

    def hold(self, timeout_s: float) -> bool:
        """Come to rest; tell whether it worked in time."""

    def go_on(self) -> None:
        """Undo `hold`."""

    def forget(self) -> None:
        """In the child: let go of everything that belongs to the parent."""


gate = threading.RLock()
"""Held by whatever thread imports a module for the guest."""

_parts: weakref.WeakSet[Resting] = weakref.WeakSet()
_held: list[Resting] = []
_has_gate = False


def register(part: Resting) -> None:
    """Bring a part to rest at every fork from now on, for as long as it lives."""
    _parts.add(part)


def before() -> None:
    """Bring everything to rest."""
    global _has_gate  # noqa: PLW0603 - one fork at a time
    _has_gate = gate.acquire(timeout=MAX_WAIT_S)
    _held.extend(part for part in list(_parts) if part.hold(MAX_WAIT_S))


def after_in_parent() -> None:
    """Let everything go on."""
    for part in _held:
        part.go_on()
    _held.clear()
    if _has_gate:
        gate.release()


def after_in_child() -> None:
    """Drop everything that was copied."""
    global gate  # noqa: PLW0603 - the copied one may be held by a thread that is not here
    gate = threading.RLock()
    for part in list(_parts):
        part.forget()
    _parts.clear()
    _held.clear()
