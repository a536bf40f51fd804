"""Files of the spool: where they are, who owns them, and how they go away.

A spool is `spool-<pid>-<random>.db` with a `.lock` beside it. The lock is an advisory `flock` that
the system drops when its process dies, however it dies. The folder is private to the user. It
knows nothing of what is in a file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_ADOPTED: Final = 16
"""Spools of dead processes taken over at a time."""
MAX_NAMES: Final = 8
"""Names tried for a new spool."""

_known: set[Path] = set()
"""Files that were open in this process or in the one it was forked from: never adopted here,
since SQLite's view of their locks was copied by the fork."""


class Claim:
    """One spool file that this process owns."""

    __slots__ = ("_lock_fd", "path")

    def __init__(self, path: Path, lock_fd: int) -> None:
        self.path = path
        self._lock_fd = lock_fd
        _known.add(path)

    def file_bytes(self) -> int:
        """Return the length of the database and its write-ahead log."""
        return _size(self.path) + self.log_bytes()

    def log_bytes(self) -> int:
        """Return the length of the write-ahead log."""
        return _size(_beside(self.path, "-wal"))

    def release(self, *, delete: bool) -> None:
        """Give the file up, and remove it if it holds nothing."""
        if self._lock_fd < 0:
            return
        if delete:
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(OSError):
                    _beside(self.path, suffix).unlink()
            with contextlib.suppress(OSError):
                self.path.with_suffix(".lock").unlink()
        _known.discard(self.path)
        self.forget()

    def set_aside(self) -> None:
        """Rename a damaged file so that nobody opens it again."""
        with contextlib.suppress(OSError):
            self.path.replace(_beside(self.path, ".damaged"))
        self.release(delete=True)

    def forget(self) -> None:
        """Close this process's handle; in a forked child the parent's lock stays."""
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            with contextlib.suppress(OSError):
                os.close(fd)


def default_folder() -> Path:
    """Return the per-user folder of spools: in the state folder, else in the temporary one."""
    try:
        base = Path(os.environ.get("XDG_STATE_HOME") or "")
        if not base.is_absolute():
            base = Path("~/.local/state").expanduser()
        folder = base / "outlay" / "spool"
        private_folder(folder)
    except (OSError, RuntimeError):
        # A container whose user has no home: the owner and mode of this one are checked too.
        return Path(f"/tmp/outlay-{os.getuid()}/spool")  # noqa: S108
    return folder


def private_folder(path: Path) -> None:
    """Make a folder that only this user can read, or check that it is one.

    Raises:
        OSError: it cannot be made, or belongs to somebody else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    state = path.stat()
    if os.getuid() not in (state.st_uid, 0):
        raise PermissionError("the spool folder belongs to another user")
    if stat.S_IMODE(state.st_mode) & 0o077:
        path.chmod(0o700)


def claim_new(folder: Path, *, max_bytes: int) -> Claim:
    """Own a spool file: a small one that a dead process left, else a new one.

    Going on with what is there keeps the number of files at that of living processes, however
    often a process restarts while no server takes its events.

    Raises:
        OSError: the folder or the file cannot be used.
    """
    private_folder(folder)
    for path in _spools(folder):
        if _size(path) + _size(_beside(path, "-wal")) <= max_bytes // 2 and (claim := _claim(path)):
            return claim
    for _ in range(MAX_NAMES):
        path = folder / f"spool-{os.getpid()}-{secrets.token_hex(4)}.db"
        claim = _claim(path, new=True)
        if claim is not None:
            return claim
    raise FileExistsError("no free name for a spool file")


def claim_orphans(folder: Path) -> Iterator[Claim]:
    """Own the spool files whose processes are dead, at most `MAX_ADOPTED`."""
    taken = 0
    for path in _spools(folder):
        if taken >= MAX_ADOPTED:
            return
        claim = _claim(path)
        if claim is not None:
            taken += 1
            yield claim


def _spools(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("spool-*.db") if path not in _known)
    except OSError:
        return []


def _claim(path: Path, *, new: bool = False) -> Claim | None:
    """Take the lock of a spool; `None` if somebody has it or the spool is gone."""
    lock = path.with_suffix(".lock")
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        if new:
            raise
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # An owner that just ended may have removed the lock file that was opened here.
        alive = os.fstat(fd).st_nlink > 0
        if new and alive:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        if alive and path.exists():
            return Claim(path, fd)
        if alive:
            lock.unlink()
    except BlockingIOError:
        pass
    except OSError:
        os.close(fd)
        if new:
            raise
        return None
    os.close(fd)
    return None


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
