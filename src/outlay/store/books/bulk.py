"""Many rows of one table in one statement, in the way that the database at hand is fastest with.

PostgreSQL takes each column as an array; SQLite runs one prepared statement row after row. It knows
no table: a `Bulk` is made for one, and gives and takes tuples in the order of its columns.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, Final

import sqlalchemy as sa

Rows = Sequence[tuple[Any, ...]]

_KINDS: Final[tuple[tuple[type[Any], str], ...]] = (
    (sa.Boolean, "boolean"), (sa.Integer, "bigint"),
)  # fmt: skip


class Bulk:
    """The statements on one table. Text, whole numbers and booleans only."""

    def __init__(self, table: sa.Table) -> None:
        self._table = table.name
        self.columns: Final = tuple(column.name for column in table.columns)
        self._key: Final = tuple(column.name for column in table.primary_key.columns)
        self._casts: Final = {c.name: _array_type(c) for c in table.columns}
        self._statements: dict[tuple[Any, ...], str] = {}

    @cached_property
    def _listed(self) -> str:
        return ", ".join(f'"{name}"' for name in self.columns)

    def select(
        self, connection: sa.Connection, *, lock: bool = False, **wanted: Collection[str]
    ) -> list[tuple[Any, ...]]:
        """Return the rows whose text columns have one of the wanted values each, by key.

        `lock` keeps others from changing them until the transaction ends; in order of the key.
        """
        if not all(wanted.values()):
            return []
        postgres = _is_postgres(connection)
        statement = self._statements.get((postgres, lock, *wanted))
        if statement is None:
            match = "= ANY(%s::text[])" if postgres else "IN (SELECT value FROM json_each(?))"
            where = " AND ".join(f'"{name}" {match}' for name in wanted)
            order = ", ".join(f'"{name}"' for name in self._key)
            locked = " FOR UPDATE" if lock and postgres else ""
            statement = (
                f'SELECT {self._listed} FROM "{self._table}" WHERE {where} ORDER BY {order}{locked}'
            )
            self._statements[postgres, lock, *wanted] = statement
        values = (_list(some, postgres) for some in wanted.values())
        return _fetch(connection, statement, tuple(values))

    def insert(self, connection: sa.Connection, rows: Rows) -> int:
        """Insert rows; return how many, the others were there already. Pass them sorted by key."""
        values = self._given(connection, self.columns)
        statement = f'INSERT INTO "{self._table}" ({self._listed}) {values} ON CONFLICT DO NOTHING'
        return self._write(connection, statement, self.columns, rows)

    def update(self, connection: sa.Connection, columns: Sequence[str], rows: Rows) -> int:
        """Set columns of rows that are there; a row is its key, then the columns' values."""
        given = (*self._key, *columns)
        if _is_postgres(connection):
            sets = ", ".join(f'"{name}" = v."{name}"' for name in columns)
            same = " AND ".join(f't."{name}" = v."{name}"' for name in self._key)
            names = ", ".join(f'"{name}"' for name in given)
            statement = (
                f'UPDATE "{self._table}" AS t SET {sets} '
                f"FROM unnest({self._arrays(given)}) AS v({names}) WHERE {same}"
            )
            return self._write(connection, statement, given, rows)
        sets = ", ".join(f'"{name}" = ?' for name in columns)
        same = " AND ".join(f'"{name}" = ?' for name in self._key)
        keys = len(self._key)
        turned = [(*row[keys:], *row[:keys]) for row in rows]
        statement = f'UPDATE "{self._table}" SET {sets} WHERE {same}'
        return self._write(connection, statement, (*columns, *self._key), turned)

    def delete(self, connection: sa.Connection, **gone: Collection[str]) -> int:
        """Delete the rows whose text columns have one of these values each; return how many."""
        if not all(gone.values()):
            return 0
        postgres = _is_postgres(connection)
        match = "= ANY(%s::text[])" if postgres else "IN (SELECT value FROM json_each(?))"
        where = " AND ".join(f'"{name}" {match}' for name in gone)
        values = tuple(_list(some, postgres) for some in gone.values())
        statement = f'DELETE FROM "{self._table}" WHERE {where}'
        return int(connection.exec_driver_sql(statement, values).rowcount)

    def _given(self, connection: sa.Connection, columns: Sequence[str]) -> str:
        if _is_postgres(connection):
            return f"SELECT * FROM unnest({self._arrays(columns)})"
        return f"VALUES ({', '.join('?' * len(columns))})"

    def _arrays(self, columns: Sequence[str]) -> str:
        return ", ".join(f"%s::{self._casts[name]}" for name in columns)

    def _write(
        self, connection: sa.Connection, statement: str, columns: Sequence[str], rows: Rows
    ) -> int:
        if not rows:
            return 0
        if not _is_postgres(connection):
            return int(connection.exec_driver_sql(statement, list(rows)).rowcount)
        arrays = tuple(
            _array(values, self._casts[name])
            for name, values in zip(columns, zip(*rows, strict=True), strict=True)
        )
        return int(connection.exec_driver_sql(statement, arrays).rowcount)


def _is_postgres(connection: sa.Connection) -> bool:
    return connection.dialect.name == "postgresql"


def _array_type(column: sa.Column[Any]) -> str:
    kind = next((name for of, name in _KINDS if isinstance(column.type, of)), "text")
    return f"{kind}[]"


def _array(values: Iterable[Any], cast: str) -> str:
    """Return a column as the text of an array; the driver's own way takes many times as long."""
    if cast == "text[]":
        return f"{{{','.join([_quoted(v) for v in values])}}}"
    return f"{{{','.join(['NULL' if v is None else str(v) for v in values])}}}"


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


def _list(values: Collection[str], postgres: bool) -> str:
    return _array(values, "text[]") if postgres else json.dumps(list(values))


def _fetch(
    connection: sa.Connection, statement: str, values: tuple[Any, ...]
) -> list[tuple[Any, ...]]:
    result = connection.exec_driver_sql(statement, values)
    cursor = result.cursor
    assert cursor is not None
    rows = list(cursor.fetchall())
    result.close()
    return rows
