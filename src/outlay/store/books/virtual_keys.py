"""The part of `Books` that keeps virtual keys: made, rotated, revoked, and what changed since.

Each mutation is one transaction with its audit entry and the new revision of `virtual_keys`, which
the rows that it touched keep. A secret is only ever seen as its SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.virtual_keys import MAX_KEYS, VirtualKey, secret_hash
from outlay.errors import ConflictError, NotFoundError, TooLargeError
from outlay.store.books.checks import check_time
from outlay.store.books.engine import Database
from outlay.store.books.journal import changed
from outlay.store.books.tables import REVISIONS
from outlay.store.books.virtual_key_rules import check_grace, check_secret, check_terms
from outlay.store.books.virtual_key_tables import VIRTUAL_KEYS
from outlay.store.virtual_keys import TOPIC, KeyChanges, KeyTerms

MAX_LISTED: Final = 10_000
MIN_CHANGES: Final = 2
"""Rows that one revision may have touched: a list of changes never ends between them."""
ID_CHARACTERS: Final = 16
"""Of a secret's hash, in the id of its key."""
PREFIX_CHARACTERS: Final = 8
"""Characters of a secret that are kept to recognise it by."""


class SqlVirtualKeys:
    """The methods of `store.virtual_keys.VirtualKeyBooks`, on `self._database`."""

    _database: Database

    def create_virtual_key(
        self, terms: KeyTerms, *, secret: str, actor: str, at: int
    ) -> VirtualKey:
        """Store the hash of a secret with its terms.

        Raises:
            BadRequestError: a part of the terms is not valid.
            ConflictError: the secret has been used before.
            TooLargeError: `MAX_KEYS` keys are of use already.
        """
        check_time(at, "at")
        check_terms(terms, at=at)
        check_secret(secret)
        key = _made(terms, secret, at=at)
        with self._database.write() as connection:
            number = _next_revision(connection)
            _check_room(connection, number, at=at)
            _insert(connection, key, number)
            details = asdict(terms)
            changed(connection, TOPIC, actor, "virtual_key.create", key.key_id, at, details)
        return key

    def rotate_virtual_key(
        self, key_id: str, *, secret: str, grace_us: int, actor: str, at: int,
        expires_at: int | None = None,
    ) -> tuple[VirtualKey, VirtualKey]:  # fmt: skip
        """Make a key of the same terms in the place of one that ends after a grace time.

        Returns the new key and the old one.

        Raises:
            BadRequestError: the grace time or the expiry is not valid.
            NotFoundError: there is no such key.
            ConflictError: the key is of no use any more or ends already, or the secret was used.
        """
        check_time(at, "at")
        check_grace(grace_us)
        check_secret(secret)
        with self._database.write() as connection:
            old = _found(connection, key_id)
            _check_rotates(old, at)
            terms = KeyTerms(**{name: getattr(old, name) for name in KeyTerms.__slots__})
            if expires_at is not None:
                terms = replace(terms, expires_at=expires_at)
                check_terms(terms, at=at)
            key = replace(_made(terms, secret, at=at), replaces=key_id)
            number = _next_revision(connection)
            _check_room(connection, number, at=at)
            _insert(connection, key, number)
            _end(connection, key_id, at + grace_us, number)
            details = {"name": key.name, "replaced_by": key.key_id, "revoked_at": at + grace_us}
            changed(connection, TOPIC, actor, "virtual_key.rotate", key_id, at, details)
        return key, replace(old, revoked_at=at + grace_us)

    def revoke_virtual_key(
        self, key_id: str, *, actor: str, at: int, revoked_at: int | None = None
    ) -> VirtualKey:
        """End a key now or at a time ahead; its end never moves to a later time.

        Raises:
            BadRequestError: the time is not valid.
            NotFoundError: there is no such key.
        """
        check_time(at, "at")
        ends = max(at, at if revoked_at is None else check_time(revoked_at, "revoked_at"))
        with self._database.write() as connection:
            key = _found(connection, key_id)
            if key.revoked_at is not None and key.revoked_at <= ends:
                return key
            _end(connection, key_id, ends, _next_revision(connection))
            details = {"name": key.name, "revoked_at": ends}
            changed(connection, TOPIC, actor, "virtual_key.revoke", key_id, at, details)
        return replace(key, revoked_at=ends)

    def virtual_key(self, key_id: str) -> VirtualKey | None:
        """Return a key by its id."""
        with self._database.read() as connection:
            return _get(connection, key_id)

    def virtual_keys(
        self, *, tenant_id: str | None = None, usable_at: int | None = None, limit: int = 1000
    ) -> list[VirtualKey]:
        """Return keys, the newest first: of a tenant, and those of use at a time, if said."""
        table = VIRTUAL_KEYS
        statement = sa.select(table).order_by(table.c.created_at.desc(), table.c.key_id)
        statement = statement.limit(max(0, min(limit, MAX_LISTED)))
        if tenant_id is not None:
            statement = statement.where(table.c.tenant_id == tenant_id)
        if usable_at is not None:
            statement = statement.where(*_usable(usable_at))
        with self._database.read() as connection:
            return [_key(row) for row in connection.execute(statement).mappings()]

    def virtual_key_changes(
        self, after: int, *, limit: int, tenant_id: str | None = None
    ) -> KeyChanges:
        """Return about so many keys that changed after a revision, of one tenant if named."""
        most = max(MIN_CHANGES, min(limit, MAX_LISTED))
        with self._database.read() as connection:
            revision = _next_revision(connection) - 1
            known = after if 0 <= after <= revision else 0
            table = VIRTUAL_KEYS
            statement = (
                sa.select(table)
                .where(table.c.changed > known)
                .order_by(table.c.changed, table.c.key_id)
                .limit(most + 1)
            )
            if tenant_id is not None:
                statement = statement.where(table.c.tenant_id == tenant_id)
            rows: Sequence[sa.RowMapping] = connection.execute(statement).mappings().all()
        complete = len(rows) <= most
        if not complete:
            cut = rows[most]["changed"]
            rows = [row for row in rows if row["changed"] < cut]
            revision = rows[-1]["changed"]
        return KeyChanges(known, revision, tuple(_key(row) for row in rows), complete)


