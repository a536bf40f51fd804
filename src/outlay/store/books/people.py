"""The part of `Books` that keeps users: made and changed, each with an audit entry.

What a user has open ends in the transaction that takes rights from him. A password is only ever
seen hashed, and its hash is in no answer but that of `user_by_email`.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Final

import sqlalchemy as sa

from outlay.errors import BadRequestError, ConflictError, NotFoundError, TooLargeError
from outlay.store.books.checks import check_time
from outlay.store.books.engine import Database
from outlay.store.books.journal import note
from outlay.store.books.people_rules import check_email, check_user
from outlay.store.books.people_sessions import SqlSessions, end_all, get_user, user_of
from outlay.store.books.people_tables import USERS
from outlay.store.people import MAX_USERS, User, UserChange

MAX_LISTED: Final = 10_000

_ENDS: Final = ("role", "tenant_id", "password_hash")
"""A change of one of them ends what the user has open."""


class SqlPeople(SqlSessions):
    """The methods of `store.people.PeopleBooks`, on `self._database`."""

    _database: Database

    def create_user(
        self, user: User, *, actor: str, at: int, password_hash: str | None = None
    ) -> User:
        """Add a user, who is created `at`, not disabled, and was never seen.

        Raises:
            BadRequestError: a part of him is not valid.
            ConflictError: the id or the e-mail is taken.
            TooLargeError: there are `MAX_USERS` already.
        """
        check_time(at, "at")
        made = replace(
            user,
            email=check_email(user.email),
            disabled=False,
            created_at=at,
            last_seen_at=None,
            way="password" if password_hash else user.way,
        )
        check_user(made)
        with self._database.write() as connection:
            taken = sa.or_(USERS.c.email == made.email, USERS.c.user_id == made.user_id)
            if connection.scalar(sa.select(USERS.c.user_id).where(taken)) is not None:
                raise ConflictError(
                    "There is a user with this e-mail.", where="email", hint="Change that user."
                )
            number = connection.scalar(sa.select(sa.func.count()).select_from(USERS))
            if int(number or 0) >= MAX_USERS:
                raise TooLargeError(
                    f"There may be at most {MAX_USERS} users.",
                    hint="Let a provider of portal links stand for people of tenants.",
                )
            row = {**asdict(made), "password_hash": password_hash}
            connection.execute(sa.insert(USERS).values(row))
            details = {**_told(made), "password": password_hash is not None}
            note(connection, actor, "user.create", made.user_id, at, details)
        return made

    def change_user(self, user_id: str, change: UserChange, *, actor: str, at: int) -> User:
        """Change a user; another role, tenant or password, or disabling, ends what he has open.

        Raises:
            BadRequestError: a part is not valid.
            NotFoundError: there is no such user.
        """
        check_time(at, "at")
        wanted = {name: value for name, value in asdict(change).items() if value is not None}
        if wanted.get("role", "tenant") != "tenant":
            wanted.setdefault("tenant_id", None)
        if "password_hash" in wanted:
            wanted["way"] = "password"
        with self._database.write() as connection:
            before = get_user(connection, user_id)
            if before is None:
                raise NotFoundError("There is no such user.", where="user_id")
            known = {name: value for name, value in wanted.items() if name != "password_hash"}
            after = replace(before, **known)
            check_user(after)
            if after == before and "password_hash" not in wanted:
                return before
            this = USERS.c.user_id == user_id
            connection.execute(sa.update(USERS).where(this).values(wanted))
            lost = any(name in wanted and wanted[name] != getattr(before, name, None)
                       for name in _ENDS)  # fmt: skip
            if lost or (after.disabled and not before.disabled):
                end_all(connection, user_id)
            details = {
                "before": _told(before), "after": _told(after),
                "password": "password_hash" in wanted,
            }  # fmt: skip
            note(connection, actor, "user.change", user_id, at, details)
        return after

    def user(self, user_id: str) -> User | None:
        """Return a user by id."""
        with self._database.read() as connection:
            return get_user(connection, user_id)

    def user_by_email(self, email: str) -> tuple[User, str | None] | None:
        """Return a user by e-mail, however it is written, with the hash of his password."""
        try:
            folded = check_email(email)
        except BadRequestError:
            return None
        statement = sa.select(USERS).where(USERS.c.email == folded)
        with self._database.read() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        return None if row is None else (user_of(row), row["password_hash"])

    def users(self, *, limit: int = 1000) -> list[User]:
        """Return users, the newest first."""
        statement = sa.select(USERS).order_by(USERS.c.created_at.desc(), USERS.c.email)
        statement = statement.limit(max(0, min(limit, MAX_LISTED)))
        with self._database.read() as connection:
            return [user_of(row) for row in connection.execute(statement).mappings()]

    def has_passwords(self) -> bool:
        """Tell whether anybody can sign in with a password."""
        statement = (
            sa.select(USERS.c.user_id)
            .where(USERS.c.password_hash.is_not(None), USERS.c.disabled.is_(False))
            .limit(1)
        )
        with self._database.read() as connection:
            return connection.scalar(statement) is not None

    def rehash(self, user_id: str, *, old: str, new: str) -> None:
        """Keep another hash of the same password, unless the password changed since."""
        this = sa.and_(USERS.c.user_id == user_id, USERS.c.password_hash == old)
        with self._database.write() as connection:
            connection.execute(sa.update(USERS).where(this).values(password_hash=new))


def _told(user: User) -> dict[str, Any]:
    """Return what the audit log tells of a user."""
    return {
        name: getattr(user, name) for name in ("email", "name", "role", "tenant_id", "disabled")
    }
