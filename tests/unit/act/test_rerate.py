"""Re-rating on real logs, stores and books: history stays, reports change, again is no change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from outlay.act.rerate import MAX_REASON_CHARACTERS, Outcome, Rerater
from outlay.act.spread import Cluster, spread
from outlay.core.event import CAPTURED
from outlay.core.ids import uuid7
from outlay.core.prices import PriceBook
from outlay.core.rates import RateRow
from outlay.core.rollup import HOUR_US
from outlay.core.sell import SellRow
from outlay.enrich.hop import HopLog
from outlay.enrich.price import price_table
from outlay.enrich.pump import SinkPump
from outlay.enrich.worker import Enricher
from outlay.errors import BadRequestError, ConflictError, UnavailableError
from outlay.store.base import EventFilter, PriceChange
from outlay.store.books.sql import SqlBooks
from outlay.store.compare import compare
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


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    made = Plant(tmp_path)
    yield made
    made.close()


def rate(unit: str, nanos: int, **values: Any) -> RateRow:
    return RateRow.make("vllm", "own", unit, nanos, layer="override", **values)


def own(input_nanos: int = 2 * M, output_nanos: int = 10 * M) -> tuple[RateRow, RateRow]:
    return rate("input", input_nanos), rate("output", output_nanos)


def test_a_preview_writes_nothing(plant: Plant) -> None:
    plant.rates(*own())
    plant.capture()
    plant.rates(*own(3 * M))
    head = plant.captured.head()
    outcome = plant.run(apply=False)
    assert (outcome.changed, outcome.written) == (1, 0)
    assert (outcome.was_nanos, outcome.now_nanos) == (3000, 4000)
    assert plant.captured.head() == head
    assert plant.ask("cost") == (3000,)


def test_every_report_takes_the_adjustment_in(plant: Plant) -> None:
    plant.rates(*own())
    event_id = plant.capture()
    plant.rates(*own(3 * M))
    assert plant.run().written == 1
    assert plant.ask("cost", "calls", "input_tokens", "cost_input") == (4000, 1, 1000, 3000)
    assert plant.olap.verify() == []
    assert compare(plant.olap, plant.warehouse) == []
    stored = plant.olap.event(event_id)
    assert stored is not None
    assert stored["cost_nanos"] == 3000, "history is never edited"
    (change,) = stored["adjustments"]
    assert change["reason"] == "a new price list"
    assert change["cost_nanos"] == 1000
    assert change["tenant_id"] == "acme"


def test_running_it_twice_changes_nothing(plant: Plant) -> None:
    plant.rates(*own())
    plant.capture()
    plant.rates(*own(3 * M))
    plant.run()
    again = plant.run()
    assert (again.changed, again.written) == (0, 0)
    assert plant.ask("cost") == (4000,)


def test_two_runs_that_both_found_the_difference_count_once(plant: Plant) -> None:
    plant.rates(*own())
    plant.capture()
    plant.rates(*own(3 * M))
    blind = Rerater(
        plant.olap, plant.captured, plant.books, price=price_table, settled=lambda _: True,
        clock=plant.clock,
    )  # fmt: skip
    for _ in range(2):
        assert blind.run(ALL, reason="r", actor="t", apply=True).written == 1
    plant.settle()
    assert plant.ask("cost") == (4000,)


def test_a_price_that_goes_back_goes_back(plant: Plant) -> None:
    plant.rates(*own())
    event_id = plant.capture()
    for nanos, cost in ((3 * M, 4000), (2 * M, 3000), (3 * M, 4000), (2 * M, 3000)):
        plant.rates(*own(nanos))
        assert plant.run().written == 1
        assert plant.ask("cost") == (cost,)
    stored = plant.olap.event(event_id)
    assert stored is not None
    assert len(stored["adjustments"]) == 4
    assert plant.olap.verify() == []


def test_unpriced_events_get_their_first_price_and_leave_the_list(plant: Plant) -> None:
    plant.capture()
    plant.capture(model_served="unheard-of")
    assert plant.ask("unpriced", "cost") == (2, 0)
    groups = plant.olap.unpriced(ALL, limit=10)
    assert {(g.provider, g.model, g.reason, g.events) for g in groups} == {
        ("vllm", "own", "unknown_model", 1),
        ("vllm", "unheard-of", "unknown_model", 1),
    }
    plant.rates(*own())
    outcome = plant.run(EventFilter(HOUR, NOW, unpriced=True))
    assert (outcome.priced_late, outcome.still_unpriced, outcome.written) == (1, 1, 1)
    assert plant.ask("unpriced", "cost") == (1, 3000)
    assert [g.model for g in plant.olap.unpriced(ALL, limit=10)] == ["unheard-of"]
    assert plant.olap.verify() == []
    assert plant.run(EventFilter(HOUR, NOW, unpriced=True)).examined == 1


def test_a_first_price_of_nothing_clears_the_list_too(plant: Plant) -> None:
    plant.capture()
    plant.rates(*own(0, 0))
    assert plant.run().written == 1
    assert plant.olap.unpriced(ALL, limit=10) == []
    assert plant.ask("unpriced") == (0,)
    assert plant.run().written == 0


def test_a_price_is_never_taken_away(plant: Plant) -> None:
    rows = own()
    plant.rates(*rows)
    plant.capture()
    plant.now += 1
    withdrawn = PriceChange(withdrawn=tuple(row.rate_id for row in rows))
    plant.books.change_prices(withdrawn, reason="test", actor="test", at=plant.now)
    outcome = plant.run()
    assert (outcome.changed, outcome.written) == (0, 0)
    assert plant.ask("cost") == (3000,)


def test_what_is_charged_changes_with_the_cost(plant: Plant) -> None:
    plant.rates(*own())
    markup = SellRow.make("cost", "nanos", 1_500_000)
    plant.now += 1
    plant.books.change_prices(
        PriceChange(sells=(markup,)), reason="test", actor="test", at=plant.now
    )
    plant.capture()
    assert plant.ask("sell", "margin") == (4500, 1500)
    plant.rates(*own(3 * M))
    assert plant.run().sell_change_nanos == 1500
    assert plant.ask("cost", "sell", "margin") == (4000, 6000, 2000)


def test_only_what_was_asked_for_changes(plant: Plant) -> None:
    plant.rates(*own())
    plant.capture()
    plant.capture(tenant_id="rival")
    plant.rates(*own(3 * M))
    assert plant.run(EventFilter(HOUR, NOW, tenant="rival")).written == 1
    assert plant.run(EventFilter(HOUR, NOW, model="other")).examined == 0
    assert plant.run(EventFilter(HOUR, HOUR + 1)).examined == 0
    assert plant.ask("cost") == (7000,)


def test_it_is_audited(plant: Plant) -> None:
    plant.rates(*own())
    plant.capture()
    plant.rates(*own(3 * M))
    plant.run()
    entry = plant.books.audit(limit=1)[0]
    assert (entry.action, entry.actor) == ("prices.rerate", "test")
    assert entry.details["reason"] == "a new price list"
    assert entry.details["written"] == 1


@pytest.mark.parametrize(
    ("which", "reason", "where"),
    [
        (EventFilter(HOUR, HOUR), "x", "to"),
        (ALL, " ", "reason"),
        (ALL, "x" * (MAX_REASON_CHARACTERS + 1), "reason"),
        (ALL, "two\nlines", "reason"),
    ],
)
def test_a_bad_order_is_refused(plant: Plant, which: EventFilter, reason: str, where: str) -> None:
    with pytest.raises(BadRequestError) as refused:
        plant.rerater.run(which, reason=reason, actor="t", apply=False)
    assert refused.value.where == where


def test_too_many_events_are_refused_at_the_bound(plant: Plant) -> None:
    plant.capture()
    plant.capture()
    run = plant.rerater.run
    assert run(ALL, reason="r", actor="t", apply=False, max_events=2).examined == 2
    with pytest.raises(BadRequestError, match="one run takes 1"):
        run(ALL, reason="r", actor="t", apply=False, max_events=1)


def test_events_still_on_their_way_are_waited_for(plant: Plant) -> None:
    late = Rerater(
        plant.olap, plant.captured, plant.books, price=price_table, settled=lambda _: False,
        clock=plant.clock,
    )  # fmt: skip
    with pytest.raises(UnavailableError, match="on their way"):
        late.run(ALL, reason="r", actor="t", apply=False)


def test_one_run_at_a_time(plant: Plant) -> None:
    def settled(_: float) -> bool:
        with pytest.raises(ConflictError):
            rerater.run(ALL, reason="r", actor="t", apply=False)
        return True

    rerater = Rerater(
        plant.olap, plant.captured, plant.books, price=price_table, settled=settled,
        clock=plant.clock,
    )  # fmt: skip
    rerater.run(ALL, reason="r", actor="t", apply=False)


# -- a cluster's cost ----------------------------------------------------------------------------

CLUSTER = Cluster("vllm", "own", 12_000_000_000)


def test_an_hours_cost_lands_on_the_hours_tokens(plant: Plant) -> None:
    plant.capture(input=4_000_000, output=1_000_000)
    plant.capture(input=1_000_000, output=0, tenant_id="rival")
    found = spread(plant.olap, CLUSTER, start=HOUR, end=HOUR + 2 * HOUR_US, now=NOW)
    assert (found.hours, found.idle_hours) == (2, 1)
    assert (found.spread_nanos, found.idle_nanos) == (12_000_000_000, 12_000_000_000)
    # 5 M uncached + 3 x 1 M output = 8 M weighted: $1.50 a million input, $4.50 output
    assert {row.unit: row.nanos_per_million for row in found.rates} == {
        "input": 1_500_000_000, "input_cache_read": 150_000_000, "output": 4_500_000_000,
    }  # fmt: skip
    plant.rates(*found.rates)
    assert plant.run().priced_late == 2
    assert plant.ask("cost") == (12_000_000_000,)
    assert plant.ask("cost", filters=[{"field": "tenant", "op": "eq", "value": "rival"}]) == (
        1_500_000_000,
    )


@pytest.mark.parametrize(
    ("cluster", "start", "end", "where"),
    [
        (CLUSTER, HOUR + 1, HOUR + HOUR_US, "from"),
        (CLUSTER, HOUR, HOUR, "from"),
        (CLUSTER, NOW, NOW + HOUR_US, "to"),
        (CLUSTER, HOUR - 800 * HOUR_US, HOUR, "to"),
        (Cluster("vllm", "own", 0), HOUR, HOUR + HOUR_US, "hourly"),
        (Cluster("vllm", "", 1), HOUR, HOUR + HOUR_US, "model"),
        (Cluster("vllm", "own", 1, output_weight=-1), HOUR, HOUR + HOUR_US, "output_weight"),
    ],
)
def test_a_spread_that_makes_no_sense_is_refused(
    plant: Plant, cluster: Cluster, start: int, end: int, where: str
) -> None:
    with pytest.raises(BadRequestError) as refused:
        spread(plant.olap, cluster, start=start, end=end, now=NOW)
    assert refused.value.where == where


def test_an_empty_book_leaves_everything_unpriced(plant: Plant) -> None:
    plant.capture()
    assert plant.books.load_prices().hash == PriceBook().hash
    outcome = plant.run()
    assert (outcome.examined, outcome.changed, outcome.still_unpriced) == (1, 0, 1)
