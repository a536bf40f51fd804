"""Looks one secret up: reads a file, or runs a command, each bounded in time and size.

What was found is kept by `credentials`. No value and no argument of a command is in an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
from pathlib import PurePath
from typing import Final

from outlay.gateway.config import Secret

COMMAND_TIMEOUT_S: Final = 10.0
END_S: Final = 1.0
"""How long the end of a killed command is waited for."""
MAX_VALUE_BYTES: Final = 16 * 1024
"""Of a variable, a file, or what a command prints."""


class NotFoundError(Exception):
    """Why a look-up failed; the text goes behind the name of what was looked at."""


def named(secret: Secret) -> str:
    """Return what a secret's place is called; a command's arguments may be secrets themselves."""
    if secret.kind == "command":
        return f"The command {PurePath(secret.argv[0]).name}" if secret.argv else "The command"
    return f"The {'file' if secret.kind == 'file' else 'variable'} {secret.name}"


def unfit(value: str) -> str:
    """Return why a value cannot be sent in a header; empty if it can."""
    if len(value) > MAX_VALUE_BYTES:
        return f"holds more than {MAX_VALUE_BYTES} bytes"
    if not value.isascii() or not value.isprintable():
        return "holds more than one line, or a character that no header may hold"
    return ""


def _checked(content: bytes) -> str:
    """Return the value in a file's or a command's output."""
    if len(content) > MAX_VALUE_BYTES:
        raise NotFoundError(f"holds more than {MAX_VALUE_BYTES} bytes")
    value = content.decode("utf-8", "replace").strip()
    if not value:
        raise NotFoundError("holds nothing")
    if problem := unfit(value):
        raise NotFoundError(problem)
    return value


def read_file(path: str, known: tuple[int, ...]) -> tuple[tuple[int, ...], str | None]:
    """Return what tells a file from a changed one, and its value if that is not `known`.

    Raises:
        NotFoundError: it cannot be read, or holds no fit value.
    """
    try:
        # A pipe without a writer would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise NotFoundError("is not a regular file")
            stamp = (about.st_mtime_ns, about.st_size, about.st_ino, about.st_dev)
            if stamp == known:
                return stamp, None
            content = b""
            while piece := os.read(descriptor, MAX_VALUE_BYTES + 1 - len(content)):
                content += piece
        finally:
            os.close(descriptor)
    except OSError as error:
        raise NotFoundError(f"cannot be read: {error.strerror}") from None
    return stamp, _checked(content)


async def run_command(argv: tuple[str, ...]) -> str:
    """Return what a command prints; no shell reads it, and its error output is nobody's.

    Raises:
        NotFoundError: it cannot be run, takes too long, fails, or prints no fit value.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise NotFoundError(f"cannot be run: {said}") from None
    content, over = b"", False
    try:
        assert process.stdout is not None
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            while piece := await process.stdout.read(MAX_VALUE_BYTES + 1 - len(content)):
                content += piece
                if len(content) > MAX_VALUE_BYTES:
                    raise NotFoundError(f"prints more than {MAX_VALUE_BYTES} bytes")
            status = await process.wait()
            over = True
    except TimeoutError:
        raise NotFoundError(f"took longer than {COMMAND_TIMEOUT_S:g} s") from None
    finally:
        if not over:
            await _end(process)
    if status != 0:
        raise NotFoundError(f"ended with status {status}")
    return _checked(content)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a command with all that it started, and collect it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            await process.wait()
