"""What limits need of the events: sums as of a place in the log, events by id, estimates.

A sum as of an offset counts each event that was stored up to it and no other, so that whoever
counts the rest of the log misses none and counts none twice. It writes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from outlay.store.base import EventFilter
from outlay.store.groups import EstimateGroup
from outlay.store.olap.duckdb_sql import timestamp

if TYPE_CHECKING:
    import duckdb

ASKED_MODEL: Final = "coalesce(nullif(model_requested, ''), nullif(model_served, ''), '')"
"""The model that was asked for, which is what limits go by."""
FIELDS: Final = {
    "tenant": "tenant_id", "plan": "plan", "user": "user_id", "feature": "feature",
    "workflow": "workflow", "agent": "agent_path", "model": ASKED_MODEL, "provider": "provider",
    "initiator": "initiator",
}  # fmt: skip
"""What sums can be taken by; a billing unit's type is no column."""
_SUMS: Final = ("cost_nanos", "input_tokens", "output_tokens")
_CALLS: Final = "count(*) FILTER (WHERE kind = 'usage' AND status <> 'blocked')"


def stored_up_to(cursor: duckdb.DuckDBPyConnection, offset: int) -> int:
    """Return the end of the last stored batch that ends at or before an offset of the log."""
    sql = "SELECT coalesce(max(log_offset), 0) FROM events WHERE log_offset <= ?"
    row = cursor.execute(sql, [offset]).fetchone()
    assert row is not None, "an aggregate gives a row"
    return int(row[0])


def spent(
    cursor: duckdb.DuckDBPyConnection, which: EventFilter, by: Sequence[str], *, step_us: int
) -> pa.Table:
    """Return what events add up to, by fields and by steps of time; see `OlapStore.spent`."""
    keys = [f"coalesce({FIELDS[name]}, '') AS {name}" for name in by]
    if step_us:
        keys.append(f"epoch_us(started_at) // {int(step_us)} * {int(step_us)} AS at")
    sums = [f"CAST(coalesce(sum({name}), 0) AS BIGINT) AS {name}" for name in _SUMS]
    condition, params = _where(which)
    group = f"GROUP BY {', '.join(str(place + 1) for place in range(len(keys)))}" if keys else ""
    sql = (
        f"SELECT {', '.join([*keys, *sums, f'{_CALLS} AS calls'])} FROM events "
        f"WHERE kind IN ('usage', 'adjustment') AND {condition} {group}"
    )
    found: pa.Table = cursor.sql(sql, params=params).to_arrow_table()
    return found.combine_chunks()


def estimates(
    cursor: duckdb.DuckDBPyConnection, which: EventFilter, *, limit: int
) -> list[EstimateGroup]:
    """Return how estimates and costs compare, by model and agent, those that cost most first."""
    condition, params = _where(which)
    off = "abs(cost_nanos - estimate_nanos)"
    sql = (
        f"SELECT {ASKED_MODEL}, coalesce(agent_path, ''), count(*), sum(estimate_nanos), "
        f"sum(cost_nanos), sum({off}), count(*) FILTER (WHERE cost_nanos > estimate_nanos), "
        f"max({off}), arg_max(event_id, {off}) FROM events WHERE kind = 'usage' "
        f"AND estimate_nanos IS NOT NULL AND price_basis <> 'unpriced' AND status <> 'blocked' "
        f"AND {condition} GROUP BY 1, 2 ORDER BY 5 DESC, 1, 2 LIMIT {int(limit)}"
    )
    rows = cursor.execute(sql, params).fetchall()
    return [_estimate(row) for row in rows]


def _estimate(row: Sequence[Any]) -> EstimateGroup:
    model, agent, holds, estimated, actual, off, under, worst, event_id = row
    return EstimateGroup(
        model,
        agent,
        holds=int(holds),
        estimated=int(estimated),
        actual=int(actual),
        off=int(off),
        under=int(under),
        worst=int(worst),
        worst_event=str(event_id),
    )


def _where(which: EventFilter) -> tuple[str, dict[str, Any]]:
    parts = ["started_at >= $start", "started_at < $end"]
    params: dict[str, Any] = {"start": timestamp(which.start), "end": timestamp(which.end)}
    if which.tenant:
        parts.append("tenant_id = $tenant")
        params["tenant"] = which.tenant
    if which.up_to is not None:
        parts.append("log_offset <= $up_to")
        params["up_to"] = which.up_to
    return " AND ".join(parts), params
