"""The sweeper gives back what is held by those who are gone, and lets time pass."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.act.sweeper import TOP_UP_PAUSE_US
from outlay.core.limits.holds import Settle, Sync, Want
from outlay.core.limits.subject import Subject
from outlay.errors import UnavailableError
from tests.unit.act.desks import HOUR, NOW, Bench, limit
from tests.unit.act.receiver import Receiver


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, limit(), webhook_private_hosts=True)
    yield made
    made.close()


def held(bench: Bench) -> int:
    return sum(counter.held for counter in bench.books.counters())


def test_a_hold_ends_at_its_time_and_not_before(bench: Bench) -> None:
    bench.reserve("a", 100)
    bench.now += HOUR - 1
    bench.sweeper.run_once()
    assert held(bench) == 100
    bench.now += 1
    bench.sweeper.run_once()
    assert held(bench) == 0
    known = bench.books.hold("a")
    assert known is not None
    assert known.state == "expired"
    assert bench.sweeper.state().expired == 1
    assert bench.books.check_holds() == []


def test_a_lease_of_a_process_that_is_gone_gives_back_what_it_did_not_use(bench: Bench) -> None:
    (need,) = bench.policy.current().needs(Subject(tenant="acme"), {"cost": 100}, NOW)
    bench.ask(Sync("process", (Want(need, 30, 1, 0, 0),), NOW, NOW + HOUR))
    bench.now += HOUR
    bench.sweeper.run_once()
    (counter,) = bench.books.counters()
    assert (counter.used, counter.held) == (30, 0)


def test_more_than_one_batch_ends_in_one_round(bench: Bench) -> None:
    for number in range(300):
        bench.reserve(f"h{number}", 1)
    bench.now += HOUR
    bench.sweeper.run_once()
    assert held(bench) == 0
    assert bench.sweeper.state().expired == 300


def test_grants_begin_and_end_with_time(bench: Bench) -> None:
    books = bench.books
    given: dict[str, Any] = {"reason": "r", "actor": "t", "at": NOW}
    books.grant("acme", 10, key="now", expires_at=NOW + HOUR, **given)
    books.grant("acme", 5, key="later", effective_at=NOW + HOUR, **given)
    bench.sweeper.run_once()
    assert books.balance("acme").posted == 10  # type: ignore[union-attr]
    bench.now += HOUR
    bench.sweeper.run_once()
    assert books.balance("acme").posted == 5  # type: ignore[union-attr]
    assert bench.sweeper.state().grants >= 2


def test_ended_holds_are_dropped_when_no_event_of_them_can_come(bench: Bench) -> None:
    bench.reserve("a", 100)
    bench.ask(Settle("a", {"cost": 70, "calls": 1}, NOW))
    bench.sweeper.run_once()
    bench.now += 24 * HOUR - 1
    bench.sweeper.run_once()
    assert bench.books.hold("a") is not None
    bench.now += HOUR
    bench.sweeper.run_once()
    assert bench.books.hold("a") is None
    (counter,) = bench.books.counters()
    assert counter.used == 70
    assert bench.books.check_holds() == []


def top_up(bench: Bench, url: str) -> None:
    bench.books.set_account(
        "acme", floor=0, reason="r", actor="t", at=NOW, top_up_below=50, top_up_amount=500,
        top_up_url=url,
    )  # fmt: skip


def test_a_top_up_is_asked_for_once(bench: Bench) -> None:
    receiver = Receiver()
    top_up(bench, receiver.url)
    bench.enforcer.webhooks.start()
    bench.sweeper.run_once()
    (body,) = receiver.wait(1)
    assert body == {
        "event": "credits.top_up", "tenant": "acme", "available": 0, "below": 50, "amount": 500,
        "at": NOW,
    }  # fmt: skip
    until = time.monotonic() + 10
    while bench.books.top_ups_due() and time.monotonic() < until:
        time.sleep(0.01)
    bench.now += 2 * TOP_UP_PAUSE_US
    bench.sweeper.run_once()
    assert bench.books.top_ups_due() == []
    assert len(receiver.calls) == 1
    bench.enforcer.webhooks.stop()
    receiver.close()


def test_a_top_up_that_does_not_arrive_is_asked_for_again_after_a_pause(bench: Bench) -> None:
    sent: list[Any] = []

    class Calls:
        def send(self, url: str, payload: Any, *, done: Any) -> bool:
            sent.append(done)
            return True

    top_up(bench, "https://pay.example/")
    bench.sweeper._webhooks = Calls()  # type: ignore[assignment]
    for _ in range(3):
        bench.now += 2 * TOP_UP_PAUSE_US
        bench.sweeper.run_once()
    assert len(sent) == 1  # it is still under way
    sent[0](False)
    bench.sweeper.run_once()
    assert len(sent) == 1
    bench.now += TOP_UP_PAUSE_US
    bench.sweeper.run_once()
    assert len(sent) == 2
    sent[1](True)
    assert bench.books.top_ups_due() == []


def test_its_thread_goes_on_after_a_failure(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.act.sweeper.SWEEP_S", 0.01)
    fails = [UnavailableError("down"), ZeroDivisionError()]
    real = bench.books.due

    def due(*, at: int, limit: int) -> list[str]:
        if fails:
            raise fails.pop(0)
        return real(at=at, limit=limit)

    monkeypatch.setattr(bench.books, "due", due)
    bench.reserve("a", 100)
    bench.now += HOUR
    bench.sweeper.start()
    until = time.monotonic() + 10
    while held(bench) and time.monotonic() < until:
        time.sleep(0.01)
    bench.sweeper.stop()
    assert held(bench) == 0
    assert (bench.sweeper.state().running, bench.sweeper.state().error) == (False, None)
