"""Waking whoever waits for money: threads by a lock, tasks through their event loop."""

from __future__ import annotations

import _thread
from collections.abc import Callable


class Bell:
    """Rings once for all who wait. Lock-free, so that it can be rung from a garbage collection."""

    __slots__ = ("_rung", "_wakers")

    def __init__(self) -> None:
        self._rung = False
        self._wakers: list[Callable[[], object]] = []

    def ring(self) -> None:
        """Wake everybody who waits, and let later ones pass."""
        self._rung = True
        while True:
            try:
                waker = self._wakers.pop()
            except IndexError:
                return
            try:
                waker()
            except RuntimeError:
                continue  # its event loop is closed, or it woke by itself

    def listen(self, waker: Callable[[], object]) -> None:
        """Call a function when the bell rings: once, from any thread, soon if it has rung."""
        self._wakers.append(waker)
        if self._rung:
            self.ring()

    def wait(self, seconds: float) -> None:
        """Block until the bell rings or the time is over."""
        latch = _thread.allocate_lock()
        latch.acquire()
        self.listen(latch.release)
        latch.acquire(timeout=max(0.0, seconds))
