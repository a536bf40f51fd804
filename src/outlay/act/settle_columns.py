"""A table of events as numbers: texts by code, rows by text, and groups of rows that are alike.

Everything is made once and only when asked for, so that many limits on the same fields share it.
It knows no limits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core import units

Ints = npt.NDArray[np.int64]

HOLD: Final = "hold"
"""The field of the hold that an event belongs to; the others are those of subjects."""
_PLAIN: Final = {
    "tenant": "tenant_id", "plan": "plan", "user": "user_id", "feature": "feature",
    "workflow": "workflow", "agent": "agent_path", "provider": "provider",
    "initiator": "initiator", "run": "run_id", HOLD: "hold_id",
}  # fmt: skip
COLUMNS: Final = (
    *_PLAIN.values(), *units.EVENT_UNITS, "other_units", "model_requested", "model_served",
    "billing_unit_type", "billing_unit_id", "request_id", "call_id", "event_id", "kind",
    "started_at", "status", "cost_nanos", "credits_micros",
)  # fmt: skip
"""What is read of events, at most."""
_DENSE: Final = 2**40
"""Numbers of groups above which they are numbered anew, so that products never overflow."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows that are alike: the group of each row; a row and the period's start of each group."""

    of: Ints
    first: Ints
    begin: Ints


class Columns:
    """The columns of one table of events (ENRICHED_SCHEMA).

    Args:
        table: the events.
        step_us: how finely their starts are told apart.
    """

    def __init__(self, table: pa.Table, *, step_us: int) -> None:
        self._table = table
        self._texts: dict[str, tuple[Ints, list[str]]] = {}
        self._order: dict[str, tuple[Ints, Ints]] = {}
        self._groups: dict[tuple[tuple[str, ...], Hashable], Groups] = {}
        self._periods: dict[Hashable, tuple[Ints, Ints]] = {}
        self._step_us = step_us
        self.started = integers(table, "started_at")
        self.usage = np.asarray(pc.equal(table.column("kind"), "usage").to_numpy(), np.int64)

    def texts(self, field: str) -> tuple[Ints, list[str]]:
        """Return the code of each row, and the texts by code."""
        found = self._texts.get(field)
        if found is None:
            found = self._texts[field] = texts(self._table, field)
        return found

    def rows(self, field: str, codes: Sequence[int]) -> Ints:
        """Return the rows that have one of some codes."""
        found = self._order.get(field)
        if found is None:
            of, words = self.texts(field)
            order = np.argsort(of, kind="stable")
            edges = np.searchsorted(of[order], np.arange(len(words) + 1))
            found = self._order[field] = (order, edges)
        order, edges = found
        return np.concatenate([order[edges[code] : edges[code + 1]] for code in codes])

    def groups(
        self, fields: tuple[str, ...], kind: Hashable, begin: Callable[[int], int]
    ) -> Groups:
        """Return the groups of rows of the same hold, fields and period.

        Args:
            fields: of subjects.
            kind: names how periods begin.
            begin: returns the start of the period of a time; it is the same within a step.
        """
        found = self._groups.get((fields, kind))
        if found is None:
            periods = self._periods.get(kind)
            if periods is None:
                periods = self._periods[kind] = self._begun(begin)
            of, starts = periods
            parts = [(of, len(starts))]
            parts += [(codes, len(words)) for codes, words in map(self.texts, (HOLD, *fields))]
            found = self._groups[fields, kind] = _grouped(parts, starts[of])
        return found

    def _begun(self, begin: Callable[[int], int]) -> tuple[Ints, Ints]:
        """Return the number of each row's period, and the starts of periods by number."""
        steps, place = np.unique(self.started // self._step_us, return_inverse=True)
        begins = np.array([begin(step * self._step_us) for step in steps.tolist()], np.int64)
        starts, number = np.unique(begins, return_inverse=True)
        return np.asarray(number[place], np.int64), starts


def integers(table: pa.Table, name: str) -> Ints:
    """Return a column as integers; times are microseconds, a null is 0."""
    column = table.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return np.asarray(pc.fill_null(column, 0).to_numpy(), np.int64)


def tokens(table: pa.Table) -> tuple[Ints, Ints]:
    """Return how many tokens each event read and produced, of any modality."""
    read = np.zeros(table.num_rows, np.int64)
    produced = np.zeros(table.num_rows, np.int64)
    for unit in units.EVENT_UNITS:
        total = read if units.is_input(unit) else produced
        total += integers(table, unit)
    others = table.column("other_units")
    told = np.flatnonzero(pc.is_valid(others).to_numpy())
    for row, pairs in zip(told.tolist(), others.take(pa.array(told)).to_pylist(), strict=True):
        for unit, count in pairs:
            if units.is_input(unit):
                read[row] += count
            elif units.is_output(unit):
                produced[row] += count
    return read, produced


def texts(table: pa.Table, field: str) -> tuple[Ints, list[str]]:
    """Return a field of subjects as codes and texts; "" where an event has none.

    Fields are read as `core.limits.subject.subject_of` reads them of one event.
    """
    plain = _PLAIN.get(field)
    if plain is not None:
        return _encoded(table.column(plain))
    if field == "model":
        asked = pc.fill_null(table.column("model_requested"), "")
        served = pc.fill_null(table.column("model_served"), "")
        return _encoded(pc.if_else(pc.equal(asked, ""), served, asked))
    if field == "billing_unit":
        kind = pc.fill_null(table.column("billing_unit_type"), "")
        unit = pc.fill_null(table.column("billing_unit_id"), "")
        named = pc.binary_join_element_wise(kind, unit, ":")
        return _encoded(pc.if_else(pc.equal(unit, ""), "", named))
    names = ("request_id", "call_id", "event_id")
    ids = zip(*(table.column(name).to_pylist() for name in names), strict=True)
    made = [request or str(UUID(bytes=call or event)) for request, call, event in ids]
    return _encoded(pa.chunked_array([made], pa.string()))


def _encoded(column: pa.ChunkedArray) -> tuple[Ints, list[str]]:
    array = pc.fill_null(column, "").combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], pa.string())
    made = array.dictionary_encode()
    return np.asarray(made.indices.to_numpy(), np.int64), made.dictionary.to_pylist()


def _grouped(parts: Sequence[tuple[Ints, int]], begins: Ints) -> Groups:
    whole = np.zeros(len(parts[0][0]), np.int64)
    size = 1
    for codes, count in parts:
        if count <= 1:
            continue
        if size * count > _DENSE:
            values, whole = np.unique(whole, return_inverse=True)
            size = len(values)
        whole = whole * count + codes
        size *= count
    _, first, of = np.unique(whole, return_index=True, return_inverse=True)
    return Groups(np.asarray(of, np.int64), np.asarray(first, np.int64), begins[first])
