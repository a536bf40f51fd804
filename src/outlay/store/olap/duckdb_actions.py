"""Reports of actions from DuckDB: requests grouped by a key, their spread, and where they loop.

Grouping by request is the work: 800,000 events by feature, or 400,000 by agent, which makes several
groups of a request, take 100 ms on two cores. Of more than a bound, only slices of the window are
read; a request belongs to the slice in which it begins. What needs no grouping is not from there
(`duckdb_action_sums`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from outlay.store.olap.duckdb_action_sums import Sums, held, scaled, sums
from outlay.store.olap.duckdb_requests import ENDED, STARTED, scoped
from outlay.store.olap.duckdb_sql import (
    ATTEMPT,
    EVENT_FIELDS,
    EVENT_SUMS,
    MODEL,
    Statement,
    condition,
    timestamp,
)
from outlay.store.query.actions import (
    BIN_EDGES,
    LOOP_CALLS,
    ActionRow,
    ActionsAnswer,
    ActionsQuestion,
    Bin,
    Spread,
)
from outlay.store.query.model import Filter
from outlay.store.query.strata import Sample, everything, strata

if TYPE_CHECKING:
    import duckdb

ACTION_EVENTS: Final = 1_200_000
"""Events that are all grouped for one report; of more, slices are taken."""
SAMPLE_EVENTS: Final = 800_000
"""Events that are grouped of slices: 40,000 actions of eight events begin in them."""
AGENT_FACTOR: Final = 2
"""By agent, a request makes several groups."""
_ACTION, _NO_REQUEST, _OTHER = range(3)
"""What a group of `looked_at` is: an action, what names no request, or what is neither."""
_FROM_SAMPLE: Final = ("requests", "retry_cost_nanos", "loops", "loop_cost_nanos")
_TABLE: Final = "temp.looked_at"


@dataclass(slots=True)
class _Found:
    """What was looked at of one key: of its actions, and of what names no request or is none."""

    requests: int = 0
    calls: int = 0
    cost: int = 0
    retry_cost: int = 0
    aside: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Calls, cost and cost of retries of what is in no action."""
    loops: tuple[int, int] = (0, 0)
    """Requests that loop, and their cost."""
    spread: Spread | None = None


def actions(cursor: duckdb.DuckDBPyConnection, question: ActionsQuestion) -> ActionsAnswer:
    """Return the report, the dearest keys first."""
    sample = _sample(cursor, question)
    summed = sums(cursor, question, sample) if question.limit else None
    keys = [] if summed is None else [one.key for one in summed.rows]
    _look(cursor, question, sample, keys)
    rows: tuple[ActionRow, ...] = ()
    fields: tuple[str, ...] = ()
    if summed is not None:
        found = _found(cursor, question, sample)
        rows = tuple(_row(one, found.get(one.key, _Found()), sample) for one in summed.rows)
        fields = () if sample.exact else _FROM_SAMPLE
        if summed.all_scaled:
            fields += ("cost_nanos", "calls", "attempts", "errors")
        if summed.errors_scaled:
            fields += ("error_cost_nanos",)
    return ActionsAnswer(rows, _bins(cursor, question, sample), sample.part / sample.whole, fields)


def _sample(cursor: duckdb.DuckDBPyConnection, question: ActionsQuestion) -> Sample:
    window = held(cursor, question.start, question.end, question.scope)
    events = window.load.own * (AGENT_FACTOR if question.by == "agent" else 1)
    if events <= ACTION_EVENTS:
        return everything(question.start, question.end)
    return strata(window.first, window.last, events=events, most=SAMPLE_EVENTS)


def _look(
    cursor: duckdb.DuckDBPyConnection,
    question: ActionsQuestion,
    sample: Sample,
    keys: Sequence[str | None],
) -> None:
    """Group what is looked at by key and request, for some keys, into a table of this cursor."""
    if question.bins is not None:
        keys = [*keys, question.bins, *([] if question.bins else [None])]
    statement = Statement()
    chosen = condition(statement, Filter(question.by, "in", tuple(keys))) if keys else "false"
    begun = "started IS NOT NULL"
    having = ""
    if not sample.exact:
        begun = " OR ".join(f"started >= {o.low} AND started < {o.high}" for o in sample.slices)
        having = f"HAVING place <> {_OTHER}"
    statement.sql = f"""
CREATE TEMP TABLE {_TABLE} AS
SELECT key, nullif(request_id, '') AS request, CAST(coalesce(sum(cost_nanos), 0) AS BIGINT) AS cost,
  {EVENT_SUMS["calls"]} AS calls, {STARTED} AS started, {ENDED} AS ended,
  CAST(coalesce(sum(cost_nanos) FILTER (WHERE attempt > 0), 0) AS BIGINT) AS retry_cost,
  CASE WHEN request IS NULL THEN {_NO_REQUEST} WHEN {begun} THEN {_ACTION} ELSE {_OTHER} END
    AS place
FROM ({_events(statement, question, sample, chosen)}) GROUP BY key, request {having}
"""
    cursor.execute(statement.sql, statement.params)


def _events(statement: Statement, question: ActionsQuestion, sample: Sample, chosen: str) -> str:
    """Return the statement that reads the events of the slices.

    It is a union of ranges: with one condition for all of them, no row group would be skipped.
    """
    where = [chosen]
    if question.scope is not None:
        where.append(f"tenant_id = {statement.bind(question.scope)}")
    where += [condition(statement, item) for item in scoped(question.filters, question.scope)]
    rest = " AND ".join(f"({one})" for one in where)
    read = (
        f"SELECT {EVENT_FIELDS[question.by]} AS key, request_id, started_at, latency_us, "
        f"cost_nanos, kind, operation, attempt, agent_path, coalesce({MODEL}, name) AS what "
        f"FROM events WHERE"
    )
    return " UNION ALL ".join(
        f"{read} started_at >= {statement.bind(timestamp(one.first))} "
        f"AND started_at < {statement.bind(timestamp(one.last))} AND {rest}"
        for one in sample.slices
    )


