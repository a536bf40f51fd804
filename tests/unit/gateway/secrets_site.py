"""A clock, a log, and credentials that are found in variables, files and commands."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from outlay.gateway.config import Credential, Secret
from outlay.gateway.credentials import CredentialError

SECRET = "sk-very-secret"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Log:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, dict[str, Any]]] = []

    def warning(self, event: str, **more: Any) -> None:
        self.lines.append(("warning", event, more))

    def info(self, event: str, **more: Any) -> None:
        self.lines.append(("info", event, more))


def env(name: str) -> Credential:
    return Credential("bearer", Secret("env", name))


def file(path: Path, refresh_s: float = 300.0) -> Credential:
    return Credential("bearer", Secret("file", str(path), (), refresh_s))


def command(script: str, *arguments: str, refresh_s: float = 300.0) -> Credential:
    argv = (sys.executable, "-c", script, *arguments)
    return Credential("bearer", Secret("command", "", argv, refresh_s))


def counted(path: Path, then: str = "print('token-%d' % n)") -> str:
    """A script that counts its runs in a file, and then has how often it ran as `n`."""
    return (
        f"import sys; open({str(path)!r}, 'a').write('x'); n = len(open({str(path)!r}).read())\n"
        + then
    )


async def problem_of(waiting: Awaitable[str]) -> str:
    with pytest.raises(CredentialError) as caught:
        await waiting
    return caught.value.message


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that a task of its own does."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what happens tells nobody
            await asyncio.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
