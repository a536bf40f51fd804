"""DuckDB SQL for the logical query: the statement that asks the parts of a plan.

Identifiers come only from the literal tables here; names and values of the caller are always
bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from outlay.core.rollup import (
    CALL_OPERATIONS,
    DAY_US,
    ERROR_STATUSES,
    HOUR_US,
    MINUTE_US,
    PRICED_LATE,
    SUMS,
)
from outlay.store.query.dimensions import DIMENSIONS, METRICS, TIME_COLUMN, Metric, label_key
from outlay.store.query.model import Filter, Query
from outlay.store.query.plan import Part
from outlay.store.query.zones import Offset, offsets

_CALLS: Final = " ".join(f"WHEN '{name}' THEN true" for name in CALL_OPERATIONS)
ERRORS: Final = ", ".join(f"'{name}'" for name in ERROR_STATUSES)
USAGE: Final = "kind = 'usage'"
ATTEMPT: Final = f"CASE operation {_CALLS} ELSE false END AND {USAGE}"
"""An attempt of a call. `operation IN (…)` takes four times as long: DuckDB then looks at each row,
and not only once at each text of a column's dictionary."""

EVENT_SUMS: Final[dict[str, str]] = {
    **{name: f"sum({name})" for name in SUMS},
    "events": "count(*)",
    "calls": f"count(*) FILTER (WHERE {ATTEMPT} AND attempt = 0)",
    "attempts": f"count(*) FILTER (WHERE {ATTEMPT})",
    "errors": f"count(*) FILTER (WHERE {USAGE} AND status IN ({ERRORS}))",
    "unpriced": (
        f"(count(*) FILTER (WHERE {USAGE} AND price_basis = 'unpriced') - count(*) FILTER "
        f"(WHERE kind = 'adjustment' AND list_contains(flags, '{PRICED_LATE}')))"
    ),
    "estimated_cost_nanos": "sum(cost_nanos) FILTER (WHERE estimated)",
    "latency_us": f"sum(latency_us) FILTER (WHERE {USAGE})",
    "latency_count": f"count(latency_us) FILTER (WHERE {USAGE})",
    "ttft_us": f"sum(ttft_us) FILTER (WHERE {USAGE})",
    "ttft_count": f"count(ttft_us) FILTER (WHERE {USAGE})",
}
"""Every sum of `core.rollup.SUMS` as an aggregate over `events`."""

MODEL: Final = "coalesce(price_model, model_served, model_requested)"
EVENT_FIELDS: Final[dict[str, str]] = {
    "tenant": "tenant_id",
    "user": "user_id",
    "workspace": "workspace_id",
    "billing_unit": "billing_unit_id",
    "agent": "agent_path",
    "agent_root": "split_part(agent_path, '/', 1)",
    "model": MODEL,
    "request": "request_id",
    "run": "run_id",
    "latency_ms": "(latency_us / 1000)",
    "flag": "flags",
    **{
        name: name
        for name in (
            "plan", "tier", "contract_type", "feature", "workflow", "environment", "service",
            "operation", "name", "provider", "vendor", "model_requested", "model_served", "status",
            "error_type", "initiator", "price_basis", "host_class", "streamed", "kind", "attempt",
            "http_status", "cost_nanos", "input_tokens", "output_tokens",
        )
    },
}  # fmt: skip
_ROLLED_FIELDS: Final = {**EVENT_FIELDS, "model": "model"}
_GRAIN_US: Final = {"minute": MINUTE_US, "hour": HOUR_US, "day": DAY_US}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC).replace(tzinfo=None)


@dataclass(slots=True)
class Statement:
    """SQL with its named parameters."""

    sql: str = ""
    params: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any) -> str:
        """Bind a value and return its placeholder."""
        name = f"p{len(self.params)}"
        self.params[name] = value
        return f"${name}"


def timestamp(micros: int) -> datetime:
    """Return the naive UTC datetime that DuckDB binds as TIMESTAMP."""
    return _EPOCH + timedelta(microseconds=micros)


