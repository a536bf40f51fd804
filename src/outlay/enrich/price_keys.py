"""Finds which events of a table share their rates: groups of equal conditions, split into cells.

A group is a distinct combination of the columns that prices depend on; a cell is a group within
one span of time, of the week and of context, so that one `RateSet` holds for all of it. It reads
columns and asks the price book; it computes no money.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core import units
from outlay.core.calls import Call, call_of
from outlay.core.event import MAX_COUNT
from outlay.core.prices import NO_RATES, PriceBook, RateSet, Resolution
from outlay.core.windows import MONDAY_US, WEEK_US

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

KEY_COLUMNS: Final = (
    "provider", "operation", "model_served", "model_requested", "deployment", "host_class",
    "region_class", "tier_served", "tier_requested", "batch", "speed",
)  # fmt: skip
"""What a price depends on. `name` is one more, but only where no model is named, and `tenant_id`,
but only of tenants with rates of their own."""

MODEL_COLUMNS: Final = ("model_served", "model_requested", "deployment")
_MAX_RADIX: Final = 2**40


def integers(table: pa.Table, name: str) -> Ints:
    """Return a column as 64-bit integers; times are microseconds, a null is 0."""
    column = _flat(table, name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    if column.null_count:
        column = pc.fill_null(column, 0)
    values: Ints = column.to_numpy(zero_copy_only=False)
    return values


def equals(table: pa.Table, name: str, value: str) -> Mask:
    """Return where a text column has a value; a null has not."""
    found = pc.fill_null(pc.equal(_flat(table, name), value), False)
    mask: Mask = found.to_numpy(zero_copy_only=False)
    return mask


def is_or_null(table: pa.Table, name: str, usual: str) -> Mask:
    """Return where a text column has its usual value, or none."""
    found = pc.fill_null(pc.equal(_flat(table, name), usual), True)
    mask: Mask = found.to_numpy(zero_copy_only=False)
    return mask


def _flat(table: pa.Table, name: str) -> pa.Array:
    column = table.column(name).combine_chunks()
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


@dataclass(frozen=True, slots=True)
class OtherUnits:
    """The `other_units` of a table, entry by entry: its row, its unit's code, its count."""

    names: list[str]
    rows: Ints
    codes: Ints
    counts: Ints


def other_units(table: pa.Table) -> OtherUnits:
    """Unfold the map column; entries without a positive count are left out."""
    column = _flat(table, "other_units")
    nothing = np.zeros(0, np.int64)
    if column.null_count == len(column):
        return OtherUnits([], nothing, nothing, nothing)
    offsets = np.asarray(column.offsets).astype(np.int64)
    lengths = np.diff(offsets)
    lengths[~column.is_valid().to_numpy(zero_copy_only=False)] = 0
    rows = np.repeat(np.arange(len(column), dtype=np.int64), lengths)
    within = np.arange(len(rows), dtype=np.int64) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    at = pa.array(np.repeat(offsets[:-1], lengths) + within)
    counts: Ints = pc.fill_null(column.items.take(at), 0).to_numpy(zero_copy_only=False)
    keys = column.keys.take(at).dictionary_encode()
    codes = keys.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    kept = counts > 0
    return OtherUnits(keys.dictionary.to_pylist(), rows[kept], codes[kept], counts[kept])


def repeated_rows(others: OtherUnits) -> Ints:
    """Return the rows whose map names a unit more than once."""
    codes, size = _dense(others.rows * len(others.names) + others.codes)
    if size == len(codes):
        return np.zeros(0, np.int64)
    repeated: Ints = others.rows[np.bincount(codes)[codes] > 1]
    return repeated


def input_totals(table: pa.Table, others: OtherUnits) -> Ints:
    """Return how much each call read: what decides its context band."""
    totals = np.zeros(table.num_rows, np.int64)
    for unit in units.EVENT_UNITS:
        if units.is_input(unit):
            totals += np.maximum(integers(table, unit), 0)
    is_input = np.array([units.is_input(name) for name in others.names], bool)
    if is_input.any():
        chosen = is_input[others.codes]
        np.add.at(totals, others.rows[chosen], others.counts[chosen])
    return totals


@dataclass(frozen=True, slots=True)
class Groups:
    """Distinct conditions: each row's group, and each group's call (without usage) and model."""

    codes: Ints
    calls: list[Call]
    models: list[Resolution | None]


def find_groups(table: pa.Table, book: PriceBook) -> Groups:
    """Group rows that differ in nothing but time and counts, and find each group's model."""
    columns = [_dictionary_codes(_flat(table, name)) for name in KEY_COLUMNS]
    names = _flat(table, "name")
    if names.null_count < len(names):
        nameless = np.ones(table.num_rows, bool)
        for model in MODEL_COLUMNS:
            nameless &= _flat(table, model).is_null().to_numpy(zero_copy_only=False)
        codes, size = _dictionary_codes(names)
        columns.append((np.where(nameless, codes, 0), size))
    if book.tenants:
        columns.append(named_codes(table, "tenant_id", book.tenants))
    codes, firsts = combine(columns, table.num_rows)
    picked = table.select([*KEY_COLUMNS, "name", "tenant_id"]).take(pa.array(firsts)).to_pylist()
    calls = [call_of(fields, at=0) for fields in picked]
    models = [book.resolve(call.provider, call.names, call.tenant) for call in calls]
    return Groups(codes, calls, models)


@dataclass(frozen=True, slots=True)
class Cells:
    """Each row's cell, and each cell's rates; `known` is false where no row has a named model."""

    codes: Ints
    rates: list[RateSet]
    known: Mask


