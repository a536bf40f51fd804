"""Events as Arrow columns: the schemas, and the chunk encoding used in logs.

The schemas are derived from the one field table in `core.event`. It must not enrich or judge.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from outlay.core.event import CAPTURED, FIELDS, LINE_FIELDS, Field

_TYPES: dict[str, pa.DataType] = {
    "uuid": pa.binary(16),
    "string": pa.string(),
    "uint8": pa.uint8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("us"),
    "json": pa.string(),
    "map_string": pa.map_(pa.string(), pa.string()),
    "map_int64": pa.map_(pa.string(), pa.int64()),
    "list_string": pa.list_(pa.string()),
}
_TYPES["lines"] = pa.list_(pa.struct([pa.field(n, _TYPES[t]) for n, t in LINE_FIELDS]))


def arrow_type(field: Field) -> pa.DataType:
    """Return the Arrow type of a field. Timestamps are UTC without a zone."""
    return _TYPES[field.type]


def _schema(fields: Iterable[Field]) -> pa.Schema:
    return pa.schema([pa.field(f.name, arrow_type(f)) for f in fields])


CAPTURED_SCHEMA: pa.Schema = _schema(CAPTURED)
"""What a client sends, in field-table order; UUIDs are 16 bytes."""

ENRICHED_SCHEMA: pa.Schema = _schema(FIELDS)
"""The whole event, in field-table order: what stores hold."""
