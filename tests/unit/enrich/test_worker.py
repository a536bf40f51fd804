"""Captured to enriched: each event exactly once, whatever comes twice, breaks or is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from outlay.core.event import CAPTURED
from outlay.enrich.hop import HopLog
from outlay.enrich.worker import Enricher
from outlay.errors import StorageBusyError, StorageFullError
from outlay.store.base import Tenant
from outlay.stream.base import Chunk
from outlay.stream.ipc import to_ipc
from outlay.stream.sqlite import SqliteLog
from tests.unit.enrich.fakes import FakeBooks, enriched_rows, flat_price
from tests.unit.stream.events import NOW, SECOND, chunk, event, id_bytes


@dataclass
class Line:
    """A captured log, a hop and books, and enrichers over them."""

    folder: Path
    captured: SqliteLog
    hop: HopLog
    books: FakeBooks

    def enricher(self, **options: Any) -> Enricher:
        options = {"price": flat_price, "clock": lambda: NOW, **options}
        return Enricher(self.captured, self.hop, self.books.as_books(), **options)

    def drain(self, **options: Any) -> Enricher:
        enricher = self.enricher(**options)
        while enricher.run_once():
            pass
        return enricher

    def append(self, *batches: list[dict[str, Any]], at: int = NOW) -> None:
        for events in batches:
            self.captured.append([chunk(events)], appended_at=at)

    def rows(self) -> list[dict[str, Any]]:
        return enriched_rows(self.hop)

    def reopen(self) -> None:
        self.close()
        self.captured = SqliteLog(self.folder / "captured.db")
        self.hop = HopLog(self.folder / "hop.db")

    def close(self) -> None:
        self.captured.close()
        self.hop.close()


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(
        tmp_path,
        SqliteLog(tmp_path / "captured.db"),
        HopLog(tmp_path / "hop.db"),
        FakeBooks(Tenant("acme", plan="pro", valid_from=0)),
    )
    yield made
    made.close()


def features(rows: list[dict[str, Any]]) -> list[str]:
    return [row["feature"] for row in rows]


# -- what is added -----------------------------------------------------------------------------


def test_an_event_gets_arrival_tenant_price_and_flags_and_keeps_the_rest(line: Line) -> None:
    said = event(1, tenant_id="acme", input=5, output=7, model_served="m", user_id="u")
    line.append([said], at=NOW - SECOND)
    line.drain()
    (row,) = line.rows()
    assert row["event_id"] == id_bytes(said)
    assert row["received_at"].timestamp() is not None
    assert (row["plan"], row["tier"], row["initiator"]) == ("pro", None, "user")
    assert (row["cost_nanos"], row["price_basis"]) == (12, "catalogue")
    assert row["flags"] == []
    for field in CAPTURED:
        if field.name in said and field.type not in ("uuid", "timestamp"):
            assert row[field.name] == said[field.name]
    assert row["sell_nanos"] is None


def test_pricing_is_told_each_tenants_plan(line: Line) -> None:
    told: list[Any] = []

    def price(events: pa.Table, book: Any) -> dict[str, Any]:
        told.extend(events.column("plan").to_pylist())
        return flat_price(events, book)

    line.append([event(1, tenant_id="acme"), event(2, tenant_id="nobody")])
    line.drain(price=price)
    assert told == ["pro", None]


def test_received_at_is_the_arrival_of_the_record_of_each_event(line: Line) -> None:
    line.append([event(1)], at=NOW)
    line.append([event(2)], at=NOW + SECOND)
    line.drain()
    one, two = line.rows()
    assert (two["received_at"] - one["received_at"]).total_seconds() == 1


def test_the_flags_of_enrichment_and_of_pricing_are_joined(line: Line) -> None:
    line.append([event(1, tenant_id="nobody", fallback_from="gpt-5")], at=NOW + 400 * SECOND)
    line.drain()
    (row,) = line.rows()
    assert row["flags"] == ["fallback", "late", "unknown_tenant", "unpriced"]
    assert row["price_basis"] == "unpriced"


def test_a_large_prompt_is_measured_against_the_tenants_earlier_calls(line: Line) -> None:
    usual = [event(i, tenant_id="acme", input=500, model_served="m") for i in range(30)]
    line.append(usual)
    line.drain()
    line.reopen()  # the statistic is kept with the log
    giant = event(99, tenant_id="acme", input=100_000, model_served="m")
    line.append([giant, event(98, tenant_id="acme", input=600, model_served="m")])
    line.drain()
    flagged = [row["input"] for row in line.rows() if "large_prompt" in row["flags"]]
    assert flagged == [100_000]


def test_tenants_and_prices_are_loaded_again_only_when_they_change(line: Line) -> None:
    enricher = line.enricher()
    for number in range(3):
        line.append([event(number, tenant_id="acme")])
        enricher.run_once()
    assert line.books.loads == {"tenants": 1, "prices": 1}
    line.books.versions = [Tenant("acme", plan="gold", valid_from=0)]
    line.books.revisions["tenants"] = 2
    line.append([event(9, tenant_id="acme")])
    enricher.run_once()
    assert line.books.loads == {"tenants": 2, "prices": 1}
    assert [row["plan"] for row in line.rows()] == ["pro", "pro", "pro", "gold"]


# -- exactly once ------------------------------------------------------------------------------


def test_duplicates_in_a_batch_and_across_batches_and_restarts_are_dropped(line: Line) -> None:
    first = [event(i, feature="first") for i in range(50)]
    again = [event(i, feature="again") for i in range(50)]
    line.append(first[:30], again[10:40], first)
    line.drain()
    line.append(again)
    line.drain(max_events=1)
    line.reopen()
    line.append(again, [event(99, feature="new")])
    enricher = line.drain()
    rows = line.rows()
    assert sorted(r["event_id"] for r in rows) == sorted(map(id_bytes, [*first, event(99)]))
    assert line.hop.counts().duplicates == 30 + 30 + 50 + 50
    assert enricher.state().duplicates == 50
    assert enricher.state().events == 1


def test_any_order_and_batching_gives_the_same_set(line: Line) -> None:
    dice = random.Random(5)
    events = [event(i, at=NOW - dice.randrange(3 * 86_400) * SECOND) for i in range(200)]
    pool = events * 3
    dice.shuffle(pool)
    while pool:
        size = dice.randrange(1, 30)
        batch = {e["event_id"]: e for e in pool[:size]}
        line.append(list(batch.values()))
        pool = pool[size:]
        if dice.random() < 0.3:
            line.enricher(max_events=dice.randrange(1, 60)).run_once()
    line.drain()
    rows = line.rows()
    assert len(rows) == 200
    assert {r["event_id"] for r in rows} == set(map(id_bytes, events))


def test_an_offset_moves_on_over_a_batch_of_only_duplicates(line: Line) -> None:
    line.append([event(1)], [event(1)])
    line.drain(max_events=1)
    assert line.hop.consumed() == 2
    assert line.hop.head() == 1


def test_a_second_worker_on_the_same_log_doubles_nothing(line: Line) -> None:
    line.append(*[[event(i)] for i in range(60)])
    other = HopLog(line.folder / "hop.db")
    second = Enricher(line.captured, other, line.books.as_books(), price=flat_price, max_events=1)
    first = line.enricher(max_events=1)
    first.start()
    second.start()
    until = time.monotonic() + 30
    while line.hop.consumed() < 60 and time.monotonic() < until:
        time.sleep(0.01)
    assert first.stop()
    assert second.stop()
    other.close()
    assert len(line.rows()) == len({row["event_id"] for row in line.rows()}) == 60


KILLED = """
import sys
from outlay.enrich.hop import HopLog
from outlay.enrich.worker import Enricher
from outlay.stream.sqlite import SqliteLog
from tests.unit.enrich.fakes import FakeBooks, flat_price
folder = sys.argv[1]
captured, hop = SqliteLog(folder + "/captured.db"), HopLog(folder + "/hop.db")
enricher = Enricher(captured, hop, FakeBooks().as_books(), price=flat_price, max_events=40)
print("up", flush=True)
while enricher.run_once():
    print(hop.consumed(), flush=True)
