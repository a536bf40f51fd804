"""What counting events for limits costs: microseconds per event, without and with the books.

Run `python bench/settle.py [--events N] [--limits N] [--tenants N]`. It makes enriched events of
many tenants, counts them under limits of all sorts and prints the time of each stage: reading a
record, grouping it into lines, and the whole step with its transaction on a SQLite file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from outlay.act.ceilings import Ceilings  # noqa: E402
from outlay.act.settle import COLUMNS, Settler  # noqa: E402
from outlay.act.settle_rows import Counting  # noqa: E402
from outlay.core.limits.limit import Limit, Match  # noqa: E402
from outlay.store.books.catalogue import load_catalogue  # noqa: E402
from outlay.store.books.sql import SqlBooks  # noqa: E402
from outlay.store.limits import LimitChange  # noqa: E402
from outlay.store.olap.duckdb import DuckDbStore  # noqa: E402
from outlay.stream.base import Chunk  # noqa: E402
from outlay.stream.columns import ENRICHED_SCHEMA  # noqa: E402
from outlay.stream.ipc import from_ipc, to_ipc  # noqa: E402
from outlay.stream.sqlite import SqliteLog  # noqa: E402
from tests.factory import AGENTS, FEATURES, PLANS, make_events  # noqa: E402

HOPS = 20_000
"""Events in one record of the log, as under load."""
HOUR_US = 3_600_000_000


def make_limits(number: int) -> list[Limit]:
    """Return limits of each sort: per tenant, feature, agent, model and plan, of all windows."""
    each = Match("tenant", each=True)
    kinds = [
        Limit("tenant", "cost", "month", 10**15, scope=(each,)),
        Limit("rolling", "tokens", "rolling", 10**12, scope=(each,), span_us=24 * HOUR_US),
        Limit("rate", "cost", "rate", 10**12, scope=(each,), span_us=60_000_000),
        Limit("all", "cost", "day", 10**16, zone="Europe/Berlin"),
    ]
    for place in range(number - len(kinds)):
        feature = FEATURES[place % len(FEATURES)]
        agent = AGENTS[place % len(AGENTS)]
        part = (
            Match("feature", (feature,)),
            Match("agent", (agent,)),
            Match("plan", (PLANS[place % len(PLANS)],)),
            Match("model", ("gpt*", "claude*")),
        )[place % 4]
        kinds.append(Limit(f"limit-{place}", "cost", "month", 10**15, scope=(each, part)))
    return kinds[:number]


def timed(name: str, events: int, work: Callable[[], object]) -> None:
    """Run some work and print what it took an event."""
    started, cpu = time.perf_counter(), time.process_time()
    work()
    took, busy = time.perf_counter() - started, time.process_time() - cpu
    print(f"{name:<46}{took / events * 1e6:>8.2f} µs/event {busy / events * 1e6:>8.2f} µs of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--events", type=int, default=60_000)
    parser.add_argument("--limits", type=int, default=20)
    parser.add_argument("--tenants", type=int, default=1_000)
    given = parser.parse_args()
    made = make_events(given.events, seed=1, tenants=given.tenants, adjustments=0.0)
    owners = pa.array([f"process-{row % 8}" for row in range(given.events)])
    place = ENRICHED_SCHEMA.get_field_index("hold_id")
    held = made.set_column(place, ENRICHED_SCHEMA.field(place), owners)
    book = load_catalogue()
    place = ENRICHED_SCHEMA.get_field_index("price_book_hash")
    held = held.set_column(
        place, ENRICHED_SCHEMA.field(place), pa.array([book.hash] * given.events)
    )
    records = [held.slice(at, HOPS) for at in range(0, given.events, HOPS)]
    payloads = [to_ipc(record.combine_chunks()) for record in records]
    print(f"{given.events:,} events, {given.limits} limits, {given.tenants:,} tenants, 8 processes")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        books = SqlBooks(f"sqlite:///{root / 'books.db'}")
        books.save_catalogue(book, source="bench", actor="bench", at=1)
        olap = DuckDbStore(root / "olap.duckdb")
        log = SqliteLog(root / "enriched.db")
        settler = Settler(log, books, olap)
        limits = make_limits(given.limits)
        counting = Counting(limits)
        ceilings = Ceilings(books, olap)
        tables = [from_ipc(payload) for payload in payloads]
        now = time.time_ns() // 1000
        timed(
            "read a record",
            given.events,
            lambda: [from_ipc(p, schema=ENRICHED_SCHEMA, columns=COLUMNS) for p in payloads],
        )
        timed("ceilings", given.events, lambda: [ceilings.lacking(one) for one in tables])
        timed("group into lines, first", given.events,
              lambda: [counting.posts(one, None, now=now) for one in tables])  # fmt: skip
        timed("group into lines, again", given.events,
              lambda: [counting.posts(one, None, now=now) for one in tables])  # fmt: skip
        posts = [counting.posts(one, None, now=now) for one in tables]
        print(
            f"lines an event: {sum(len(p.lines) for one in posts for p in one) / given.events:.2f}"
        )

        def drain() -> None:
            while settler.run_once():
                pass

        for payload, record in zip(payloads, records, strict=True):
            log.append([Chunk(payload, record.num_rows)], appended_at=1)
        timed("whole step without limits", given.events, drain)
        books.change_limits(LimitChange(tuple(limits)), reason="bench", actor="bench", at=2)
        for name in ("whole step with limits, new counters", "whole step with limits, again"):
            for payload, record in zip(payloads, records, strict=True):
                log.append([Chunk(payload, record.num_rows)], appended_at=1)
            timed(name, given.events, drain)
        for part in (log, olap, books):
            part.close()


if __name__ == "__main__":
    main()
