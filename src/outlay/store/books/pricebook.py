"""Prices in the books: catalogues and changes become bitemporal rows, and a book as believed.

A row is never changed after it is written, but for the moment it stopped being believed (and its
place in the catalogue's order, which carries no price). Works inside the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.sell import SellRow
from outlay.errors import BadRequestError, NotFoundError
from outlay.store.base import PriceChange
from outlay.store.books.change import (
    Span,
    cut_row,
    model_id,
    overlap,
    plan_change,
    rate_key,
    span,
)
from outlay.store.books.tables import MODEL_ROWS, RATE_ROWS, SELL_ROWS

CATALOGUE: Final = "catalogue"
CATALOGUE_LAYERS: Final = (CATALOGUE, "correction")
"""The layers that a catalogue brings; all others are written by hand only."""
MAX_BOUND_VALUES: Final = 500
"""Values in one `IN` list; databases bound the number of parameters."""

T = TypeVar("T")

_NOT_IN_ROWS: Final = frozenset({"row_id", "position", "model_row_id", "by_hand"})


def load(connection: sa.Connection, *, known_at: int | None) -> PriceBook:
    """Return the book as believed at a time, or now, in catalogue order."""
    models = [ModelRow(**_values(row)) for row in _believed(connection, MODEL_ROWS, known_at)]
    rates = [RateRow(**_values(row)) for row in _believed(connection, RATE_ROWS, known_at)]
    found = sells(connection, known_at=known_at)
    return PriceBook(models=tuple(models), rates=tuple(rates), sells=tuple(found))


def sells(connection: sa.Connection, *, known_at: int | None) -> list[SellRow]:
    """Return the sell rows as believed at a time, or now."""
    return [SellRow(**_values(row)) for row in _believed(connection, SELL_ROWS, known_at)]


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


def rates_by_hand(connection: sa.Connection) -> frozenset[str]:
    """Return the ids of the rates believed now that a change wrote, not a catalogue."""
    table = RATE_ROWS
    statement = sa.select(table.c.rate_id).where(
        table.c.superseded_at.is_(None), table.c.by_hand.is_(sa.true())
    )
    return frozenset(connection.scalars(statement))


def history(
    connection: sa.Connection, provider: str, model: str, *, limit: int
) -> tuple[list[RateRow], list[ModelRow]]:
    """Return every row ever believed of a model, the newest belief first."""
    found = []
    for table in (RATE_ROWS, MODEL_ROWS):
        statement = (
            sa.select(table)
            .where(
                sa.func.lower(table.c.provider) == provider.lower(),
                sa.func.lower(table.c.model) == model.lower(),
            )
            .order_by(table.c.recorded_at.desc(), table.c.row_id.desc())
            .limit(limit)
        )
        found.append([_values(row) for row in connection.execute(statement).mappings()])
    return [RateRow(**row) for row in found[0]], [ModelRow(**row) for row in found[1]]


def not_before(connection: sa.Connection, at: int) -> int:
    """Return `at`, or the moment of the last change where a clock has gone back since.

    Beliefs follow each other in the order of their writing: one that begins before another's
    recorded moment would change what was believed then.
    """
    last: list[int | None] = [
        connection.scalar(sa.select(sa.func.max(column)))
        for table in (RATE_ROWS, MODEL_ROWS, SELL_ROWS)
        for column in (table.c.recorded_at, table.c.superseded_at)
    ]
    return max([at, *(moment for moment in last if moment is not None)])


# a catalogue


@dataclass(slots=True)
class _Stored:
    row_id: int
    position: int


def save(connection: sa.Connection, book: PriceBook, *, at: int) -> tuple[int, int]:
    """Make the books believe this catalogue from `at` on; return rows added and superseded.

    Only rows that came from a catalogue are compared. What was written by hand stays, and a
    correction by hand takes the place of the catalogue's own for the time it is valid.
    """
    layers = {row.layer for row in book.models} | {row.layer for row in book.rates}
    strange = layers - set(CATALOGUE_LAYERS)
    if strange:
        raise ValueError(f"a catalogue has no rows of the layers {sorted(strange)}")
    models = {_model_identity(row): (model_id(row), asdict(row)) for row in book.models}
    holes = _by_hand(connection)
    left = [piece for row in book.rates for piece in cut_row(row, holes.get(rate_key(row), ()))]
    rates_ = {_rate_identity(row): (row.rate_id, asdict(row)) for row in left}
    a = _save(connection, MODEL_ROWS, "model_row_id", models, _stored_models(connection), at)
    b = _save(connection, RATE_ROWS, "rate_id", rates_, _stored_rates(connection), at)
    return a[0] + b[0], a[1] + b[1]


def _rate_identity(row: RateRow) -> tuple[Any, ...]:
    """Return what must be equal for a row to stay: of the catalogue's own all but its version."""
    return (replace(row, source="") if row.layer == CATALOGUE else row).content()


