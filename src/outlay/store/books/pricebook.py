"""Prices in the books: catalogues become bitemporal rows, and a book as believed at a time.

A row is never changed after it is written, but for the moment it stopped being believed (and its
place in the catalogue's order, which carries no price). Works inside the caller's transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.store.books.tables import MODEL_ROWS, RATE_ROWS

CATALOGUE: Final = "catalogue"
MAX_BOUND_VALUES: Final = 500
"""Values in one `IN` list; databases bound the number of parameters."""

T = TypeVar("T")

_NOT_IN_ROWS: Final = frozenset({"row_id", "position", "model_row_id"})


def load(connection: sa.Connection, *, known_at: int | None) -> PriceBook:
    """Return the book as believed at a time, or now, in catalogue order."""
    models = [ModelRow(**_values(row)) for row in _believed(connection, MODEL_ROWS, known_at)]
    rates = [RateRow(**_values(row)) for row in _believed(connection, RATE_ROWS, known_at)]
    return PriceBook(models=tuple(models), rates=tuple(rates))


def rates(connection: sa.Connection, rate_ids: Collection[str]) -> dict[str, RateRow]:
    """Return rate rows by id; of one believed more than once, the latest belief."""
    found = {}
    for some in _parts(sorted(set(rate_ids))):
        statement = (
            sa.select(RATE_ROWS).where(RATE_ROWS.c.rate_id.in_(some)).order_by(RATE_ROWS.c.row_id)
        )
        for row in connection.execute(statement).mappings():
            found[row["rate_id"]] = RateRow(**_values(row))
    return found


def save(connection: sa.Connection, book: PriceBook, *, at: int) -> tuple[int, int]:
    """Make the books believe this catalogue from `at` on; return rows added and superseded."""
    layers = {CATALOGUE, *(m.layer for m in book.models), *(r.layer for r in book.rates)}
    models = {_model_row_id(row): asdict(row) for row in book.models}
    rates_ = {row.rate_id: asdict(row) for row in book.rates}
    a = _save(connection, MODEL_ROWS, "model_row_id", models, layers, at)
    b = _save(connection, RATE_ROWS, "rate_id", rates_, layers, at)
    return a[0] + b[0], a[1] + b[1]


def _save(
    connection: sa.Connection,
    table: sa.Table,
    key: str,
    wanted: Mapping[str, Mapping[str, Any]],
    layers: Collection[str],
    at: int,
) -> tuple[int, int]:
    statement = sa.select(table.c[key], table.c.row_id, table.c.position).where(
        table.c.superseded_at.is_(None), table.c.layer.in_(sorted(layers))
    )
    stored = {row[0]: (row[1], row[2]) for row in connection.execute(statement)}
    places = {row_key: place for place, row_key in enumerate(wanted)}

    gone = [stored[row_key][0] for row_key in stored if row_key not in wanted]
    for some in _parts(gone):
        connection.execute(
            sa.update(table).where(table.c.row_id.in_(some)).values(superseded_at=at)
        )
    moved = [
        {"id": row_id, "place": places[row_key]}
        for row_key, (row_id, place) in stored.items()
        if row_key in places and places[row_key] != place
    ]
    if moved:
        connection.execute(
            sa.update(table)
            .where(table.c.row_id == sa.bindparam("id"))
            .values(position=sa.bindparam("place")),
            moved,
        )
    new = [
        {
            **values,
            key: row_key,
            "position": places[row_key],
            "recorded_at": at,
            "superseded_at": None,
        }
        for row_key, values in wanted.items()
        if row_key not in stored
    ]
    if new:
        connection.execute(sa.insert(table), new)
    return len(new), len(gone)


def _believed(
    connection: sa.Connection, table: sa.Table, known_at: int | None
) -> Iterable[sa.RowMapping]:
    open_ended = table.c.superseded_at.is_(None)
    condition: sa.ColumnElement[bool] = open_ended
    if known_at is not None:
        condition = sa.and_(
            table.c.recorded_at <= known_at,
            sa.or_(open_ended, table.c.superseded_at > known_at),
        )
    order = (table.c.position, table.c.row_id)
    return connection.execute(sa.select(table).where(condition).order_by(*order)).mappings()


def _values(row: sa.RowMapping) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NOT_IN_ROWS}


def _model_row_id(row: ModelRow) -> str:
    text = json.dumps(row.content(), ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), MAX_BOUND_VALUES):
        yield values[start : start + MAX_BOUND_VALUES]
