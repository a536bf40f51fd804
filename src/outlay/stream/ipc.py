"""The bytes of a log record: an Arrow IPC stream with compressed buffers and a checksum behind it.

Any Arrow reader can read a record, because the trailer stands after the stream's end. It owns the
encoding and its damage check. It must not know what the columns mean.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from outlay.errors import OutlayError

_TRAILER: Final = struct.Struct("<4sI")
_MAGIC: Final = b"OCRC"
_CODEC: Final = "lz4" if pa.Codec.is_available("lz4") else "zstd"
_WRITE: Final = pa.ipc.IpcWriteOptions(compression=_CODEC, use_threads=False)
_READ: Final = pa.ipc.IpcReadOptions(use_threads=False)


class DamagedRecordError(OutlayError):
    """A log record is damaged: its bytes are not what was written."""

    code = "damaged_record"
    hint = "Check the disk; the record was put aside and the stream goes on."


def to_ipc(table: pa.Table) -> bytes:
    """Return a table as an Arrow IPC stream with a CRC-32 trailer."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_WRITE) as writer:
        writer.write_table(table)
    stream = sink.getvalue()
    return b"".join((stream, _TRAILER.pack(_MAGIC, zlib.crc32(stream))))


def from_ipc(
    payload: bytes, *, schema: pa.Schema | None = None, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the table of a record, of exactly `schema` if one is named.

    With `columns`, which needs a schema, only those are decoded, in the schema's order.

    Raises:
        DamagedRecordError: if the checksum, the encoding or the schema does not hold.
    """
    size = len(payload) - _TRAILER.size
    if size < 0:
        raise DamagedRecordError(f"a record of {len(payload)} bytes is too short")
    magic, checksum = _TRAILER.unpack_from(payload, size)
    stream = memoryview(payload)[:size]
    if magic != _MAGIC or zlib.crc32(stream) != checksum:
        raise DamagedRecordError(f"a record of {len(payload)} bytes fails its checksum")
    try:
        with pa.ipc.open_stream(pa.py_buffer(stream), options=_READ) as reader:
            known = reader.schema
            table = reader.read_all() if columns is None else None
        if table is None:
            places = sorted(map(known.get_field_index, columns or ()))
            chosen = pa.ipc.IpcReadOptions(use_threads=False, included_fields=places)
            with pa.ipc.open_stream(pa.py_buffer(stream), options=chosen) as reader:
                table = reader.read_all()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DamagedRecordError(
            f"a record is not an Arrow stream ({type(error).__name__})"
        ) from error
    if schema is not None and not known.equals(schema):
        raise DamagedRecordError("a record has other columns than this version of outlay reads")
    return table
