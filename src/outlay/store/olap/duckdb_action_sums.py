"""Sums for reports of actions, asked as any query is, so that they agree with every other page.

Where roll-ups cannot answer and the window holds very many events, sums come from the slices of a
sample and are scaled up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from outlay.core.rollup import ERROR_STATUSES, HOUR_US, MINUTE_US
from outlay.store.olap.duckdb_sql import build, timestamp
from outlay.store.query.actions import ActionsQuestion
from outlay.store.query.model import Filter, Query
from outlay.store.query.plan import Part, plan
from outlay.store.query.strata import Sample
from outlay.store.query.walk import Load

if TYPE_CHECKING:
    import duckdb

SUM_EVENTS: Final = 8_000_000
"""Events that are read for sums, beside roll-ups: about 0.15 s on two cores. It is more than two
days of 100 million events in 30 days, which is what lies beside whole days."""
_SUMS: Final = ("cost", "calls", "attempts", "errors")
_FAILED: Final = Filter("status", "in", ERROR_STATUSES)


@dataclass(frozen=True, slots=True)
class Sums:
    """What happened under one key; money is nano-dollars."""

    key: str | None
    cost: int
    calls: int
    attempts: int
    errors: int
    error_cost: int


@dataclass(frozen=True, slots=True)
class Summed:
    """Sums of the dearest keys, the dearest first.

    If one of them would take too long, it is scaled up: `error_cost` alone, or `all` of them.
    """

    rows: tuple[Sums, ...]
    all_scaled: bool
    errors_scaled: bool


def scaled(value: int, top: int, bottom: int) -> int:
    """Return the whole number nearest to a share: money is never a float."""
    return (value * top * 2 + bottom) // (bottom * 2)


@dataclass(frozen=True, slots=True)
class Held:
    """Events of a window, and the time in microseconds from the first to the last that count."""

    load: Load
    first: int
    last: int


def held(cursor: duckdb.DuckDBPyConnection, start: int, end: int, scope: str | None) -> Held:
    """Return what a window holds by the minute roll-up, at most a minute too much.

    The few events that are not rolled up yet are left out.
    """
    params: dict[str, Any] = {"start": timestamp(start - MINUTE_US), "end": timestamp(end)}
    own = ""
    if scope is not None:
        own = " FILTER (WHERE tenant_id = $scope)"
        params["scope"] = scope
    sql = (
        f"SELECT coalesce(sum(events), 0), coalesce(sum(events){own}, 0), "
        f"epoch_us(min(bucket){own}), epoch_us(max(bucket){own}) FROM rollup_minute "
        f"WHERE bucket >= $start AND bucket < $end"
    )
    row = cursor.execute(sql, params).fetchone()
    assert row is not None, "an aggregate gives a row"
    read, counted, first, last = row
    if first is None:
        return Held(Load(int(read), 0), start, end)
    # What came in since the last fold lies behind it.
    return Held(
        Load(int(read), int(counted)), max(start, first), min(end, last + MINUTE_US + HOUR_US)
    )


def sums(cursor: duckdb.DuckDBPyConnection, question: ActionsQuestion, sample: Sample) -> Summed:
    """Return the sums of the dearest keys."""
    asked = _query(question, _SUMS, question.filters, question.limit)
    rows, even = _rows(cursor, question, sample, asked)
    if not rows:
        return Summed((), even, even)
    keys = tuple(row[0] for row in rows)
    more = (*question.filters, _FAILED, Filter(question.by, "in", keys))
    failed = _query(question, ("cost",), more, len(keys))
    lost, errors_even = _rows(cursor, question, sample, failed)
    costs = {key: int(cost) for key, cost in lost}
    found = tuple(
        Sums(key, int(cost), int(calls), int(attempts), int(errors), costs.get(key, 0))
        for key, cost, calls, attempts, errors in rows
    )
    return Summed(found, even, errors_even)


def _query(
    question: ActionsQuestion, metrics: tuple[str, ...], filters: tuple[Filter, ...], limit: int
) -> Query:
    return Query(
        metrics, (question.by,), filters, question.start, question.end, limit=limit,
        tenant=question.tenant,
    )  # fmt: skip


def _rows(
    cursor: duckdb.DuckDBPyConnection, question: ActionsQuestion, sample: Sample, query: Query
) -> tuple[list[tuple[Any, ...]], bool]:
    """Return the rows of a query, and whether they are scaled up."""
    parts = plan(query, question.start, question.end)
    even = not sample.exact and _read(cursor, parts, question.scope) > SUM_EVENTS
    if even:
        parts = [Part("events", one.low, one.high) for one in sample.slices]
    row = cursor.execute("SELECT folded FROM meta").fetchone()
    assert row is not None, "the store has its row"
    statement = build(query, parts, folded=row[0])
    rows = cursor.execute(statement.sql, statement.params).fetchall()
    if even:
        rows = [
            (row[0], *(scaled(int(value), sample.whole, sample.part) for value in row[1:]))
            for row in rows
        ]
    return rows, even


def _read(cursor: duckdb.DuckDBPyConnection, parts: Sequence[Part], scope: str | None) -> int:
    """Return what it costs to read the parts that no roll-up holds."""
    return sum(
        held(cursor, part.start, part.end, scope).load.weight
        for part in parts
        if part.table == "events" and not part.unfolded
    )