def build(query: Query, parts: Sequence[Part], *, folded: int) -> Statement:
    """Return the statement that answers the query from the parts.

    The rows are in column order of `Query.columns`; `time` is microseconds, of the local day for
    the grains day and month.
    """
    statement = Statement()
    metrics = [METRICS[name] for name in query.metrics]
    bases = _bases(metrics)
    window = (min(p.start for p in parts), max(p.end for p in parts))
    zone = offsets(query.timezone, *window)
    if len(parts) == 1 and parts[0].table == "events":
        grouped = _select(statement, query, parts[0], zone, bases, folded=folded)
    else:
        keys = _keys(query)
        tenants = "tenants" in bases
        branches = [
            _select(statement, query, part, zone, bases, folded=folded, merging=tenants)
            for part in parts
        ]
        merged = [
            f"{'count(DISTINCT xt)' if name == 'tenants' else f'sum({name})'} AS {name}"
            for name in bases
        ]
        union = " UNION ALL ".join(branches)
        grouped = f"SELECT {', '.join([*keys, *merged])} FROM ({union}) {_group(keys)}"
    outputs = [*_keys(query), *(f"{_metric(m)} AS m{i}" for i, m in enumerate(metrics))]
    limit = statement.bind(query.limit)
    statement.sql = (
        f"WITH g AS ({grouped}) SELECT {', '.join(outputs)} FROM g "
        f"ORDER BY {_order(query)} LIMIT {limit}"
    )
    return statement


def _keys(query: Query) -> list[str]:
    time = ["t"] if query.grain != "none" else []
    return [*time, *(f"d{index}" for index in range(len(query.by)))]


def _group(keys: Sequence[str]) -> str:
    return f"GROUP BY {', '.join(keys)}" if keys else ""


def _bases(metrics: Sequence[Metric]) -> list[str]:
    """Return the aggregates that the metrics are made of, each once."""
    names = [
        metric.name if metric.kind in {"distinct", "quantile"} else name.removeprefix("-")
        for metric in metrics
        for name in (metric.of if metric.kind not in {"distinct", "quantile"} else (metric.name,))
    ]
    return list(dict.fromkeys(names))


def _select(
    statement: Statement,
    query: Query,
    part: Part,
    zone: Sequence[Offset],
    bases: Sequence[str],
    *,
    folded: int,
    merging: bool = False,
) -> str:
    on_events = part.table == "events"
    fields = EVENT_FIELDS if on_events else _ROLLED_FIELDS
    clock = "started_at" if on_events else "bucket"
    columns = []
    if query.grain != "none":
        columns.append(f"{_bucket(query.grain, clock, zone)} AS t")
    columns += [
        f"{_expression(statement, name, fields)} AS d{index}" for index, name in enumerate(query.by)
    ]
    keys = _keys(query)
    if merging:
        columns.append("tenant_id AS xt")
        keys.append("xt")
    columns += [
        f"{_aggregate(name, on_events=on_events)} AS {name}"
        for name in bases
        if not (merging and name == "tenants")
    ]
    table = "events" if on_events else f"rollup_{part.table}"
    conditions = _conditions(statement, query, part, fields, clock, folded=folded)
    return f"SELECT {', '.join(columns)} FROM {table} WHERE {conditions} {_group(keys)}"


def _aggregate(name: str, *, on_events: bool) -> str:
    metric = METRICS.get(name)
    if metric is not None and metric.kind == "distinct":
        return f"count(DISTINCT {EVENT_FIELDS[metric.of[0]]})"
    if metric is not None and metric.kind == "quantile":
        return f"quantile_cont(latency_us, {metric.quantile}) FILTER (WHERE {USAGE}) / 1000"
    return EVENT_SUMS[name] if on_events else f"sum({name})"


def _bucket(grain: str, clock: str, zone: Sequence[Offset]) -> str:
    if len(zone) == 1:
        return _bucket_at(grain, clock, zone[0].seconds)
    cases = " ".join(
        f"WHEN epoch_us({clock}) < {part.until} THEN {_bucket_at(grain, clock, part.seconds)}"
        for part in zone[:-1]
    )
    return f"CASE {cases} ELSE {_bucket_at(grain, clock, zone[-1].seconds)} END"


def _bucket_at(grain: str, clock: str, seconds: int) -> str:
    local = f"(epoch_us({clock}) + {seconds * 1_000_000})"
    if grain == "month":
        return f"epoch_us(date_trunc('month', make_timestamp({local})))"
    size = _GRAIN_US[grain]
    start = f"{local} // {size} * {size}"
    return start if grain == "day" else f"({start} - {seconds * 1_000_000})"


def _expression(statement: Statement, name: str, fields: dict[str, str]) -> str:
    key = label_key(name)
    return fields[name] if key is None else f"labels[{statement.bind(key)}]"


