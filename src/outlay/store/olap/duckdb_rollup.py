"""Keeping the DuckDB roll-ups: folding new events in, merging partial sums, and the check.

Events are folded in groups of `FOLD_EVENTS`, not batch by batch: at 1,000 events a batch nearly
every event would be a day row of its own. What is not folded yet is read from events (`Part.
unfolded`), so answers are exact at any moment, and a fold commits its sums together with the
offset it reached. Merging replaces the partial sums of one day, one slice of tenants at a time,
so that the writer never waits long. All of it runs in the writer's thread.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from outlay.core.rollup import DAY_US, SUMS
from outlay.store.olap.duckdb_schema import DAY_COLUMNS, MINUTE_COLUMNS, SLOTS
from outlay.store.olap.duckdb_sql import EVENT_SUMS, MODEL, slot, timestamp

if TYPE_CHECKING:
    import duckdb

FOLD_EVENTS: Final = 65_536
"""Events folded at once near the head of the log, in about 0.2 s. A question reads about as many
beside the roll-ups."""
FOLD_BULK_EVENTS: Final = 1_048_576
"""Events folded at once in bulk: larger groups make fewer partial rows, so less work."""
MERGE_ROWS: Final = 150_000
"""Partial rows of an open day from which merging pays."""
MERGE_CLOSED_ROWS: Final = 10_000
"""Partial rows of a closed day from which merging pays; late events stay below it."""
SLICE_ROWS: Final = 50_000
"""Rows one merge step reads, so that a step stays around 0.1 s."""
MAX_DIFFERENCES: Final = 100

_MINUTE: Final = {name: name for name in MINUTE_COLUMNS}
_DAY: Final = {name: MODEL if name == "model" else name for name in DAY_COLUMNS}
"""Key columns of each roll-up, and their expressions over `events`."""


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


_FROM_EVENTS: Final = ", ".join(f"coalesce({EVENT_SUMS[n]}, 0) AS {n}" for n in SUMS)
_FROM_SUMS: Final = ", ".join(f"sum({n}) AS {n}" for n in SUMS)
_SUM_NAMES: Final = ", ".join(SUMS)

_FOLD_MINUTE: Final = f"""
INSERT INTO rollup_minute (bucket, {_list(_MINUTE)}, {_SUM_NAMES})
SELECT date_trunc('minute', started_at) AS bucket, {_list(_MINUTE)}, {_FROM_EVENTS}
FROM events WHERE log_offset > $low AND log_offset <= $high
GROUP BY bucket, {_list(_MINUTE)} ORDER BY bucket
"""
_FOLD_DAY: Final = f"""
INSERT INTO rollup_day (bucket, slot, run, merged, {_list(_DAY)}, {_SUM_NAMES})
SELECT date_trunc('day', started_at) AS bucket, {slot("tenant_id")} AS slot, $run, false,
  {_list(_DAY.values())}, {_FROM_EVENTS}
