"""The file in which a gateway keeps its keys, so that it may start while the server is away.

It holds hashes only, is for its owner only, and is replaced as a whole. When it was written or
touched last is when the server was heard last.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from outlay.core.virtual_keys import MAX_KEYS, VirtualKey, key_document, read_key

FORMAT: Final = 1
MAX_KEPT: Final = 2 * MAX_KEYS
"""A file that says it has more keys is not read."""
MAX_LINE_BYTES: Final = 256 * 1024
TOUCH_S: Final = 30.0
"""How often the file is touched while nothing changes."""
EVERY_S: Final = 1.0
SHARE: Final = 20
"""After a write there is a pause, as long as so many writes take: many keys take a while."""


class KeptKeys:
    """The file of one gateway's keys, for one thread. `path` `None` keeps nothing.

    Args:
        path: where.
        endpoint: whose keys; what another server told is not read.
    """

    def __init__(self, path: Path | None, endpoint: str) -> None:
        self._path = path
        self._whose = hashlib.sha256(endpoint.rstrip("/").encode()).hexdigest()
        self._touched_at = float("-inf")
        self._next_at = float("-inf")
        self.due = False
        """There are changes that are not written yet."""

    def read(self) -> tuple[list[VirtualKey], float] | None:
        """Return the keys and how many seconds ago they were heard; `None` if there are none.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no such file, or is cut.
        """
        if self._path is None or not self._path.exists():
            return None
        with self._path.open("rb") as file:
            head = _line(file.readline(MAX_LINE_BYTES))
            if head.get("format") != FORMAT or head.get("whose") != self._whose:
                return None
            number = head.get("keys")
            if type(number) is not int or not 0 <= number <= MAX_KEPT:
                raise ValueError("the number of kept keys is not one")
            keys = [read_key(_line(file.readline(MAX_LINE_BYTES))) for _ in range(number)]
            heard_at = os.fstat(file.fileno()).st_mtime
        return keys, max(0.0, time.time() - heard_at)

    def wait_s(self, now: float) -> float:
        """Return how long until changes may be written, by a clock that only grows."""
        return max(0.0, self._next_at - now)

    def write(self, keys: Sequence[VirtualKey]) -> None:
        """Replace the file.

        Raises:
            OSError: it cannot be written; the one before is still there.
        """
        self.due = False
        if self._path is None:
            return
        began = time.monotonic()
        # A write that fails is tried again with the next change, not at once.
        self._next_at = began + EVERY_S
        head = {"format": FORMAT, "whose": self._whose, "keys": len(keys)}
        part = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.unlink(missing_ok=True)
        try:
            with os.fdopen(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
            ) as file:
                file.writelines(_lines(head, keys))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        finally:
            part.unlink(missing_ok=True)
        self._touched_at = time.monotonic()
        self._next_at = self._touched_at + max(EVERY_S, SHARE * (self._touched_at - began))

    def touch(self) -> None:
        """Note that the server was heard and has told nothing new.

        Raises:
            OSError: it cannot be noted.
        """
        now = time.monotonic()
        if self._path is None or self.due or now - self._touched_at < TOUCH_S:
            return
        self._touched_at = now
        if self._path.exists():
            os.utime(self._path)


def _lines(head: dict[str, Any], keys: Sequence[VirtualKey]) -> Iterator[bytes]:
    # Line by line, so that other threads get their turn in between.
    yield json.dumps(head).encode() + b"\n"
    for key in keys:
        yield json.dumps(key_document(key)).encode() + b"\n"


def _line(line: bytes) -> dict[str, Any]:
    found = json.loads(line) if line.endswith(b"\n") else None
    if isinstance(found, dict):
        return found
    raise ValueError("a line of the kept keys is cut or no object")
