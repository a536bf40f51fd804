"""Telling a full disk from other failures of the system, for every embedded store."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from outlay.errors import StorageFullError, UnavailableError

_NUMBERS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEXTS: Final = (
    "no space left", "disk quota", "file too large", "disk is full", "out of disk",
)  # fmt: skip


def is_full(error: Exception) -> bool:
    """Tell whether an error of the system or of an engine means that the disk is full."""
    if isinstance(error, OSError) and error.errno in _NUMBERS:
        return True
    text = str(error).lower()
    return any(part in text for part in _TEXTS)


def from_os_error(error: Exception, path: Path) -> UnavailableError:
    """Return the error that says what to do about a failed write under `path`."""
    if is_full(error):
        return StorageFullError(f"The disk of {path} is full.")
    return UnavailableError(f"{path} cannot be read or written: {error}")
