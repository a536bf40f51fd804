"""What every OLAP store answers: the same from every table, exact, and only the asking tenant's."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.core.event import FIELDS
from outlay.core.rollup import SUMS, event_sums
from outlay.errors import UnavailableError
from outlay.store.olap.duckdb import DuckDbStore
from outlay.store.query.dimensions import DIMENSIONS, METRICS
from outlay.store.query.model import parse_query
from tests.conformance.backends import OLAP
from tests.factory import DEFAULT_START_US, events_table, make_events, one_event

DAY_US = 86_400_000_000
DAY0 = (DEFAULT_START_US // DAY_US + 1) * DAY_US
NOW = DAY0 + 5 * DAY_US
EVENTS = 6_000
ADDITIVE = tuple(
    name
    for name, metric in METRICS.items()
    if metric.kind != "quantile" and name not in {"requests", "users", "cost_per_request"}
)


@pytest.fixture(params=OLAP)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    made = OLAP[request.param](tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module", params=OLAP)
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Three days of events: folded days, merged ones, and a tail that no roll-up holds yet."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("outlay.store.olap.duckdb_rollup.FOLD_EVENTS", 900)
        patch.setattr("outlay.store.olap.duckdb_rollup.MERGE_ROWS", 300)
        patch.setattr("outlay.store.olap.duckdb_rollup.SLICE_ROWS", 300)
        made = OLAP[request.param](tmp_path_factory.mktemp("olap"))
        events = whole_set()
        for offset, at in enumerate(range(0, EVENTS, 500), start=1):
            made.write(events.slice(at, 500), offset=offset)
    yield made
    made.close()


def whole_set() -> pa.Table:
    return make_events(
        EVENTS, seed=7, start_us=DAY0 - DAY_US // 2, span_us=3 * DAY_US, tenants=12,
        adjustments=0.04,
    )  # fmt: skip


def ask(store: Any, *, tenant: str | None = None, **body: Any) -> list[tuple[Any, ...]]:
    query = parse_query({"last": "30d", "metrics": ["cost"], **body}, now=NOW, tenant=tenant)
    rows: list[tuple[Any, ...]] = store.query(query, now=NOW).rows
    return rows


def one(store: Any, **body: Any) -> tuple[Any, ...]:
    (row,) = ask(store, **body)
    return row


# -- exactness -----------------------------------------------------------------------------------


def test_roll_ups_equal_events(filled: Any) -> None:
    assert filled.verify() == []
    assert filled.count() == EVENTS


names = st.lists(st.sampled_from(ADDITIVE), min_size=1, max_size=4, unique=True)
groups = st.lists(
    st.sampled_from(
        ["tenant", "feature", "model", "agent", "agent_root", "status", "kind", "plan"]
    ),
    max_size=3,
    unique=True,
)
conditions = st.lists(
    st.sampled_from(
        [
            {"field": "tenant", "op": "eq", "value": "tenant-00001"},
            {"field": "tenant", "op": "not_in", "value": ["tenant-00001", "tenant-00003"]},
            {"field": "feature", "op": "prefix", "value": "doc"},
            {"field": "feature", "op": "gte", "value": "email"},
            {"field": "model", "op": "ne", "value": "o5"},
            {"field": "model", "op": "eq", "value": None},
            {"field": "initiator", "op": "in", "value": ["user", None]},
        ]
    ),
    max_size=2,
)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    metrics=names,
    by=groups,
    filters=conditions,
    start=st.integers(-DAY_US, 2 * DAY_US),
    length=st.one_of(st.integers(1, 4 * DAY_US), st.sampled_from([DAY_US, 3 * DAY_US])),
    grain=st.sampled_from(["none", "minute", "hour", "day", "month"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/New_York"]),
    aligned=st.booleans(),
)
def test_every_cut_of_a_window_over_tables_gives_the_answer_of_the_events(
    filled: Any,
    metrics: list[str],
    by: list[str],
    filters: list[Any],
    start: int,
    length: int,
    grain: str,
    zone: str,
    aligned: bool,
) -> None:
    begin = DAY0 + start
    begin = begin // DAY_US * DAY_US if aligned else begin
    body = {
        "metrics": metrics, "by": by, "filters": filters, "from": begin, "to": begin + length,
        "grain": grain, "timezone": zone, "limit": 10_000,
    }  # fmt: skip
    query = parse_query(body, now=NOW)
    cut = filled.query(query, now=NOW)
    whole = filled._answer(query, now=NOW, rollups=False)
    assert cut.rows == whole.rows
    assert whole.source == "events"


def test_the_tables_named_as_source_are_really_used(filled: Any) -> None:
    def source(**body: Any) -> str:
        query = parse_query({"metrics": ["cost"], **body}, now=NOW)
        return str(filled.query(query, now=NOW).source)

    assert source(last="30d", by=["model"]) == "day"
    assert source(last="15m", by=["tenant"]) == "minute"
    assert source(last="15m", by=["model"]) == "events"


def test_sums_equal_their_definition(filled: Any) -> None:
    expected: dict[str, int] = defaultdict(int)
    for row in rows_of(whole_set()):
        for name, value in event_sums(row).items():
            expected[name] += value
    for name, metric in METRICS.items():
        if metric.kind == "sum":
            total = sum(
                -expected[part[1:]] if part.startswith("-") else expected[part]
                for part in metric.of
            )
            assert one(filled, metrics=[name]) == (total,), name
    assert set(expected) == set(SUMS)


def rows_of(events: pa.Table) -> list[dict[str, Any]]:
    return [{**row, "other_units": dict(row["other_units"] or [])} for row in events.to_pylist()]


def test_means_ratios_and_distinct_counts_follow_their_definition(filled: Any) -> None:
    rows = rows_of(whole_set())
    usage = [row for row in rows if row["kind"] == "usage"]
    cost = sum(row["cost_nanos"] for row in rows)
    calls = sum(event_sums(row)["calls"] for row in rows)
    requests = {row["request_id"] for row in rows}
    latencies = [round(row["latency_ms"] * 1000) for row in usage]
    got = one(
        filled,
        metrics=["cost_per_call", "cost_per_request", "requests", "users", "tenants",
                 "latency_avg", "latency_p50", "cache_hit_ratio"],
    )  # fmt: skip
    assert got[0] == (2 * cost + calls) // (2 * calls)
    assert got[1] == (2 * cost + len(requests)) // (2 * len(requests))
    assert got[2] == len(requests)
    assert got[3] == len({row["user_id"] for row in rows})
    assert got[4] == len({row["tenant_id"] for row in rows})
    assert got[5] == sum(latencies) / len(latencies) / 1000
    assert sorted(latencies)[len(latencies) // 2 - 1] <= got[6] * 1000
    assert sorted(latencies)[len(latencies) // 2] >= got[6] * 1000
    read = sum(event_sums(row)["cache_read_tokens"] for row in rows)
    assert got[7] == read / sum(event_sums(row)["input_tokens"] for row in rows)


def test_a_window_without_events_sums_to_zero_and_has_no_means(filled: Any) -> None:
    body: dict[str, Any] = {"from": NOW - 60_000_000, "to": NOW, "last": None}
    metrics = ["cost", "calls", "latency_avg", "cost_per_call", "users"]
    assert one(filled, metrics=metrics, **body) == (0, 0, None, None, 0)
    assert ask(filled, metrics=metrics, by=["tenant"], **body) == []


@pytest.mark.parametrize("name", [*DIMENSIONS, "label.team", "label.no such"])
def test_every_dimension_groups_all_of_the_cost(filled: Any, name: str) -> None:
    rows = ask(filled, by=[name], limit=10_000)
    assert sum(row[1] for row in rows) == one(filled)[0]


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_answered_with_its_unit(filled: Any, name: str) -> None:
    query = parse_query({"metrics": [name], "by": ["tenant"], "last": "30d"}, now=NOW)
    answer = filled.query(query, now=NOW)
    assert [column.kind for column in answer.columns] == ["dimension", "metric"]
    assert answer.columns[1].unit == METRICS[name].unit
    money = METRICS[name].unit == "nanos"
    assert all(type(row[1]) is int for row in answer.rows) or not money


def test_money_beyond_64_bits_does_not_wrap(store: Any) -> None:
    huge = [one_event(cost_nanos=2**63 - 1, started_at=DAY0)] * 3
    store.write(events_table(*huge), offset=1)
    assert one(store) == (3 * (2**63 - 1),)
    while store.compact(everything=True):
        pass
    assert one(store) == (3 * (2**63 - 1),)
    assert store.verify() == []


# -- grouping, order, filters --------------------------------------------------------------------


def test_rows_come_in_the_order_asked_and_no_more_than_the_limit(filled: Any) -> None:
    rows = ask(filled, metrics=["cost", "calls"], by=["tenant"], order=["calls"], limit=3)
    assert len(rows) == 3
    assert [row[2] for row in rows] == sorted(row[2] for row in rows)
    top = ask(filled, by=["tenant"])
    assert [row[1] for row in top] == sorted((row[1] for row in top), reverse=True)


def test_days_of_a_zone_start_at_its_midnight_through_a_change_of_its_offset(store: Any) -> None:
    hour = 3_600_000_000
    change = 1_792_890_000_000_000  # 2026-10-25T01:00Z, Berlin goes from +2 to +1
    starts = [change - 4 * hour, change - 2 * hour, change, change + 21 * hour, change + 22 * hour]
    events = [one_event(started_at=start, cost_nanos=1) for start in starts]
    store.write(events_table(*events), offset=1)
    window: dict[str, Any] = {"from": change - 30 * hour, "to": change + 30 * hour, "last": None}
    days = ask(store, grain="day", timezone="Europe/Berlin", **window)
    assert days == [(change - 27 * hour, 1), (change - 3 * hour, 3), (change + 22 * hour, 1)]
    hours = ask(store, grain="hour", timezone="Europe/Berlin", **window)
    assert [row[0] for row in hours] == starts
    months = ask(store, grain="month", timezone="Europe/Berlin", **window)
    assert months == [(1_790_805_600_000_000, 5)]


def test_what_is_not_set_is_its_own_group_and_is_not_equal_to_anything(store: Any) -> None:
    store.write(
        events_table(
            one_event(started_at=DAY0, feature=None, cost_nanos=1),
            one_event(started_at=DAY0, feature="search", cost_nanos=2),
            one_event(started_at=DAY0, feature="", cost_nanos=4),
        ),
        offset=1,
    )

    def cost(op: str, value: Any) -> int:
        item = {"field": "feature", "op": op, "value": value}
        return int(one(store, filters=[item])[0])

    assert sorted(ask(store, by=["feature"]), key=str) == [("", 4), ("search", 2), (None, 1)]
    assert cost("eq", None) == 1
    assert cost("ne", None) == 6
    assert cost("ne", "search") == 5
    assert cost("in", ["search", None]) == 3
    assert cost("not_in", ["search"]) == 5
    assert cost("not_in", ["search", None]) == 4
    assert cost("gte", "a") == 2


def test_labels_flags_and_numbers_filter(store: Any) -> None:
    store.write(
        events_table(
            one_event(started_at=DAY0, cost_nanos=1, labels={"team": "red"}, http_status=200),
            one_event(started_at=DAY0, cost_nanos=2, labels={"team": "blue"}, flags=["late"]),
            one_event(started_at=DAY0, cost_nanos=4, latency_ms=None, http_status=500),
        ),
        offset=1,
    )

    def cost(field: str, op: str, value: Any) -> int:
        return int(one(store, filters=[{"field": field, "op": op, "value": value}])[0])

    assert cost("label.team", "eq", "red") == 1
    assert cost("label.team", "ne", "red") == 6
    assert cost("flag", "eq", "late") == 2
    assert cost("flag", "ne", "late") == 5
    assert cost("http_status", "gte", 500) == 4
    assert cost("latency_ms", "lte", 1200.0) == 3
    assert ask(store, by=["label.team"], order=["cost"]) == [("red", 1), ("blue", 2), (None, 4)]


# -- the tenant scope ----------------------------------------------------------------------------

HOSTILE: list[dict[str, Any]] = [
    {"filters": [{"field": "tenant", "op": "ne", "value": "acme"}]},
    {"filters": [{"field": "tenant", "op": "in", "value": ["other", "acme"]}]},
    {"filters": [{"field": "tenant", "op": "eq", "value": "other"}]},
    {"filters": [{"field": "label.x' OR true --", "op": "eq", "value": None}]},
    {"filters": [{"field": "feature", "op": "prefix", "value": "') OR true --"}]},
    {"by": ["label.x' FROM events --"]},
    {"by": ["tenant"]},
    {"by": ["user", "tenant"], "grain": "day"},
    {"metrics": ["users"], "by": ["tenant", "feature"]},
]


@pytest.mark.parametrize("body", HOSTILE)
def test_a_tenant_scope_holds_whatever_is_asked(store: Any, body: dict[str, Any]) -> None:
    store.write(
        events_table(
            one_event(started_at=DAY0, tenant_id="acme", cost_nanos=1, user_id="a"),
            one_event(started_at=DAY0, tenant_id="other", cost_nanos=1_000, user_id="b"),
            one_event(started_at=DAY0, tenant_id="acme'--", cost_nanos=1_000, user_id="b"),
        ),
        offset=1,
    )
    for _ in range(2):
        rows = ask(store, tenant="acme", **{"metrics": ["cost", "users"], **body})
        assert all(value not in {1_000, "other", "b", "acme'--"} for row in rows for value in row)
        store.compact(everything=True)


def test_a_request_is_shown_to_its_own_tenant_only(store: Any) -> None:
    events = [one_event(tenant_id=t, request_id="req-1", started_at=DAY0) for t in ("a", "b")]
    store.write(events_table(*events), offset=1)
    assert [e["tenant_id"] for e in store.request_events("req-1", tenant="b")] == ["b"]
    assert len(store.request_events("req-1", tenant=None)) == 2
    assert store.request_events("req-1", tenant="c") == []


# -- whole events --------------------------------------------------------------------------------


def test_an_event_comes_back_with_every_field(store: Any) -> None:
    events = make_events(300, seed=4, start_us=DAY0, span_us=DAY_US, tenants=5)
    store.write(events, offset=1)
    for row in events.slice(17, 40).to_pylist():
        got = store.event(str(UUID(bytes=row["event_id"])))
        assert list(got) == [*(field.name for field in FIELDS), "adjustments"]
        assert got["lines"] == row["lines"]
        assert got["usage_raw"] == row["usage_raw"]
        assert got["span_id"] == row["span_id"]
        assert got["call_id"] == str(UUID(bytes=row["call_id"]))
        assert got["latency_ms"] == row["latency_ms"]
        assert got["labels"] == (dict(row["labels"]) if row["labels"] else None)
        assert got["other_units"] == (dict(row["other_units"]) if row["other_units"] else None)
        assert got["started_at"] == micros_of(row["started_at"])
        assert got["received_at"] == micros_of(row["received_at"])
        plain = {f.name for f in FIELDS if f.type in {"string", "int64", "bool", "int16", "uint8"}}
        assert {k: v for k, v in got.items() if k in plain} == {
            k: v for k, v in row.items() if k in plain
        }


def micros_of(moment: Any) -> int:
    return int(pa.scalar(moment, pa.timestamp("us")).cast(pa.int64()).as_py())


def test_an_unknown_event_is_none_and_a_malformed_id_too(store: Any) -> None:
    store.write(events_table(one_event()), offset=1)
    assert store.event("01990000-0000-7000-8000-0000000000ff") is None
    assert store.event("not an id") is None
    assert store.event("01990000-0000-7000-8000-000000000001")["tenant_id"] == "acme"


def test_an_event_far_from_the_time_in_its_id_is_found(store: Any) -> None:
    store.write(events_table(one_event(started_at=DAY0 + 400 * DAY_US)), offset=1)
    assert store.event("01990000-0000-7000-8000-000000000001") is not None


def test_adjustments_of_an_event_come_with_it(store: Any) -> None:
    event = "01990000-0000-7000-8000-000000000001"
    change = one_event(
        event_id="01990000-0000-7000-8000-0000000000aa", kind="adjustment", cost_nanos=-5,
        adjusts_event_id=event, reason="re-rated", started_at=DAY0,
    )  # fmt: skip
    store.write(events_table(one_event(), change), offset=1)
    got = store.event(event)
    assert [(a["cost_nanos"], a["reason"]) for a in got["adjustments"]] == [(-5, "re-rated")]


def test_a_request_comes_in_order_of_start_from_every_batch(store: Any) -> None:
    events = make_events(400, seed=9, start_us=DAY0, span_us=60_000_000, tenants=3)
    for offset in range(1, 5):
        store.write(events.slice((offset - 1) * 100, 100), offset=offset)
    rows = events.to_pylist()
    wanted = rows[150]["request_id"]
    got = store.request_events(wanted, tenant=None)
    assert len(got) == sum(row["request_id"] == wanted for row in rows)
    assert [e["started_at"] for e in got] == sorted(e["started_at"] for e in got)


@pytest.mark.parametrize(
    "request_id",
    ["r", "01990000-0000-7000-8000-0000000000ff", "00000000-0000-7000-8000-000000000000"],
)
def test_a_request_is_found_whatever_its_id_looks_like(store: Any, request_id: str) -> None:
    store.write(events_table(one_event(request_id=request_id, started_at=NOW)), offset=1)
    assert len(store.request_events(request_id, tenant=None)) == 1


# -- many threads --------------------------------------------------------------------------------


def test_readers_see_whole_batches_while_a_writer_writes(
    store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlay.store.olap.duckdb_rollup.FOLD_EVENTS", 700)
    monkeypatch.setattr("outlay.store.olap.duckdb_rollup.MERGE_ROWS", 200)
    monkeypatch.setattr("outlay.store.olap.duckdb_rollup.SLICE_ROWS", 100)
    writing = threading.Event()
    writing.set()
    problems: list[str] = []
    reads = [0, 0, 0]

    def read(index: int) -> None:
        last = 0
        try:
            while writing.is_set():
                calls, cost = one(store, metrics=["attempts", "cost"], by=[])
                assert cost == 10 * calls, f"{cost} for {calls}"
                assert calls % 250 == 0, f"{calls} is part of a batch"
                assert calls >= last, f"{calls} after {last}"
                last = calls
                reads[index] += 1
        except Exception as error:
            problems.append(f"{type(error).__name__}: {error}")

    threads = [threading.Thread(target=read, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    events = events_table(
        *[one_event(started_at=DAY0 + i * 400_000_000, cost_nanos=10) for i in range(250)]
    )
    for offset in range(1, 31):
        store.write(events, offset=offset)
    writing.clear()
    for thread in threads:
        thread.join()
    assert problems == []
    assert min(reads) > 0
    assert store.verify() == []


def test_closing_stops_a_question_that_runs(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "o")
    store.write(make_events(20_000, seed=1, start_us=DAY0), offset=1)
    outcome: list[str] = []

    def long() -> None:
        try:
            with store._snapshot() as cursor:
                started.set()
                cursor.execute("SELECT count(*) FROM events a, events b, events c").fetchall()
        except UnavailableError as error:
            outcome.append(error.message)

    started = threading.Event()
    thread = threading.Thread(target=long)
    thread.start()
    started.wait()
    store.close()
    thread.join(10)
    assert not thread.is_alive()
    assert outcome == ["The OLAP store was closed while the question ran."]


# -- files ---------------------------------------------------------------------------------------


def test_merging_changes_no_answer(filled: Any) -> None:
    def answers() -> list[Any]:
        by_model = ask(filled, metrics=list(ADDITIVE)[:20], by=["model", "tenant"], limit=10_000)
        return [by_model, ask(filled, metrics=["cost", "calls"], by=["tenant"], grain="hour")]

    before = answers()
    steps = 0
    while filled.compact(everything=True):
        steps += 1
    assert steps > 3
    assert answers() == before
    assert filled.verify() == []


def test_the_check_names_a_roll_up_that_differs(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "o")
    store.write(make_events(500, seed=1, start_us=DAY0, tenants=5), offset=1)
    while store.compact(everything=True):
        pass
    assert store._con is not None
    store._con.execute("UPDATE rollup_day SET cost_nanos = cost_nanos + 1 WHERE feature = 'search'")
    store._con.execute("DELETE FROM rollup_minute WHERE feature = 'alerts'")
    lines = store.verify()
    assert any("rollup_day" in line and "cost_nanos" in line for line in lines)
    assert any("rollup_minute" in line and "alerts" in line for line in lines)
    store.close()


def test_a_file_of_another_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "o")
    assert store._con is not None
    store._con.execute("UPDATE meta SET schema_version = 99")
    store.close()
    with pytest.raises(UnavailableError, match="schema version 99") as caught:
        DuckDbStore(tmp_path / "o")
    assert "rebuilt" in caught.value.hint


@pytest.mark.parametrize("content", [b"not a database" * 1000, b"\x00" * 4096])
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "o").write_bytes(content)
    with pytest.raises(UnavailableError, match="damaged") as caught:
        DuckDbStore(tmp_path / "o")
    assert "rebuilt" in caught.value.hint


def test_a_damaged_chunk_is_refused_and_answers_go_on(tmp_path: Path) -> None:
    store = DuckDbStore(tmp_path / "o")
    store.write(events_table(one_event(started_at=DAY0)), offset=1)
    (chunk,) = (tmp_path / "o.chunks").iterdir()
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"\x00")
    with pytest.raises(UnavailableError, match="damaged"):
        store.event("01990000-0000-7000-8000-000000000001")
    assert one(store) == (1_000,)
    store.close()


def test_a_file_that_another_program_holds_is_busy(tmp_path: Path) -> None:
    import subprocess
    import sys

    duckdb.connect(str(tmp_path / "o")).close()
    code = (
        f"import duckdb; c = duckdb.connect({str(tmp_path / 'o')!r}); print(1, flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UnavailableError, match="Another process holds") as caught:
            DuckDbStore(tmp_path / "o")
        assert str(other.pid) in caught.value.message
        other.kill()
