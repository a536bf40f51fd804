"""Puts priced parts together into the `lines` column and other nested Arrow arrays.

A part is all lines of one unit in a table, at most one a row. It computes no money.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from outlay.core.event import VALUES
from outlay.core.prices import RateSet
from outlay.core.rating import FLAGS, UNPRICED, Priced, confidence, line_basis, price_basis
from outlay.core.selling import Sold
from outlay.enrich.price_keys import Cells, Ints, Mask
from outlay.stream.columns import ENRICHED_SCHEMA

BITS: Final = {flag: 1 << place for place, flag in enumerate(FLAGS)}
"""A bit for each flag, so that a row's flags are one number until the end."""

LINES_TYPE: Final[pa.DataType] = ENRICHED_SCHEMA.field("lines").type


@dataclass(frozen=True, slots=True)
class Part:
    """The lines of one unit, in row order; `code` and others are codes of the vocabulary.

    `counts` are what is billed.
    """

    unit: str
    code: int
    rows: Ints
    counts: Ints
    rate_ids: Ints
    nanos: Ints
    bases: Ints
    group: str
    bits: Ints
    unpriced: Mask


@dataclass(frozen=True, slots=True)
class Single:
    """A row that was priced on its own; no part holds any of it."""

    row: int
    priced: Priced
    sold: Sold


class Vocabulary:
    """Codes for the units, rate ids and bases of a table's lines; rate id 0 is the empty one."""

    def __init__(self) -> None:
        self._units: dict[str, int] = {}
        self._rates: dict[str, int] = {"": 0}
        self._bases: dict[str, int] = {}

    def unit(self, name: str) -> int:
        """Return the code of a unit."""
        return self._units.setdefault(name, len(self._units))

    def rate(self, rate_id: str) -> int:
        """Return the code of a rate id."""
        return self._rates.setdefault(rate_id, len(self._rates))

    def basis(self, name: str) -> int:
        """Return the code of a line's basis."""
        return self._bases.setdefault(name, len(self._bases))

    def lines(self, rows: int, parts: Sequence[Part], single: Sequence[Single]) -> pa.Array:
        """Return the `lines` column of a table of so many rows.

        Args:
            rows: rows of the table.
            parts: lines by unit, in the order they stand in an event.
            single: rows priced one by one.
        """
        lengths = np.zeros(rows, np.int64)
        for part in parts:
            lengths[part.rows] += 1
        for one in single:
            lengths[one.row] = len(one.priced.lines)
        offsets = np.zeros(rows + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        columns = [np.zeros(int(offsets[-1]), np.int64) for _ in range(5)]
        units_, counts, rate_ids, nanos, bases = columns
        free = offsets[:-1].copy()
        for part in parts:
            at = free[part.rows]
            free[part.rows] += 1
            units_[at] = part.code
            counts[at] = part.counts
            rate_ids[at] = part.rate_ids
            nanos[at] = part.nanos
            bases[at] = part.bases
        for one in single:
            for place, line in enumerate(one.priced.lines, int(offsets[one.row])):
                units_[place] = self.unit(line.unit)
                counts[place] = line.quantity
                rate_ids[place] = self.rate(line.rate_id)
                nanos[place] = line.nanos
                bases[place] = self.basis(line.basis)
        values = pa.StructArray.from_arrays(
            [
                texts(list(self._units), units_),
                pa.array(counts),
                texts(list(self._rates), rate_ids),
                pa.array(nanos),
                texts(list(self._bases), bases),
            ],
            fields=list(LINES_TYPE.value_type),
        )
        return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values, LINES_TYPE)


@dataclass(slots=True)
class UnitRates:
    """A unit's rate in every cell; ids and bases are codes, `priced` is false where it has none."""

    per_million: Ints
    minimum: Ints
    rate_ids: Ints
    bases: Ints
    bits: Ints
    priced: Mask


def unit_rates(unit: str, cells: Cells, vocabulary: Vocabulary) -> UnitRates:
    """Look a unit up in every cell."""
    size = len(cells.rates)
    zeros = np.zeros(size, np.int64)
    rates = UnitRates(
        per_million=zeros,
        minimum=zeros.copy(),
        rate_ids=zeros.copy(),
        bases=zeros + vocabulary.basis(UNPRICED),
        bits=zeros.copy(),
        priced=np.zeros(size, bool),
    )
    for cell, rate_set in enumerate(cells.rates):
        found = rate_set.find(unit)
        if found is None:
            continue
        row = found.row
        rates.per_million[cell] = row.nanos_per_million
        rates.minimum[cell] = row.min_quantity
        rates.rate_ids[cell] = vocabulary.rate(row.rate_id)
        rates.bases[cell] = vocabulary.basis(line_basis(row))
        rates.bits[cell] = BITS[found.note] if found.note else 0
        rates.priced[cell] = True
    return rates


def cell_bits(rates: RateSet, *, known: bool) -> int:
    """Return the flags that hold for everything priced in a cell."""
    return sum(BITS[note] for note in rates.notes) | (0 if known else BITS["unknown_model"])


def texts(names: Sequence[str | None], codes: Ints) -> pa.Array:
    """Return the text of each code."""
    return pa.array(names, pa.string()).take(pa.array(codes))


def flag_lists(bits: Ints) -> pa.Array:
    """Return each row's flags as a list of text, from bits in the order of `FLAGS`."""
    encoded = pa.array(bits).dictionary_encode()
    lists = [
        [flag for flag, bit in BITS.items() if value & bit]
        for value in encoded.dictionary.to_pylist()
    ]
    return pa.array(lists, pa.list_(pa.string())).take(encoded.indices)


BASES: Final = VALUES["price_basis"]
CONFIDENCES: Final = VALUES["price_confidence"]


def _judge(code: int) -> tuple[int, int]:
    """Return basis and confidence for a combination of facts."""
    stated, used, unknown, unpriced, estimated, contract, uncertain = (
        bool(code >> place & 1) for place in range(7)
    )
    basis = price_basis(
        stated=stated,
        used=used,
        unknown=unknown,
        unpriced=unpriced,
        estimated=estimated,
        contract=contract,
    )
    return BASES.index(basis), CONFIDENCES.index(confidence(basis, estimated=uncertain))


JUDGED: Final[Ints] = np.array([_judge(code) for code in range(1 << 7)], np.int64)
"""Codes of basis and confidence by a row's facts, the lowest bit first.

The provider stated the cost, anything was used, it may have been billed, a line is unpriced, the
usage is estimated, a contract priced it, the price is uncertain.
"""
