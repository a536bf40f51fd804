"""Lists of requests from DuckDB: found in bounded slices of time, then told about as a whole.

A slice is grouped by request together with `SPAN_US` before it, which tells requests that began
earlier, and behind it, if costs decide. Measured on 3.3 million events a day, two cores, 2 GB: the
newest 50 of a day take 10 ms, the dearest 50 about 100 ms; what 50 requests are made of, 5 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from outlay.core.rollup import HOUR_US
from outlay.store.olap.duckdb_sql import (
    EVENT_FIELDS,
    EVENT_SUMS,
    MODEL,
    USAGE,
    Statement,
    condition,
    timestamp,
)
from outlay.store.query.model import Filter
from outlay.store.query.requests import (
    MAX_NAMED,
    SPAN_US,
    WHOLE_US,
    After,
    RequestRow,
    RequestsPage,
    RequestsQuestion,
)
from outlay.store.query.walk import GROUP_EVENTS, Hours, Load, bounded_start, periods, slices

if TYPE_CHECKING:
    import duckdb

HAS_REQUEST: Final = "request_id > ''"
STARTED: Final = f"epoch_us(min(started_at) FILTER (WHERE {USAGE}))"
ENDED: Final = f"max(epoch_us(started_at) + coalesce(latency_us, 0)) FILTER (WHERE {USAGE})"
_VALUES: Final = {
    "newest": STARTED,
    "cost": "coalesce(sum(cost_nanos), 0)",
    "calls": EVENT_SUMS["calls"],
    "duration": f"{ENDED} - {STARTED}",
}
_FAILED: Final = "errors > attempts - calls"
_STATUS: Final = {
    "failed": _FAILED,
    "unpriced": "unpriced > 0",
    "retried": "attempts > calls",
    "ok": f"NOT ({_FAILED}) AND unpriced <= 0 AND attempts <= calls",
}
_COUNTS: Final = ("calls", "attempts", "errors", "unpriced")
_FIRST: Final = {
    "tenant": "tenant_id", "feature": "feature", "agent_root": EVENT_FIELDS["agent_root"],
    "workflow": "workflow", "user": "user_id", "initiator": "initiator",
    "environment": "environment",
}  # fmt: skip
_SUMS: Final = (
    "cost_nanos", "sell_nanos", "calls", "attempts", "errors", "unpriced", "input_tokens",
    "output_tokens",
)  # fmt: skip

_COLUMNS: Final = (
    "request_id", *_FIRST, "tenants", "started_at", "ended_at", *_SUMS, "models", "providers",
)  # fmt: skip


class _Key(NamedTuple):
    value: int
    request_id: str
    started_at: int


def requests(cursor: duckdb.DuckDBPyConnection, question: RequestsQuestion) -> RequestsPage:
    """Return one page of requests, in the question's order."""
    find = _newest if question.order == "newest" else _ordered
    keys, start, rest = find(cursor, question)
    page, more = keys[: question.limit], len(keys) > question.limit
    after = After(page[-1].value, page[-1].request_id) if more else rest
    return RequestsPage(
        rows=tuple(_rows(cursor, page, question.scope)),
        start=start,
        end=question.end,
        after=after,
        complete=start == question.start and not question.narrowed,
    )


def hours(cursor: duckdb.DuckDBPyConnection, start: int, end: int, scope: str | None) -> Hours:
    """Return how many events lie in each hour; the few that no roll-up holds yet are left out."""
    own = "sum(events)"
    params: dict[str, Any] = {"start": timestamp(start - HOUR_US), "end": timestamp(end)}
    if scope is not None:
        own += " FILTER (WHERE tenant_id = $scope)"
        params["scope"] = scope
    sql = (
        f"SELECT epoch_us(bucket) // {HOUR_US} * {HOUR_US}, sum(events), {own} FROM rollup_minute "
        "WHERE bucket >= $start AND bucket < $end GROUP BY 1"
    )
    found = cursor.execute(sql, params).fetchall()
    return {hour: Load(int(read), int(own or 0)) for hour, read, own in found}


def scoped(filters: Sequence[Filter], scope: str | None) -> list[Filter]:
    """Return the filters that still choose, once only one tenant's events are looked at."""
    if scope is None:
        return list(filters)
    return [f for f in filters if (f.field, f.op, f.value) != ("tenant", "eq", scope)]


def _newest(
    cursor: duckdb.DuckDBPyConnection, question: RequestsQuestion
) -> tuple[list[_Key], int, After | None]:
    """Walk back in time until a page and one more are found, or the walk's bound is reached."""
    keys: list[_Key] = []
    top = question.end
    if question.after is not None:
        top = max(question.start, min(top, question.after.value + 1))
    for first, last in periods(question.start, top):
        searched = last
        for low, high in slices(hours(cursor, first, last, question.scope), first, last):
            keys += _keys(cursor, question, low, high, question.limit + 1 - len(keys))
            searched = low
            if len(keys) > question.limit:
                return keys, question.start, None
        if searched > first:
            # What is left began before this: no id is smaller than the empty one.
            return keys, searched, After(searched - 1, "")
    return keys, question.start, None


def _ordered(
    cursor: duckdb.DuckDBPyConnection, question: RequestsQuestion
) -> tuple[list[_Key], int, After | None]:
    """Group the window at once, or as much of its end as can be."""
    load = hours(cursor, question.start, question.end, question.scope)
    # An earlier page's window stays as it is; twice as much is bound enough for what came in since.
    most = GROUP_EVENTS * 2 if question.narrowed else GROUP_EVENTS
    start = bounded_start(load, question.start, question.end, most=most)
    return _keys(cursor, question, start, question.end, question.limit + 1), start, None


