"""The sinks and stores under test: a later backend adds a factory here and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from outlay.store.base import OlapStore, Sink
from outlay.store.olap import duckdb_rollup
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.warehouse import parquet
from outlay.store.warehouse.parquet import ParquetWarehouse
from tests.factory import DEFAULT_START_US, make_events

DAY_US = 86_400_000_000
BATCH_EVENTS = 400

OLAP: dict[str, Callable[[Path], OlapStore]] = {
    "duckdb": lambda root: DuckDbStore(root / "events.duckdb", memory_mb=512),
}
WAREHOUSES: dict[str, Callable[[Path], Sink]] = {
    "parquet": lambda root: ParquetWarehouse(root / "warehouse"),
}
SINKS: dict[str, Callable[[Path], Sink]] = {**OLAP, **WAREHOUSES}


def small_steps() -> None:
    """Make upkeep due after a few batches, so that tests pass through all of it."""
    duckdb_rollup.FOLD_EVENTS = 900  # type: ignore[misc]
    duckdb_rollup.MERGE_ROWS = 300  # type: ignore[misc]
    duckdb_rollup.MERGE_CLOSED_ROWS = 100  # type: ignore[misc]
    duckdb_rollup.SLICE_ROWS = 200  # type: ignore[misc]
    parquet.FILE_EVENTS = 1_000  # type: ignore[misc]


def batch(offset: int) -> pa.Table:
    """Return the events of a log offset, over two days, always the same."""
    start = DEFAULT_START_US + offset * 3_600_000_000
    return make_events(
        BATCH_EVENTS, seed=offset, start_us=start, span_us=DAY_US, tenants=40, adjustments=0.05
    )
