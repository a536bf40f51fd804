"""Estimates against costs: the report, and findings where they drift apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outlay.act.estimates import DRIFT_CALLS, EstimateWatch, report
from outlay.core.rollup import HOUR_US
from outlay.errors import UnavailableError
from outlay.store.base import EventFilter
from tests.unit.act.counted import CountingPlant
from tests.unit.act.plant import HOUR, NOW, own

COST = 3_000
GRACE = 5 * 60_000_000


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[CountingPlant]:
    made = CountingPlant(tmp_path)
    made.rates(*own())
    yield made
    made.close()


def test_the_report_compares_by_model_and_agent_and_over_all(plant: CountingPlant) -> None:
    plant.capture(estimate_nanos=4_000, agent_path="web")
    plant.capture(estimate_nanos=1_999, agent_path="web")
    worst = plant.capture(estimate_nanos=9_000, agent_path="other")
    plant.capture()
    answer = report(plant.olap, EventFilter(HOUR, NOW), limit=10)
    web, other = answer["estimates"]
    assert web == {
        "model": "own", "agent": "web", "holds": 2, "estimated_nanos": 5_999,
        "actual_nanos": 6_000, "ratio": 6_000 / 5_999, "mean_error_nanos": 1,
        "mean_absolute_error_nanos": 1_001, "under_estimated": 1, "under_share": 0.5,
        "worst_error_nanos": 1_001, "worst_event": web["worst_event"],
    }  # fmt: skip
    assert (other["agent"], other["mean_error_nanos"]) == ("other", -6_000)
    total = answer["total"]
    assert (total["holds"], total["under_share"]) == (3, 1 / 3)
    assert (total["worst_error_nanos"], total["worst_event"]) == (6_000, worst)


def test_a_report_of_nothing_has_no_ratios(plant: CountingPlant) -> None:
    total = report(plant.olap, EventFilter(HOUR, NOW), limit=10)["total"]
    assert total["holds"] == 0
    assert total["ratio"] is total["mean_error_nanos"] is total["worst_event"] is None


@pytest.mark.parametrize(
    ("calls", "estimate", "found"),
    [
        (DRIFT_CALLS, 2 * COST, 0),
        (DRIFT_CALLS, 2 * COST + 1, 1),
        (DRIFT_CALLS - 1, 9 * COST, 0),
        (DRIFT_CALLS, COST // 2, 0),
        (DRIFT_CALLS, COST // 2 - 1, 1),
        (DRIFT_CALLS, 0, 1),
    ],
)
def test_a_model_and_agent_whose_costs_drift_is_a_finding(
    plant: CountingPlant, calls: int, estimate: int, found: int
) -> None:
    plant.by_hand = True
    for _ in range(calls):
        plant.capture(estimate_nanos=estimate, agent_path="web")
    plant.all_in()
    plant.now = HOUR + HOUR_US + GRACE
    assert EstimateWatch(plant.olap, plant.books, clock=plant.clock).run() == found
    findings = plant.books.findings()
    assert [(one.kind, one.subject) for one in findings] == [("estimate_drift", "own web")] * found
    assert all(one.details["holds"] == calls for one in findings)


def test_each_whole_hour_is_looked_at_once_when_its_events_have_come(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    find = plant.olap.estimates

    def watched(which: EventFilter, *, limit: int) -> list[object]:
        looked.append(which.start)
        return list(find(which, limit=limit))

    monkeypatch.setattr(plant.olap, "estimates", watched)
    watch = EstimateWatch(plant.olap, plant.books, clock=plant.clock)
    for plant.now in (HOUR + GRACE, HOUR + HOUR_US, HOUR + HOUR_US + GRACE, HOUR + HOUR_US + GRACE):
        watch.run()
    assert looked == [HOUR - HOUR_US, HOUR]


def test_an_hour_that_could_not_be_looked_at_is_tried_again(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.by_hand = True
    for _ in range(DRIFT_CALLS):
        plant.capture(estimate_nanos=1)
    plant.all_in()
    plant.now = HOUR + HOUR_US + GRACE
    watch = EstimateWatch(plant.olap, plant.books, clock=plant.clock)

    def fails(*_: object, **__: object) -> None:
        raise UnavailableError("away")

    monkeypatch.setattr(plant.books, "find", fails)
    with pytest.raises(UnavailableError):
        watch.run()
    monkeypatch.undo()
    assert watch.run() == 1
    assert watch.run() == 0
