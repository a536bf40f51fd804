"""What limits ask of every OLAP store: sums as of an offset, events by id, estimates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from outlay.core.rollup import PRICED_LATE, event_sums
from outlay.store.base import EventFilter
from outlay.store.groups import EstimateGroup
from tests.conformance.backends import OLAP
from tests.factory import DEFAULT_START_US, events_table, make_events, one_event

START = DEFAULT_START_US
ALL = EventFilter(START - 10**12, START + 10**12)
BATCH = 400


@pytest.fixture(params=OLAP)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = OLAP[request.param](tmp_path)
    yield made
    made.close()


def event(number: int, **values: Any) -> dict[str, Any]:
    return one_event(event_id=str(UUID(int=number)), **values)


def filled(store: Any) -> pa.Table:
    """Write batches that end at the offsets 10, 20 and 30; return all events."""
    events = make_events(3 * BATCH, seed=3, tenants=6, adjustments=0.05)
    for number in range(3):
        store.write(events.slice(number * BATCH, BATCH), offset=10 * (number + 1))
    return events


def summed(events: pa.Table, by: tuple[str, ...]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    columns = {"tenant": "tenant_id", "feature": "feature", "agent": "agent_path"}
    found: dict[tuple[Any, ...], list[int]] = {}
    for row in events.to_pylist():
        row["other_units"] = dict(row["other_units"] or ())
        one = event_sums(row)
        calls = int(row["kind"] == "usage" and row["status"] != "blocked")
        key = tuple(row[columns[name]] or "" for name in by)
        sums = found.setdefault(key, [0, 0, 0, 0])
        add = (one["cost_nanos"], one["input_tokens"], one["output_tokens"], calls)
        for place, amount in enumerate(add):
            sums[place] += amount
    return {key: tuple(sums) for key, sums in found.items()}


def answered(table: pa.Table, by: tuple[str, ...]) -> dict[tuple[Any, ...], tuple[int, ...]]:
    names = ("cost_nanos", "input_tokens", "output_tokens", "calls")
    return {
        tuple(row[name] for name in by): tuple(row[name] for name in names)
        for row in table.to_pylist()
    }


@pytest.mark.parametrize("by", [(), ("tenant",), ("tenant", "feature", "agent")])
def test_sums_are_those_of_the_events(store: Any, by: tuple[str, ...]) -> None:
    events = filled(store)
    assert answered(store.spent(ALL, by), by) == summed(events, by)


@pytest.mark.parametrize(("offset", "stored", "events"), [
    (9, 0, 0), (10, 10, 1), (19, 10, 1), (20, 20, 2), (99, 30, 3),
])  # fmt: skip
def test_sums_as_of_an_offset_hold_what_was_stored_up_to_it(
    store: Any, offset: int, stored: int, events: int
) -> None:
    table = filled(store)
    assert store.stored_up_to(offset) == stored
    which = EventFilter(ALL.start, ALL.end, up_to=stored)
    by = ("tenant",)
    assert answered(store.spent(which, by), by) == summed(table.slice(0, events * BATCH), by)
    usage = pc.sum(pc.equal(table.slice(0, events * BATCH)["kind"], "usage")).as_py() or 0
    assert store.matching(which) == usage
    assert sum(found.num_rows for found, _ in store.scan(which)) == usage


def test_sums_are_of_the_window_the_tenant_and_by_steps_of_time(store: Any) -> None:
    store.write(
        events_table(
            event(1, started_at=START),
            event(2, started_at=START + 59),
            event(3, started_at=START + 60, tenant_id="rival"),
            event(4, started_at=START + 99),
            event(5, kind="allocation", started_at=START),
        ),
        offset=1,
    )
    one = EventFilter(START, START + 99, tenant="acme")
    (row,) = store.spent(one, ()).to_pylist()
    assert (row["cost_nanos"], row["calls"]) == (2_000, 2)
    steps = store.spent(EventFilter(START, START + 99), ("tenant",), step_us=60).to_pylist()
    at = {(row["tenant"], row["at"]): row["cost_nanos"] for row in steps}
    assert sum(at.values()) == 3_000
    assert all(start % 60 == 0 and start <= START + 99 for _, start in at)


def test_what_a_field_is_by_for_limits(store: Any) -> None:
    store.write(
        events_table(
            event(1, model_requested="asked", model_served="served"),
            event(2, model_requested=None, model_served="served"),
            event(3, model_requested=None, model_served=None, feature=None),
        ),
        offset=1,
    )
    by = ("model", "feature")
    assert set(answered(store.spent(ALL, by), by)) == {
        ("asked", "search"), ("served", "search"), ("", ""),
    }  # fmt: skip


def test_unpriced_events_and_adjustments_as_of_an_offset(store: Any) -> None:
    unpriced = event(1, price_basis="unpriced", cost_nanos=0)
    priced = event(2, kind="adjustment", adjusts_event_id=str(UUID(int=1)), flags=[PRICED_LATE],
                   cost_nanos=5)  # fmt: skip
    store.write(events_table(unpriced), offset=1)
    store.write(events_table(priced), offset=2)

    def asked(up_to: int | None) -> list[tuple[int, int]]:
        which = EventFilter(ALL.start, ALL.end, unpriced=True, up_to=up_to)
        return [(found.num_rows, late.num_rows) for found, late in store.scan(which)]

    assert asked(None) == asked(2) == []
    assert asked(1) == [(1, 0)]
    whole = EventFilter(ALL.start, ALL.end, up_to=1)
    assert [late.num_rows for _, late in store.scan(whole)] == [0]


def test_events_are_found_by_id_in_a_window(store: Any) -> None:
    events = filled(store)
    ids = events["event_id"].to_pylist()
    wanted = [*ids[::100], bytes(16)]
    found = store.find(wanted, start=ALL.start, end=ALL.end)
    assert set(found["event_id"].to_pylist()) == set(ids[::100])
    expected = events.filter(pc.is_in(events["event_id"], pa.array(wanted, pa.binary(16))))
    by_id = [("event_id", "ascending")]
    assert found.sort_by(by_id).to_pylist() == expected.sort_by(by_id).to_pylist()
    assert store.find(wanted, start=ALL.start, end=ALL.start).num_rows == 0


def test_estimates_are_compared_with_costs_by_model_and_agent(store: Any) -> None:
    store.write(
        events_table(
            event(1, estimate_nanos=1_500),
            event(2, estimate_nanos=400),
            event(3, estimate_nanos=1_000, agent_path="other", tenant_id="rival"),
            event(4),  # held for nothing
            event(5, estimate_nanos=9, price_basis="unpriced"),
            event(6, estimate_nanos=9, status="blocked"),
        ),
        offset=1,
    )
    first, second = store.estimates(ALL, limit=10)
    assert first == EstimateGroup(
        "gpt-6-mini", "orchestrator", holds=2, estimated=1_900, actual=2_000, off=1_100, under=1,
        worst=600, worst_event=str(UUID(int=2)),
    )  # fmt: skip
    assert (second.agent, second.holds, second.off, second.under) == ("other", 1, 0, 0)
    assert store.estimates(ALL, limit=1) == [first]
    only = EventFilter(ALL.start, ALL.end, tenant="rival")
    assert store.estimates(only, limit=10) == [second]
