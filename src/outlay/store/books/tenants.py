"""Tenant versions in the books: which one holds when, and how a new one is fitted in.

Versions of a tenant never overlap, and there is no gap after the first. Works inside the caller's
transaction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import sqlalchemy as sa

from outlay.store.base import Tenant
from outlay.store.books.tables import TENANT_VERSIONS

_CONTENT: Final = ("name", "plan", "tier", "contract_type", "contract_id", "labels")


def from_row(row: sa.RowMapping) -> Tenant:
    """Return the version that a row holds."""
    values = {name: value for name, value in row.items() if name != "recorded_at"}
    return Tenant(**{**values, "labels": json.loads(row["labels"])})


def same_content(one: Tenant, other: Tenant) -> bool:
    """Tell whether two versions differ in nothing but their times."""
    return all(getattr(one, name) == getattr(other, name) for name in _CONTENT)


def as_details(tenant: Tenant) -> dict[str, Any]:
    """Return the version as the audit log keeps it."""
    return {**asdict(tenant), "labels": dict(tenant.labels)}


def history(connection: sa.Connection, tenant_id: str) -> list[Tenant]:
    """Return all versions of a tenant, oldest first."""
    table = TENANT_VERSIONS
    statement = sa.select(table).where(table.c.tenant_id == tenant_id).order_by(table.c.valid_from)
    return [from_row(row) for row in connection.execute(statement).mappings()]


def in_force(versions: Sequence[Tenant], at: int) -> Tenant | None:
    """Return the version that holds at a time, of versions oldest first."""
    started = [version for version in versions if version.valid_from <= at]
    return started[-1] if started else None


def put_version(
    connection: sa.Connection, version: Tenant, current: Tenant | None, *, at: int
) -> None:
    """Write a version; the one in force at its start is replaced, or ends there."""
    table = TENANT_VERSIONS
    values = {
        **{name: getattr(version, name) for name in _CONTENT},
        "labels": json.dumps(dict(version.labels), sort_keys=True, ensure_ascii=False),
        "valid_to": version.valid_to,
        "recorded_at": at,
    }
    if current is not None:
        this = sa.and_(
            table.c.tenant_id == version.tenant_id, table.c.valid_from == current.valid_from
        )
        if current.valid_from == version.valid_from:
            connection.execute(sa.update(table).where(this).values(values))
            return
        connection.execute(sa.update(table).where(this).values(valid_to=version.valid_from))
    identity = {"tenant_id": version.tenant_id, "valid_from": version.valid_from}
    connection.execute(sa.insert(table).values({**identity, **values}))