def _found(
    cursor: duckdb.DuckDBPyConnection, question: ActionsQuestion, sample: Sample
) -> dict[str | None, _Found]:
    """Read the table of `_look`, and find the loops in it."""
    spread = ", ".join(
        f"quantile_disc({sql}, [0.5, 0.95])" for sql in ("cost", "calls", "ended - started")
    )
    sql = (
        f"SELECT key, place, count(*), sum(calls), sum(cost), sum(retry_cost), "
        f"max((cost, request)), max(calls), {spread} FROM {_TABLE} GROUP BY key, place"
    )
    found: dict[str | None, _Found] = {}
    looping = False
    for key, place, count, calls, cost, retry_cost, *like in cursor.execute(sql).fetchall():
        one = found.setdefault(key, _Found())
        summed = (int(calls), int(cost), int(retry_cost))
        if place != _ACTION:
            one.aside = [mine + more for mine, more in zip(one.aside, summed, strict=True)]
            continue
        one.requests = count
        one.calls, one.cost, one.retry_cost = summed
        one.spread = _spread(count, one.cost, *like)
        looping = looping or one.spread.steps_max >= LOOP_CALLS
    if looping:
        for key, count, cost in _loops(cursor, question, sample):
            found[key].loops = (count, int(cost))
    return found


def _loops(
    cursor: duckdb.DuckDBPyConnection, question: ActionsQuestion, sample: Sample
) -> list[tuple[str | None, int, int]]:
    """Return of each key how many actions loop, and what they cost."""
    statement = Statement()
    many = f"SELECT request FROM {_TABLE} WHERE place = {_ACTION} AND calls >= {LOOP_CALLS}"
    events = _events(statement, question, sample, f"request_id IN ({many})")
    statement.sql = f"""
SELECT r.key, count(*), sum(cost) FROM {_TABLE} r JOIN (
  SELECT DISTINCT key, request_id FROM (
    SELECT key, request_id FROM ({events}) WHERE {ATTEMPT} AND attempt = 0
    GROUP BY key, request_id, agent_path, operation, what HAVING count(*) >= {LOOP_CALLS})) l
ON r.request = l.request_id AND r.key IS NOT DISTINCT FROM l.key
WHERE place = {_ACTION} GROUP BY r.key
"""
    return cursor.execute(statement.sql, statement.params).fetchall()


def _bins(
    cursor: duckdb.DuckDBPyConnection, question: ActionsQuestion, sample: Sample
) -> tuple[Bin, ...]:
    """Count the requests of one key by cost."""
    if question.bins is None:
        return ()
    edges: list[int | None] = [None, *BIN_EDGES, None]
    ranges = list(pairwise(edges))
    counts = ", ".join(f"count(*) FILTER (WHERE {_within(*one)})" for one in ranges)
    sql = f"SELECT {counts} FROM {_TABLE} WHERE place = {_ACTION} AND coalesce(key, '') = ?"
    found = cursor.execute(sql, [question.bins]).fetchone()
    assert found is not None, "an aggregate gives a row"
    filled = [index for index, count in enumerate(found) if count]
    if not filled:
        return ()
    # Empty bins between others are told, those outside are not.
    return tuple(
        Bin(*ranges[index], scaled(found[index], sample.whole, sample.part))
        for index in range(filled[0], filled[-1] + 1)
    )


def _within(low: int | None, high: int | None) -> str:
    tests = [] if low is None else [f"cost >= {low}"]
    return " AND ".join(tests if high is None else [*tests, f"cost < {high}"])


def _row(sums: Sums, found: _Found, sample: Sample) -> ActionRow:
    """Scale what a sample tells by what is known exactly: better than by time.

    What a key does every night is all in the sample or not at all.
    """
    part, read = sample.part, sample.read
    calls, cost, retry_cost = (
        (mine * read + other * part) // read
        for mine, other in zip(
            (found.calls, found.cost, found.retry_cost), found.aside, strict=True
        )
    )
    actions = costs = (sample.whole, part)
    if not sample.exact and calls > 0:
        actions = (sums.calls, calls)
    if not sample.exact and cost > 0 and sums.cost > 0:
        costs = (sums.cost, cost)
    loops, loop_cost = found.loops
    return ActionRow(
        key=sums.key,
        requests=scaled(found.requests, *actions),
        cost_nanos=sums.cost,
        calls=sums.calls,
        attempts=sums.attempts,
        errors=sums.errors,
        error_cost_nanos=sums.error_cost,
        retry_cost_nanos=scaled(retry_cost, *costs),
        loops=scaled(loops, *actions),
        loop_cost_nanos=scaled(loop_cost, *costs),
        spread=found.spread,
    )


def _spread(
    requests: int,
    cost: int,
    dearest: tuple[int, str],
    steps_max: int,
    costs: Sequence[int],
    steps: Sequence[int],
    durations: Sequence[int],
) -> Spread:
    return Spread(
        cost_avg=_mean(cost, requests),
        cost_p50=costs[0],
        cost_p95=costs[1],
        cost_max=dearest[0],
        dearest_request=dearest[1],
        steps_p50=steps[0],
        steps_p95=steps[1],
        steps_max=steps_max,
        duration_p50_us=durations[0],
        duration_p95_us=durations[1],
    )


def _mean(total: int, count: int) -> int:
    """Return a whole mean, halves away from zero, as `cost_per_request` of a query."""
    size = (abs(total) * 2 + count) // (count * 2)
    return size if total >= 0 else -size
