"""Fill an OLAP store with synthetic events, through the store's own writer.

    python -m bench.load_events --path /tmp/bench/events.duckdb --events 100_000_000

Run from the root of the repository. 5,000 tenants by Zipf's law, 30 days that end now, eight events
a request. Beside the store a `.json` file keeps what `bench.queries` asks for. 100 million events
take about 25 GB of disk.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa

from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.olap.duckdb_file import ROW_GROUP_ROWS
from tests.factory import DEFAULT_TENANTS, make_events

BATCH = 16 * ROW_GROUP_ROWS
DAY_US = 86_400_000_000
SAMPLES = 40
BYTES_PER_EVENT = 300


def batches(total: int, *, days: int, end_us: int) -> Iterator[pa.Table]:
    """Make the batches one ahead of the writer."""
    start, span = end_us - days * DAY_US, days * DAY_US
    sizes = [min(BATCH, total - at) for at in range(0, total, BATCH)]

    def make(index: int) -> pa.Table:
        first, last = index * BATCH, index * BATCH + sizes[index]
        begun, ended = start + span * first // total, start + span * last // total
        return make_events(
            sizes[index], seed=index, start_us=begun, span_us=ended - begun, tenants=DEFAULT_TENANTS
        )

    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, 0)
        for index in range(len(sizes)):
            table = ahead.result()
            if index + 1 < len(sizes):
                ahead = pool.submit(make, index + 1)
            yield table


def sample(table: pa.Table, into: dict[str, Any]) -> None:
    row = table.slice(len(table) // 2, 1).to_pylist()[0]
    into["events"].append(str(UUID(bytes=row["event_id"])))
    into["requests"].append(row["request_id"])


def load(path: Path, total: int, *, days: int, memory_mb: int, end_us: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < total * BYTES_PER_EVENT:
        message = f"{path.parent} has {free / 1e9:.0f} GB free; {total:,} events need more."
        raise SystemExit(message)
    store = DuckDbStore(path, memory_mb=memory_mb, threads=2)
    samples: dict[str, Any] = {"events": [], "requests": []}
    every = max(1, total // BATCH // SAMPLES)
    begun, done, writing = time.perf_counter(), 0, 0.0
    for index, table in enumerate(batches(total, days=days, end_us=end_us)):
        at = time.perf_counter()
        store.write(table, offset=index + 1)
        writing += time.perf_counter() - at
        done += len(table)
        if index % every == 0:
            sample(table, samples)
            rate, took = done / writing, time.perf_counter() - begun
            print(f"{done:>12,} events  {rate:>9,.0f} events/s written  {took:,.0f} s", flush=True)
    at, steps = time.perf_counter(), 0
    while store.compact(everything=True):
        steps += 1
    print(f"roll-ups merged in {steps} steps, {time.perf_counter() - at:,.0f} s")
    size = store.size_bytes()
    store.close()
    record = {**samples, "total": total, "days": days, "now": end_us, "bytes": size}
    path.with_suffix(".json").write_text(json.dumps(record))
    took = time.perf_counter() - begun
    print(f"{total:,} events in {took:,.0f} s, {size / 1e9:.2f} GB, {size / total:.0f} B an event")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--memory-mb", type=int, default=4096)
    parser.add_argument("--end-us", type=int, default=time.time_ns() // 1000)
    options = parser.parse_args()
    options.path.parent.mkdir(parents=True, exist_ok=True)
    load(
        options.path, options.events, days=options.days, memory_mb=options.memory_mb,
        end_us=options.end_us,
    )  # fmt: skip


if __name__ == "__main__":
    main()
