"""What a table of priced events is sold for: the bulk form of `core.selling`, exactly equal.

Owns the columns `sell_nanos` and `credits_micros`. Events that the same rows sell form a cell, so
that rows are chosen once a cell. It prices nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, get_args

import numpy as np
import pyarrow as pa

from outlay.core.money import MAX_NANOS
from outlay.core.prices import PriceBook
from outlay.core.sell import Out, SellRow, SellSet
from outlay.core.selling import Sold, conditions_of
from outlay.enrich.price_keys import (
    Groups,
    Ints,
    Mask,
    combine,
    is_or_null,
    named_codes,
    spans,
)
from outlay.enrich.price_lines import Part
from outlay.enrich.price_round import round_any

KINDS: Final[tuple[Out, ...]] = get_args(Out)


@dataclass(frozen=True, slots=True)
class Sales:
    """What rows are sold for: by kind, the amounts and where they are known; and what is unsold."""

    amounts: dict[Out, tuple[Ints, Mask]]
    unsold: Mask

    def put(self, row: int, sold: Sold) -> None:
        """Set a row that was sold on its own."""
        for out, amount in zip(KINDS, (sold.sell_nanos, sold.credits_micros), strict=True):
            values, known = self.amounts[out]
            values[row], known[row] = amount or 0, amount is not None

    def array(self, out: Out) -> pa.Array:
        """Return the column of one kind."""
        values, known = self.amounts[out]
        return pa.array(values, mask=~known) if known.any() else pa.nulls(len(values), pa.int64())


@dataclass(frozen=True, slots=True)
class _Cells:
    """Each row's cell, and the sell rows of each cell."""

    codes: Ints
    sets: list[SellSet]

    def column(self, rows: Sequence[SellRow | None]) -> tuple[Ints, Mask]:
        """Return an amount per million for each row of the table, and where there is one."""
        per_million = np.array([0 if row is None else row.per_million for row in rows], np.int64)
        known = np.array([row is not None for row in rows], bool)
        return per_million[self.codes], known[self.codes]


def sales(
    table: pa.Table,
    book: PriceBook,
    groups: Groups,
    at: Ints,
    own: Sequence[Part],
    adjustments: Part,
    stated: Mask,
) -> Sales:
    """Return what the rows of a table are sold for.

    Args:
        table: the captured events; a column `plan` is used where there is one.
        book: the prices.
        groups: the events' models.
        at: the events' starts.
        own: the lines of usage.
        adjustments: the lines of what the provider stated beyond them.
        stated: where the provider stated the cost.
    """
    rows = table.num_rows
    if not book.sells:
        nothing = np.zeros(rows, bool)
        return Sales({out: (np.zeros(rows, np.int64), nothing) for out in KINDS}, nothing)
    cells = _find_cells(table, book, groups, at)
    charged = is_or_null(table, "billed", "yes") & is_or_null(table, "status", "ok")
    charged &= is_or_null(table, "kind", "usage")
    amounts, unsold = {}, np.zeros(rows, bool)
    for out in KINDS:
        total, known, missed = _amounts(cells, out, own, adjustments, stated, charged)
        amounts[out] = (total, known)
        unsold |= missed
    return Sales(amounts, unsold)


def _find_cells(table: pa.Table, book: PriceBook, groups: Groups, at: Ints) -> _Cells:
    rates = book.sell_rates
    columns = [spans(at, rates.times)]
    if rates.by_model:
        columns.append((groups.codes, len(groups.calls)))
    by_name = {"tenant_id": rates.tenants, "plan": rates.plans, "feature": rates.features}
    there = [name for name in by_name if name in table.column_names]
    columns += [named_codes(table, name, by_name[name]) for name in there if by_name[name]]
    codes, firsts = combine(columns, table.num_rows)
    sets = []
    picked = table.select(there).take(pa.array(firsts)).to_pylist()
    for row, fields in zip(firsts.tolist(), picked, strict=True):
        group = int(groups.codes[row])
        call = replace(
            groups.calls[group],
            tenant=fields["tenant_id"] or "",
            plan=fields.get("plan") or "",
            feature=fields["feature"] or "",
        )
        said = conditions_of(call, groups.models[group])
        sets.append(rates.choose(said, at=int(at[row])))
    return _Cells(codes, sets)


def _amounts(
    cells: _Cells,
    out: Out,
    own: Sequence[Part],
    adjustments: Part,
    stated: Mask,
    charged: Mask,
) -> tuple[Ints, Mask, Mask]:
    """Return amounts of one kind, where there is one, and where something was used beyond them."""
    known = np.array([rows.sells(out) for rows in cells.sets], bool)[cells.codes]
    total = np.zeros(len(known), np.int64)
    by_unit, costless, absurd = (np.zeros(len(known), bool) for _ in range(3))
    if not known.any():
        return total, known, absurd
    by_cost, has_cost = cells.column([rows.cost(out) for rows in cells.sets])

    def add(rows: Ints, counts: Ints, per_million: Ints) -> None:
        amounts, bad = round_any(counts, per_million)
        total[rows] += amounts
        absurd[rows] |= bad

    for part in own:
        at = part.rows
        per_unit, has_unit = (
            values[at] for values in cells.column([s.unit(part.unit, out) for s in cells.sets])
        )
        add(
            at,
            np.where(has_unit, part.counts, part.nanos),
            np.where(has_unit, per_unit, by_cost[at]),
        )
        by_unit[at] |= has_unit
        costless[at] |= has_cost[at] & ~has_unit & part.unpriced
    at = adjustments.rows
    add(at, adjustments.nanos, np.where(by_unit[at], 0, by_cost[at]))
    by_call, has_calls = cells.column([rows.calls(out) for rows in cells.sets])
    at = np.flatnonzero(has_calls & charged)
    add(at, np.ones(len(at), np.int64), by_call[at])
    too_much = np.abs(total) > MAX_NANOS // 2
    total[too_much] = 0
    return total, known, absurd | too_much | (costless & ~(stated & ~by_unit))
