"""The part of `Books` that keeps limits: definitions with their history, overrides, entitlements.

Each mutation is one transaction with its audit entry and the new revision of `limits`. What is held
and used is in `holds`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.limits.limit import MAX_AMOUNT, MAX_LIMITS, Entitlement, Limit, Override
from outlay.errors import BadRequestError, ConflictError, NotFoundError
from outlay.store.books import limit_rows
from outlay.store.books.checks import check_text, check_time
from outlay.store.books.holds import MAX_ROWS_LISTED, SqlHolds
from outlay.store.books.journal import changed
from outlay.store.books.limit_tables import LIMIT_OVERRIDES, LIMIT_VERSIONS, LIMITS
from outlay.store.limits import LimitChange, LimitVersion

MAX_ID_CHARACTERS: Final = 128
MAX_AUDITED_IDS: Final = 100
"""Ids that an audit entry names; the counts are of all."""


class SqlLimits(SqlHolds):
    """The methods of `store.limits.LimitBooks`, on `self._database`."""

    def limits(self) -> list[Limit]:
        """Return all limits, by priority and id."""
        statement = sa.select(LIMITS.c.body).where(LIMITS.c.removed.is_(sa.false()))
        with self._database.read() as connection:
            found = [limit_rows.limit_of(body) for body in connection.scalars(statement)]
        return sorted(found, key=lambda limit: (limit.priority, limit.limit_id))

    def entitlements(self) -> list[Entitlement]:
        """Return what plans may use, by plan."""
        with self._database.read() as connection:
            found = limit_rows.entitlements(connection)
        return [found[plan] for plan in sorted(found)]

    def change_limits(self, change: LimitChange, *, reason: str, actor: str, at: int) -> int:
        """Write a change with its audit entry; return how many things changed.

        Equal content changes nothing. The topic `limits` of `revision` moves. Usage stays.

        Raises:
            NotFoundError: a limit or plan to remove is unknown.
            BadRequestError: there is no reason, or there would be more than `MAX_LIMITS`.
        """
        check_text(reason, "reason", required=True)
        check_time(at, "at")
        with self._database.write() as connection:
            limits = _change_limits(
                connection, change, {"at": at, "actor": actor, "reason": reason}
            )
            plans = _change_plans(connection, change)
            if limits or plans:
                details = {
                    "reason": reason,
                    "limits": limits[:MAX_AUDITED_IDS],
                    "plans": plans[:MAX_AUDITED_IDS],
                    "changed": len(limits) + len(plans),
                }
                changed(connection, "limits", actor, "limits.change", reason, at, details)
        return len(limits) + len(plans)

    def limit_history(self, limit_id: str) -> list[LimitVersion]:
        """Return every version of a limit, the newest first."""
        table = LIMIT_VERSIONS
        statement = (
            sa.select(table)
            .where(table.c.limit_id == limit_id)
            .order_by(table.c.version.desc())
            .limit(MAX_ROWS_LISTED)
        )
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings()
            return [limit_rows.version_of(row) for row in rows]

    # overrides

    def overrides(self, *, at: int | None = None) -> list[Override]:
        """Return the overrides that hold at a time, or all that ever were, the newest first."""
        table = LIMIT_OVERRIDES
        order = (table.c.created_at.desc(), table.c.override_id)
        statement = sa.select(table).order_by(*order).limit(MAX_ROWS_LISTED)
        if at is not None:
            statement = statement.where(
                table.c.starts_at <= at, table.c.ends_at > at, table.c.revoked_at.is_(None)
            )
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings()
            return [limit_rows.override_of(row) for row in rows]

    def put_override(self, override: Override, *, at: int) -> Override:
        """Write an override with its audit entry; the same id and content again changes nothing.

        Raises:
            BadRequestError: a part of it is not valid.
            NotFoundError: there is no such limit.
            ConflictError: the id was used with other content.
        """
        _check_override(override)
        with self._database.write() as connection:
            known = limit_rows.get_override(connection, override.override_id)
            if known is not None:
                if replace(known, revoked_at=override.revoked_at) != override:
                    raise ConflictError(
                        "This override id was used with other content.", where="override_id"
                    )
                return known
            if limit_rows.known_limits(connection).get(override.limit_id, (0, None))[1] is None:
                raise NotFoundError("There is no such limit.", where="limit_id")
            row = {**asdict(override), "created_at": at}
            connection.execute(sa.insert(LIMIT_OVERRIDES).values(row))
            details = asdict(override)
            changed(
                connection, "limits", override.actor, "limits.override", override.limit_id, at,
                details,
            )  # fmt: skip
        return override

    def revoke_override(self, override_id: str, *, reason: str, actor: str, at: int) -> Override:
        """End an override now; one that was ended stays as it is.

        Raises:
            BadRequestError: there is no reason.
            NotFoundError: there is no such override.
        """
        check_text(reason, "reason", required=True)
        with self._database.write() as connection:
            known = limit_rows.get_override(connection, override_id)
            if known is None:
                raise NotFoundError("There is no such override.", where="override_id")
            if known.revoked_at is not None:
                return known
            this = LIMIT_OVERRIDES.c.override_id == override_id
            connection.execute(sa.update(LIMIT_OVERRIDES).where(this).values(revoked_at=at))
            details = {"override_id": override_id, "reason": reason}
            changed(connection, "limits", actor, "limits.revoke", known.limit_id, at, details)
        return replace(known, revoked_at=at)


def _change_limits(
    connection: sa.Connection, change: LimitChange, said: dict[str, Any]
) -> list[str]:
    known = limit_rows.known_limits(connection)
    _check_known(change.removed, {i for i, (_, body) in known.items() if body}, "limit")
    wanted: dict[str, Limit | None] = dict.fromkeys(change.removed)
    wanted.update({limit.limit_id: limit for limit in change.limits})
    done = [
        limit_id
        for limit_id, limit in sorted(wanted.items())
        if limit_rows.put_limit(connection, limit_id, limit, known, said)
    ]
    there = {limit_id for limit_id, (_, body) in known.items() if body is not None}
    there |= {limit_id for limit_id, limit in wanted.items() if limit is not None}
    there -= {limit_id for limit_id, limit in wanted.items() if limit is None}
    _check_number(len(there), "limits")
    return done


def _change_plans(connection: sa.Connection, change: LimitChange) -> list[str]:
    if not change.entitlements and not change.removed_plans:
        return []
    known = limit_rows.entitlements(connection)
    _check_known(change.removed_plans, set(known), "plan")
    wanted: dict[str, Entitlement | None] = dict.fromkeys(change.removed_plans)
    wanted.update({entitled.plan: entitled for entitled in change.entitlements})
    done = [plan for plan, entitled in sorted(wanted.items()) if known.get(plan) != entitled]
    for plan in done:
        limit_rows.put_entitlement(connection, plan, wanted[plan])
    _check_number(len(limit_rows.entitlements(connection)), "entitlements")
    return done


def _check_known(removed: tuple[str, ...], known: set[str], what: str) -> None:
    missing = sorted(set(removed) - known)
    if missing:
        raise NotFoundError(f"There is no {what} {missing[0]!r} to remove.", where="removed")


def _check_number(number: int, what: str) -> None:
    if number > MAX_LIMITS:
        raise BadRequestError(f"There may be at most {MAX_LIMITS} {what}.", where=what)


def _check_override(override: Override) -> None:
    check_text(override.override_id, "override_id", required=True)
    if len(override.override_id) > MAX_ID_CHARACTERS:
        raise BadRequestError(
            f"An override id has at most {MAX_ID_CHARACTERS} characters.", where="override_id"
        )
    check_text(override.reason, "reason", required=True)
    check_text(override.actor, "actor")
    check_time(override.starts_at, "starts_at")
    check_time(override.ends_at, "ends_at")
    if override.ends_at <= override.starts_at:
        raise BadRequestError("An override ends after it starts.", where="ends_at")
    if not 0 <= override.amount <= MAX_AMOUNT:
        raise BadRequestError(f"An amount is 0 to {MAX_AMOUNT}.", where="amount")
