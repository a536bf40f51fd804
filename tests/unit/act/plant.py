"""The whole way of an event on real logs, stores and books, stepped by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from outlay.act.rerate import Outcome, Rerater
from outlay.core.event import CAPTURED
from outlay.core.ids import uuid7
from outlay.core.rates import RateRow
from outlay.core.rollup import HOUR_US
from outlay.enrich.hop import HopLog
from outlay.enrich.price import price_table
from outlay.enrich.pump import SinkPump
from outlay.enrich.worker import Enricher
from outlay.store.base import EventFilter, PriceChange
from outlay.store.books.sql import SqlBooks
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.query.model import parse_query
from outlay.store.warehouse.parquet import ParquetWarehouse
from outlay.stream.base import Chunk
from outlay.stream.columns import CAPTURED_SCHEMA
from outlay.stream.ipc import to_ipc
from outlay.stream.sqlite import SqliteLog

HOUR = 1_790_000_000_000_000 // HOUR_US * HOUR_US
NOW = HOUR + 5 * HOUR_US
ALL = EventFilter(HOUR, NOW)
M = 1_000_000


class Plant:
    """The whole way of an event, stepped by hand."""

    def __init__(self, root: Path) -> None:
        self.captured = SqliteLog(root / "captured.db")
        self.enriched = HopLog(root / "enriched.db")
        self.books = SqlBooks(f"sqlite:///{root / 'books.db'}")
        self.olap = DuckDbStore(root / "o.duckdb")
        self.warehouse = ParquetWarehouse(root / "warehouse")
        self.now = NOW
        shared: dict[str, Any] = {"books": self.books, "clock": self.clock}
        self.enricher = Enricher(
            self.captured, self.enriched, self.books, price=price_table, clock=self.clock
        )
        self.pumps = [
            SinkPump(self.enriched, sink, **shared) for sink in (self.olap, self.warehouse)
        ]
        self.rerater = Rerater(
            self.olap, self.captured, self.books, price=price_table, settled=self.settle,
            clock=self.clock,
        )  # fmt: skip
        self.made = 0

    def clock(self) -> int:
        return self.now

    def settle(self, _timeout_s: float = 0.0) -> bool:
        while self.enricher.run_once():
            pass
        for pump in self.pumps:
            while pump.run_once():
                pass
        return True

    def rates(self, *rows: RateRow) -> None:
        self.now += 1
        self.books.change_prices(PriceChange(rates=rows), reason="test", actor="test", at=self.now)

    def capture(self, **values: Any) -> str:
        self.made += 1
        at = HOUR + self.made * 1000
        event_id = uuid7(at // 1000, self.made.to_bytes(10, "big"))
        row = {f.name: f.default for f in CAPTURED} | {
            "event_id": bytes.fromhex(event_id.replace("-", "")), "started_at": at,
            "ended_at": at + 10, "tenant_id": "acme", "tenant_source": "request",
            "operation": "chat", "status": "ok", "provider": "vllm", "model_served": "own",
            "surface": "openai.chat", "input": 1000, "output": 100,
        }  # fmt: skip
        table = pa.Table.from_pylist([row | values], schema=CAPTURED_SCHEMA)
        self.captured.append([Chunk(to_ipc(table), 1)], appended_at=self.now)
        self.settle()
        return event_id

    def run(self, which: EventFilter = ALL, *, apply: bool = True) -> Outcome:
        return self.rerater.run(which, reason="a new price list", actor="test", apply=apply)

    def ask(self, *metrics: str, **body: Any) -> tuple[Any, ...]:
        query = parse_query(
            {"metrics": list(metrics), "from": HOUR, "to": NOW, **body}, now=self.now, tenant=None
        )
        (row,) = self.olap.query(query, now=self.now).rows
        return tuple(row)

    def close(self) -> None:
        for part in (self.olap, self.warehouse, self.books, self.enriched, self.captured):
            part.close()


def rate(unit: str, nanos: int, **values: Any) -> RateRow:
    return RateRow.make("vllm", "own", unit, nanos, layer="override", **values)


def own(input_nanos: int = 2 * M, output_nanos: int = 10 * M) -> tuple[RateRow, RateRow]:
    return rate("input", input_nanos), rate("output", output_nanos)
