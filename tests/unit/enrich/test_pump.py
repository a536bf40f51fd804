"""A store gets the enriched log in order, once, at its own pace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.enrich.hop import Hop, HopLog
from outlay.enrich.pump import MIN_EVENTS, REFUSALS, SinkPump, Trimmed, trim_logs
from outlay.enrich.worker import Enricher
from outlay.errors import StorageFullError
from outlay.stream.base import Chunk
from outlay.stream.sqlite import SqliteLog
from tests.unit.enrich.fakes import FakeBooks, FakeSink, flat_price
from tests.unit.stream.events import DAY, NOW, chunk, event


class Line:
    def __init__(self, folder: Path) -> None:
        self.captured = SqliteLog(folder / "captured.db")
        self.hop = HopLog(folder / "hop.db")
        self.books = FakeBooks()
        self.enricher = Enricher(
            self.captured, self.hop, self.books.as_books(), price=flat_price, clock=lambda: NOW,
            max_events=1,
        )  # fmt: skip
        self.made = 0

    def records(self, *sizes: int) -> None:
        """Append enriched records of these sizes; features number the records."""
        for size in sizes:
            self.made += 1
            events = [event(self.made * 10_000 + i, feature=str(self.made)) for i in range(size)]
            self.captured.append([chunk(events)], appended_at=NOW)
        while self.enricher.run_once():
            pass

    def pump(self, sink: FakeSink, **options: Any) -> SinkPump:
        return SinkPump(self.hop, sink, books=self.books.as_books(), **options)


@pytest.fixture
def line(tmp_path: Path) -> Iterator[Line]:
    made = Line(tmp_path)
    yield made
    made.captured.close()
    made.hop.close()


def run(pump: SinkPump, *, errors: int = 0) -> int:
    """Drive a pump until it has nothing to do; return how many steps raised."""
    raised = 0
    for _ in range(200):
        try:
            if not pump.run_once():
                return raised
        except Exception:
            raised += 1
            if errors and raised > errors:
                raise
    raise AssertionError("the pump never came to rest")


def test_events_arrive_in_order_and_once_over_restarts(line: Line) -> None:
    sink = FakeSink()
    line.records(2, 3)
    run(line.pump(sink))
    line.records(1)
    run(line.pump(sink))
    assert [row["feature"] for row in sink.rows()] == ["1"] * 2 + ["2"] * 3 + ["3"]
    assert sink.offset() == line.hop.head() == 3


def test_a_sink_that_is_behind_gets_growing_batches_up_to_the_bound(line: Line) -> None:
    sink = FakeSink()
    line.records(*[500] * 40)
    pump = line.pump(sink, max_events=6_000)
    run(pump)
    assert sink.writes == [2_000, 4_000, 6_000, 6_000, 2_000]
    assert pump.state().batch_events < 6_000
    assert len(sink.rows()) == 20_000


def test_a_caught_up_pump_goes_back_to_small_batches(line: Line) -> None:
    pump = line.pump(FakeSink())
    for _ in range(4):
        line.records(1)
        run(pump)
    assert pump.state().batch_events == MIN_EVENTS


def test_the_state_shows_offset_lag_and_work(line: Line) -> None:
    pump = line.pump(FakeSink("olap"), max_events=2)
    line.records(2, 2, 2)
    pump.run_once()
    state = pump.state()
    assert (state.name, state.offset, state.lag_records, state.lag_events) == ("olap", 1, 2, 4)
    assert (state.writes, state.events, state.running) == (1, 2, False)


def test_a_full_sink_holds_the_pump_until_it_has_room(line: Line) -> None:
    sink = FakeSink()
    sink.errors = [StorageFullError("no space") for _ in range(4)]
    line.records(2)
    pump = line.pump(sink)
    pump.start()
    until = time.monotonic() + 20
    seen = ""
    while sink.offset() == 0 and time.monotonic() < until:
        seen = pump.state().last_error or seen
        time.sleep(0.005)
    assert pump.stop()
    assert "no space" in seen
    assert len(sink.rows()) == 2
    assert pump.state().failures == pump.state().skipped == 0
    assert not line.books.letters


def test_only_the_record_that_a_sink_refuses_is_skipped_and_visibly(line: Line) -> None:
    sink = FakeSink()
    sink.poison = "3"
    line.records(2, 2, 2, 2, 2)
    pump = line.pump(sink)
    raised = run(pump)
    assert raised == 2 * REFUSALS
    assert [row["feature"] for row in sink.rows()] == list("11224455")
    (letter,) = line.books.letters
    assert (letter.source, letter.code) == ("sink:fake", "sink_refused")
    assert '"enriched_offset": 3' in letter.payload
    assert pump.state().skipped == 2
    assert sink.offset() == 5


def test_a_refused_last_record_is_not_tried_again_after_a_restart(line: Line) -> None:
    sink = FakeSink()
    sink.poison = "2"
    line.records(2, 2)
    run(line.pump(sink))
    assert sink.offset() == 2
    assert line.pump(sink).run_once() == 0


def test_a_passing_refusal_skips_nothing(line: Line) -> None:
    sink = FakeSink()
    sink.errors = [ValueError("once"), ValueError("twice")]
    line.records(2)
    assert run(line.pump(sink)) == 2
    assert len(sink.rows()) == 2
    assert not line.books.letters


def test_a_damaged_enriched_record_is_skipped_visibly(line: Line) -> None:
    line.records(1)
    step = Hop(line.hop.consumed(), 99, NOW, NOW, [Chunk(b"rubbish" * 10, 7)])
    line.hop.commit(step)
    sink = FakeSink()
    pump = line.pump(sink)
    run(pump)
    assert len(sink.rows()) == 1
    assert sink.offset() == 2
    assert pump.state().skipped == 7
    assert line.books.letters[0].code == "damaged_record"


def test_a_damaged_record_is_told_once_however_often_the_sink_fails(line: Line) -> None:
    line.hop.commit(Hop(line.hop.consumed(), 99, NOW, NOW, [Chunk(b"rubbish" * 10, 7)]))
    sink = FakeSink()
    sink.errors = [StorageFullError(), StorageFullError()]
    pump = line.pump(sink)
    for _ in range(2):
        with pytest.raises(StorageFullError):
            pump.run_once()
    assert run(pump) == 0
    assert pump.state().skipped == 7
    assert [letter.code for letter in line.books.letters] == ["damaged_record"]


def test_logs_are_trimmed_only_behind_everyone_and_only_when_old(line: Line) -> None:
    line.records(1, 1, 1, 1)
    fast, slow = FakeSink("fast"), FakeSink("slow")
    fast.committed, slow.committed = 4, 2

    def trim(now: int, *sinks: FakeSink) -> Trimmed:
        return trim_logs(line.captured, line.hop, sinks, retention_days=7, now=now)

    assert trim(NOW + 7 * DAY, fast, slow) == Trimmed(0, 0)
    assert trim(NOW + 7 * DAY + 1) == Trimmed(4, 0)
    assert trim(NOW + 8 * DAY, fast, slow) == Trimmed(0, 2)
    line.records(1)
    assert trim(NOW + 8 * DAY, fast, fast) == Trimmed(1, 2)
    assert [r.offset for r in line.hop.read(0, max_events=100)] == [5]