def _conditions(
    statement: Statement,
    query: Query,
    part: Part,
    fields: dict[str, str],
    clock: str,
    *,
    folded: int,
) -> str:
    conditions = [
        f"{clock} >= {statement.bind(timestamp(part.start))}",
        f"{clock} < {statement.bind(timestamp(part.end))}",
    ]
    if part.unfolded:
        conditions.append(f"log_offset > {statement.bind(folded)}")
    if query.tenant is not None:
        conditions.append(f"tenant_id = {statement.bind(query.tenant)}")
    if part.table == "day":
        conditions += _slots(statement, query)
    conditions += [condition(statement, item, fields) for item in query.filters]
    return " AND ".join(conditions)


def _slots(statement: Statement, query: Query) -> list[str]:
    """Let the zone maps of the tenant slot skip what a tenant filter cannot match."""
    named = [query.tenant] if query.tenant is not None else []
    named += [
        f.value
        for f in query.filters
        if f.field == "tenant" and f.op == "eq" and isinstance(f.value, str)
    ]
    return [f"slot = {slot(statement.bind(name))}" for name in named]


def slot(text: str) -> str:
    """Return the expression of the tenant slot; MD5 keeps it the same in every DuckDB version."""
    return f"CAST(md5_number_lower({text}) & 65535 AS USMALLINT)"


def condition(statement: Statement, item: Filter, fields: dict[str, str] = EVENT_FIELDS) -> str:
    """Return the condition of one filter, by default over `events`."""
    expression = _expression(statement, item.field, fields)
    if item.field == "flag":
        return _flag_condition(statement, item, expression)
    values = item.value if isinstance(item.value, tuple) else (item.value,)
    if item.op in {"eq", "in"}:
        return _among(statement, expression, values)
    if item.op in {"ne", "not_in"}:
        return f"NOT ({_among(statement, expression, values)})"
    placeholder = statement.bind(values[0])
    if item.op == "prefix":
        return f"starts_with({expression}, {placeholder})"
    return f"{expression} {'>=' if item.op == 'gte' else '<='} {placeholder}"


def _among(statement: Statement, expression: str, values: Sequence[Any]) -> str:
    """Return a condition that is never NULL when it is negated: what is not set is not equal."""
    named = [statement.bind(value) for value in values if value is not None]
    tests = [f"{expression} IS NULL"] if None in values else []
    if named:
        tests.append(f"coalesce({expression} IN ({', '.join(named)}), false)")
    return f"({' OR '.join(tests)})"


def _flag_condition(statement: Statement, item: Filter, expression: str) -> str:
    values = item.value if isinstance(item.value, tuple) else (item.value,)
    tests = [f"coalesce(list_contains({expression}, {statement.bind(v)}), false)" for v in values]
    negated = "NOT " if item.op in {"ne", "not_in"} else ""
    return f"{negated}({' OR '.join(tests)})"


def _metric(metric: Metric) -> str:
    if metric.kind == "sum":
        terms = [
            f"- coalesce({name[1:]}, 0)" if name.startswith("-") else f"+ coalesce({name}, 0)"
            for name in metric.of
        ]
        return " ".join(terms).removeprefix("+ ")
    if metric.kind in {"distinct", "quantile"}:
        return metric.name
    top, bottom = metric.of
    if metric.kind == "mean_money":
        # Whole nano-dollars, halves away from zero: money is never a float.
        exact = f"(abs({top}) * 2 + {bottom}) // ({bottom} * 2) * sign({top})"
        return f"CASE WHEN {bottom} > 0 THEN coalesce({exact}, 0) END"
    return f"CASE WHEN {bottom} > 0 THEN CAST({top} AS DOUBLE) / {bottom} / {metric.scale} END"


def _order(query: Query) -> str:
    position = {name: index for index, name in enumerate(query.columns(), start=1)}
    terms = [
        f"{position[name]} {'DESC' if down else 'ASC'} NULLS LAST"
        for name, down in query.ordering()
    ]
    named = {name for name, _ in query.ordering()}
    ties = [TIME_COLUMN, *query.by]
    terms += [f"{position[n]} ASC NULLS LAST" for n in ties if n in position and n not in named]
    return ", ".join(terms)


assert set(EVENT_FIELDS) >= set(DIMENSIONS), "every dimension needs its column"
