"""Reading a question: what is accepted, what is refused and with which words; planning it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import QueryError
from outlay.store.query import dimensions, model
from outlay.store.query.model import DAY_US, Filter, Query, parse_query
from outlay.store.query.plan import Part, plan
from outlay.store.query.zones import local_to_utc, offsets

NOW = 1_790_000_000_000_000
MINUTE_US = 60_000_000
DAY0 = NOW // DAY_US * DAY_US


def parse(**body: Any) -> Query:
    return parse_query({"metrics": ["cost"], **body}, now=NOW)


def refused(**body: Any) -> QueryError:
    with pytest.raises(QueryError) as caught:
        parse(**body)
    return caught.value


# -- names ---------------------------------------------------------------------------------------


def test_an_unknown_metric_is_refused_with_the_nearest_known_one() -> None:
    error = refused(metrics=["cost", "input_token"])
    assert error.where == "metrics[1]"
    assert "input_tokens" in error.message


def test_an_unknown_dimension_is_refused_with_the_nearest_known_one() -> None:
    error = refused(by=["tenants"])
    assert error.where == "by[0]"
    assert "Did you mean 'tenant'?" in error.message


def test_an_unknown_key_of_the_question_is_refused() -> None:
    assert "Did you mean 'metrics'?" in refused(metric=["cost"]).message


@pytest.mark.parametrize(
    "name",
    ["tenant_id", "1; DROP TABLE events", "cost_nanos) FROM events --", 'a"b', "label.", "", 7],
)
def test_nothing_but_a_known_name_becomes_a_dimension(name: object) -> None:
    assert refused(by=[name]).where == "by[0]"


def test_any_label_key_is_a_dimension_because_it_is_bound_as_a_value() -> None:
    assert parse(by=["label.team'; DROP TABLE events"]).by == ("label.team'; DROP TABLE events",)


def test_at_least_one_metric_is_needed() -> None:
    assert refused(metrics=[]).where == "metrics"


def test_a_name_given_twice_is_refused() -> None:
    assert refused(by=["tenant", "tenant"]).where == "by[1]"


def test_every_documented_name_is_accepted() -> None:
    for metric in dimensions.METRICS:
        assert parse(metrics=[metric]).metrics == (metric,)
    for dimension in dimensions.DIMENSIONS:
        assert parse(by=[dimension]).by == (dimension,)


def test_the_schema_lists_everything_with_its_meaning() -> None:
    schema: Any = dimensions.schema()
    assert {m["name"] for m in schema["metrics"]} == set(dimensions.METRICS)
    assert {d["name"] for d in schema["dimensions"]} == {*dimensions.DIMENSIONS, "label.<key>"}
    assert all(entry["meaning"] for entry in [*schema["metrics"], *schema["dimensions"]])
    assert all(entry["operators"] for entry in schema["filters"])


# -- filters -------------------------------------------------------------------------------------


def test_a_filter_is_read_with_its_operator() -> None:
    query = parse(filters=[{"field": "model", "op": "in", "value": ["a", "b"]}])
    assert query.filters == (Filter("model", "in", ("a", "b")),)


def test_the_operator_of_a_filter_is_equality_when_left_out() -> None:
    assert parse(filters=[{"field": "tenant", "value": "acme"}]).filters[0].op == "eq"


@pytest.mark.parametrize(
    ("item", "where"),
    [
        ({"field": "modell", "value": "a"}, "filters[0].field"),
        ({"field": "model", "op": "like", "value": "a"}, "filters[0].op"),
        ({"field": "model", "op": "eq", "value": 7}, "filters[0].value"),
        ({"field": "model", "op": "in", "value": "a"}, "filters[0].value"),
        ({"field": "model", "op": "in", "value": []}, "filters[0].value"),
        ({"field": "model", "op": "gte", "value": None}, "filters[0].value"),
        ({"field": "streamed", "op": "gte", "value": True}, "filters[0].op"),
        ({"field": "streamed", "value": "yes"}, "filters[0].value"),
        ({"field": "http_status", "op": "gte", "value": "500"}, "filters[0].value"),
        ({"field": "http_status", "op": "gte", "value": float("nan")}, "filters[0].value"),
        ({"field": "flag", "op": "prefix", "value": "a"}, "filters[0].op"),
        ({"field": "model", "value": "a" * 300}, "filters[0].value"),
        ({"field": "model", "value": "a\x00"}, "filters[0].value"),
        ({"field": "model", "vallue": "a"}, "filters[0].vallue"),
        ("model=a", "filters[0]"),
    ],
)
def test_a_bad_filter_is_refused_where_it_is_bad(item: object, where: str) -> None:
    assert refused(filters=[item]).where == where


def test_bounds_hold_for_metrics_dimensions_filters_and_values() -> None:
    many = [{"field": "model", "value": "a"}] * (model.MAX_FILTERS + 1)
    assert refused(filters=many).where == "filters"
    values = [str(i) for i in range(model.MAX_IN_VALUES + 1)]
    filters = [{"field": "model", "op": "in", "value": values}]
    assert refused(filters=filters).where == "filters[0].value"
    assert refused(by=list(dimensions.DIMENSIONS)[: model.MAX_DIMENSIONS + 1]).where == "by"
    assert refused(metrics=list(dimensions.METRICS)[: model.MAX_METRICS + 1]).where == "metrics"


# -- window, grain, order, limit -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("last", "length"),
    [("15m", 15 * MINUTE_US), ("24h", DAY_US), ("30d", 30 * DAY_US), ("4w", 28 * DAY_US)],
)
def test_a_relative_window_ends_now(last: str, length: int) -> None:
    assert parse(last=last).window(NOW) == (NOW - length, NOW)


def test_without_a_window_the_last_day_is_asked() -> None:
    assert parse().window(NOW) == (NOW - DAY_US, NOW)


def test_an_absolute_window_is_read_exactly_and_without_its_end_is_open_to_now() -> None:
    query = parse(**{"from": "2026-01-31T09:00:00.000001+01:00", "to": "2026-02-01T00:00:00Z"})
    assert query.start == 1_769_846_400_000_001
    assert query.end == 1_769_904_000_000_000
    assert parse(**{"from": "2026-09-01"}).window(NOW)[1] == NOW


def test_a_bare_date_is_midnight_in_the_zone_of_the_question() -> None:
    query = parse(**{"from": "2026-07-01", "timezone": "Asia/Tokyo"})
    midnight = datetime(2026, 7, 1, tzinfo=ZoneInfo("Asia/Tokyo"))
    assert query.start == int(midnight.timestamp()) * 1_000_000


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"last": "15 minutes"}, "last"),
        ({"last": "0m"}, "last"),
        ({"last": 15}, "last"),
        ({"last": "9999d"}, "last"),
        ({"last": "1d", "from": "2026-09-01"}, "last"),
        ({"from": "2026-09-01T00:00:00"}, "from"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-09-02", "to": "2026-09-01"}, "from"),
        ({"from": "2099-01-01"}, "from"),
        ({"grain": "week"}, "grain"),
        ({"grain": "minute", "last": "60d"}, "grain"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"limit": 0}, "limit"),
        ({"limit": 10_001}, "limit"),
        ({"limit": True}, "limit"),
        ({"order": ["tokens"]}, "order[0]"),
        ({"order": ["cost", "-cost"]}, "order[1]"),
        ({"version": 2}, "version"),
    ],
)
def test_a_bad_part_is_refused_by_name(body: dict[str, Any], where: str) -> None:
    assert refused(**body).where == where


def test_the_default_order_is_the_first_metric_descending_or_time() -> None:
    assert parse(metrics=["calls", "cost"]).ordering() == (("calls", True),)
    assert parse(grain="day").ordering() == (("time", False), ("cost", True))


def test_the_limit_is_one_hundred_unless_said() -> None:
    assert parse().limit == 100


def test_the_tenant_of_the_key_is_not_part_of_the_body() -> None:
    assert parse_query({"metrics": ["cost"]}, now=NOW, tenant="acme").tenant == "acme"
    assert "tenant" in refused(tenant="other").where  # type: ignore[operator]


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner,
                                                               max_size=3),
    max_leaves=12,
))  # fmt: skip
def test_any_json_is_read_or_refused_and_never_breaks(value: Any) -> None:
    for key in ("metrics", "by", "filters", "last", "from", "grain", "timezone", "order", "limit"):
        try:
            query = parse_query({"metrics": ["cost"], key: value}, now=NOW)
        except QueryError:
            continue
        assert isinstance(query, Query)


# -- zones ---------------------------------------------------------------------------------------


def test_offsets_follow_the_zone_over_its_changes() -> None:
    start = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
    end = int(datetime(2026, 12, 1, tzinfo=UTC).timestamp()) * 1_000_000
    parts = offsets("Europe/Berlin", start, end)
    assert [part.seconds for part in parts] == [3600, 7200, 3600]
    change = int(datetime(2026, 3, 29, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert parts[0].until == change
    assert parts[-1].until is None


def test_a_local_day_starts_at_its_own_midnight() -> None:
    wall = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) * 1_000_000
    assert local_to_utc("Europe/Berlin", wall) == wall - 7200 * 1_000_000


# -- plan ----------------------------------------------------------------------------------------


def planned(start: int, end: int, **body: Any) -> list[Part]:
    return plan(parse(**body), start, end)


def test_whole_days_come_from_the_day_roll_up_and_edges_from_events() -> None:
    parts = planned(DAY0 - 5, DAY0 + 2 * DAY_US + 7, by=["model"])
    assert parts == [
        Part("day", DAY0, DAY0 + 2 * DAY_US),
        Part("events", DAY0, DAY0 + 2 * DAY_US, unfolded=True),
        Part("events", DAY0 - 5, DAY0),
        Part("events", DAY0 + 2 * DAY_US, DAY0 + 2 * DAY_US + 7),
    ]


def test_whole_minutes_come_from_the_minute_roll_up() -> None:
    parts = planned(DAY0 + 1, DAY0 + 20 * MINUTE_US, by=["tenant"])
    assert parts[0] == Part("minute", DAY0 + MINUTE_US, DAY0 + 20 * MINUTE_US)
    assert parts[-1] == Part("events", DAY0 + 1, DAY0 + MINUTE_US)


@pytest.mark.parametrize(
    "body",
    [
        {"metrics": ["users"]},
        {"metrics": ["cost", "latency_p95"]},
        {"metrics": ["cost_per_request"]},
        {"by": ["user"]},
        {"by": ["label.team"]},
        {"filters": [{"field": "flag", "value": "late"}]},
    ],
)
def test_what_no_roll_up_holds_comes_from_events(body: dict[str, Any]) -> None:
    parts = planned(DAY0, DAY0 + DAY_US, **body)
    assert parts == [Part("events", DAY0, DAY0 + DAY_US)]


def test_days_of_another_zone_are_not_utc_days() -> None:
    parts = planned(DAY0, DAY0 + 3 * DAY_US, by=["model"], grain="day", timezone="Asia/Tokyo")
    assert [part.table for part in parts] == ["events"]
    parts = planned(DAY0, DAY0 + 3 * DAY_US, by=["tenant"], grain="day", timezone="Asia/Tokyo")
    assert parts[0].table == "minute"


@given(
    start=st.integers(DAY0 - DAY_US, DAY0 + DAY_US),
    length=st.integers(1, 4 * DAY_US),
    by=st.sampled_from([[], ["tenant"], ["model"], ["tenant", "feature"]]),
    grain=st.sampled_from(["none", "hour", "day"]),
)
def test_the_parts_of_a_plan_cover_the_window_once(
    start: int, length: int, by: list[str], grain: str
) -> None:
    end = start + length
    parts = [p for p in planned(start, end, by=by, grain=grain) if not p.unfolded]
    spans = sorted((p.start, p.end) for p in parts)
    assert spans[0][0] == start
    assert spans[-1][1] == end
    assert all(a[1] == b[0] for a, b in pairwise(spans))
    rolled = [p for p in parts if p.table != "events"]
    tails = [p for p in planned(start, end, by=by, grain=grain) if p.unfolded]
    if rolled:
        assert [(min(p.start for p in rolled), max(p.end for p in rolled))] == [
            (tail.start, tail.end) for tail in tails
        ]


@pytest.mark.parametrize(
    "moment",
    ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "1969-12-31", 2**62, -1],
)
def test_a_time_that_cannot_be_written_back_is_refused(moment: object) -> None:
    assert refused(**{"from": 0, "to": moment}).where == "to"
