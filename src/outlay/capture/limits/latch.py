"""One at a time in the books of a process's runs, safe from forks and from garbage collections."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from outlay.capture import forks
from outlay.capture.guard import caught

_T = TypeVar("_T")


class Latch:
    """Lets one caller in at a time.

    A collection of garbage may end a call, and so come in on top of whoever is in already: what it
    wants done waits until he is out.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._busy = False
        self._later: deque[Callable[[], object]] = deque()
        self._registered = False

    def ask(self, work: Callable[[], _T]) -> _T:
        """Do work that has an answer, at once."""
        if not self._registered:
            self._registered = True
            forks.register(self)
        with self._lock:
            outermost = not self._busy
            self._busy = True
            try:
                return work()
            finally:
                if outermost:
                    self._rest()

    def do(self, work: Callable[[], object]) -> None:
        """Do work, or leave it to whoever is in on this thread."""
        with self._lock:
            if self._busy:
                self._later.append(work)
                return
            self._busy = True
            try:
                work()
            finally:
                self._rest()

    def _rest(self) -> None:
        try:
            while self._later:
                try:
                    self._later.popleft()()
                except Exception as error:
                    caught("latch", error)
        finally:
            self._busy = False

    # -- at a fork -----------------------------------------------------------------------------

    def hold(self, timeout_s: float) -> bool:
        """Come to rest."""
        return self._lock.acquire(timeout=timeout_s)

    def go_on(self) -> None:
        """Undo `hold`."""
        self._lock.release()

    def forget(self) -> None:
        """In the child: the lock may be held by a thread that is not here."""
        self.__init__()  # type: ignore[misc]


latch: Final = Latch()
"""The one of this process: what it guards takes microseconds."""