print("end", flush=True)
"""


def test_kill_9_in_the_middle_of_hops_neither_loses_nor_doubles(line: Line) -> None:
    events = [event(i) for i in range(4_000)]
    for start in range(0, 4_000, 20):
        line.append(events[start : start + 20], events[max(0, start - 100) : start - 90])
    for turn in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(line.folder)], stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(3 + turn):
            process.stdout.readline()
        time.sleep(0.0007 * turn)
        process.kill()
        process.wait()
        process.stdout.close()
    assert 0 < line.hop.consumed() < line.captured.head()
    line.drain()
    ids = [row["event_id"] for row in line.rows()]
    assert sorted(ids) == sorted(map(id_bytes, events))
    counts = line.hop.counts()
    assert counts.events == 4_000
    said = sum(r.count for r in line.captured.read(0, max_events=10**9))
    assert counts.events + counts.duplicates == said


# -- poison ------------------------------------------------------------------------------------


def test_a_damaged_record_is_told_once_however_often_the_commit_fails(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    line.captured.append([Chunk(b"damaged", 2)], appended_at=NOW)
    enricher, commit = line.enricher(), line.hop.commit
    errors: list[Exception] = [StorageFullError(), StorageFullError()]

    def failing(hop: Any) -> Any:
        if errors:
            raise errors.pop()
        return commit(hop)

    monkeypatch.setattr(line.hop, "commit", failing)
    for _ in range(2):
        with pytest.raises(StorageFullError):
            enricher.run_once()
    assert enricher.run_once() == 1
    assert [letter.code for letter in line.books.letters] == ["damaged_record"]


def test_a_damaged_record_is_put_aside_and_the_stream_goes_on(line: Line) -> None:
    good = chunk([event(1), event(2)])
    damaged = Chunk(good.payload[:-20] + b"x" * 20, 2)
    foreign = Chunk(to_ipc(pa.table({"a": [1, 2, 3]})), 3)
    line.captured.append([damaged, good, foreign, chunk([event(3)])], appended_at=NOW)
    enricher = line.drain()
    assert len(line.rows()) == 3
    assert [letter.code for letter in line.books.letters] == ["damaged_record"] * 2
    assert '"captured_offset":1' in line.books.letters[0].payload
    assert enricher.state().dead == line.hop.counts().dead == 5


def test_one_event_that_breaks_pricing_is_put_aside_alone(line: Line) -> None:
    events = [event(i, model_served="m", feature=str(i)) for i in range(100)]
    events[37]["model_served"] = "poison"
    events[80]["model_served"] = "poison"
    line.append(events[:50], events[50:])
    enricher = line.drain()
    assert features(line.rows()) == [str(i) for i in range(100) if i not in (37, 80)]
    letters = line.books.letters
    assert [letter.code for letter in letters] == ["enrich_failed"] * 2
    assert id_bytes(events[37]).hex() in letters[0].payload
    assert enricher.state().dead == 2
    line.append([event(200, model_served="m", feature="after")])
    line.drain()
    assert features(line.rows())[-1] == "after"


# -- trouble that passes -----------------------------------------------------------------------


def test_a_storage_error_of_the_books_holds_the_stream_until_it_passes(line: Line) -> None:
    line.append([event(1)])
    enricher = line.enricher()
    line.books.error = StorageBusyError("the books are locked")
    enricher.start()
    until = time.monotonic() + 10
    while not enricher.state().failures and time.monotonic() < until:
        time.sleep(0.005)
    state = enricher.state()
    assert state.failures
    assert "the books are locked" in state.last_error
    assert (state.offset, state.lag_records) == (0, 1)
    line.books.error = None
    while line.hop.head() == 0 and time.monotonic() < until:
        time.sleep(0.005)
    assert enricher.stop()
    state = enricher.state()
    assert (state.failures, state.lag_records, state.running) == (0, 0, False)
    assert state.last_error  # what happened stays to be read
    assert len(line.rows()) == 1
    assert not line.books.letters


def test_a_full_enriched_log_holds_the_stream_and_loses_nothing(line: Line) -> None:
    hop = HopLog(line.folder / "small.db", max_bytes=300_000)
    enricher = Enricher(line.captured, hop, line.books.as_books(), price=flat_price)

    def fill() -> None:
        for number in range(100):
            line.append([event(number * 50 + i) for i in range(50)])
            enricher.run_once()

    with pytest.raises(StorageFullError):
        fill()
    consumed = hop.consumed()
    assert consumed == line.captured.head() - 1
    assert not line.books.letters
    hop.trim(hop.head() - 1, appended_before=2**62)
    assert enricher.run_once() == 1
    assert hop.consumed() == consumed + 1
    hop.close()


def test_a_storage_error_inside_pricing_is_no_poison(line: Line) -> None:
    def busy(_table: Any, _book: Any) -> dict[str, Any]:
        raise StorageBusyError("locked")

    line.append([event(1), event(2)])
    with pytest.raises(StorageBusyError):
        line.enricher(price=busy).run_once()
    assert line.hop.consumed() == 0
    assert not line.books.letters


def test_the_thread_picks_up_new_events_soon_and_stops_cleanly(line: Line) -> None:
    enricher = line.enricher()
    enricher.start()
    assert enricher.state().running
    begun = time.monotonic()
    line.append([event(1)])
    assert line.hop.wait(0, 10.0)
    assert time.monotonic() - begun < 2.0
    assert enricher.stop()
    assert enricher.stop()
    assert not enricher.state().running
