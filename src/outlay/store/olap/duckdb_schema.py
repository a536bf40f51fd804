"""The tables of the DuckDB store, and how an Arrow batch of events becomes rows of them.

Measured on DuckDB 2.0 with two cores, 20,000-event batches of all 94 columns: 122,000 events/s and
1,180 bytes of write-ahead log an event. With only the columns that questions use: 240,000
events/s and 530 bytes. So `events` keeps those (52 of them); the rest (raw usage, spans, `lines`,
price book, control) goes to compressed chunk files (`chunks`), addressed by `chunk` and `pos`, and
comes back exactly with `event` and `request_events`. The warehouse keeps every column as nested
Parquet for SQL.

UUIDs go in as Arrow's `uuid` type: casting from BLOB costs 5 % and prunes no better.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core import units
from outlay.core.event import FIELDS
from outlay.core.rollup import MAX_MICROS, SUMS
from outlay.store.olap.chunks import CHUNK_ROWS
from outlay.stream.columns import ENRICHED_SCHEMA

SCHEMA_VERSION: Final = 3

_TEXT: Final = (
    "tenant_id", "user_id", "workspace_id", "billing_unit_id", "plan", "tier", "contract_type",
    "feature", "workflow", "environment", "service", "agent_path", "operation", "name", "provider",
    "vendor", "model_requested", "model_served", "price_model", "status", "error_type",
    "initiator", "price_basis", "host_class", "request_id", "run_id", "kind",
)  # fmt: skip
_MONEY: Final = (
    "cost_nanos", "list_cost_nanos", "cost_input_nanos", "cost_cache_read_nanos",
    "cost_cache_write_nanos", "cost_output_nanos", "cost_other_nanos", "provider_cost_nanos",
    "sell_nanos", "credits_micros", "estimate_nanos",
)  # fmt: skip
KEPT: Final[dict[str, str]] = {
    "event_id": "UUID",
    "adjusts_event_id": "UUID",
    "started_at": "TIMESTAMP",
    **dict.fromkeys(_TEXT, "VARCHAR"),
    "labels": "MAP(VARCHAR, VARCHAR)",
    "flags": "VARCHAR[]",
    "attempt": "UTINYINT",
    "http_status": "SMALLINT",
    "streamed": "BOOLEAN",
    **dict.fromkeys(_MONEY, "BIGINT"),
}
"""Event fields that `events` holds as they are, and their types."""

DERIVED: Final[dict[str, str]] = {
    "input_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "cache_read_tokens": "BIGINT",
    "cache_write_tokens": "BIGINT",
    "reasoning_tokens": "BIGINT",
    "latency_us": "BIGINT",
    "ttft_us": "BIGINT",
    "estimated": "BOOLEAN",
    "log_offset": "BIGINT",
    "chunk": "BIGINT",
    "pos": "USMALLINT",
}
"""Columns of `events` made at the insert."""

DETAIL: Final = tuple(field.name for field in FIELDS if field.name not in KEPT)
"""Event fields that live in chunk files."""

_SUM_TYPES: Final = {
    name: "BIGINT" if name in {"events", "calls", "attempts", "errors", "unpriced"} else "HUGEINT"
    for name in SUMS
}


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f'"{name}" {type_}' for name, type_ in columns.items())


MINUTE_COLUMNS: Final = {"tenant_id": "VARCHAR", "feature": "VARCHAR"}
DAY_COLUMNS: Final = dict.fromkeys(
    (
        "tenant_id", "feature", "workflow", "agent_path", "operation", "provider", "model",
        "initiator", "plan", "tier", "contract_type", "environment", "service", "status",
        "price_basis", "kind",
    ),
    "VARCHAR",
)  # fmt: skip
_DAY_HEAD: Final = {
    "bucket": "TIMESTAMP", "slot": "USMALLINT", "run": "BIGINT", "merged": "BOOLEAN",
}  # fmt: skip

DDL: Final = (
    "CREATE TABLE meta (schema_version INTEGER, folded BIGINT)",
    f"INSERT INTO meta VALUES ({SCHEMA_VERSION}, 0)",
    "CREATE TABLE commits (log_offset BIGINT, tail BIGINT)",
    "INSERT INTO commits VALUES (0, 0)",
    f"CREATE TABLE events ({_columns({**KEPT, **DERIVED})})",
    f"CREATE TABLE rollup_minute (bucket TIMESTAMP, {_columns({**MINUTE_COLUMNS, **_SUM_TYPES})})",
    f"CREATE TABLE rollup_day ({_columns({**_DAY_HEAD, **DAY_COLUMNS, **_SUM_TYPES})})",
)
"""`folded` is the log offset up to which the roll-ups hold the events. `commits` is appended to,
never updated: DuckDB lets inserts commit while a checkpoint runs. `slot` spreads tenants over
65,536 numbers, since zone maps of text keep eight bytes only."""

_SOLD: Final = ("sell_nanos", "credits_micros")
UPGRADES: Final[dict[int, tuple[str, ...]]] = {
    1: (
        *(f"ALTER TABLE events ADD COLUMN {name} BIGINT" for name in _SOLD),
        *(
            f"ALTER TABLE {table} ADD COLUMN {name} HUGEINT DEFAULT 0"
            for table in ("rollup_minute", "rollup_day")
            for name in _SOLD
        ),
        "UPDATE meta SET schema_version = 2",
    ),
    2: (
        "ALTER TABLE events ADD COLUMN estimate_nanos BIGINT",
        "UPDATE meta SET schema_version = 3",
    ),
}
"""What makes an older file the next version, in one transaction: no event of version 1 was sold,
and none of version 2 was held."""

SLOTS: Final = 65_536


def detail_tables(events: pa.Table) -> list[pa.Table]:
    """Cut the columns that `events` does not hold into chunks."""
    detail = events.select(list(DETAIL))
    return [detail.slice(at, CHUNK_ROWS) for at in range(0, len(events), CHUNK_ROWS)]


def rows(events: pa.Table, *, offset: int, addresses: list[int]) -> pa.Table:
    """Return a batch as rows of `events`, in the table's column order."""
    columns: dict[str, Any] = {name: events[name] for name in KEPT}
    for name in ("event_id", "adjusts_event_id"):
        columns[name] = _as_uuid(columns[name])
    index = np.arange(len(events))
    columns |= _tokens(events)
    columns["latency_us"] = _micros(events["latency_ms"])
    columns["ttft_us"] = _micros(events["ttft_ms"])
    columns["estimated"] = pc.or_(
        pc.equal(events["price_basis"], "estimate").fill_null(False),
        pc.equal(events["price_confidence"], "estimated").fill_null(False),
    )
    columns["log_offset"] = pa.repeat(pa.scalar(offset, pa.int64()), len(events))
    columns["chunk"] = pa.array(np.array(addresses, np.int64)[index // CHUNK_ROWS])
    columns["pos"] = pa.array((index % CHUNK_ROWS).astype(np.uint16))
    return pa.table(columns)


def check(events: pa.Table) -> pa.Table:
    """Return the batch in one piece; a wrong schema is a defect of the caller.

    Raises:
        ValueError: The columns are not `ENRICHED_SCHEMA`.
    """
    if not events.schema.equals(ENRICHED_SCHEMA):
        raise ValueError("events must have exactly the columns of ENRICHED_SCHEMA")
    return events.combine_chunks()


def _as_uuid(column: pa.ChunkedArray) -> pa.ChunkedArray:
    pieces = [pa.ExtensionArray.from_storage(pa.uuid(), piece) for piece in column.chunks]
    return pa.chunked_array(pieces, type=pa.uuid())


def _integers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.fill_null(0).to_numpy(), np.int64)


def _micros(column: pa.ChunkedArray) -> pa.Array:
    values = np.asarray(column.fill_null(float("nan")).to_numpy(), np.float64)
    finite = np.isfinite(values)
    micros = np.clip(np.rint(np.where(finite, values, 0.0) * 1000), 0, MAX_MICROS)
    return pa.array(micros.astype(np.int64), mask=~finite)


def _tokens(events: pa.Table) -> dict[str, pa.Array]:
    unit = {name: _integers(events[name]) for name in units.EVENT_UNITS}
    zero = np.zeros(len(events), np.int64)
    tests = {
        "input_tokens": units.is_input,
        "output_tokens": units.is_output,
        "cache_read_tokens": units.is_cache_read,
        "cache_write_tokens": units.is_cache_write,
    }
    totals = {
        name: sum((unit[u] for u in units.EVENT_UNITS if test(u)), start=zero)
        for name, test in tests.items()
    }
    for row, name, quantity in _other_units(events["other_units"]):
        for total, test in tests.items():
            if test(name):
                np.add.at(totals[total], row, quantity)
    totals["reasoning_tokens"] = unit[units.REASONING]
    return {name: pa.array(total) for name, total in totals.items()}


def _other_units(
    column: pa.ChunkedArray,
) -> list[tuple[npt.NDArray[np.int64], str, npt.NDArray[np.int64]]]:
    """Return (row numbers, unit, quantities) for every unit of the map column."""
    maps = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    counts = np.asarray(
        pc.list_value_length(maps.cast(_UNIT_LIST)).fill_null(0).to_numpy(zero_copy_only=False),
        np.int64,
    )
    if not counts.any():
        return []
    entries = pc.list_flatten(maps.cast(_UNIT_LIST))
    row = np.repeat(np.arange(len(maps)), counts)
    names = pc.struct_field(entries, "key").dictionary_encode()
    code = names.indices.to_numpy(zero_copy_only=False)
    quantity = pc.struct_field(entries, "value").fill_null(0).to_numpy(zero_copy_only=False)
    return [
        (row[code == index], name, quantity[code == index])
        for index, name in enumerate(names.dictionary.to_pylist())
    ]


_UNIT_LIST: Final = pa.list_(
    pa.struct([pa.field("key", pa.string(), nullable=False), pa.field("value", pa.int64())])
)