FROM events WHERE log_offset > $low AND log_offset <= $high
GROUP BY bucket, {_list(_DAY.values())} ORDER BY bucket, slot
"""
_NTH_OFFSET: Final = """
SELECT log_offset FROM events WHERE log_offset > $folded ORDER BY log_offset LIMIT 1 OFFSET $skip
"""
_SLICE: Final = "bucket = $day AND slot BETWEEN $first AND $last AND run < $run"
_MERGE: Final = f"""
INSERT INTO rollup_day (bucket, slot, run, merged, {_list(_DAY)}, {_SUM_NAMES})
SELECT bucket, slot, $run, true, {_list(_DAY)}, {_FROM_SUMS}
FROM rollup_day WHERE {_SLICE} GROUP BY bucket, slot, {_list(_DAY)} ORDER BY slot, tenant_id
"""
_COUNTS: Final = """
SELECT epoch_us(bucket), count(*) FILTER (WHERE NOT merged), count(*) FILTER (WHERE merged)
FROM rollup_day GROUP BY 1
"""


@dataclass(slots=True)
class _Day:
    partial: int = 0
    merged: int = 0


@dataclass(slots=True)
class Rollups:
    """The state of the roll-ups of one file, kept by the writer."""

    folded: int = 0
    """Log offset up to which the roll-ups hold the events."""
    pending: int = 0
    """Events behind `folded`."""
    next_run: int = 1
    days: dict[int, _Day] = field(default_factory=dict)
    slices: list[tuple[int, int, int]] = field(default_factory=list)
    """Merge steps still to do: day, first slot, last slot."""

    @classmethod
    def load(cls, con: duckdb.DuckDBPyConnection) -> Rollups:
        """Read the state from an open file."""
        (folded,) = _row(con, "SELECT folded FROM meta")
        run = _row(con, "SELECT coalesce(max(run), 0) FROM rollup_day")[0] + 1
        rollups = cls(folded, next_run=run)
        rollups.pending = rollups._count_pending(con)
        rollups.count(con)
        return rollups

    def count(self, con: duckdb.DuckDBPyConnection) -> None:
        """Count partial and merged rows of every day."""
        rows = con.execute(_COUNTS).fetchall()
        self.days = {day: _Day(partial, merged) for day, partial, merged in rows}

    def fold(self, con: duckdb.DuckDBPyConnection, *, at_most: int, head: int) -> None:
        """Add the sums of about `at_most` events behind `folded`, in one transaction."""
        up_to = head
        if self.pending > 2 * at_most:
            (up_to,) = _row(con, _NTH_OFFSET, {"folded": self.folded, "skip": at_most})
        params = {"low": self.folded, "high": up_to}
        con.execute("BEGIN")
        con.execute(_FOLD_MINUTE, params)
        con.execute(_FOLD_DAY, {**params, "run": self.next_run})
        con.execute("UPDATE meta SET folded = ?", [up_to])
        con.execute("DELETE FROM commits WHERE log_offset < ?", [up_to])
        con.execute("COMMIT")
        self.folded = up_to
        self.pending = 0 if up_to == head else self._count_pending(con)
        self.next_run += 1
        added = con.execute(
            "SELECT epoch_us(bucket), count(*) FROM rollup_day WHERE run = ? GROUP BY 1",
            [self.next_run - 1],
        ).fetchall()
        for day, rows in added:
            self.days.setdefault(day, _Day()).partial += rows

    def merge_step(self, con: duckdb.DuckDBPyConnection, *, everything: bool = False) -> bool:
        """Merge one slice of one day that needs it; tell whether there was one."""
        if not self.slices and not self._choose_day(everything=everything):
            return False
        day, first, last = self.slices[-1]
        params = {"day": timestamp(day), "first": first, "last": last, "run": self.next_run}
        con.execute("BEGIN")
        con.execute(_MERGE, params)
        con.execute(f"DELETE FROM rollup_day WHERE {_SLICE}", params)
        con.execute("COMMIT")
        self.slices.pop()
        self.next_run += 1
        if not self.slices:
            self.count(con)
        return True

    def _count_pending(self, con: duckdb.DuckDBPyConnection) -> int:
        sql = "SELECT count(*) FROM events WHERE log_offset > ?"
        return int(_row(con, sql, [self.folded])[0])

    def _choose_day(self, *, everything: bool) -> bool:
        newest = max(self.days, default=0)
        for day, rows in self.days.items():
            floor = MERGE_ROWS if day == newest else MERGE_CLOSED_ROWS
            share = rows.merged if day == newest else rows.merged // 20
            if rows.partial > 0 if everything else rows.partial >= max(floor, share):
                steps = max(1, -(-(rows.partial + rows.merged) // SLICE_ROWS))
                edges = [SLOTS * step // steps for step in range(steps + 1)]
                spans = list(pairwise(edges))
                self.slices = [(day, first, last - 1) for first, last in reversed(spans)]
                return True
        return False


def _row(con: duckdb.DuckDBPyConnection, sql: str, params: Any = None) -> tuple[Any, ...]:
    row = con.execute(sql, params).fetchone()
    assert row is not None, "an aggregate or a one-row table gives a row"
    return tuple(row)


def verify(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Compare every sum of both roll-ups with events, key by key and day by day.

    `con` must be inside a transaction, so that all statements see the same state.
    """
    folded = _row(con, "SELECT folded FROM meta")[0]
    days = con.execute(
        "SELECT DISTINCT epoch_us(d) FROM (SELECT date_trunc('day', started_at) AS d FROM events "
        "WHERE log_offset <= ? UNION ALL SELECT bucket FROM rollup_day UNION ALL "
        "SELECT date_trunc('day', bucket) FROM rollup_minute) ORDER BY 1",
        [folded],
    ).fetchall()
    found: list[str] = []
    for (day,) in days:
        window = {"start": timestamp(day), "end": timestamp(day + DAY_US), "folded": folded}
        for grain, keys in (("minute", _MINUTE), ("day", _DAY)):
            for row in con.execute(_difference(grain, keys), window).fetchall():
                differing = [n for n, v in zip(SUMS, row[-len(SUMS) :], strict=True) if v]
                found.append(
                    f"rollup_{grain} {row[0]:%Y-%m-%d %H:%M} {row[1 : -len(SUMS)]}: "
                    f"differs from events in {', '.join(differing)}"
                )
        if len(found) >= MAX_DIFFERENCES:
            return [*found[:MAX_DIFFERENCES], "… and maybe more: the rest was not compared"]
    return found


def _difference(grain: str, keys: dict[str, str]) -> str:
    named = _list(f"{expression} AS {name}" for name, expression in keys.items())
    negated = _list(f"-{name} AS {name}" for name in SUMS)
    return f"""
    SELECT bucket, {_list(keys)}, {_FROM_SUMS} FROM (
      SELECT date_trunc('{grain}', started_at) AS bucket, {named}, {_FROM_EVENTS} FROM events
      WHERE started_at >= $start AND started_at < $end AND log_offset <= $folded
      GROUP BY bucket, {_list(keys.values())}
      UNION ALL
      SELECT bucket, {_list(keys)}, {negated} FROM rollup_{grain}
      WHERE bucket >= $start AND bucket < $end
    ) GROUP BY bucket, {_list(keys)}
    HAVING {" OR ".join(f"sum({n}) <> 0" for n in SUMS)} LIMIT {MAX_DIFFERENCES}
    """


def daily_totals(
    con: duckdb.DuckDBPyConnection, *, up_to: int
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (events, cost_nanos) by (UTC day, tenant) of events up to a log offset."""
    rows = con.execute(
        "SELECT strftime(started_at, '%Y-%m-%d'), tenant_id, count(*), sum(cost_nanos) "
        "FROM events WHERE log_offset <= ? GROUP BY 1, 2",
        [up_to],
    ).fetchall()
    return {(day, tenant): (int(n), int(cost or 0)) for day, tenant, n, cost in rows}
