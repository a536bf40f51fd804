"""A thread that repeats one step: start, stop, and patience with what fails.

It owns when a step runs again; what a step does, and what is said of its failures, is its user's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

BACKOFF_S: Final = 0.05
MAX_BACKOFF_S: Final = 5.0
STOP_TIMEOUT_S: Final = 60.0


class Loop:
    """Runs `step` again and again; a step that raises is tried again later, and ever later.

    Args:
        name: the thread's name.
        step: does some work, and pauses by itself when there is none.
        failed: told of each exception that left a step.
    """

    def __init__(
        self, name: str, step: Callable[[], None], failed: Callable[[Exception], None]
    ) -> None:
        self._name = name
        self._step = step
        self._failed = failed
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def running(self) -> bool:
        """Tell whether the thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to run steps in a thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the thread after the step it is in; tell whether it ended in time."""
        self._stopping.set()
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        thread.join(timeout_s)
        return not thread.is_alive()

    def pause(self, seconds: float) -> None:
        """Wait inside a step, but not when the end has been asked for."""
        self._stopping.wait(seconds)

    def _run(self) -> None:
        backoff = BACKOFF_S
        while not self._stopping.is_set():
            try:
                self._step()
                backoff = BACKOFF_S
            except Exception as error:
                self._failed(error)
                self._stopping.wait(backoff)
                backoff = min(2 * backoff, MAX_BACKOFF_S)
