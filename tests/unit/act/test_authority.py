"""The authority: many callers share a batch, each gets its own answer, and always gets one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from outlay.act.authority import MAX_BATCH_OPS, Authority
from outlay.core.limits.holds import Need, Op, Outcome, Settle, Sync, Void, Want
from outlay.core.limits.period import credit_key
from outlay.errors import ConflictError, OutlayError, StorageFullError, UnavailableError
from tests.unit.act.desks import HOUR, NOW, Bench, limit


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, limit(amount=1_000))
    yield made
    made.close()


class Gate:
    """Books whose `apply` waits for the test, and does what it is told."""

    def __init__(self) -> None:
        self.batches: list[list[Op]] = []
        self.open = threading.Event()
        self.entered = threading.Event()
        self.fails: list[BaseException] = []
        self.poison: Op | None = None

    def apply(self, ops: Sequence[Op]) -> list[Outcome]:
        self.entered.set()
        assert self.open.wait(10)
        self.batches.append(list(ops))
        if self.fails:
            raise self.fails.pop(0)
        if self.poison in ops:
            raise ZeroDivisionError
        return [Outcome("ok") for _ in ops]


def started(books: Any, queue: int = 1_000) -> Authority:
    made = Authority(books, queue=queue)
    made.start()
    return made


def void(number: int = 0) -> Void:
    return Void(f"h{number}", NOW)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end
        time.sleep(0.001)


def burst(bench: Bench, threads: int, cost: int) -> list[Outcome]:
    """Reserve the same cost from many threads at once."""
    found: list[Outcome] = []
    ready = threading.Barrier(threads)

    def call(number: int) -> None:
        op = bench.reservation(f"h{number}", cost)
        ready.wait(10)
        found.append(bench.ask(op))

    workers = [threading.Thread(target=call, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    return found


def test_of_a_burst_exactly_what_fits_is_admitted(bench: Bench) -> None:
    found = burst(bench, 200, 30)
    statuses = [one.status for one in found]
    assert statuses.count("ok") == 33  # 33 * 30 = 990
    # Nothing is used yet: what others hold may come back.
    assert statuses.count("busy") == 167
    (counter,) = bench.books.counters()
    assert (counter.used, counter.held) == (0, 990)
    assert bench.books.check_holds() == []
    assert bench.authority.state().batches < 200


def test_what_is_used_up_is_over_and_what_is_held_is_busy(bench: Bench) -> None:
    assert bench.reserve("a", 600).status == "ok"
    assert bench.reserve("b", 600).status == "busy"
    bench.ask(Settle("a", {"cost": 600, "calls": 1}, NOW))
    assert bench.reserve("b", 600).status == "over"
    assert bench.reserve("c", 400).status == "ok"


def test_callers_that_come_while_a_batch_is_written_share_the_next() -> None:
    gate = Gate()
    authority = started(gate)
    first = authority.submit([void(0)])
    assert gate.entered.wait(5)
    rest = [authority.submit([void(n)]) for n in range(1, MAX_BATCH_OPS + 2)]
    gate.open.set()
    for future in [first, *rest]:
        assert future.result(5) == [Outcome("ok")]
    assert [len(batch) for batch in gate.batches] == [1, MAX_BATCH_OPS, 1]
    authority.stop()


def test_operations_of_one_caller_are_written_together_in_order() -> None:
    gate = Gate()
    gate.open.set()
    authority = started(gate)
    ops = [void(n) for n in range(MAX_BATCH_OPS + 5)]
    assert len(authority.submit(ops).result(5)) == len(ops)
    assert gate.batches == [ops]
    authority.stop()


def test_large_leases_make_small_batches() -> None:
    gate = Gate()
    authority = started(gate, queue=100_000)
    want = Want(Need(credit_key("t"), "credits", 0), 0, 0, 0, 0)
    first = authority.submit([void()])
    assert gate.entered.wait(5)
    syncs = [Sync(f"o{n}", (want,) * 4_000, NOW, NOW + HOUR) for n in range(4)]
    waiting = [authority.submit([sync]) for sync in syncs]
    gate.open.set()
    for future in [first, *waiting]:
        future.result(5)
    assert [len(batch) for batch in gate.batches] == [1, 2, 2]
    authority.stop()


def test_more_than_the_queue_holds_is_refused_at_once() -> None:
    gate = Gate()
    authority = started(gate, queue=3)
    taken = [authority.submit([void(0)])]
    assert gate.entered.wait(5)
    taken += [authority.submit([void(n)]) for n in (1, 2, 3)]
    with pytest.raises(UnavailableError, match="waiting"):
        authority.submit([void(4)])
    gate.open.set()
    assert [future.result(5) for future in taken] == [[Outcome("ok")]] * 4
    assert authority.submit([void(4)]).result(5) == [Outcome("ok")]
    authority.stop()


def test_a_lease_larger_than_the_queue_is_taken_when_nothing_waits() -> None:
    gate = Gate()
    gate.open.set()
    authority = started(gate, queue=3)
    want = Want(Need(credit_key("t"), "credits", 0), 0, 0, 0, 0)
    assert authority.submit([Sync("o", (want,) * 9, NOW, NOW)]).result(5) == [Outcome("ok")]
    authority.stop()


@pytest.mark.parametrize("error", [StorageFullError(), UnavailableError("down")])
def test_when_the_store_fails_everyone_in_the_batch_hears_it(error: OutlayError) -> None:
    gate = Gate()
    authority = started(gate)
    gate.fails = [error]
    waiting = [authority.submit([void(n)]) for n in range(3)]
    gate.open.set()
    failed = [future.exception(5) for future in waiting]
    assert error in failed
    assert all(one in (error, None) for one in failed)
    assert authority.submit([void()]).result(5) == [Outcome("ok")]
    authority.stop()
    state = authority.state()
    assert (state.running, state.failing, state.failures) == (False, False, 1)


def test_a_failure_counts_until_something_is_written_or_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing may come to be written while the server is held to be broken."""
    gate = Gate()
    gate.open.set()
    gate.fails = [StorageFullError(), StorageFullError()]
    authority = started(gate)
    with pytest.raises(StorageFullError):
        authority.submit([void()]).result(5)
    until(lambda: authority.state().failing)
    assert authority.state().running
    assert authority.state().last_error == StorageFullError().message
    monkeypatch.setattr("outlay.act.authority.FAILING_S", 0.0)
    assert not authority.state().failing
    authority.stop()


