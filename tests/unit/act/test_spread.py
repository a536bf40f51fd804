"""A cluster's hourly cost becomes rates of that hour, and events are priced by them."""

from __future__ import annotations

import pytest

from outlay.act.spread import Cluster, spread
from outlay.core.rollup import HOUR_US
from outlay.errors import BadRequestError
from tests.unit.act.plant import HOUR, NOW, Plant

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


def test_an_hour_of_too_few_tokens_is_told_before_anything_is_written(plant: Plant) -> None:
    plant.capture(input=1, output=0)
    with pytest.raises(BadRequestError, match="too few tokens"):
        spread(plant.olap, Cluster("vllm", "own", 10**13), start=HOUR, end=HOUR + HOUR_US, now=NOW)
