"""Reading many whole events back as columns, for whoever prices them again.

Events are found by a filter once, then read some chunks of details at a time, so that memory stays
bounded. Adjustments come with the events they adjust. It writes nothing and knows no prices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from outlay.core.rollup import PRICED_LATE
from outlay.store.base import EventFilter
from outlay.store.groups import UnpricedGroup
from outlay.store.olap.chunks import CHUNK_ROWS, ChunkFiles
from outlay.store.olap.duckdb_schema import DETAIL, KEPT
from outlay.store.olap.duckdb_sql import MODEL, timestamp
from outlay.stream.columns import ENRICHED_SCHEMA

if TYPE_CHECKING:
    import duckdb

EVENTS_AT_ONCE: Final = 8 * CHUNK_ROWS
"""Events in one step: what is held in memory at once."""
CHUNKS_AT_ONCE: Final = 1024
"""Chunks of details read in one step. Light traffic makes chunks of a few events each, so steps
are measured in events first."""

_NAMES: Final = ", ".join(f'"{name}"' for name in KEPT)
_ROWS: Final = f"SELECT {_NAMES}, chunk, pos FROM events WHERE "
_ORDER: Final = " ORDER BY chunk, pos"
_CLEARED: Final = (
    "SELECT adjusts_event_id FROM events WHERE kind = 'adjustment' "
    f"AND list_contains(flags, '{PRICED_LATE}') AND started_at >= $start AND started_at < $end"
)
_REASON: Final = (
    "CASE WHEN list_contains(flags, 'usage_unknown') THEN 'usage_unknown' "
    "WHEN list_contains(flags, 'unknown_model') THEN 'unknown_model' ELSE 'no_rate' END"
)
_TOKENS: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens",
)  # fmt: skip


def where(which: EventFilter) -> tuple[str, dict[str, Any]]:
    """Return the condition and parameters of a filter on usage events."""
    parts = ["kind = 'usage'", "started_at >= $start", "started_at < $end"]
    params: dict[str, Any] = {"start": timestamp(which.start), "end": timestamp(which.end)}
    if which.provider:
        parts.append("provider = $provider")
        params["provider"] = which.provider
    if which.model:
        parts.append("$model IN (price_model, model_served, model_requested, name)")
        params["model"] = which.model
    if which.tenant:
        parts.append("tenant_id = $tenant")
        params["tenant"] = which.tenant
    known = ""
    if which.up_to is not None:
        known = " AND log_offset <= $up_to"
        params["up_to"] = which.up_to
    if which.unpriced:
        parts.append(f"price_basis = 'unpriced' AND event_id NOT IN ({_CLEARED}{known})")
    parts[-1] += known
    return " AND ".join(parts), params


def count(cursor: duckdb.DuckDBPyConnection, which: EventFilter) -> int:
    """Return how many events a filter finds."""
    condition, params = where(which)
    row = cursor.execute(f"SELECT count(*) FROM events WHERE {condition}", params).fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row[0])


def addresses(
    cursor: duckdb.DuckDBPyConnection, which: EventFilter
) -> list[tuple[int, npt.NDArray[np.int64]]]:
    """Return the chunk and places of every event that a filter finds, in the order of the log."""
    condition, params = where(which)
    sql = f"SELECT chunk, pos FROM events WHERE {condition}{_ORDER}"
    found = cursor.execute(sql, params).fetchnumpy()
    chunks = np.asarray(found["chunk"], np.int64)
    places = np.asarray(found["pos"], np.int64)
    edges = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(chunks)]
    return [
        (int(chunks[first]), places[first:last]) for first, last in pairwise(edges) if first < last
    ]


def steps(
    found: Sequence[tuple[int, npt.NDArray[np.int64]]],
) -> Iterator[Sequence[tuple[int, npt.NDArray[np.int64]]]]:
    """Cut addresses into steps of a bounded size."""
    step: list[tuple[int, npt.NDArray[np.int64]]] = []
    events = 0
    for address, places in found:
        if step and (events + len(places) > EVENTS_AT_ONCE or len(step) == CHUNKS_AT_ONCE):
            yield step
            step, events = [], 0
        step.append((address, places))
        events += len(places)
    if step:
        yield step


def read(
    cursor: duckdb.DuckDBPyConnection,
    step: Sequence[tuple[int, npt.NDArray[np.int64]]],
    chunks: ChunkFiles,
) -> pa.Table:
    """Return the events of one step, in `ENRICHED_SCHEMA` and the order of the log."""
    cursor.register("wanted", pa.table({
        "chunk": pa.array(np.repeat([address for address, _ in step], [len(p) for _, p in step])),
        "pos": pa.array(np.concatenate([places for _, places in step])),
    }))  # fmt: skip
    low, high = step[0][0], step[-1][0]
    sql = f"{_ROWS} chunk BETWEEN {low} AND {high} AND (chunk, pos) IN (SELECT * FROM wanted)"
    return _whole(_arrow(cursor, sql + _ORDER), chunks)


def adjustments(
    cursor: duckdb.DuckDBPyConnection,
    events: pa.Table,
    chunks: ChunkFiles,
    *,
    up_to: int | None = None,
) -> pa.Table:
    """Return the adjustments of events, oldest in the log first, up to an offset of the log."""
    times = events.column("started_at").cast(pa.int64()).to_numpy()
    ids = pa.chunked_array(events.column("event_id").chunks, pa.binary(16)).combine_chunks()
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    cursor.register("adjusted", pa.table({"id": pa.ExtensionArray.from_storage(pa.uuid(), ids)}))
    known = "" if up_to is None else f" AND log_offset <= {int(up_to)}"
    sql = (
        f"{_ROWS} kind = 'adjustment' AND started_at >= $start AND started_at <= $end "
        f"AND adjusts_event_id IN (SELECT id FROM adjusted){known}{_ORDER}"
    )
    window = {"start": timestamp(int(times.min())), "end": timestamp(int(times.max()))}
    return _whole(_arrow(cursor, sql, window), chunks)


def by_ids(
    cursor: duckdb.DuckDBPyConnection,
    event_ids: Sequence[bytes],
    *,
    start: int,
    end: int,
    chunks: ChunkFiles,
) -> pa.Table:
    """Return events by their ids' bytes, of those that started in a window."""
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array(event_ids, pa.binary(16)))
    cursor.register("asked", pa.table({"id": ids}))
    sql = (
        f"{_ROWS} started_at >= $start AND started_at < $end "
        f"AND event_id IN (SELECT id FROM asked){_ORDER}"
    )
    window = {"start": timestamp(start), "end": timestamp(end)}
    return _whole(_arrow(cursor, sql, window), chunks)