def _model_identity(row: ModelRow) -> tuple[Any, ...]:
    return (replace(row, source="") if row.layer == CATALOGUE else row).content()


def _stored_rates(connection: sa.Connection) -> dict[tuple[Any, ...], _Stored]:
    return {
        _rate_identity(RateRow(**_values(row))): _Stored(row["row_id"], row["position"])
        for row in _of_catalogue(connection, RATE_ROWS)
    }


def _stored_models(connection: sa.Connection) -> dict[tuple[Any, ...], _Stored]:
    return {
        _model_identity(ModelRow(**_values(row))): _Stored(row["row_id"], row["position"])
        for row in _of_catalogue(connection, MODEL_ROWS)
    }


def _of_catalogue(connection: sa.Connection, table: sa.Table) -> Iterable[sa.RowMapping]:
    statement = sa.select(table).where(
        table.c.superseded_at.is_(None),
        table.c.layer.in_(CATALOGUE_LAYERS),
        table.c.by_hand.is_(sa.false()),
    )
    return connection.execute(statement).mappings()


def _by_hand(connection: sa.Connection) -> dict[tuple[Any, ...], list[Span]]:
    """Return when rows by hand hold in the catalogue's layers, by their keys."""
    statement = sa.select(RATE_ROWS).where(
        RATE_ROWS.c.superseded_at.is_(None),
        RATE_ROWS.c.layer.in_(CATALOGUE_LAYERS),
        RATE_ROWS.c.by_hand.is_(sa.true()),
    )
    found: dict[tuple[Any, ...], list[Span]] = {}
    for values in connection.execute(statement).mappings():
        row = RateRow(**_values(values))
        found.setdefault(rate_key(row), []).append(span(row))
    return found


def _save(
    connection: sa.Connection,
    table: sa.Table,
    key: str,
    wanted: Mapping[tuple[Any, ...], tuple[str, Mapping[str, Any]]],
    stored: Mapping[tuple[Any, ...], _Stored],
    at: int,
) -> tuple[int, int]:
    places = {identity: place for place, identity in enumerate(wanted)}
    gone = [found.row_id for identity, found in stored.items() if identity not in wanted]
    _supersede(connection, table, gone, at)
    moved = [
        {"id": found.row_id, "place": places[identity]}
        for identity, found in stored.items()
        if identity in places and places[identity] != found.position
    ]
    if moved:
        connection.execute(
            sa.update(table)
            .where(table.c.row_id == sa.bindparam("id"))
            .values(position=sa.bindparam("place")),
            moved,
        )
    new = [
        {**values, key: row_id, "position": places[identity], "by_hand": False}
        for identity, (row_id, values) in wanted.items()
        if identity not in stored
    ]
    _record(connection, table, new, at)
    return len(new), len(gone)


# a change by hand