def test_an_error_that_is_not_ours_becomes_one_of_ours() -> None:
    gate = Gate()
    gate.open.set()
    gate.fails = [MemoryError(), KeyboardInterrupt()]
    authority = started(gate)
    for _ in range(2):
        with pytest.raises(UnavailableError, match="could not write"):
            authority.submit([void()]).result(5)
    assert authority.submit([void()]).result(5) == [Outcome("ok")]
    authority.stop()
    assert authority.state().last_error == "KeyboardInterrupt"


def test_one_bad_operation_does_not_fail_the_callers_beside_it() -> None:
    gate = Gate()
    gate.poison = void(2)
    authority = started(gate)
    first = authority.submit([void(9)])
    assert gate.entered.wait(5)
    waiting = [authority.submit([void(n)]) for n in range(4)]
    gate.open.set()
    assert first.result(5)
    results = [future.exception(5) for future in waiting]
    assert [isinstance(one, UnavailableError) for one in results] == [False, False, True, False]
    authority.stop()


def test_a_conflict_of_one_is_its_own() -> None:
    gate = Gate()
    gate.fails = [ConflictError("x")]
    gate.open.set()
    authority = started(gate)
    with pytest.raises(ConflictError):
        authority.submit([void()]).result(5)
    authority.stop()


def test_who_has_gone_away_is_not_written() -> None:
    gate = Gate()
    authority = started(gate)
    first = authority.submit([void(0)])
    assert gate.entered.wait(5)
    gone, stays = authority.submit([void(1)]), authority.submit([void(2)])
    assert gone.cancel()
    gate.open.set()
    assert first.result(5)
    assert stays.result(5) == [Outcome("ok")]
    assert gate.batches == [[void(0)], [void(2)]]
    authority.stop()


def test_the_end_writes_what_is_queued_and_takes_no_more() -> None:
    gate = Gate()
    authority = started(gate)
    waiting = [authority.submit([void(n)]) for n in range(3)]
    threading.Timer(0.05, gate.open.set).start()
    authority.stop()
    assert [future.result(0) for future in waiting] == [[Outcome("ok")]] * 3
    with pytest.raises(UnavailableError, match="not running"):
        authority.submit([void()])
    authority.stop()


def test_what_is_left_when_the_store_hangs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.act.authority.STOP_S", 0.1)
    gate = Gate()
    authority = started(gate)
    hanging = authority.submit([void(0)])
    assert gate.entered.wait(5)
    queued: Future[list[Outcome]] = authority.submit([void(1)])
    authority.stop()
    with pytest.raises(UnavailableError, match="shutting down"):
        queued.result(0)
    gate.open.set()
    assert hanging.result(5) == [Outcome("ok")]


def test_before_the_start_nothing_is_taken() -> None:
    with pytest.raises(UnavailableError):
        Authority(Gate(), queue=10).submit([void()])  # type: ignore[arg-type]


def test_batches_are_measured_and_watched() -> None:
    gate = Gate()
    gate.open.set()
    seen: list[Any] = []
    authority = Authority(gate, queue=9, watch=lambda ops, outcomes: seen.append((ops, outcomes)))  # type: ignore[arg-type]
    measured: list[int] = []
    authority.measure = lambda ops, seconds: measured.append(ops) if seconds >= 0 else None
    authority.start()
    authority.submit([void(1), void(2)]).result(5)
    authority.stop()
    assert measured == [2]
    assert seen == [([void(1), void(2)], [Outcome("ok")] * 2)]