def unpriced(
    cursor: duckdb.DuckDBPyConnection, which: EventFilter, *, limit: int
) -> list[UnpricedGroup]:
    """Return the events that still have no price, by what they lack, the most frequent first."""
    condition, params = where(which)
    sums = ", ".join(f"sum({name})" for name in _TOKENS)
    sql = (
        f"SELECT coalesce(provider, ''), coalesce({MODEL}, name, ''), {_REASON} AS reason, "
        f"count(*), count(DISTINCT tenant_id), epoch_us(min(started_at)), "
        f"epoch_us(max(started_at)), min(event_id), {sums} FROM events WHERE {condition} "
        f"GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3 LIMIT {limit}"
    )
    found = cursor.execute(sql, params).fetchall()
    return [_group(row) for row in found]


def _group(row: Sequence[Any]) -> UnpricedGroup:
    provider, model, reason, events, tenants, first, last, event_id, *tokens = row
    told = dict(zip(_TOKENS, (int(count or 0) for count in tokens), strict=True))
    return UnpricedGroup(provider, model, reason, events, tenants, first, last, str(event_id), told)


def _arrow(cursor: duckdb.DuckDBPyConnection, sql: str, params: Any = None) -> pa.Table:
    found: pa.Table = cursor.sql(sql, params=params).to_arrow_table()
    return found.combine_chunks()


def _whole(rows: pa.Table, chunks: ChunkFiles) -> pa.Table:
    """Join rows of `events` with their details; rows are in the order of chunk and place."""
    if not rows.num_rows:
        return ENRICHED_SCHEMA.empty_table()
    where_ = rows.column("chunk").to_numpy()
    places = rows.column("pos").to_numpy()
    edges = [0, *(np.flatnonzero(np.diff(where_)) + 1).tolist(), len(where_)]
    parts = []
    for first, last in pairwise(edges):
        detail = chunks.read(int(where_[first])).take(pa.array(places[first:last]))
        missing = [name for name in DETAIL if name not in detail.schema.names]
        for name in missing:
            nothing = pa.nulls(last - first, ENRICHED_SCHEMA.field(name).type)
            detail = detail.append_column(name, nothing)
        parts.append(detail.select(list(DETAIL)))
    details = pa.concat_tables(parts)
    arrays = [
        _column(details if field.name in DETAIL else rows, field) for field in ENRICHED_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=ENRICHED_SCHEMA).combine_chunks()


def _column(table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
    column = table.column(field.name)
    if column.type == field.type:
        return column
    if field.type == pa.binary(16):
        pieces = [_uuid_bytes(piece) for piece in column.chunks]
        return pa.chunked_array(pieces, field.type)
    return column.cast(field.type)


def _uuid_bytes(piece: pa.Array) -> pa.Array:
    if isinstance(piece, pa.ExtensionArray):
        return piece.storage
    texts = piece.to_pylist()
    return pa.array(
        [None if t is None else bytes.fromhex(str(t).replace("-", "")) for t in texts],
        pa.binary(16),
    )
