"""The server's data folder: its rights, and the lock that keeps a second server out."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

from outlay.errors import ConfigError, StorageBusyError, StorageFullError

LOCK = "server.lock"


class DataFolder:
    """The server's folder, readable by its owner only, and the lock that keeps others out.

    Raises:
        ConfigError: the path cannot be a folder of ours.
        StorageBusyError: another server uses it.
        StorageFullError: the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if (path / LOCK).exists() or not any(path.iterdir()):
                # A folder that holds other things is somebody else's to protect.
                path.chmod(0o700)
            self._file = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            kind = StorageFullError if full else ConfigError
            raise kind(
                f"The data folder cannot be used: {error.strerror}.", where=str(path)
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            pid = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise StorageBusyError(
                f"Another outlay server (process {pid}) uses this data folder.", where=str(path)
            ) from error
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def close(self) -> None:
        """Let others in."""
        os.close(self._file)
