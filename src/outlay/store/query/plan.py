"""Which roll-ups answer a query: the window cut into parts, each with its table.

A window is cut into contiguous parts: whole UTC days from the day roll-up, whole minutes from the
minute roll-up, ragged edges from events, and the events of the rolled-up span that the roll-ups
do not hold yet. Every part is exact, so any cut gives the same answer. It knows no SQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from outlay.core.rollup import DAY_KEYS, DAY_US, MINUTE_KEYS, MINUTE_US, whole
from outlay.store.query.dimensions import METRICS, Metric
from outlay.store.query.model import Query
from outlay.store.query.zones import Offset, offsets

MIN_MINUTES: Final = 5
"""Shorter spans are answered from events: another table costs more than it saves."""
_DAY_FIELDS: Final = frozenset({*DAY_KEYS, "agent_root"})
_MINUTE_FIELDS: Final = frozenset(MINUTE_KEYS)


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of the window and the table that answers it.

    `unfolded` takes only events that the roll-ups do not hold yet.
    """

    table: str
    start: int
    end: int
    unfolded: bool = False


def plan(query: Query, start: int, end: int, *, rollups: bool = True) -> list[Part]:
    """Cut the window into parts, the coarsest table first."""
    zone = offsets(query.timezone, start, end)
    fields = {*query.by, *(f.field for f in query.filters)}
    additive = all(_is_additive(METRICS[name]) for name in query.metrics) and rollups
    use_day = additive and fields <= _DAY_FIELDS and _days_fit(query, zone)
    use_minute = additive and fields <= _MINUTE_FIELDS and _minutes_fit(query, zone)
    parts, rest = [], [(start, end)]
    if use_day:
        first, last = whole(start, end, DAY_US)
        if first < last:
            parts.append(Part("day", first, last))
            rest = [(start, first), (last, end)]
    if use_minute:
        parts += [part for span in rest for part in _minutes(*span)]
    if not parts:
        return [Part("events", start, end)]
    first, last = min(p.start for p in parts), max(p.end for p in parts)
    edges = [Part("events", start, first), Part("events", last, end)]
    return [
        *parts,
        Part("events", first, last, unfolded=True),
        *(edge for edge in edges if edge.start < edge.end),
    ]


def _minutes(start: int, end: int) -> list[Part]:
    first, last = whole(start, end, MINUTE_US)
    return [Part("minute", first, last)] if last - first >= MIN_MINUTES * MINUTE_US else []


def _is_additive(metric: Metric) -> bool:
    if metric.kind == "quantile":
        return False
    return metric.name == "tenants" or not {"requests", "users"} & {metric.name, *metric.of}


def _days_fit(query: Query, zone: Sequence[Offset]) -> bool:
    if query.grain == "none":
        return True
    return query.grain in {"day", "month"} and all(part.seconds == 0 for part in zone)


def _minutes_fit(query: Query, zone: Sequence[Offset]) -> bool:
    return query.grain == "none" or all(
        part.seconds % 60 == 0 and (part.until is None or part.until % MINUTE_US == 0)
        for part in zone
    )