def _keys(
    cursor: duckdb.DuckDBPyConnection, question: RequestsQuestion, low: int, high: int, most: int
) -> list[_Key]:
    """Return the requests that began in `[low, high)`, in order, at most so many."""
    statement = Statement()
    by_cost = question.cost_from is not None or question.cost_to is not None
    sums = {"value": _VALUES[question.order]}
    if by_cost:
        sums["cost"] = _VALUES["cost"]
    if question.status is not None:
        sums |= {name: EVENT_SUMS[name] for name in _COUNTS}
    # Who only wants to know when a request began need not see how it went on.
    behind = 0 if question.order == "newest" and len(sums) == 1 else SPAN_US
    where = _where(statement, question.scope, low - SPAN_US, high + behind)
    filters = scoped(question.filters, question.scope)
    if filters:
        matches = _where(statement, question.scope, low, high + SPAN_US)
        matches += [condition(statement, item) for item in filters]
        where.append(f"request_id IN (SELECT request_id FROM events WHERE {_all(matches)})")
    listed = ", ".join(f"{sql} AS {name}" for name, sql in sums.items())
    chosen = [f"started >= {statement.bind(low)}", f"started < {statement.bind(high)}"]
    chosen += _chosen(statement, question)
    statement.sql = (
        f"SELECT value, request_id, started FROM (SELECT request_id, {STARTED} AS started, "
        f"{listed} FROM events WHERE {_all(where)} GROUP BY request_id) "
        f"WHERE {_all(chosen)} ORDER BY value DESC, request_id LIMIT {int(most)}"
    )
    found = cursor.execute(statement.sql, statement.params).fetchall()
    return [_Key(int(value), request_id, started) for value, request_id, started in found]


def _chosen(statement: Statement, question: RequestsQuestion) -> list[str]:
    chosen = []
    if question.cost_from is not None:
        chosen.append(f"cost >= {statement.bind(question.cost_from)}")
    if question.cost_to is not None:
        chosen.append(f"cost <= {statement.bind(question.cost_to)}")
    if question.status is not None:
        chosen.append(_STATUS[question.status])
    if question.after is not None:
        value = statement.bind(question.after.value)
        tie = statement.bind(question.after.request_id)
        chosen.append(f"(value < {value} OR (value = {value} AND request_id > {tie}))")
    return chosen


def _where(statement: Statement, scope: str | None, low: int, high: int) -> list[str]:
    where = [
        f"started_at >= {statement.bind(timestamp(low))}",
        f"started_at < {statement.bind(timestamp(high))}",
        HAS_REQUEST,
    ]
    return where if scope is None else [*where, f"tenant_id = {statement.bind(scope)}"]


def _all(conditions: Sequence[str]) -> str:
    return " AND ".join(f"({one})" for one in conditions)


def _rows(
    cursor: duckdb.DuckDBPyConnection, keys: Sequence[_Key], scope: str | None
) -> list[RequestRow]:
    """Return what requests are made of, in the order given."""
    if not keys:
        return []
    statement = Statement()
    first = min(key.started_at for key in keys)
    last = max(key.started_at for key in keys)
    where = _where(statement, scope, first, last + WHOLE_US)
    # Written one by one, so that DuckDB skips what cannot hold any of them.
    where.append(f"request_id IN ({', '.join(statement.bind(k.request_id) for k in keys)})")
    ids = statement.bind([key.request_id for key in keys])
    begins = statement.bind([key.started_at for key in keys])
    early = "(started_at, event_id)"
    firsts = ", ".join(f"arg_min({sql}, {early}) FILTER (WHERE {USAGE} AND {sql} IS NOT NULL) "
                       f"AS first_{name}" for name, sql in _FIRST.items())  # fmt: skip
    sums = ", ".join(f"coalesce({EVENT_SUMS[name]}, 0) AS {name}" for name in _SUMS)
    statement.sql = f"""
WITH k AS (SELECT unnest({ids}) AS id, unnest({begins}) AS begun),
e AS MATERIALIZED (
  SELECT events.* FROM events JOIN k ON request_id = id WHERE {_all(where)}
  AND epoch_us(started_at) >= begun AND epoch_us(started_at) < begun + {WHOLE_US})
SELECT request_id, {", ".join(f"first_{name}" for name in _FIRST)}, tenants, started, ended,
  {", ".join(_SUMS)}, models, providers
FROM (SELECT request_id, {firsts}, count(DISTINCT tenant_id) AS tenants, {STARTED} AS started,
  {ENDED} AS ended, {sums} FROM e GROUP BY request_id)
LEFT JOIN ({_dearest(MODEL, "models")}) USING (request_id)
LEFT JOIN ({_dearest("provider", "providers")}) USING (request_id)
"""
    found = cursor.execute(statement.sql, statement.params).fetchall()
    rows = {row[0]: _row(row) for row in found}
    return [rows[key.request_id] for key in keys]


def _dearest(name: str, plural: str) -> str:
    return (
        f"SELECT request_id, list(named ORDER BY cost DESC, named)[1:{MAX_NAMED}] AS {plural} FROM "
        f"(SELECT request_id, {name} AS named, sum(cost_nanos) AS cost FROM e "
        f"WHERE {name} IS NOT NULL GROUP BY ALL) GROUP BY request_id"
    )


def _row(row: Sequence[Any]) -> RequestRow:
    values = dict(zip(_COLUMNS, row, strict=True))
    values |= {name: int(values[name]) for name in _SUMS}
    values |= {name: tuple(values[name] or ()) for name in ("models", "providers")}
    return RequestRow(**values)