def _made(terms: KeyTerms, secret: str, *, at: int) -> VirtualKey:
    hashed = secret_hash(secret)
    return VirtualKey(
        key_id=f"vk_{hashed[:ID_CHARACTERS]}",
        secret_hash=hashed,
        created_at=at,
        prefix=secret[:PREFIX_CHARACTERS],
        **{name: getattr(terms, name) for name in KeyTerms.__slots__},
    )


def _key(row: sa.RowMapping) -> VirtualKey:
    values: dict[str, Any] = {name: value for name, value in row.items() if name != "changed"}
    for name in ("upstreams", "models"):
        values[name] = tuple(json.loads(values[name]))
    return VirtualKey(**values)


def _get(connection: sa.Connection, key_id: str) -> VirtualKey | None:
    statement = sa.select(VIRTUAL_KEYS).where(VIRTUAL_KEYS.c.key_id == key_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else _key(row)


def _found(connection: sa.Connection, key_id: str) -> VirtualKey:
    key = _get(connection, key_id)
    if key is None:
        raise NotFoundError("There is no such virtual key.", where="key_id")
    return key


def _next_revision(connection: sa.Connection) -> int:
    number = connection.scalar(sa.select(REVISIONS.c.number).where(REVISIONS.c.topic == TOPIC))
    return int(number or 0) + 1


def _usable(at: int) -> tuple[sa.ColumnElement[bool], ...]:
    return tuple(
        sa.or_(column.is_(None), column > at)
        for column in (VIRTUAL_KEYS.c.revoked_at, VIRTUAL_KEYS.c.expires_at)
    )


def _check_room(connection: sa.Connection, number: int, *, at: int) -> None:
    # There are at most as many keys as there were changes: most books need no counting.
    if number <= MAX_KEYS:
        return
    statement = sa.select(sa.func.count()).select_from(VIRTUAL_KEYS).where(*_usable(at))
    if int(connection.scalar(statement) or 0) >= MAX_KEYS:
        raise TooLargeError(
            f"There may be at most {MAX_KEYS} virtual keys of use at the same time.",
            hint="Revoke some that nobody uses, or let keys expire.",
        )


def _check_rotates(key: VirtualKey, at: int) -> None:
    problem = key.problem(at)
    if problem:
        raise ConflictError(
            f"The key is {problem}: it cannot be rotated.", where="key_id", hint="Make a new key."
        )
    if key.revoked_at is not None:
        raise ConflictError(
            "The key ends already.", where="key_id", hint="Rotate the key that took its place."
        )


def _insert(connection: sa.Connection, key: VirtualKey, number: int) -> None:
    used = VIRTUAL_KEYS.c.key_id == key.key_id
    if connection.scalar(sa.select(VIRTUAL_KEYS.c.key_id).where(used)) is not None:
        raise ConflictError("This secret has been used before.", where="secret")
    lists = {name: json.dumps(getattr(key, name)) for name in ("upstreams", "models")}
    row = {**asdict(key), **lists, "changed": number}
    connection.execute(sa.insert(VIRTUAL_KEYS).values(row))


def _end(connection: sa.Connection, key_id: str, revoked_at: int, number: int) -> None:
    this = VIRTUAL_KEYS.c.key_id == key_id
    values = {"revoked_at": revoked_at, "changed": number}
    connection.execute(sa.update(VIRTUAL_KEYS).where(this).values(values))
