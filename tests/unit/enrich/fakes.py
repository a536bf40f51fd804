"""Books, prices and sinks that keep everything in memory, for the tests of enrichment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pyarrow as pa

from outlay.enrich.hop import HopLog
from outlay.store.base import Books, DeadLetter, Tenant
from outlay.stream.columns import ENRICHED_SCHEMA
from outlay.stream.ipc import from_ipc


class FakeBooks:
    """The part of `Books` that enrichment uses."""

    def __init__(self, *tenants: Tenant) -> None:
        self.versions = list(tenants)
        self.letters: list[DeadLetter] = []
        self.loads = {"tenants": 0, "prices": 0}
        self.revisions = {"tenants": 1, "prices": 1}
        self.error: Exception | None = None

    def as_books(self) -> Books:
        return cast("Books", self)

    def tenants(self, *, at: int | None = None) -> list[Tenant]:
        self.loads["tenants"] += 1
        return self.versions

    def load_prices(self, *, known_at: int | None = None) -> Any:
        self.loads["prices"] += 1
        return None

    def revision(self, topic: str) -> int:
        if self.error is not None:
            raise self.error
        return self.revisions[topic]

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        self.letters.extend(letters)


def flat_price(captured: pa.Table, book: Any) -> dict[str, Any]:
    """Price every token at one nano-dollar; events without a model are unpriced."""
    tokens = captured.column("input").to_numpy() + captured.column("output").to_numpy()
    models = captured.column("model_served").to_pylist()
    if any(model == "poison" for model in models):
        raise ValueError("cannot price")
    flags = [[] if model else ["unpriced"] for model in models]
    return {
        "cost_nanos": pa.array(tokens),
        "price_basis": pa.array(["catalogue" if model else "unpriced" for model in models]),
        "price_flags": pa.array(flags, pa.list_(pa.string())),
    }


class FakeSink:
    """A sink that keeps tables; `errors` are raised one by one before it writes."""

    def __init__(self, name: str = "fake") -> None:
        self.name = name
        self.tables: list[pa.Table] = []
        self.committed = 0
        self.writes: list[int] = []
        self.errors: list[Exception] = []
        self.poison: str | None = None

    def offset(self) -> int:
        return self.committed

    def write(self, events: pa.Table, *, offset: int) -> None:
        if self.errors:
            raise self.errors.pop(0)
        if self.poison is not None and self.poison in events.column("feature").to_pylist():
            raise ValueError("a value this store cannot hold")
        if offset <= self.committed:
            return
        self.tables.append(events)
        self.writes.append(events.num_rows)
        self.committed = offset

    def close(self) -> None:
        pass

    def rows(self) -> list[dict[str, Any]]:
        return [row for table in self.tables for row in table.to_pylist()]


def enriched_rows(log: HopLog) -> list[dict[str, Any]]:
    """Return everything in an enriched log."""
    tables = [
        from_ipc(record.payload, schema=ENRICHED_SCHEMA) for record in log.read(0, max_events=10**9)
    ]
    return [row for table in tables for row in table.to_pylist()]


def ints(*values: int) -> Any:
    """Return a 64-bit integer array."""
    return np.array(values, np.int64)
