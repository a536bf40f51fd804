"""Reading many whole events back, as every OLAP store does it: complete and with adjustments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from outlay.core.rollup import PRICED_LATE
from outlay.errors import UnavailableError
from outlay.store.base import EventFilter
from outlay.store.olap import duckdb_scan, duckdb_schema
from outlay.store.olap.chunks import CHUNK_ROWS
from outlay.store.olap.duckdb import DuckDbStore
from outlay.stream.columns import ENRICHED_SCHEMA
from tests.conformance.backends import OLAP
from tests.factory import DEFAULT_START_US, events_table, make_events, one_event

START = DEFAULT_START_US
ALL = EventFilter(START - 10**12, START + 10**12)
EVENTS = 3 * CHUNK_ROWS


@pytest.fixture(params=OLAP)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = OLAP[request.param](tmp_path)
    yield made
    made.close()


def event(number: int, **values: Any) -> dict[str, Any]:
    return one_event(event_id=str(UUID(int=(0x0199 << 112) | (0x7 << 76) | (0x8 << 60) | number)),
                     **values)  # fmt: skip


def scanned(store: Any, which: EventFilter = ALL) -> tuple[pa.Table, pa.Table]:
    parts = [(ENRICHED_SCHEMA.empty_table(), ENRICHED_SCHEMA.empty_table()), *store.scan(which)]
    events, adjustments = zip(*parts, strict=True)
    return pa.concat_tables(events), pa.concat_tables(adjustments)


def rows(table: pa.Table) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = table.to_pylist()
    return found


def test_every_usage_event_comes_back_exactly_once_and_whole(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_scan, "CHUNKS_AT_ONCE", 2)
    events = make_events(EVENTS, seed=5, tenants=9, adjustments=0.05)
    for offset, at in enumerate(range(0, EVENTS, 700), start=1):
        store.write(events.slice(at, 700), offset=offset)
    usage = events.filter(pc.equal(events["kind"], "usage"))
    found, _ = scanned(store)
    assert rows(found) == rows(usage)
    assert store.matching(ALL) == usage.num_rows


def test_nothing_found_is_nothing(store: Any) -> None:
    assert list(store.scan(ALL)) == []
    assert store.matching(ALL) == 0
    assert store.unpriced(ALL, limit=5) == []


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (ALL, {1, 2, 3}),
        (EventFilter(START, START + 1), {1}),
        (EventFilter(START + 1, START + 2), {2}),
        (EventFilter(ALL.start, ALL.end, tenant="rival"), {2}),
        (EventFilter(ALL.start, ALL.end, provider="google"), {3}),
        (EventFilter(ALL.start, ALL.end, model="priced"), {1}),
        (EventFilter(ALL.start, ALL.end, model="served"), {2}),
        (EventFilter(ALL.start, ALL.end, model="asked"), {3}),
        (EventFilter(ALL.start, ALL.end, unpriced=True), {3}),
        (EventFilter(ALL.start, ALL.end, model="' OR 1=1 --"), set()),
    ],
)
def test_the_filter(store: Any, which: EventFilter, expected: set[int]) -> None:
    store.write(
        events_table(
            event(1, started_at=START, price_model="priced"),
            event(2, started_at=START + 1, tenant_id="rival", model_served="served"),
            event(3, started_at=START + 2, provider="google", model_requested="asked",
                  price_basis="unpriced", price_model=None, model_served=None),
            event(4, started_at=START, kind="adjustment"),
        ),
        offset=1,
    )  # fmt: skip
    found, _ = scanned(store, which)
    assert {UUID(bytes=key).int & 0xFF for key in found["event_id"].to_pylist()} == expected
    assert store.matching(which) == len(expected)


def test_adjustments_come_with_their_events_in_the_order_they_were_written(store: Any) -> None:
    target = event(1)["event_id"]
    store.write(events_table(event(1), event(2)), offset=1)
    store.write(
        events_table(
            event(11, kind="adjustment", adjusts_event_id=target, reason="first", cost_nanos=5,
                  lines=[{"unit": "input", "quantity": -1, "rate_id": "r", "nanos": 5,
                          "basis": "catalogue"}]),
            event(10, kind="adjustment", adjusts_event_id=target, reason="second", cost_nanos=-2),
            event(12, kind="adjustment", adjusts_event_id=event(99)["event_id"], reason="other"),
        ),
        offset=2,
    )  # fmt: skip
    _, adjustments = scanned(store)
    assert adjustments["reason"].to_pylist() == ["first", "second"]
    assert adjustments["lines"].to_pylist()[0][0]["quantity"] == -1


def test_unpriced_events_are_grouped_by_what_they_lack(store: Any) -> None:
    lacking: dict[str, Any] = {"price_basis": "unpriced", "price_model": None, "cost_nanos": 0}
    store.write(
        events_table(
            event(1, **lacking, flags=["unknown_model", "unpriced"], started_at=START + 9),
            event(2, **lacking, flags=["unknown_model", "unpriced"], tenant_id="rival"),
            event(3, **lacking, flags=["unpriced"]),
            event(4, **lacking, flags=["usage_unknown"], input=0, output=0),
            event(5),
        ),
        offset=1,
    )
    first, *others = store.unpriced(ALL, limit=10)
    assert (first.model, first.reason, first.events, first.tenants) == (
        "gpt-6-mini", "unknown_model", 2, 2,
    )  # fmt: skip
    assert (first.first_at, first.last_at) == (START, START + 9)
    assert first.tokens["input_tokens"] == 200
    assert {group.reason for group in others} == {"no_rate", "usage_unknown"}
    assert len(store.unpriced(ALL, limit=1)) == 1


def test_an_event_that_got_its_price_later_is_unpriced_no_more(store: Any) -> None:
    lacking: dict[str, Any] = {"price_basis": "unpriced", "price_model": None, "cost_nanos": 0}
    priced = event(1)["event_id"]
    store.write(events_table(event(1, **lacking), event(2, **lacking)), offset=1)
    store.write(
        events_table(
            event(11, kind="adjustment", adjusts_event_id=priced, flags=[PRICED_LATE], input=0,
                  output=0),
        ),
        offset=2,
    )  # fmt: skip
    (left,) = store.unpriced(ALL, limit=10)
    assert left.events == 1
    assert left.event_id == str(UUID(bytes=event(2)["event_id"]))


# -- DuckDB's own ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_of_an_older_version_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    store = DuckDbStore(tmp_path / "o")
    store.write(make_events(500, seed=1, tenants=5), offset=1)
    while store.compact(everything=True):
        pass
    store.close()
    with duckdb.connect(str(tmp_path / "o")) as con:
        con.execute("ALTER TABLE events DROP COLUMN estimate_nanos")
        for table in ("events", "rollup_minute", "rollup_day") if version == 1 else ():
            for name in ("sell_nanos", "credits_micros"):
                con.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        con.execute(f"UPDATE meta SET schema_version = {version}")
    again = DuckDbStore(tmp_path / "o")
    again.write(make_events(500, seed=2, tenants=5), offset=2)
    while again.compact(everything=True):
        pass
    assert again.verify() == []
    assert again.count() == 1000
    again.close()
    with duckdb.connect(str(tmp_path / "o")) as con:
        found = con.execute("SELECT schema_version FROM meta").fetchone()
    assert found == (duckdb_schema.SCHEMA_VERSION,)


def test_chunks_of_light_traffic_are_read_together_and_full_ones_few_at_a_time() -> None:
    light = [(address, np.arange(1)) for address in range(3000)]
    full = [(address, np.arange(CHUNK_ROWS)) for address in range(20)]
    assert [len(step) for step in duckdb_scan.steps(light)] == [1024, 1024, 952]
    assert [len(step) for step in duckdb_scan.steps(full)] == [8, 8, 4]
    assert list(duckdb_scan.steps([])) == []


def test_a_store_that_went_back_takes_no_batch_that_would_leave_a_gap(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "o")
    store.write(events_table(event(1)), offset=1)
    store._offset = 7  # what a commit that was then lost had shown
    with pytest.raises(ValueError, match="exactly the columns"), store._recovering():
        duckdb_schema.check(pa.table({"x": [1]}))
    assert store.offset() == 1, "only what is in the file counts"
    with pytest.raises(UnavailableError, match="went back"):
        store.write(events_table(event(9)), offset=9)
    assert store.count() == 1
    store.write(events_table(event(2)), offset=2)
    assert (store.offset(), store.count()) == (2, 2)
    store.close()
