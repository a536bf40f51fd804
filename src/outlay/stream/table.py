"""Checked events to Arrow columns, a whole column at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from outlay.core.event import CAPTURED, Field
from outlay.stream.columns import CAPTURED_SCHEMA, arrow_type

_BLOCK: Final = 128


def to_table(events: Sequence[Any]) -> pa.Table:
    """Return checked events as one Arrow table of `CAPTURED_SCHEMA`."""
    if not events:
        return CAPTURED_SCHEMA.empty_table()
    arrays = [_array(spec, column) for spec, column in zip(CAPTURED, _columns(events), strict=True)]
    return pa.Table.from_arrays(arrays, schema=CAPTURED_SCHEMA)


def _columns(events: Sequence[Any]) -> list[list[Any]]:
    """Turn rows into columns, block by block: small blocks stay in the processor's cache."""
    columns: list[list[Any]] = [[] for _ in CAPTURED]
    for start in range(0, len(events), _BLOCK):
        rows = map(msgspec.structs.astuple, events[start : start + _BLOCK])
        for column, part in zip(columns, zip(*rows, strict=True), strict=True):
            column.extend(part)
    return columns


def _array(spec: Field, column: Sequence[Any]) -> pa.Array:
    type_ = arrow_type(spec)
    first, size = column[0], len(column)
    # Most columns hold one value in a whole batch; then no element has to be converted.
    repeated = first is None or (spec.type == "string" and first == column[-1])
    if repeated and column.count(first) == size:
        return pa.nulls(size, type_) if first is None else pa.repeat(first, size)
    return _BUILDERS.get(spec.type, _values)(column, type_)


def _values(column: Sequence[Any], type_: pa.DataType) -> pa.Array:
    return pa.array(column, type_)


def _uuids(column: Sequence[str | None], type_: pa.DataType) -> pa.Array:
    if None in column:
        return pa.array([None if t is None else bytes.fromhex(t.replace("-", "")) for t in column],
                        type_)  # fmt: skip
    raw = bytes.fromhex("".join(column).replace("-", ""))  # type: ignore[arg-type]
    return pa.Array.from_buffers(type_, len(column), [None, pa.py_buffer(raw)])


def _timestamps(column: Sequence[int], type_: pa.DataType) -> pa.Array:
    return pa.array(np.fromiter(column, np.int64, len(column))).cast(type_)


def _floats(column: Sequence[float | None], type_: pa.DataType) -> pa.Array:
    return pa.array(column, pa.float64()).cast(type_)


def _maps(column: Sequence[dict[str, Any] | None], type_: pa.DataType) -> pa.Array:
    sizes = np.fromiter((len(m) if m else 0 for m in column), np.int32, len(column))
    offsets = np.zeros(len(column) + 1, np.int32)
    np.cumsum(sizes, out=offsets[1:])
    said = [m for m in column if m]
    keys = pa.array(list(chain.from_iterable(said)), type_.key_type)
    items = pa.array(list(chain.from_iterable(m.values() for m in said)), type_.item_type)
    missing = pa.array([m is None for m in column])
    return pa.MapArray.from_arrays(pa.array(offsets), keys, items, type=type_, mask=missing)


_BUILDERS: Final[dict[str, Callable[[Sequence[Any], pa.DataType], pa.Array]]] = {
    "uuid": _uuids,
    "timestamp": _timestamps,
    "float32": _floats,
    "map_string": _maps,
    "map_int64": _maps,
}
