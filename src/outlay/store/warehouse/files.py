"""How the Parquet warehouse lays out and writes a file; which files count is not known here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from outlay.store.warehouse.manifest import DataFile
from outlay.stream.columns import ENRICHED_SCHEMA

ROW_GROUP_ROWS: Final = 65_536
COMPRESSION: Final = "zstd"
COMPRESSION_LEVEL: Final = 1
LOG_OFFSET: Final = "log_offset"
"""The column that says which log record an event came with."""

_UUIDS: Final = ("event_id", "call_id", "adjusts_event_id")
WAITING_SCHEMA: Final[pa.Schema] = ENRICHED_SCHEMA.append(pa.field(LOG_OFFSET, pa.int64()))
SCHEMA: Final[pa.Schema] = pa.schema(
    [pa.field(f.name, pa.uuid()) if f.name in _UUIDS else f for f in WAITING_SCHEMA]
)
"""The columns of every Parquet file."""

_UNIQUE: Final = frozenset(
    (
        "provider_request_id", "response_id", "request_id", "run_id", "trace_id", "span_id",
        "parent_span_id", "usage_raw", "segments", "hold_id", "reason",
    )
)  # fmt: skip
_REPEATED: Final = [f.name for f in SCHEMA if f.type == pa.string() and f.name not in _UNIQUE]
_SORTED: Final = ["event_id", "started_at", "tenant_id", LOG_OFFSET]
"""Dictionaries of values that repeat, and statistics of what files are searched by: either for
every column costs a quarter of the writing time and makes the files larger."""


def write_parquet(root: Path, day: str, number: int, pieces: Iterable[pa.Table]) -> DataFile:
    """Write the events of one day as one file, durably, and describe it."""
    folder = root / f"day={day}"
    if not folder.exists():
        folder.mkdir()
        sync_folder(root)
    path = folder / f"{number:012d}.parquet"
    rows, first, last = 0, 2**62, 0

    def fill(temporary: Path) -> None:
        nonlocal rows, first, last
        with pq.ParquetWriter(
            temporary,
            SCHEMA,
            compression=COMPRESSION,
            compression_level=COMPRESSION_LEVEL,
            use_dictionary=_REPEATED,
            write_statistics=_SORTED,
        ) as writer:
            for group in row_groups(pieces):
                rows += len(group)
                edge = pc.min_max(group[LOG_OFFSET]).as_py()
                first, last = min(first, edge["min"]), max(last, edge["max"])
                writer.write_table(with_uuids(group), row_group_size=ROW_GROUP_ROWS)

    write_file(path, fill)
    return DataFile(str(path.relative_to(root)), day, rows, path.stat().st_size, first, last)


def read_pieces(root: Path, files: Iterable[DataFile]) -> Iterator[pa.Table]:
    """Return the rows of files in order, in bounded pieces."""
    for file in files:
        for piece in pq.ParquetFile(root / file.path).iter_batches(ROW_GROUP_ROWS):
            yield pa.Table.from_batches([piece])


def row_groups(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Join small pieces to tables of about `ROW_GROUP_ROWS`."""
    held: list[pa.Table] = []
    for piece in pieces:
        held.append(piece)
        if sum(len(table) for table in held) >= ROW_GROUP_ROWS:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def with_uuids(table: pa.Table) -> pa.Table:
    """Give the id columns Arrow's UUID type, which Parquet and SQL engines know."""
    for name in _UUIDS:
        column = table[name]
        if column.type == pa.uuid():
            continue
        pieces = [pa.ExtensionArray.from_storage(pa.uuid(), piece) for piece in column.chunks]
        typed = pa.chunked_array(pieces, type=pa.uuid())
        table = table.set_column(table.schema.get_field_index(name), SCHEMA.field(name), typed)
    return table


def write_file(path: Path, fill: Callable[[Path], None]) -> None:
    """Make a file appear whole or not at all, and durably."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        fill(temporary)
        fd = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.rename(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def day_text(day: int) -> str:
    """Return the date of a day counted from 1970."""
    return time.strftime("%Y-%m-%d", time.gmtime(day * 86_400))
