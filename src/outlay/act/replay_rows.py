"""The part of history that limits look at, read into columns: when, who, how much.

An event's cost is what it is by now, adjustments included; without a price it is its ceiling, as
for limits. What a limit had refused is left out: it was no call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.act.ceilings import Ceilings
from outlay.act.settle_columns import Ints, integers, texts, tokens
from outlay.act.settle_rows import TOKEN_METRICS
from outlay.core.limits.subject import Subject
from outlay.store.base import EventFilter, OlapStore


@dataclass(frozen=True, slots=True)
class Rows:
    """Events as columns, in the order of the log; `subject` is a place in `subjects`."""

    at: Ints
    ended: Ints
    cost: Ints
    subject: Ints
    subjects: list[Subject]
    amounts: dict[str, Ints]
    """By metric, those that were asked for; `concurrent_calls` has none."""


def read_rows(
    olap: OlapStore,
    ceilings: Ceilings,
    which: EventFilter,
    fields: frozenset[str],
    metrics: frozenset[str],
) -> Rows:
    """Read the usage events of a filter, as far as some fields and metrics need them."""
    names = sorted(fields)
    known: dict[tuple[str, ...], int] = {}
    parts: list[dict[str, Ints]] = []
    for events, adjustments in olap.scan(which):
        kept = pc.invert(
            pc.and_(
                pc.equal(pc.fill_null(events.column("status"), ""), "blocked"),
                pc.equal(pc.fill_null(events.column("billed"), ""), "no"),
            )
        )
        part = {
            "at": integers(events, "started_at"),
            "ended": integers(events, "ended_at"),
            "cost": _cost(events, adjustments, ceilings),
            "subject": _subjects(events, names, known),
        }
        if metrics.intersection(TOKEN_METRICS):
            read, produced = tokens(events)
            part |= {"tokens": read + produced, "input_tokens": read, "output_tokens": produced}
        if "calls" in metrics:
            called = pc.not_equal(pc.fill_null(events.column("status"), ""), "blocked")
            part["calls"] = np.asarray(called.to_numpy(), np.int64)
        rows = np.asarray(kept.to_numpy(), np.bool_)
        parts.append({name: values[rows] for name, values in part.items()})
    none = np.zeros(0, np.int64)
    whole = {
        name: np.concatenate([none, *(part[name] for part in parts)])
        for name in (parts[0] if parts else ("at", "ended", "cost", "subject"))
    }
    subjects = [Subject(**dict(zip(names, values, strict=True))) for values in known]
    amounts = {name: whole.get(name, none) for name in metrics if name != "concurrent_calls"}
    return Rows(whole["at"], whole["ended"], whole["cost"], whole["subject"], subjects, amounts)


def _cost(events: pa.Table, adjustments: pa.Table, ceilings: Ceilings) -> Ints:
    both = pa.concat_tables([events, adjustments])
    cost = integers(both, "cost_nanos") + ceilings.lacking(both)
    total = cost[: events.num_rows].copy()
    if adjustments.num_rows:
        ids = events.column("event_id").combine_chunks()
        places = pc.index_in(adjustments.column("adjusts_event_id"), value_set=ids)
        np.add.at(total, np.asarray(places.to_numpy(), np.int64), cost[events.num_rows :])
    return total


def _subjects(events: pa.Table, names: list[str], known: dict[tuple[str, ...], int]) -> Ints:
    """Return the number of each event's subject, and number those that are new."""
    columns = [texts(events, name) for name in names]
    if not columns:
        known.setdefault((), 0)
        return np.zeros(events.num_rows, np.int64)
    codes = np.stack([numbers for numbers, _ in columns])
    distinct, inverse = np.unique(codes, axis=1, return_inverse=True)
    words = [found for _, found in columns]
    numbers = np.empty(distinct.shape[1], np.int64)
    for place, row in enumerate(distinct.T.tolist()):
        values = tuple(of[code] for of, code in zip(words, row, strict=True))
        numbers[place] = known.setdefault(values, len(known))
    return np.asarray(numbers[inverse.reshape(-1)], np.int64)
