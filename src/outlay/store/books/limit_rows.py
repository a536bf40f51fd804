"""Limits, entitlements and overrides as rows, and back. Works inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from outlay.core.limits.limit import Entitlement, Limit, Match, Override, Threshold
from outlay.store.books.limit_tables import (
    ENTITLEMENTS,
    LIMIT_OVERRIDES,
    LIMIT_VERSIONS,
    LIMITS,
)
from outlay.store.limits import LimitVersion


def body_of(definition: Limit | Entitlement) -> str:
    """Return a definition as the text that is stored; equal definitions give equal texts."""
    return json.dumps(asdict(definition), sort_keys=True, ensure_ascii=False)


def limit_of(body: str) -> Limit:
    """Return the limit of a stored text."""
    values = json.loads(body)
    values["scope"] = tuple(
        Match(match["field"], tuple(match["values"]), match["each"]) for match in values["scope"]
    )
    values["thresholds"] = tuple(_threshold(rung) for rung in values["thresholds"])
    return Limit(**values)


def _threshold(rung: Mapping[str, Any]) -> Threshold:
    models = tuple((asked, instead) for asked, instead in rung["models"])
    return Threshold(**{**rung, "models": models})


def entitlement_of(body: str) -> Entitlement:
    """Return the entitlement of a stored text."""
    values = json.loads(body)
    lists = {name: tuple(value) for name, value in values.items() if name != "plan"}
    return Entitlement(plan=values["plan"], **lists)


def version_of(row: sa.RowMapping) -> LimitVersion:
    """Return the version of a row of `limit_versions`."""
    limit = None if row["body"] is None else limit_of(row["body"])
    return LimitVersion(
        row["limit_id"], row["version"], limit, row["at"], row["actor"], row["reason"]
    )


def override_of(row: sa.RowMapping) -> Override:
    """Return the override of a row of `limit_overrides`."""
    return Override(**{name: value for name, value in row.items() if name != "created_at"})


def get_override(connection: sa.Connection, override_id: str) -> Override | None:
    """Return an override by its id."""
    table = LIMIT_OVERRIDES
    statement = sa.select(table).where(table.c.override_id == override_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else override_of(row)


def known_limits(connection: sa.Connection) -> dict[str, tuple[int, str | None]]:
    """Return version and text of each limit that ever was; no text where it was removed."""
    rows = connection.execute(sa.select(LIMITS)).mappings()
    return {r["limit_id"]: (r["version"], None if r["removed"] else r["body"]) for r in rows}


def put_limit(
    connection: sa.Connection,
    limit_id: str,
    limit: Limit | None,
    known: Mapping[str, tuple[int, str | None]],
    said: Mapping[str, Any],
) -> bool:
    """Write a limit, or that it was removed; return false if it is so already.

    `said` is when, by whom and why.
    """
    version, before = known.get(limit_id, (0, None))
    body = None if limit is None else body_of(limit)
    if body == before:
        return False
    values: dict[str, Any] = {"version": version + 1, "removed": body is None}
    if body is not None:
        values["body"] = body
    if version:
        this = LIMITS.c.limit_id == limit_id
        connection.execute(sa.update(LIMITS).where(this).values(values))
    else:
        connection.execute(sa.insert(LIMITS).values(limit_id=limit_id, **values))
    history = {"limit_id": limit_id, "version": version + 1, "body": body, **said}
    connection.execute(sa.insert(LIMIT_VERSIONS).values(history))
    return True


def entitlements(connection: sa.Connection) -> dict[str, Entitlement]:
    """Return what plans may use, by plan."""
    rows: Iterable[Any] = connection.execute(sa.select(ENTITLEMENTS))
    return {row.plan: entitlement_of(row.body) for row in rows}


def put_entitlement(connection: sa.Connection, plan: str, entitled: Entitlement | None) -> None:
    """Write what a plan may use in the place of what it might before, or take it away."""
    connection.execute(sa.delete(ENTITLEMENTS).where(ENTITLEMENTS.c.plan == plan))
    if entitled is not None:
        values = {"plan": plan, "body": body_of(entitled)}
        connection.execute(sa.insert(ENTITLEMENTS).values(values))