def find_cells(
    book: PriceBook, groups: Groups, at: Ints, totals: Ints, *, list_price: bool
) -> Cells:
    """Split groups where their rates change, and choose the rates of each part once."""
    models = dict.fromkeys(model for model in groups.models if model is not None)
    steps = [book.steps(model.provider, model.model) for model in models]
    columns = [
        (groups.codes, len(groups.calls)),
        spans(at, (t for s in steps for t in s.times)),
        spans((at + MONDAY_US) % WEEK_US, (t for s in steps for t in s.week_times)),
        spans(totals, (t for s in steps for t in s.contexts)),
    ]
    codes, firsts = combine(columns, len(at))
    rates = [NO_RATES] * len(firsts)
    known = np.zeros(len(firsts), bool)
    for cell, row in enumerate(firsts.tolist()):
        group = int(groups.codes[row])
        call, model = groups.calls[group], groups.models[group]
        known[cell] = model is not None or not call.modelled
        if model is None:
            continue
        rates[cell] = book.rates_of(
            model, call, at=int(at[row]), input_total=int(totals[row]), list_price=list_price
        )
    return Cells(codes, rates, known)


def implied(
    table: pa.Table, cells: Cells, others: OtherUnits, *, used: Mask, active: Mask
) -> Iterator[tuple[str, Ints, Ints]]:
    """Yield what is charged although the usage does not count it: the unit, its rows and counts.

    Where a model charges by request, a call that used anything is one; where it charges by
    duration, any call is charged for its own.
    """
    for unit in (units.REQUESTS, units.DURATION_MS):
        charged = np.array([unit in rates.rows for rates in cells.rates], bool)
        if not charged.any():
            continue
        by_row = charged[cells.codes] & (used if unit == units.REQUESTS else active)
        same = units.counts_requests if unit == units.REQUESTS else unit.__eq__
        told = np.array([same(name) for name in others.names], bool)
        if told.any():
            by_row[others.rows[told[others.codes]]] = False
        counts = by_row.astype(np.int64)
        if unit == units.DURATION_MS:
            counts *= _durations(table)
        at = np.flatnonzero(counts)
        if len(at):
            yield unit, at, counts[at]


def _durations(table: pa.Table) -> Ints:
    """Return how many milliseconds each attempt began, as `core.calls.duration_ms` does."""
    took = integers(table, "ended_at") - integers(table, "started_at")
    latency = pc.fill_null(_flat(table, "latency_ms"), 0).to_numpy(zero_copy_only=False)
    latency = np.where(np.isfinite(latency), latency, 0).astype(np.float64)
    told = np.ceil(np.clip(latency, 0, MAX_COUNT)).astype(np.int64)
    known: Ints = np.minimum(np.where(took > 0, -(-took // 1000), told), MAX_COUNT)
    return known


def spans(values: Ints, steps: Iterable[int]) -> tuple[Ints, int]:
    """Number each value by the steps at or below it, of those that part the values at all."""
    low, high = int(values.min()), int(values.max())
    useful = np.array(sorted({step for step in steps if low < step <= high}), np.int64)
    if not len(useful):
        return np.zeros(len(values), np.int64), 1
    return np.searchsorted(useful, values, side="right").astype(np.int64), len(useful) + 1


def named_codes(table: pa.Table, name: str, named: Collection[str]) -> tuple[Ints, int]:
    """Return small codes for a text column's named values, 0 for all others, and their bound."""
    column = _flat(table, name)
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64), 1
    encoded = column.dictionary_encode()
    places = {value: place for place, value in enumerate(sorted(named), 1)}
    found = [places.get(value, 0) for value in encoded.dictionary.to_pylist()]
    if not any(found):
        return np.zeros(len(column), np.int64), 1
    indices = pc.fill_null(encoded.indices, len(found)).to_numpy(zero_copy_only=False)
    codes: Ints = np.array([*found, 0], np.int64)[indices]
    return codes, len(places) + 1


def _dictionary_codes(column: pa.Array) -> tuple[Ints, int]:
    """Return small codes for a column's values, 0 for null, and how many codes there may be."""
    if pa.types.is_boolean(column.type):
        filled = pc.fill_null(column, False).to_numpy(zero_copy_only=False)
        return filled.astype(np.int64), 2
    if column.null_count == len(column):
        return np.zeros(len(column), np.int64), 1
    encoded = column.dictionary_encode()
    indices = encoded.indices
    if column.null_count:
        indices = pc.fill_null(indices, -1)
    codes = indices.to_numpy(zero_copy_only=False).astype(np.int64) + 1
    return codes, len(encoded.dictionary) + 1


def combine(columns: Sequence[tuple[Ints, int]], rows: int) -> tuple[Ints, Ints]:
    """Return one dense code for each row's combination, and the first row of each code."""
    codes, size = np.zeros(rows, np.int64), 1
    for more, count in columns:
        if count == 1:
            continue
        if size * count > _MAX_RADIX:
            codes, size = _dense(codes)
        codes, size = codes * count + more, size * count
    codes, size = _dense(codes)
    firsts = np.zeros(size, np.int64)
    firsts[codes[::-1]] = np.arange(rows - 1, -1, -1, dtype=np.int64)
    return codes, firsts


def _dense(codes: Ints) -> tuple[Ints, int]:
    encoded = pa.array(codes).dictionary_encode()
    dense: Ints = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return dense, len(encoded.dictionary)
