"""Child processes of the demo: started, heard from, and never outliving it.

A child says where it is in one JSON line on its standard output, and ends when its standard input
does, so that it cannot be left behind when the parent is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from outlay import config
from outlay.errors import UnavailableError

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
MAX_LINES: Final = 10_000
"""Lines of a child that wait to be read; more are dropped, the child never waits."""
MAX_ERROR_BYTES: Final = 4_000
STDIN: Final = 0


def announce(line: Mapping[str, Any]) -> None:
    """Say something to the parent, in a child."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def when_parent_goes(stop: Callable[[], None]) -> None:
    """Call `stop` once standard input ends, in a child."""

    def wait() -> None:
        # Read unbuffered: a buffer's lock held here would disturb the interpreter's exit.
        with contextlib.suppress(OSError):
            while os.read(STDIN, 4096):
                pass
        stop()

    threading.Thread(target=wait, name="outlay-demo-parent", daemon=True).start()


def _environment() -> dict[str, str]:
    """Return our environment without settings of outlay: they are meant for another server."""
    return {k: v for k, v in os.environ.items() if not k.startswith(config.PREFIX)}


class Child:
    """A running child; its standard error is kept for the case that it dies."""

    def __init__(
        self, name: str, module: str, arguments: Sequence[str], env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `stop`
        self._lines: queue.Queue[dict[str, Any]] = queue.Queue(MAX_LINES)
        self._process = subprocess.Popen(  # noqa: S603 - our own modules, no shell
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**_environment(), **(env or {})},
            start_new_session=True,  # Ctrl-C reaches the parent only, which ends all in order
        )
        self._reader = threading.Thread(target=self._read, name=f"outlay-demo-{name}", daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether it still runs, or has said something that is not in `lines` yet."""
        return self._process.poll() is None or self._reader.is_alive()

    def lines(self) -> list[dict[str, Any]]:
        """Return what it said since the last call."""
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._lines.get_nowait())
        return found

    def first_line(self) -> dict[str, Any]:
        """Wait for its first words.

        Raises:
            UnavailableError: it died, or said nothing for `START_TIMEOUT_S`.
        """
        waited = 0.0
        while waited < START_TIMEOUT_S:
            try:
                return self._lines.get(timeout=0.1)
            except queue.Empty:
                waited += 0.1
            if not self.alive and self._lines.empty():
                raise self.death()
        raise UnavailableError(
            f"The demo's {self.name} did not start within {START_TIMEOUT_S:g} s."
        )

    def death(self) -> UnavailableError:
        """Return the error that says how it ended."""
        code = self._process.poll()
        return UnavailableError(
            f"The demo's {self.name} ended with code {code}. {self._tail()}".strip(),
            hint="Its last words are above; `outlay doctor` checks the installation.",
        )

    def ask_to_stop(self) -> None:
        """End its standard input: it finishes what it is doing."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it ends; tell whether it did."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """Ask it to end, insist if it does not, and release everything."""
        self.ask_to_stop()
        if not self.wait(STOP_TIMEOUT_S):
            self._process.terminate()
            self.wait(STOP_TIMEOUT_S / 2)
        self.kill()

    def kill(self) -> None:
        """End it at once, if it has not ended, and release everything."""
        self._process.kill()
        self._process.wait()
        self.ask_to_stop()
        self._reader.join(1)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if isinstance(line, dict):
                with contextlib.suppress(queue.Full):
                    self._lines.put_nowait(line)

    def _tail(self) -> str:
        if self._errors.closed:
            return ""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - MAX_ERROR_BYTES))
        return self._errors.read().decode("utf-8", "replace").strip()
