"""One holder per data directory: a lock file that names the process holding it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from outlay.errors import StorageBusyError


class LockFile:
    """An exclusive lock, held until `release` or the end of the process.

    Args:
        path: The lock file; it stays behind, its content is the holder's process id.
        what: What it protects, for the message.

    Raises:
        StorageBusyError: Another process, or another holder in this one, has it.
    """

    def __init__(self, path: Path, *, what: str) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            self._fd = -1
            raise StorageBusyError(f"Process {holder} holds {what}.") from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let the next holder in; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
