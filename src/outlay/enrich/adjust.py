"""The enriched columns of adjustments, which carry their price instead of being priced.

Ingest lets only the server itself write adjustments, so what they state is taken as it is, after
their own arithmetic was checked. Usage events in the same table are priced as always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.adjustment import Adjustment
from outlay.core.event import LINE_FIELDS
from outlay.core.rollup import PRICED_LATE
from outlay.stream.columns import ENRICHED_SCHEMA

ADJUSTMENT: Final = "adjustment"

_LINE_NAMES: Final = tuple(name for name, _ in LINE_FIELDS)


def price_kinds(
    table: pa.Table, price: Callable[[pa.Table], Mapping[str, Any]]
) -> dict[str, pa.Array]:
    """Return the cost columns of a table: usage through `price`, adjustments as they say.

    Raises:
        ValueError: an adjustment's document cannot be read.
    """
    is_adjustment = pc.equal(table.column("kind"), ADJUSTMENT).to_numpy()
    rows = np.flatnonzero(is_adjustment)
    if not len(rows):
        return dict(price(table))
    others = np.flatnonzero(~is_adjustment)
    stated = _stated(table.take(pa.array(rows)))
    if not len(others):
        return stated
    priced = dict(price(table.take(pa.array(others))))
    order = pa.array(np.argsort(np.concatenate([others, rows]), kind="stable"))
    return {
        name: pa.concat_arrays([_array(column), stated[name].cast(column.type)]).take(order)
        if name in stated
        else pa.concat_arrays([_array(column), pa.nulls(len(rows), column.type)]).take(order)
        for name, column in priced.items()
    }


def _array(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _stated(table: pa.Table) -> dict[str, pa.Array]:
    made = [Adjustment.from_json(text or "") for text in table.column("usage_raw").to_pylist()]
    columns: dict[str, Sequence[Any]] = {
        "cost_nanos": [one.cost_change for one in made],
        "lines": [
            [dict(zip(_LINE_NAMES, line, strict=True)) for line in one.lines] for one in made
        ],
        "price_basis": [one.price_basis for one in made],
        "price_confidence": [one.price_confidence or None for one in made],
        "price_book_hash": [one.price_book_hash or None for one in made],
        "price_model": [one.price_model for one in made],
        "price_rule": [one.price_rule for one in made],
        "list_cost_nanos": [one.list_change for one in made],
        "sell_nanos": [one.sell_change or None for one in made],
        "credits_micros": [one.credits_change or None for one in made],
        "price_flags": [[PRICED_LATE] if one.priced_late else [] for one in made],
    }
    sums = [one.columns() for one in made]
    columns |= {name: [one[name] for one in sums] for name in sums[0]}
    return {
        name: pa.array(values, _TYPES.get(name) or ENRICHED_SCHEMA.field(name).type)
        for name, values in columns.items()
    }


_TYPES: Final = {"price_flags": pa.list_(pa.string())}
