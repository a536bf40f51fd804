"""What limits would have done, against histories small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.act.ceilings import Ceilings
from outlay.act.replay import replay
from outlay.core.limits.limit import Limit, Match, Override, Threshold
from outlay.core.rates import RateRow
from outlay.errors import BadRequestError
from tests.unit.act.counted import CountingPlant, limit
from tests.unit.act.plant import HOUR, NOW, M, own

COST = 3_000
SECOND = 1_000_000


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[CountingPlant]:
    made = CountingPlant(tmp_path)
    made.rates(*own())
    yield made
    made.close()


def told(plant: CountingPlant, *limits: Limit, **values: Any) -> dict[str, Any]:
    ceilings = Ceilings(plant.books, plant.olap)
    said: dict[str, Any] = {"start": HOUR, "end": NOW, **values}
    return replay(plant.olap, ceilings, limits, **said)


def at(plant: CountingPlant, *seconds: int, **values: Any) -> None:
    """Capture calls that start so many seconds after the hour, each lasting two seconds."""
    for second in seconds:
        start = HOUR + second * SECOND
        plant.capture(started_at=start, ended_at=start + 2 * SECOND, **values)


def test_a_call_that_does_not_fit_is_refused_and_counts_no_further(plant: CountingPlant) -> None:
    at(plant, 10)
    at(plant, 20, input=10_000)  # 21,000: too much for what is left
    at(plant, 30, 40)
    ladder = (Threshold(500_000, "warn"), Threshold(M, "block"))
    answer = told(plant, limit(amount=9_000, thresholds=ladder))
    (one,) = answer["limits"]
    assert (answer["events"], answer["refused"], answer["refused_cost_nanos"]) == (4, 1, 21_000)
    assert (one["matched"], one["refused"], one["refused_cost_nanos"]) == (4, 1, 21_000)
    assert one["first_refused_at"] == HOUR + 20 * SECOND
    assert (one["peak_used"], one["peak_ppm"]) == (9_000, M)
    assert one["rungs"] == [
        {"at_ppm": 500_000, "action": "warn", "times": 1, "first_at": HOUR + 30 * SECOND},
        {"at_ppm": M, "action": "block", "times": 1, "first_at": HOUR + 40 * SECOND},
    ]
    (scope,) = one["top"]
    assert scope["scope"] == {"tenant": "acme"}
    assert (scope["matched"], scope["refused"]) == (4, 1)


def test_history_goes_by_in_the_order_of_time_however_it_came_in(plant: CountingPlant) -> None:
    at(plant, 50, 40, 30, 20, 10)
    (one,) = told(plant, limit(amount=2 * COST))["limits"]
    assert one["refused"] == 3
    assert one["first_refused_at"] == HOUR + 30 * SECOND


def test_what_one_limit_refuses_counts_on_no_other(plant: CountingPlant) -> None:
    at(plant, 10, 20, 30, feature="search")
    at(plant, 40)
    answer = told(
        plant,
        limit("search", scope=(Match("feature", ("search",)),), amount=COST),
        limit("all", scope=(), amount=2 * COST),
    )
    search, whole = answer["limits"]
    assert (search["refused"], search["matched"]) == (2, 3)
    assert (whole["refused"], whole["matched"], whole["peak_used"]) == (0, 4, 2 * COST)
    assert answer["refused"] == 2


def test_a_period_begins_empty_and_scopes_are_ranked(plant: CountingPlant) -> None:
    at(plant, 10, 20, 3610, 3620, tenant_id="acme")
    at(plant, 15, 25, 35, tenant_id="rival")
    (one,) = told(plant, limit(window="hour", amount=COST), top=1)["limits"]
    assert (one["refused"], one["scopes"], one["scopes_refused"]) == (4, 2, 2)
    (first,) = one["top"]
    assert (first["scope"], first["refused"]) == ({"tenant": "acme"}, 2)


@pytest.mark.parametrize(
    ("one", "refused"),
    [
        # Three calls within five seconds, one a minute later.
        (limit(window="rolling", span_us=60 * SECOND, amount=2 * COST), 1),
        (limit(metric="calls", window="rate", span_us=60 * SECOND, amount=1, burst=2), 1),
        (limit(metric="concurrent_calls", window="none", amount=1), 1),
        (limit(window="request", scope=(), amount=2 * COST), 0),
        (limit(window="run", scope=(), amount=2 * COST), 2),
        (limit(metric="tokens", amount=1_100), 3),
        (limit(metric="tokens", amount=1_099), 4),
        (limit(mode="off", amount=COST), 3),
        (limit(thresholds=(Threshold(M, "warn"),), amount=1), 0),
    ],
    ids=lambda one: f"{one.window} {one.metric} {one.mode}" if isinstance(one, Limit) else "",
)
def test_every_window_refuses_as_it_would(plant: CountingPlant, one: Limit, refused: int) -> None:
    at(plant, 10, 11, 15, 75, run_id="r")
    assert told(plant, one)["refused"] == refused


def test_an_override_holds_while_it_held(plant: CountingPlant) -> None:
    at(plant, 10, 20, 30)
    raised = Override("o", "month", 2 * COST, HOUR, HOUR + 25 * SECOND, "r", "a")
    assert told(plant, limit(amount=COST))["refused"] == 2
    assert told(plant, limit(amount=COST), overrides=(raised,))["refused"] == 1


def test_cost_is_what_it_is_by_now_or_the_ceiling(plant: CountingPlant) -> None:
    at(plant, 10)
    at(plant, 20, model_served="new")
    (one,) = told(plant, limit())["limits"]
    assert one["peak_used"] == 2 * COST, "the dearest price that its provider has"
    plant.rates(
        *own(input_nanos=4 * M),
        *(RateRow.make("vllm", "new", unit, M, layer="override") for unit in ("input", "output")),
    )
    plant.run()
    (one,) = told(plant, limit())["limits"]
    assert one["peak_used"] == 5_000 + 1_100


def test_what_was_refused_then_is_no_call_now(plant: CountingPlant) -> None:
    at(plant, 10, status="blocked", billed="no", input=0, output=0, usage_source="none")
    assert told(plant, limit(metric="calls", amount=1))["events"] == 0


def test_limits_of_one_tenant_look_at_its_calls_only(plant: CountingPlant) -> None:
    at(plant, 10)
    at(plant, 20, tenant_id="rival")
    one = limit(scope=(Match("tenant", ("acme",)),))
    assert told(plant, one)["events"] == 1
    assert told(plant, one, limit("all", scope=()))["events"] == 2


def test_a_range_that_holds_too_much_or_nothing_is_refused(plant: CountingPlant) -> None:
    at(plant, 10, 20, 30)
    with pytest.raises(BadRequestError, match="3 events; one run goes through 2"):
        told(plant, limit(), max_events=2)
    assert told(plant, limit(), max_events=3)["events"] == 3
    with pytest.raises(BadRequestError, match="ends before"):
        told(plant, limit(), start=NOW)
    empty = told(plant, limit(), end=HOUR + 1)
    assert (empty["events"], empty["limits"][0]["top"]) == (0, [])
