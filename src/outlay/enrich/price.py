"""Prices a table of captured events by columns: the bulk form of `core.rating`.

Owns the enriched cost columns; `enrich.price_sell` adds what events are sold for. Every rule and
every rounding is `core.rating`'s, and the result is exactly equal: rows that share their rates are
priced together in 64-bit integers, and the few that cannot be (responses with several model calls,
sums that would not fit) go through `core.rating` one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa

from outlay.core import units
from outlay.core.calls import call_of
from outlay.core.money import MAX_NANOS
from outlay.core.prices import CONTRACT, PriceBook
from outlay.core.rating import (
    ADJUSTMENT_UNIT,
    ASSUMPTIONS,
    COST_COLUMNS,
    DRIFT_PARTS,
    MAX_LINE_NANOS,
    MINIMUM,
    PROVIDER_STATED,
    UNCERTAIN_SOURCES,
    UNPRICED,
    price_call,
)
from outlay.core.selling import UNSOLD, sell_call
from outlay.enrich.price_keys import (
    KEY_COLUMNS,
    Cells,
    Groups,
    Ints,
    Mask,
    OtherUnits,
    equals,
    find_cells,
    find_groups,
    implied,
    input_totals,
    integers,
    other_units,
    repeated_rows,
)
from outlay.enrich.price_lines import (
    BASES,
    BITS,
    CONFIDENCES,
    JUDGED,
    Part,
    Single,
    Vocabulary,
    cell_bits,
    flag_lists,
    texts,
    unit_rates,
)
from outlay.enrich.price_round import round_lines
from outlay.enrich.price_sell import Sales, sales
from outlay.stream.columns import ENRICHED_SCHEMA

MAX_TOTAL_NANOS: Final = MAX_NANOS // 2
"""Where a sum of lines is larger, the scalar path decides."""

OUTPUT: Final[dict[str, pa.DataType]] = {
    name: ENRICHED_SCHEMA.field(name).type
    for name in (
        "cost_nanos", *COST_COLUMNS, "lines", "price_basis", "price_confidence",
        "price_book_hash", "price_model", "price_rule", "list_cost_nanos", "sell_nanos",
        "credits_micros",
    )
} | {"price_flags": pa.list_(pa.string())}  # fmt: skip
"""The columns that pricing gives."""

_ASSUMED: Final = sum(BITS[flag] for flag in ASSUMPTIONS)
_SLOW_COLUMNS: Final = (
    *KEY_COLUMNS, "name", "started_at", "ended_at", "latency_ms", *units.EVENT_UNITS,
    "other_units", "segments", "billed", "usage_source", "provider_cost_nanos", "tenant_id",
    "feature", "status", "kind",
)  # fmt: skip


def price_table(captured: pa.Table, book: PriceBook) -> dict[str, pa.Array]:
    """Price events and return the enriched cost columns by field name.

    Args:
        captured: events in `CAPTURED_SCHEMA`. More columns do no harm; a column `plan`, of text,
            says whose events are sold at a plan's prices.
        book: the prices to use; its hash goes into `price_book_hash`.

    Returns:
        Arrays as long as the table: the cost fields of `core.event`, and `price_flags`, a list of
        text with the flags of `core.rating.FLAGS` that each event earned.
    """
    if captured.num_rows == 0:
        return {name: pa.array([], type_) for name, type_ in OUTPUT.items()}
    return _Pricing(captured, book).columns()


class _Pricing:
    """One table on its way through pricing."""

    def __init__(self, table: pa.Table, book: PriceBook) -> None:
        self.table, self.book, self.rows = table, book, table.num_rows
        self.vocabulary = Vocabulary()
        self.at = integers(table, "started_at")
        self.others: OtherUnits = other_units(table)
        self.totals = input_totals(table, self.others)
        self.groups: Groups = find_groups(table, book)
        self.bits = np.zeros(self.rows, np.int64)
        self.unpriced = np.zeros(self.rows, bool)
        self.contract = np.zeros(self.rows, bool)
        self.used = np.zeros(self.rows, bool)
        self.sums = {name: np.zeros(self.rows, np.int64) for name in COST_COLUMNS}
        self.uncertain = np.zeros(self.rows, bool)
        for source in UNCERTAIN_SOURCES:
            self.uncertain |= equals(table, "usage_source", source)
        self.nothing_billed = equals(table, "billed", "no")
        stated = table.column("provider_cost_nanos").combine_chunks()
        amounts = integers(table, "provider_cost_nanos")
        fits = (amounts >= 0) & (amounts <= MAX_LINE_NANOS)
        told = stated.is_valid().to_numpy(zero_copy_only=False)
        self.stated: Ints = np.where(told & fits, amounts, 0)
        self.is_stated: Mask = told & fits
        self.bits[told & ~fits] |= BITS["bad_provider_cost"]

    def columns(self) -> dict[str, pa.Array]:
        slow = self._one_by_one()
        cells = self._cells(list_price=False)
        parts, too_large = self._parts(cells, slow)
        if too_large.any():
            slow |= too_large
            parts, _ = self._parts(cells, slow)
        for part in parts:
            self._take(part)
        self._take_cells(cells, parts)
        list_nanos, has_list = self._list_price(slow)
        extra = self._adjustments(~slow)
        sold = sales(
            self.table, self.book, self.groups, self.at, parts, extra, self.is_stated & ~slow
        )
        self.bits[sold.unsold] |= BITS[UNSOLD]
        return self._finished([*parts, extra], self._scalar(slow), list_nanos, has_list, sold)

    def _one_by_one(self) -> Mask:
        """Return the rows that columns cannot say: several model calls, or a unit given twice."""
        segments = self.table.column("segments").combine_chunks()
        slow: Mask = segments.is_valid().to_numpy(zero_copy_only=False).copy()
        twice = np.array([name in units.EVENT_UNITS for name in self.others.names], bool)
        if twice.any():
            slow[self.others.rows[twice[self.others.codes]]] = True
        slow[repeated_rows(self.others)] = True
        return slow

    def _cells(self, *, list_price: bool) -> Cells:
        return find_cells(self.book, self.groups, self.at, self.totals, list_price=list_price)

    def _parts(self, cells: Cells, slow: Mask) -> tuple[list[Part], Mask]:
        """Price every bucket of the rows that are not slow; tell which rows are too large."""
        active = ~slow & ~self.nothing_billed
        too_large = np.zeros(self.rows, bool)
        parts = []
        used = np.zeros(self.rows, bool)
        for unit in units.EVENT_UNITS:
            counts = integers(self.table, unit)
            at = np.flatnonzero((counts > 0) & active)
            used[at] = True
            if len(at):
                parts.append(self._priced(unit, at, counts[at], cells, too_large))
        others = self.others
        for unit, code in sorted((unit, code) for code, unit in enumerate(others.names)):
            chosen = (others.codes == code) & active[others.rows]
            at = others.rows[chosen]
            used[at] = True
            if len(at):
                parts.append(self._priced(unit, at, others.counts[chosen], cells, too_large))
        for unit, at, counts in implied(self.table, cells, others, used=used, active=active):
            parts.append(self._priced(unit, at, counts, cells, too_large))
        sums = np.zeros(self.rows, np.int64)
        for part in parts:
            sums[part.rows] += part.nanos
        too_large |= np.abs(sums) > MAX_TOTAL_NANOS
        return parts, too_large

    def _priced(self, unit: str, rows: Ints, counts: Ints, cells: Cells, too_large: Mask) -> Part:
        rates = unit_rates(unit, cells, self.vocabulary)
        cell = cells.codes[rows]
        per_million = rates.per_million[cell]
        bits = rates.bits[cell]
        if rates.minimum.any():
            least = rates.minimum[cell]
            bits |= np.where(counts < least, BITS[MINIMUM], 0)
            counts = np.maximum(counts, least)
        overflow = counts > MAX_NANOS // np.maximum(np.abs(per_million), 1)
        nanos = round_lines(np.where(overflow, 0, counts), per_million)
        too_large[rows[overflow | (np.abs(nanos) > MAX_LINE_NANOS)]] = True
        return Part(
            unit=unit,
            code=self.vocabulary.unit(unit),
            rows=rows,
            counts=counts,
            rate_ids=rates.rate_ids[cell],
            nanos=nanos,
            bases=rates.bases[cell],
            group=units.cost_group(unit),
            bits=bits,
            unpriced=~rates.priced[cell],
        )

    def _take(self, part: Part) -> None:
        """Add a part to the sums of its rows; a part holds a row at most once."""
        self.sums[part.group][part.rows] += part.nanos
        self.bits[part.rows] |= part.bits
        self.unpriced[part.rows] |= part.unpriced
        self.contract[part.rows] |= part.bases == self.vocabulary.basis(CONTRACT)

    def _take_cells(self, cells: Cells, parts: Sequence[Part]) -> None:
        """Add the flags of a row's rates as a whole, where it used anything."""
        for part in parts:
            self.used[part.rows] = True
        pairs = zip(cells.rates, cells.known.tolist(), strict=True)
        bits = np.array([cell_bits(rates, known=known) for rates, known in pairs])
        self.bits[self.used] |= bits[cells.codes[self.used]]

    def _total(self) -> Ints:
        total = np.zeros(self.rows, np.int64)
        for values in self.sums.values():
            total += values
        return total

    def _list_price(self, slow: Mask) -> tuple[Ints, Mask]:
        """Return what the rows cost without contracts, and where that is known."""
        if not self.book.has_contract_rates:
            return self._total(), ~self.unpriced
        listed, too_large = self._parts(self._cells(list_price=True), slow)
        total = np.zeros(self.rows, np.int64)
        known = ~self.unpriced & ~too_large
        for part in listed:
            total[part.rows] += part.nanos
            known[part.rows[part.unpriced]] = False
        return total, known

    def _adjustments(self, fast: Mask) -> Part:
        """Make the lines that bring rows to what their provider stated, and note drifts."""
        stated = self.is_stated & fast
        total = self._total()
        apart = self.stated - total
        drifted = stated & self.used & ~self.unpriced & ~self.uncertain
        drifted &= np.abs(apart) > self.stated // DRIFT_PARTS
        self.bits[drifted] |= BITS["price_drift"]
        rows = np.flatnonzero(stated & (apart != 0))
        zeros = np.zeros(len(rows), np.int64)
        part = Part(
            unit=ADJUSTMENT_UNIT,
            code=self.vocabulary.unit(ADJUSTMENT_UNIT),
            rows=rows,
            counts=zeros + 1,
            rate_ids=zeros,
            nanos=apart[rows],
            bases=zeros + self.vocabulary.basis(PROVIDER_STATED),
            group=units.cost_group(ADJUSTMENT_UNIT),
            bits=zeros,
            unpriced=np.zeros(len(rows), bool),
        )
        self.sums[part.group][rows] += part.nanos
        return part

    def _scalar(self, slow: Mask) -> list[Single]:
        rows = np.flatnonzero(slow)
        if not len(rows):
            return []
        names = [*_SLOW_COLUMNS, *({"plan"} & set(self.table.column_names))]
        picked = self.table.select(names).take(pa.array(rows)).to_pylist()
        done = []
        for row, fields in zip(rows.tolist(), picked, strict=True):
            fields["other_units"] = dict(fields["other_units"] or ())
            call = call_of(fields, at=int(self.at[row]))
            priced = price_call(self.book, call)
            done.append(Single(row, priced, sell_call(self.book, call, priced)))
        return done

    def _finished(
        self,
        parts: Sequence[Part],
        single: Sequence[Single],
        listed: Ints,
        known: Mask,
        sold: Sales,
    ) -> dict[str, pa.Array]:
        bases, confidences = self._judged()
        unpriced = np.array([name == UNPRICED for name in BASES], bool)[bases]
        self.bits[unpriced & self.used] |= BITS["unpriced"]
        self.bits[unpriced & ~self.used] |= BITS["usage_unknown"]
        self.bits[self.unpriced & self.is_stated] |= BITS["unpriced_line"]
        known = known & ~unpriced
        models, rules = self._models()
        for one in single:
            row, priced = one.row, one.priced
            for name in COST_COLUMNS:
                self.sums[name][row] = priced.columns[name]
            bases[row] = BASES.index(priced.price_basis)
            confidences[row] = CONFIDENCES.index(priced.price_confidence)
            self.bits[row] = sum(BITS[flag] for flag in {*priced.flags, *one.sold.flags})
            known[row] = priced.list_cost_nanos is not None
            listed[row] = priced.list_cost_nanos or 0
            sold.put(row, one.sold)
        return {
            "cost_nanos": pa.array(self._total()),
            **{name: pa.array(values) for name, values in self.sums.items()},
            "lines": self.vocabulary.lines(self.rows, parts, single),
            "price_basis": texts(BASES, bases),
            "price_confidence": texts(CONFIDENCES, confidences),
            "price_book_hash": pa.repeat(pa.scalar(self.book.hash, pa.string()), self.rows),
            "price_model": models,
            "price_rule": rules,
            "list_cost_nanos": pa.array(listed, mask=~known),
            "sell_nanos": sold.array("nanos"),
            "credits_micros": sold.array("credits"),
            "price_flags": flag_lists(self.bits),
        }

    def _judged(self) -> tuple[Ints, Ints]:
        """Return codes of basis and confidence, by the scalar rules."""
        estimated = equals(self.table, "usage_source", "estimated")
        guessed = [model is not None and model.estimated for model in self.groups.models]
        uncertain = self.uncertain | np.array(guessed, bool)[self.groups.codes]
        uncertain |= (self.bits & _ASSUMED) != 0
        facts = (
            self.is_stated,
            self.used,
            equals(self.table, "billed", "possible"),
            self.unpriced,
            estimated,
            self.contract,
            uncertain,
        )
        code = np.zeros(self.rows, np.int64)
        for place, fact in enumerate(facts):
            code |= fact.astype(np.int64) << place
        return JUDGED[code, 0], JUDGED[code, 1]

    def _models(self) -> tuple[pa.Array, pa.Array]:
        found = self.groups.models
        return (
            texts([None if model is None else model.model for model in found], self.groups.codes),
            texts([None if model is None else model.rule for model in found], self.groups.codes),
        )
