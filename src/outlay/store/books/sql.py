"""`Books` on a relational database through SQLAlchemy Core.

Tenants, keys, dead letters and the audit log are here; prices are in `prices`, limits in `limits`
and `holds`, credits in `credits`, the gateway's keys in `virtual_keys`, users in `people`. Each
mutation is one transaction with its audit entry and its topic's new revision. A secret is only ever
seen as its SHA-256. It must not read the clock.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.context import clip
from outlay.errors import BadRequestError, ConflictError, NotFoundError
from outlay.store.base import AuditEntry, DeadLetter, Key, Tenant
from outlay.store.books import tenants
from outlay.store.books.checks import (
    MIN_SECRET_CHARACTERS,
    check_scopes,
    check_tenant,
    check_tenant_id,
    check_text,
    check_time,
)
from outlay.store.books.credits import SqlCredits
from outlay.store.books.currencies import SqlCurrencies
from outlay.store.books.engine import Database
from outlay.store.books.journal import changed, note, storable
from outlay.store.books.limits import SqlLimits
from outlay.store.books.people import SqlPeople
from outlay.store.books.prices import PriceBooks
from outlay.store.books.tables import (
    API_KEYS,
    AUDIT_LOG,
    DEAD_LETTER_COUNTS,
    DEAD_LETTERS,
    REVISIONS,
    TENANT_VERSIONS,
    TENANTS,
)
from outlay.store.books.views import SqlViews
from outlay.store.books.virtual_keys import SqlVirtualKeys

MAX_DEAD_LETTERS: Final = 10_000
"""The newest ones that are kept; counts by code go on."""
MAX_DEAD_LETTER_BYTES: Final = 4096
MAX_MESSAGE_BYTES: Final = 1024
MAX_LIST: Final = 10_000
"""Most rows any list of dead letters or audit entries gives."""
PREFIX_CHARACTERS: Final = 8
"""Characters of a secret that are kept to recognise it by."""


class SqlBooks(
    PriceBooks, SqlLimits, SqlCredits, SqlVirtualKeys, SqlViews, SqlCurrencies, SqlPeople
):
    """Books in the database at a URL: `sqlite:////path/books.db` or `postgresql://host/name`.

    Raises:
        ConfigError: the URL cannot be used.
        StorageBusyError: another process holds the file.
        UnavailableError: the database is unreachable, damaged, or made by a newer version.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url)

    def close(self) -> None:
        """Release everything; a second call does nothing."""
        self._database.close()

    def revision(self, topic: str) -> int:
        """Return a number that grows with each change of a topic.

        Topics are `tenants`, `keys`, `prices`, `limits`, `credits` and `virtual_keys`.
        """
        with self._database.read() as connection:
            number = connection.scalar(
                sa.select(REVISIONS.c.number).where(REVISIONS.c.topic == topic)
            )
        if number is None:
            raise ValueError(f"there is no topic {topic!r}")
        return int(number)

    # tenants

    def put_tenant(self, tenant: Tenant, *, actor: str, at: int) -> Tenant:
        """Add a version that holds from `tenant.valid_from`, ending the one before it.

        It ends where the next known version begins; `tenant.valid_to` is not read. A version that
        begins at the same time is replaced. Content that is in force then already changes nothing.

        Raises:
            BadRequestError: a part of the tenant is not valid.
        """
        check_tenant(tenant)
        check_time(at, "at")
        with self._database.write() as connection:
            history = tenants.history(connection, tenant.tenant_id)
            current = tenants.in_force(history, tenant.valid_from)
            if current is not None and tenants.same_content(current, tenant):
                return current
            after = [v.valid_from for v in history if v.valid_from > tenant.valid_from]
            version = replace(tenant, valid_to=min(after, default=None))
            if not history:
                row = {"tenant_id": tenant.tenant_id, "created_at": at}
                connection.execute(sa.insert(TENANTS).values(row))
            tenants.put_version(connection, version, current, at=at)
            before = None if current is None else tenants.as_details(current)
            details = {"after": tenants.as_details(version), "before": before}
            changed(connection, "tenants", actor, "tenant.put", tenant.tenant_id, at, details)
            return version

    def tenants(self, *, at: int | None = None) -> list[Tenant]:
        """Return the versions in force at a time, or all versions, by id and start."""
        table = TENANT_VERSIONS
        statement = sa.select(table).order_by(table.c.tenant_id, table.c.valid_from)
        if at is not None:
            statement = statement.where(
                table.c.valid_from <= at,
                sa.or_(table.c.valid_to.is_(None), table.c.valid_to > at),
            )
        with self._database.read() as connection:
            return [tenants.from_row(row) for row in connection.execute(statement).mappings()]

    def tenant_history(self, tenant_id: str) -> list[Tenant]:
        """Return all versions of a tenant, oldest first; none for an unknown one."""
        with self._database.read() as connection:
            return tenants.history(connection, tenant_id)

    # keys

    def create_key(
        self,
        *,
        name: str,
        scopes: Sequence[str],
        tenant_id: str | None,
        secret: str,
        actor: str,
        at: int,
        expires_at: int | None = None,
    ) -> Key:
        """Store the hash of a secret.

        Raises:
            BadRequestError: the name, a scope, the tenant or the expiry is not valid.
            ConflictError: the secret has been used before.
        """
        check_text(name, "name", required=True)
        if tenant_id is not None:
            check_tenant_id(tenant_id)
        if len(secret) < MIN_SECRET_CHARACTERS:
            raise BadRequestError(
                f"A secret has at least {MIN_SECRET_CHARACTERS} characters.", where="secret"
            )
        if expires_at is not None and check_time(expires_at, "expires_at") <= at:
            raise BadRequestError("`expires_at` must lie in the future.", where="expires_at")
        secret_hash = _hash(secret)
        key = Key(
            key_id=f"key_{secret_hash[:16]}",
            name=name,
            scopes=check_scopes(scopes, tenant_id=tenant_id),
            tenant_id=tenant_id,
            created_at=at,
            expires_at=expires_at,
            prefix=secret[:PREFIX_CHARACTERS],
        )
        row = {**asdict(key), "scopes": " ".join(key.scopes), "secret_hash": secret_hash}
        with self._database.write() as connection:
            used = API_KEYS.c.key_id == key.key_id
            if connection.scalar(sa.select(API_KEYS.c.key_id).where(used)) is not None:
                raise ConflictError("This secret has been used before.", where="secret")
            connection.execute(sa.insert(API_KEYS).values(row))
            details = {"name": name, "scopes": key.scopes, "tenant_id": tenant_id}
            changed(connection, "keys", actor, "key.create", key.key_id, at, details)
        return key

    def key_by_secret(self, secret: str) -> Key | None:
        """Return the key of a secret, revoked or expired ones included."""
        wanted = _hash(secret)
        statement = sa.select(API_KEYS).where(API_KEYS.c.secret_hash == wanted)
        with self._database.read() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        if row is None or not hmac.compare_digest(row["secret_hash"], wanted):
            return None
        return _key(row)

    def keys(self) -> list[Key]:
        """Return all keys, newest first."""
        order = (API_KEYS.c.created_at.desc(), API_KEYS.c.key_id)
        with self._database.read() as connection:
            return [
                _key(row)
                for row in connection.execute(sa.select(API_KEYS).order_by(*order)).mappings()
            ]

    def revoke_key(self, key_id: str, *, actor: str, at: int) -> Key:
        """Revoke a key at once; a revoked one stays as it is. Raises `NotFoundError`."""
        this = API_KEYS.c.key_id == key_id
        with self._database.write() as connection:
            row = connection.execute(sa.select(API_KEYS).where(this)).mappings().one_or_none()
            if row is None:
                raise NotFoundError("There is no such key.", where="key_id")
            key = _key(row)
            if key.revoked_at is not None:
                return key
            connection.execute(sa.update(API_KEYS).where(this).values(revoked_at=at))
            changed(connection, "keys", actor, "key.revoke", key_id, at, {"name": key.name})
        return replace(key, revoked_at=at)

    def keys_used(self, used: Mapping[str, int]) -> None:
        """Note when keys were last used, by key id; not a mutation, so not audited."""
        if not used:
            return
        last = API_KEYS.c.last_used_at
        statement = (
            sa.update(API_KEYS)
            .where(API_KEYS.c.key_id == sa.bindparam("id"))
            .where(sa.or_(last.is_(None), last < sa.bindparam("at")))
            .values(last_used_at=sa.bindparam("at"))
        )
        with self._database.write() as connection:
            connection.execute(statement, [{"id": key, "at": at} for key, at in used.items()])

    # audit log and dead letters

    def note(
        self, action: str, subject: str, details: Mapping[str, Any], *, actor: str, at: int
    ) -> None:
        """Write an audit entry of something done outside of the books."""
        with self._database.write() as connection:
            note(connection, actor, action, subject, at, details)

    def audit(self, *, limit: int = 100, action: str = "") -> list[AuditEntry]:
        """Return the newest mutations, newest first; of one action, if named."""
        table = AUDIT_LOG
        statement = sa.select(table).order_by(table.c.entry_id.desc()).limit(_bounded(limit))
        if action:
            statement = statement.where(table.c.action == action)
        with self._database.read() as connection:
            return [
                AuditEntry(row.at, row.actor, row.action, row.subject, json.loads(row.details))
                for row in connection.execute(statement)
            ]

    def dead_letter(self, letters: Sequence[DeadLetter]) -> None:
        """Keep what could not be stored; the oldest go when the bound is passed."""
        if not letters:
            return
        table, newest = DEAD_LETTERS, letters[-MAX_DEAD_LETTERS:]
        counts = Counter(clip(storable(letter.code), 64) for letter in letters)
        with self._database.write() as connection:
            connection.execute(sa.insert(table), [_letter_row(letter) for letter in newest])
            last = connection.scalar(sa.select(sa.func.max(table.c.letter_id))) or 0
            connection.execute(sa.delete(table).where(table.c.letter_id <= last - MAX_DEAD_LETTERS))
            for code, number in sorted(counts.items()):
                _count(connection, code, number)

    def dead_letters(self, *, limit: int = 100) -> list[DeadLetter]:
        """Return the newest dead letters, newest first."""
        table = DEAD_LETTERS
        statement = sa.select(table).order_by(table.c.letter_id.desc()).limit(_bounded(limit))
        with self._database.read() as connection:
            return [
                DeadLetter(row.at, row.source, row.code, row.message, row.payload)
                for row in connection.execute(statement)
            ]

    def dead_letter_counts(self) -> dict[str, int]:
        """Return counts by code since the beginning, trimmed ones included."""
        table = DEAD_LETTER_COUNTS
        with self._database.read() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.code)).mappings()
            return {row["code"]: row["count"] for row in rows}


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _bounded(limit: int) -> int:
    return max(0, min(limit, MAX_LIST))


def _count(connection: sa.Connection, code: str, number: int) -> None:
    table = DEAD_LETTER_COUNTS
    total = table.c["count"]
    changed = connection.execute(
        sa.update(table).where(table.c.code == code).values(count=total + number)
    )
    if not changed.rowcount:
        connection.execute(sa.insert(table).values(code=code, count=number))


def _letter_row(letter: DeadLetter) -> dict[str, Any]:
    return {
        "at": letter.at,
        "source": clip(storable(letter.source)),
        "code": clip(storable(letter.code), 64),
        "message": clip(storable(letter.message), MAX_MESSAGE_BYTES),
        "payload": clip(storable(letter.payload), MAX_DEAD_LETTER_BYTES),
    }


def _key(row: sa.RowMapping) -> Key:
    values = {name: value for name, value in row.items() if name != "secret_hash"}
    return Key(**{**values, "scopes": tuple(row["scopes"].split())})
