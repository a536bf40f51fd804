"""Findings about prices in the books. Works inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.context import clip
from outlay.store.base import Finding
from outlay.store.books.tables import PRICE_FINDINGS

MAX_FINDINGS: Final = 10_000
"""Findings that are kept; when more are found, the resolved and then the oldest ones go."""
MAX_KIND_BYTES: Final = 64
MAX_SUBJECT_BYTES: Final = 512


def find(connection: sa.Connection, findings: Sequence[Finding], *, at: int) -> None:
    """Note findings: a new one is opened, an open one counted up, a resolved one opened again."""
    for finding in findings:
        kind, subject = (
            clip(finding.kind, MAX_KIND_BYTES),
            clip(finding.subject, MAX_SUBJECT_BYTES),
        )
        details = json.dumps(dict(finding.details), sort_keys=True, ensure_ascii=False)
        known = get(connection, kind, subject)
        values = {"details": details, "last_at": at, "resolved_at": None}
        if known is None:
            new = {"kind": kind, "subject": subject, "first_at": at, "times": 1, **values}
            connection.execute(sa.insert(PRICE_FINDINGS).values(new))
            continue
        open_ = known.resolved_at is None
        since, times = (known.first_at, known.times + 1) if open_ else (at, 1)
        connection.execute(_this(kind, subject).values(**values, first_at=since, times=times))
    _trim(connection)


def get(connection: sa.Connection, kind: str, subject: str) -> Finding | None:
    """Return a finding."""
    table = PRICE_FINDINGS
    statement = sa.select(table).where(table.c.kind == kind, table.c.subject == subject)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _finding(row)


def listed(connection: sa.Connection, *, open_only: bool, limit: int) -> list[Finding]:
    """Return findings, the latest first."""
    table = PRICE_FINDINGS
    order = (table.c.last_at.desc(), table.c.kind, table.c.subject)
    statement = sa.select(table).order_by(*order).limit(limit)
    if open_only:
        statement = statement.where(table.c.resolved_at.is_(None))
    return [_finding(row) for row in connection.execute(statement).mappings()]


def resolve(connection: sa.Connection, kind: str, subject: str, *, at: int) -> None:
    """Close a finding."""
    connection.execute(_this(kind, subject).values(resolved_at=at))


def _this(kind: str, subject: str) -> sa.Update:
    table = PRICE_FINDINGS
    return sa.update(table).where(table.c.kind == kind, table.c.subject == subject)


def _trim(connection: sa.Connection) -> None:
    table = PRICE_FINDINGS
    count = connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
    if count <= MAX_FINDINGS:
        return
    order = (table.c.resolved_at.is_(None), table.c.last_at, table.c.kind, table.c.subject)
    oldest = sa.select(table.c.kind, table.c.subject).order_by(*order).limit(count - MAX_FINDINGS)
    for kind, subject in connection.execute(oldest).all():
        connection.execute(sa.delete(table).where(table.c.kind == kind, table.c.subject == subject))


def _finding(row: sa.RowMapping) -> Finding:
    values: Mapping[str, Any] = {**row, "details": json.loads(row["details"])}
    return Finding(**values)
