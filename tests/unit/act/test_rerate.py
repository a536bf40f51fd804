"""Re-rating on real logs, stores and books: history stays, reports change, again is no change."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from outlay.act.rerate import BEGUN, MAX_REASON_CHARACTERS, Rerater
from outlay.core.prices import PriceBook
from outlay.core.rates import RateRow
from outlay.core.sell import SellRow
from outlay.enrich.price import price_table
from outlay.errors import BadRequestError, ConflictError, StorageFullError, UnavailableError
from outlay.store.base import EventFilter, PriceChange
from outlay.store.compare import compare
from tests.unit.act.plant import ALL, HOUR, NOW, M, Plant, own


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


def test_an_empty_book_leaves_everything_unpriced(plant: Plant) -> None:
    plant.capture()
    assert plant.books.load_prices().hash == PriceBook().hash
    outcome = plant.run()
    assert (outcome.examined, outcome.changed, outcome.still_unpriced) == (1, 0, 1)


def test_who_and_why_stand_before_the_first_adjustment(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.rates(*own())
    plant.capture()
    plant.rates(*own(3 * M))
    plant.run(apply=False)
    assert not plant.books.audit(action=BEGUN), "a preview is nothing to audit"

    def full(*_: Any, **__: Any) -> None:
        raise StorageFullError

    monkeypatch.setattr(plant.captured, "append", full)
    with pytest.raises(StorageFullError):
        plant.run()
    (entry,) = plant.books.audit(action=BEGUN)
    assert (entry.actor, entry.details["reason"]) == ("test", "a new price list")
    monkeypatch.undo()
    assert plant.run().written == 1, "the next run does what was left"
    assert plant.ask("cost") == (4000,)


def test_a_server_that_ends_does_not_wait_for_a_long_run(plant: Plant) -> None:
    plant.rates(*own())
    plant.capture()
    plant.rates(*own(3 * M))
    plant.rerater.stop()
    with pytest.raises(UnavailableError, match="server is ending"):
        plant.run()
    assert plant.ask("cost") == (3000,)


def test_a_list_price_that_nobody_knows_any_more_stays(plant: Plant) -> None:
    listed = own()
    plant.rates(*listed, contract("input", 1 * M), contract("output", 5 * M))
    plant.capture()
    assert plant.ask("cost", "list_cost") == (1500, 3000)
    plant.now += 1
    plant.books.change_prices(
        PriceChange(
            rates=(contract("input", 2 * M),),
            withdrawn=tuple(row.rate_id for row in listed),
        ),
        reason="test", actor="test", at=plant.now,
    )  # fmt: skip
    assert plant.run().written == 1
    assert plant.ask("cost", "list_cost") == (2500, 3000)
    assert plant.run().changed == 0


def contract(unit: str, nanos: int) -> RateRow:
    return RateRow.make("vllm", "own", unit, nanos, layer="contract")


def test_what_a_provider_stated_stays_the_cost(plant: Plant) -> None:
    plant.rates(*own())
    plant.capture(provider_cost_nanos=7000)
    assert plant.ask("cost", "list_cost") == (7000, 3000)
    plant.rates(*own(3 * M))
    assert plant.run().written == 1
    assert plant.ask("cost", "list_cost", "cost_input") == (7000, 4000, 3000)
    assert plant.run().changed == 0


def test_a_run_may_wait_for_the_one_before_it(plant: Plant) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def settled(_: float) -> bool:
        begun.set()
        return go_on.wait(10)

    rerater = Rerater(
        plant.olap, plant.captured, plant.books, price=price_table, settled=settled,
        clock=plant.clock,
    )  # fmt: skip
    order: Any = {"reason": "r", "actor": "t", "apply": False}
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(rerater.run, ALL, **order)
        assert begun.wait(10)
        with pytest.raises(ConflictError):
            rerater.run(ALL, **order, wait_s=0.01)
        second = threads.submit(rerater.run, ALL, **order, wait_s=10)
        go_on.set()
        assert (first.result(10).examined, second.result(10).examined) == (0, 0)
