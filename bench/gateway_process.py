"""Processes of the gateway bench: started on a core, watched, and ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

START_S: Final = 120.0
END_S: Final = 30.0
TICKS: Final = os.sysconf("SC_CLK_TCK")
LOG_TAIL: Final = 2000
"""Characters of a log that are shown when its process did not start."""


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Keep what is started here, and its threads and children, to one core."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Process:
    """One process with its children; its output goes to a log in `folder`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        env: Mapping[str, str] | None = None,
        core: int | None = None,
        speaks: bool = True,
        cwd: Path | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log, on_core(core):
            self._child = subprocess.Popen(
                command, stdout=subprocess.PIPE if speaks else log, stderr=log, env=env, cwd=cwd
            )

    @property
    def pid(self) -> int:
        """Its id."""
        return self._child.pid

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self._child.poll() is None

    def hear(self, seconds: float = START_S) -> dict[str, Any]:
        """Return the one line of JSON that it prints when it is ready.

        Raises:
            RuntimeError: it printed none in time.
        """
        stdout = self._child.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], seconds)
        line = stdout.readline() if readable else b""
        try:
            found: dict[str, Any] = json.loads(line)
        except ValueError as error:
            raise RuntimeError(f"{self.name} did not start:\n{self.tail()}") from error
        return found

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-LOG_TAIL:]

    def end(self) -> None:
        """End it as an operator would, and kill it if it does not."""
        self._child.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._child.wait(END_S)
        if self._child.poll() is None:
            self._child.kill()
            self._child.wait(END_S)
        if self._child.stdout is not None:
            self._child.stdout.close()

    def cpu_s(self) -> float:
        """Return the processor seconds that it and its children have used."""
        return cpu_s(self.pid)

    def rss_mb(self) -> float:
        """Return the memory that it and its children hold now."""
        return self._status("VmRSS")

    def peak_mb(self) -> float:
        """Return the most that each of them has held, in all."""
        return self._status("VmHWM")

    def _status(self, field: str) -> float:
        total = 0
        for pid in _family(self.pid):
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith(field):
                        total += int(line.split()[1])
        return total / 1024


def cpu_s(pid: int) -> float:
    """Return the processor seconds that a process and its children have used."""
    total = 0
    for one in _family(pid):
        with suppress(OSError):
            fields = _stat(one)
            total += int(fields[11]) + int(fields[12])
    return total / TICKS


def machine_s() -> float:
    """Return the processor seconds that the whole machine has used, or was robbed of."""
    with Path("/proc/stat").open() as lines:
        user, nice, system, _idle, _wait, irq, softirq, steal = lines.readline().split()[1:9]
    return sum(int(one) for one in (user, nice, system, irq, softirq, steal)) / TICKS


def _family(pid: int) -> list[int]:
    """Return the id of a process and those of its children, and of theirs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found, at = [pid], 0
    while at < len(found):
        found += parents.get(found[at], [])
        at += 1
    return found


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat that follow the command's name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def until(true: Any, what: str, seconds: float = START_S, pause: float = 0.2) -> None:
    """Wait until something holds.

    Raises:
        RuntimeError: it does not in time.
    """
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}")
        time.sleep(pause)
