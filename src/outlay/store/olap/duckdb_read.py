"""Reading whole events back: rows of `events` joined with their details from chunk files.

Lookups use the time inside UUIDv7 ids to read a few row groups instead of all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pyarrow as pa

from outlay.core.event import FIELDS
from outlay.core.ids import uuid7_unix_ms
from outlay.core.rollup import DAY_US, HOUR_US
from outlay.store.olap.chunks import ChunkFiles
from outlay.store.olap.duckdb_schema import DETAIL, KEPT
from outlay.store.olap.duckdb_sql import timestamp

if TYPE_CHECKING:
    import duckdb

MAX_REQUEST_EVENTS: Final = 10_000
MAX_ADJUSTMENTS: Final = 1_000
EVENT_NEAR_US: Final = 2 * HOUR_US
"""How far an event's start is from the time in its id, when nothing is odd."""
REQUEST_BEFORE_US: Final = HOUR_US
REQUEST_SPAN_US: Final = 2 * DAY_US
"""A request's events start within this time of the time in its id."""
_MAX_UNIX_US: Final = 253_402_300_799 * 1_000_000

Row = dict[str, Any]
_COLUMNS: Final = (*KEPT, "chunk", "pos")
_SELECT: Final = "SELECT {} FROM events WHERE ".format(
    ", ".join(f"epoch_us({n}) AS {n}" if t == "TIMESTAMP" else n for n, t in KEPT.items())
    + ", chunk, pos"
)
_UUID_FIELDS: Final = frozenset(f.name for f in FIELDS if f.type == "uuid")
_MAP_FIELDS: Final = frozenset(f.name for f in FIELDS if f.type.startswith("map_"))
_TIME_FIELDS: Final = frozenset(f.name for f in FIELDS if f.type == "timestamp")


def by_event_id(cursor: duckdb.DuckDBPyConnection, event_id: UUID) -> list[Row]:
    """Return the row of an event, as a list of none or one."""
    near = _unix_us(event_id)
    if near is not None:
        window = [timestamp(near - EVENT_NEAR_US), timestamp(near + EVENT_NEAR_US)]
        rows = _rows(
            cursor,
            "started_at >= ? AND started_at < ? AND event_id = ? LIMIT 1",
            [*window, event_id],
        )
        if rows:
            return rows
    return _rows(cursor, "event_id = ? LIMIT 1", [event_id])


def adjusting(cursor: duckdb.DuckDBPyConnection, event_id: UUID) -> list[Row]:
    """Return the adjustments of an event, oldest first."""
    where = f"adjusts_event_id = ? ORDER BY started_at, event_id LIMIT {MAX_ADJUSTMENTS}"
    return _rows(cursor, where, [event_id])


def by_request(cursor: duckdb.DuckDBPyConnection, request_id: str, tenant: str | None) -> list[Row]:
    """Return the rows of a request ordered by start, of one tenant if named."""
    where, params = "request_id = ?", [request_id]
    if tenant is not None:
        where, params = f"{where} AND tenant_id = ?", [request_id, tenant]
    order = f" ORDER BY started_at, event_id LIMIT {MAX_REQUEST_EVENTS}"
    near = _request_unix_us(request_id)
    if near is not None:
        window = [timestamp(near - REQUEST_BEFORE_US), timestamp(near + REQUEST_SPAN_US)]
        narrow = f"started_at >= ? AND started_at < ? AND {where}{order}"
        rows = _rows(cursor, narrow, [*window, *params])
        if rows:
            return rows
    return _rows(cursor, where + order, params)


def whole_events(rows: list[Row], chunks: ChunkFiles) -> list[dict[str, Any]]:
    """Return rows with all event fields, in field order: UUIDs as text, times as microseconds."""
    wanted: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        wanted[row["chunk"]].append(index)
    for address, indexes in wanted.items():
        table = chunks.read(address)
        picked = table.take(pa.array([rows[i]["pos"] for i in indexes]))
        for index, detail in zip(indexes, _plain(picked), strict=True):
            rows[index].update(detail)
    return [
        {field.name: _value(field.name, row.get(field.name)) for field in FIELDS} for row in rows
    ]


def _plain(table: pa.Table) -> list[Row]:
    for name in _TIME_FIELDS & set(table.schema.names):
        at = table.schema.get_field_index(name)
        table = table.set_column(at, name, table[name].cast(pa.int64()))
    return [dict(row) for row in table.to_pylist()]


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _UUID_FIELDS:
        return str(UUID(bytes=value) if isinstance(value, bytes) else value)
    if name in _MAP_FIELDS:
        return dict(value)
    return value


def _rows(cursor: duckdb.DuckDBPyConnection, where: str, params: Iterable[Any]) -> list[Row]:
    fetched = cursor.execute(_SELECT + where, list(params)).fetchall()
    return [dict(zip(_COLUMNS, row, strict=True)) for row in fetched]


def _unix_us(key: UUID) -> int | None:
    micros = uuid7_unix_ms(str(key)) * 1000 if key.version == 7 else None
    return (
        micros if micros is not None and DAY_US * 3 < micros < _MAX_UNIX_US - DAY_US * 3 else None
    )


def _request_unix_us(request_id: str) -> int | None:
    try:
        return _unix_us(UUID(request_id))
    except ValueError:
        return None


assert {*KEPT, *DETAIL} == {field.name for field in FIELDS}, "every field has one home"
