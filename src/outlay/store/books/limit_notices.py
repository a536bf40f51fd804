"""Notices of limits in the books: one row per counter, kind and rung, counted up.

Works inside the caller's transaction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from outlay.core.context import clip
from outlay.store.books.limit_tables import LIMIT_NOTICES
from outlay.store.limits import Notice

MAX_ACTION_BYTES: Final = 32

_KEY: Final = ("limit_id", "counter_id", "kind", "at_ppm", "action")
_LATEST: Final = ("mode", "at", "used", "amount", "details")


def write(connection: sa.Connection, notices: Sequence[Notice]) -> list[Notice]:
    """Write notices, the same ones as one; return those that were not there before."""
    merged: dict[tuple[Any, ...], Notice] = {}
    for given in notices:
        notice = replace(given, action=clip(given.action, MAX_ACTION_BYTES))
        key = tuple(getattr(notice, name) for name in _KEY)
        before = merged.get(key)
        times = notice.times + (0 if before is None else before.times)
        merged[key] = replace(notice, times=times)
    statement = _upsert(connection)
    new = []
    # Row after row in one order: two writers never wait for each other.
    for _, notice in sorted(merged.items(), key=lambda item: item[0]):
        if connection.execute(statement, _row(notice)).scalar_one() == notice.times:
            new.append(notice)
    return new


def listed(
    connection: sa.Connection, *, limit_id: str, tenant: str, since: int, limit: int
) -> list[Notice]:
    """Return notices, the newest first."""
    table = LIMIT_NOTICES
    order = (table.c.at.desc(), *(table.c[name] for name in _KEY))
    statement = sa.select(table).where(table.c.at >= since).order_by(*order).limit(limit)
    if limit_id:
        statement = statement.where(table.c.limit_id == limit_id)
    if tenant:
        statement = statement.where(table.c.tenant == tenant)
    return [_notice(row) for row in connection.execute(statement).mappings()]


def forget(connection: sa.Connection, *, before: int, limit: int) -> int:
    """Drop notices that nothing added to since a time, the oldest first."""
    table = LIMIT_NOTICES
    keys = [table.c[name] for name in _KEY]
    oldest = sa.select(*keys).where(table.c.at < before).order_by(table.c.at).limit(limit)
    gone = 0
    for key in connection.execute(oldest).all():
        same = (column == value for column, value in zip(keys, key, strict=True))
        gone += connection.execute(sa.delete(table).where(*same, table.c.at < before)).rowcount
    return gone


def _upsert(connection: sa.Connection) -> Any:
    table = LIMIT_NOTICES
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table)
    given = statement.excluded
    latest = {name: given[name] for name in _LATEST}
    return statement.on_conflict_do_update(
        index_elements=list(_KEY), set_={**latest, "times": table.c.times + given.times}
    ).returning(table.c.times)


def _row(notice: Notice) -> dict[str, Any]:
    names = Notice.__dataclass_fields__
    details = json.dumps(dict(notice.details), sort_keys=True, ensure_ascii=False)
    values = dict(zip(names, astuple(replace(notice, details={})), strict=True))
    return {**values, "tenant": clip(notice.tenant), "details": details}


def _notice(row: sa.RowMapping) -> Notice:
    values: Mapping[str, Any] = {**row, "details": json.loads(row["details"])}
    return Notice(**values)
