"""Append-only files of compressed event details, addressed by byte position.

An OLAP table keeps the columns that questions filter, group and sum; everything else of an event
is read only with the whole event. Writing those columns here instead of into the engine's log
halves the cost of an insert. The address space is one growing sequence cut into segment files; the
committed length is kept by the caller, who passes it at open: what lies behind it belongs to no
committed batch and is cut off. It must not know what the columns mean.
"""

from __future__ import annotations

import os
import struct
import zlib
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa

from outlay.errors import UnavailableError

CHUNK_ROWS: Final = 2048
"""Rows a chunk: reading one event decodes one chunk, in about two milliseconds."""
SEGMENT_BYTES: Final = 256 * 1024 * 1024
MAX_CHUNK_BYTES: Final = 1024 * 1024 * 1024
_HEADER: Final = struct.Struct("<4sIII")
_MAGIC: Final = b"OLC1"
_SUFFIX: Final = ".chunks"
_REBUILD: Final = "Stop the server, delete the OLAP files and rebuild them from the warehouse."


def encode(table: pa.Table) -> bytes:
    """Return a table as compressed bytes; columns that hold nothing are left out."""
    used = [name for name in table.schema.names if table[name].null_count < table.num_rows]
    part = table.select(used)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, part.schema) as writer:
        writer.write_table(part)
    raw = sink.getvalue()
    body: bytes = pa.Codec("zstd", compression_level=1).compress(raw, asbytes=True)
    return _HEADER.pack(_MAGIC, len(body), len(raw), zlib.crc32(body)) + body


class ChunkFiles:
    """The segment files of one store; one writer, any number of reading threads."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._starts = sorted(int(p.stem) for p in root.glob(f"*{_SUFFIX}"))
        self._fd = -1
        self.tail = 0
        """Address behind the last chunk; `rewind` sets it at open."""

    def append(self, chunks: Sequence[bytes]) -> list[int]:
        """Write chunks durably and return their addresses.

        Raises:
            OSError: The disk is full or failing; call `rewind` before the next append.
        """
        if not chunks:
            return []
        start = self._starts[-1]
        if self.tail - start >= SEGMENT_BYTES:
            self._open_segment(self.tail)
            start = self.tail
        position, addresses = self.tail, []
        for chunk in chunks:
            addresses.append(position)
            position += len(chunk)
        data = memoryview(b"".join(chunks))
        at = self.tail - start
        while data:
            done = os.pwrite(self._fd, data, at)
            data, at = data[done:], at + done
        os.fsync(self._fd)
        self.tail = position
        return addresses

    def rewind(self, committed: int) -> None:
        """Forget everything behind an address, and be ready to append there."""
        for start in [s for s in self._starts if s > committed]:
            self._path(start).unlink(missing_ok=True)
        self._starts = [s for s in self._starts if s <= committed]
        if not self._starts:
            self._open_segment(committed)
        start = self._starts[-1]
        size = self._path(start).stat().st_size
        if start + size < committed:
            raise UnavailableError(
                f"{self._path(start)} is shorter than what was committed to it.", hint=_REBUILD
            )
        self.close()
        self._fd = os.open(self._path(start), os.O_RDWR)
        if start + size > committed:
            os.ftruncate(self._fd, committed - start)
            os.fsync(self._fd)
        self.tail = committed

    def read(self, address: int) -> pa.Table:
        """Return the table that was appended at an address.

        Raises:
            UnavailableError: The chunk is missing or damaged.
        """
        start = self._starts[max(0, bisect_right(self._starts, address) - 1)]
        path = self._path(start)
        try:
            with path.open("rb") as file:
                file.seek(address - start)
                magic, size, raw_size, checksum = _HEADER.unpack(file.read(_HEADER.size))
                body = file.read(min(size, MAX_CHUNK_BYTES))
        except (OSError, struct.error) as error:
            raise UnavailableError(f"{path} cannot be read: {error}", hint=_REBUILD) from error
        if magic != _MAGIC or len(body) != size or zlib.crc32(body) != checksum:
            raise UnavailableError(f"{path} is damaged at byte {address - start}.", hint=_REBUILD)
        raw = pa.Codec("zstd").decompress(body, decompressed_size=raw_size)
        return pa.ipc.open_stream(raw).read_all()

    def size_bytes(self) -> int:
        """Return the bytes on disk."""
        return self.tail - self._starts[0] if self._starts else 0

    def close(self) -> None:
        """Close the open segment; reading still works."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open_segment(self, start: int) -> None:
        self.close()
        self._fd = os.open(self._path(start), os.O_RDWR | os.O_CREAT, 0o600)
        directory = os.open(self._root, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        self._starts.append(start)

    def _path(self, start: int) -> Path:
        return self._root / f"{start:020d}{_SUFFIX}"
