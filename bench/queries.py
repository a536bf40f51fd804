"""Time the questions that matter on a store that `bench.load_events` filled.

    python -m bench.queries --path /tmp/bench/events.duckdb

Cold is the first answer after the files left the page cache and the store was opened anew; warm is
the median of the following ones. Run from the root of the repository.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.query.model import Query, parse_query

WARM_RUNS = 15
DAY_US = 86_400_000_000


def forget_pages(path: Path) -> None:
    """Drop the store's files from the page cache."""
    for file in [path, *sorted(Path(f"{path}.chunks").iterdir())]:
        fd = os.open(file, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def questions(facts: dict[str, Any], tenants: dict[str, str]) -> dict[str, tuple[Any, float]]:
    """Return what to ask: a query, an event id or a request id, and the target in ms."""
    now = facts["now"]

    def query(**body: Any) -> Query:
        return parse_query(body, now=now)

    top = {"metrics": ["cost"], "by": ["tenant"], "limit": 10}
    month = {
        "metrics": ["cost", "calls"], "by": ["feature", "model"], "grain": "day",
        "last": f"{facts['days']}d", "limit": 10_000,
    }  # fmt: skip
    asked: dict[str, tuple[Any, float]] = {
        "top 10 tenants, last 15 min": (query(**top, last="15m"), 50),
        "top 10 tenants, last 24 h": (query(**top, last="24h"), 50),
        "all tenants, month": (query(metrics=["cost"], by=["tenant"], last="30d"), 150),
    }
    for rank, tenant in tenants.items():
        filters = [{"field": "tenant", "value": tenant}]
        asked[f"{rank} tenant's month, day x feature x model"] = (
            query(**month, filters=filters), 150,
        )  # fmt: skip
    asked["tree of a request"] = (("request", facts["requests"]), 50)
    asked["event by id"] = (("event", facts["events"]), 50)
    return asked


def asker(store: DuckDbStore, what: Any, now: int) -> Callable[[int], Any]:
    if isinstance(what, Query):
        return lambda _: store.query(what, now=now)
    kind, ids = what
    if kind == "event":
        return lambda i: store.event(ids[i % len(ids)])
    return lambda i: store.request_events(ids[i % len(ids)], tenant=None)


def run(path: Path, memory_mb: int) -> list[tuple[str, float, float, float, float]]:
    facts = json.loads(path.with_suffix(".json").read_text())
    store = DuckDbStore(path, memory_mb=memory_mb, threads=2)
    ranked = store.query(
        parse_query(
            {"metrics": ["calls"], "by": ["tenant"], "last": "30d", "limit": 100}, now=facts["now"]
        ),
        now=facts["now"],
    ).rows
    tenants = {"biggest": ranked[0][0], "rank-100": ranked[-1][0]}
    store.close()
    results = []
    for name, (what, target) in questions(facts, tenants).items():
        forget_pages(path)
        store = DuckDbStore(path, memory_mb=memory_mb, threads=2)
        ask = asker(store, what, facts["now"])
        times = []
        for index in range(WARM_RUNS + 1):
            begun = time.perf_counter()
            answer = ask(index)
            times.append((time.perf_counter() - begun) * 1000)
        assert answer, f"{name} found nothing"
        source = getattr(answer, "source", "events")
        results.append((f"{name} [{source}]", times[0], statistics.median(times[1:]),
                        max(times[1:]), target))  # fmt: skip
        store.close()
    print(f"{facts['total']:,} events, {facts['bytes'] / 1e9:.2f} GB, memory {memory_mb} MB")
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--path", type=Path, required=True)
    parser.add_argument("--memory-mb", type=int, default=2048)
    options = parser.parse_args()
    results = run(options.path, options.memory_mb)
    print(f"{'':<62}{'cold':>8}{'warm':>8}{'worst':>8}{'target':>8}  ms")
    for name, cold, warm, worst, target in results:
        verdict = "ok" if warm <= target else "MISSED"
        print(f"{name:<62}{cold:>8.1f}{warm:>8.1f}{worst:>8.1f}{target:>8.0f}  {verdict}")


if __name__ == "__main__":
    main()
