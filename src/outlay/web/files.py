"""The built files of the dashboard, read once when the server starts.

What is served is looked up by its name in what was found then, so that no path can lead elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from outlay.errors import ConfigError

DIST: Final = Path(__file__).parent / "dist"
"""Where `make web` puts what it builds."""
MAX_FILES: Final = 2_000
MAX_BYTES: Final = 64 * 1024 * 1024
"""Of all files together, compressed forms included: they are kept in memory."""
ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}
"""Compressed forms by what `Accept-Encoding` calls them, the best first, with their suffixes."""
MEDIA: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file; `digest` is of its content as it is, `encoded` its compressed forms."""

    media: str
    digest: str
    body: bytes
    encoded: Mapping[str, bytes] = field(default_factory=dict)


def read_dist(folder: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> dict[
    str, File
]:  # fmt: skip
    """Return the files of a folder by their path in it; none where the folder is not there.

    Links are left out.

    Raises:
        ConfigError: it holds more than a dashboard can.
    """
    bodies: dict[str, bytes] = {}
    size = 0
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        size += path.stat().st_size
        if size > max_bytes or len(bodies) >= max_files:
            raise ConfigError(
                f"The dashboard has more than {max_files:,} files or {max_bytes:,} bytes.",
                where=str(folder),
                hint="Build it again with `make web`.",
            )
        bodies[path.relative_to(folder).as_posix()] = path.read_bytes()
    suffixes = tuple(ENCODINGS.values())
    return {
        name: _file(name, bodies)
        for name in bodies
        if not (name.endswith(suffixes) and name.rpartition(".")[0] in bodies)
    }


def _file(name: str, bodies: Mapping[str, bytes]) -> File:
    body = bodies[name]
    encoded = {
        encoding: bodies[name + suffix]
        for encoding, suffix in ENCODINGS.items()
        if name + suffix in bodies
    }
    media = MEDIA.get(Path(name).suffix, "application/octet-stream")
    return File(media, hashlib.sha256(body).hexdigest()[:32], body, encoded)