def change(connection: sa.Connection, wanted: PriceChange, *, at: int) -> tuple[int, int]:
    """Write a change; return how many rows were added and superseded."""
    book = load(connection, known_at=None)
    plan = plan_change(book, wanted)
    _check_withdrawn(connection, wanted.withdrawn)
    asked = {row.rate_id for row in wanted.rates}
    own = _catalogues_own(connection, [row.rate_id for row in plan.ended_rates])
    theirs: dict[tuple[Any, ...], list[Span]] = {}
    for old in plan.ended_rates:
        if old.rate_id in own:
            theirs.setdefault(rate_key(old), []).append(span(old))

    def by_hand(row: RateRow) -> bool:
        """Tell of a piece whether the row it is left of was written by hand."""
        spans = theirs.get(rate_key(row), ())
        return row.rate_id in asked or not any(overlap(span(row), other) for other in spans)

    _end(connection, RATE_ROWS, "rate_id", [row.rate_id for row in plan.ended_rates], at)
    _end(connection, MODEL_ROWS, "model_row_id", [model_id(row) for row in plan.ended_models], at)
    _end(connection, SELL_ROWS, "sell_id", [row.sell_id for row in plan.ended_sells], at)
    rates_ = [{**asdict(row), "position": 0, "by_hand": by_hand(row)} for row in plan.rates]
    models = [
        {**asdict(row), "model_row_id": model_id(row), "position": 0, "by_hand": True}
        for row in plan.models
    ]
    _record(connection, RATE_ROWS, rates_, at)
    _record(connection, MODEL_ROWS, models, at)
    _record(connection, SELL_ROWS, [asdict(row) for row in plan.sells], at)
    return plan.added, plan.superseded


def _check_withdrawn(connection: sa.Connection, withdrawn: Sequence[str]) -> None:
    """Check that each id is believed, and not by the word of a catalogue.

    Raises:
        NotFoundError: nothing of this id is believed.
        BadRequestError: the row is the catalogue's, which would bring it back.
    """
    wanted = set(withdrawn)
    for table, column in (
        (RATE_ROWS, "rate_id"), (MODEL_ROWS, "model_row_id"), (SELL_ROWS, "sell_id")
    ):  # fmt: skip
        hand = table.c.get("by_hand")
        for row in _current(connection, table, column, sorted(wanted)):
            wanted.discard(row[column])
            if hand is not None and not row["by_hand"]:
                raise BadRequestError(
                    f"{row[column]} is the catalogue's, which would bring it back.",
                    where="withdraw",
                    hint="Put a correction or an override above it instead.",
                )
    if wanted:
        raise NotFoundError(
            f"No row of the id {min(wanted)!r} is believed now.",
            where="withdraw",
            hint="`outlay prices history` shows ids, and which rows are believed.",
        )


def _catalogues_own(connection: sa.Connection, rate_ids: Sequence[str]) -> frozenset[str]:
    rows = _current(connection, RATE_ROWS, "rate_id", rate_ids)
    return frozenset(row["rate_id"] for row in rows if not row["by_hand"])


# rows


def _current(
    connection: sa.Connection, table: sa.Table, column: str, ids: Sequence[str]
) -> Iterator[sa.RowMapping]:
    for some in _parts(ids):
        statement = sa.select(table).where(
            table.c[column].in_(some), table.c.superseded_at.is_(None)
        )
        yield from connection.execute(statement).mappings()


def _end(
    connection: sa.Connection, table: sa.Table, column: str, ids: Sequence[str], at: int
) -> None:
    rows = [row["row_id"] for row in _current(connection, table, column, ids)]
    _supersede(connection, table, rows, at)


def _supersede(connection: sa.Connection, table: sa.Table, rows: Sequence[int], at: int) -> None:
    for some in _parts(rows):
        connection.execute(
            sa.update(table).where(table.c.row_id.in_(some)).values(superseded_at=at)
        )


def _record(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], at: int
) -> None:
    if rows:
        believed = {"recorded_at": at, "superseded_at": None}
        connection.execute(sa.insert(table), [{**row, **believed} for row in rows])


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
    position = table.c.get("position")
    order = (table.c.row_id,) if position is None else (position, table.c.row_id)
    return connection.execute(sa.select(table).where(condition).order_by(*order)).mappings()


def _values(row: sa.RowMapping) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _NOT_IN_ROWS}


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), MAX_BOUND_VALUES):
        yield values[start : start + MAX_BOUND_VALUES]
