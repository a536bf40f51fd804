"""Files that commands send: their media type by name, and their bytes. It sends nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from outlay.errors import BadRequestError


def media_of(file: Path, known: Mapping[str, str], *, kind: str, hint: str) -> str:
    """Return the media type of a file by its ending.

    Raises:
        BadRequestError: the ending is not a known one; `kind` says what the file should be.
    """
    media = known.get(file.suffix.lower())
    if media is None:
        raise BadRequestError(f"{file.name} is no {kind} by its name.", where="FILE", hint=hint)
    return media


def content_of(file: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        BadRequestError: it cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise BadRequestError(f"{file} cannot be read: {error.strerror}.", where="FILE") from error
