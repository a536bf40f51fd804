"""The part of `Books` that keeps sessions and sign-in links, by the hash of their tokens.

A link is used up in the transaction that finds it, so that of two who bring it one gets in.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any, Final

import sqlalchemy as sa

from outlay.errors import ConflictError, NotFoundError
from outlay.store.books.checks import check_time
from outlay.store.books.engine import Database
from outlay.store.books.journal import note
from outlay.store.books.people_rules import check_token
from outlay.store.books.people_tables import SESSIONS, SIGN_IN_LINKS, USERS
from outlay.store.people import (
    MAX_LINKS_PER_USER,
    MAX_SESSIONS_PER_USER,
    SEEN_STEP_US,
    SESSION_LIFE_US,
    Session,
    SessionWay,
    User,
)

_SESSION: Final = tuple(Session.__slots__)
_USER: Final = tuple(User.__slots__)


class SqlSessions:
    """The sessions and links of `store.people.PeopleBooks`, on `self._database`."""

    _database: Database

    def open_session(
        self, user_id: str, *, token: str, way: SessionWay, at: int, instead: str = "",
        password_hash: str | None = None,
    ) -> Session | None:  # fmt: skip
        """Sign a user in, in the place of the session `instead`, with an audit entry.

        `None` when there is no such user, when he is disabled, or when his password is another one
        than that of the hash, if said.
        """
        check_time(at, "at")
        check_token(token)
        made = Session(user_id, at, at, at + SESSION_LIFE_US, way)
        with self._database.write() as connection:
            this = USERS.c.user_id == user_id
            row = connection.execute(sa.select(USERS).where(this)).mappings().one_or_none()
            if row is None or row["disabled"]:
                return None
            if password_hash is not None and row["password_hash"] != password_hash:
                return None
            if instead:
                _end(connection, instead)
            _make_room(connection, SESSIONS, user_id, MAX_SESSIONS_PER_USER, at=at)
            values = {name: getattr(made, name) for name in _SESSION}
            connection.execute(sa.insert(SESSIONS).values(token_hash=_hash(token), **values))
            connection.execute(sa.update(USERS).where(this).values(last_seen_at=at))
            user = user_of(row)
            note(connection, user.actor, "user.sign_in", user_id, at, {"way": way})
        return made

    def session(self, token: str, *, at: int, idle_us: int) -> tuple[User, Session] | None:
        """Return whose session it is; `None` if it ended, was not used for long, or never was."""
        wanted = _hash(token)
        statement = (
            sa.select(
                SESSIONS.c.token_hash,
                *(SESSIONS.c[name].label(f"session_{name}") for name in _SESSION),
                USERS,
            )
            .join(USERS, USERS.c.user_id == SESSIONS.c.user_id)
            .where(SESSIONS.c.token_hash == wanted)
        )
        with self._database.read() as connection:
            row = connection.execute(statement).mappings().one_or_none()
        if row is None or not hmac.compare_digest(row["token_hash"], wanted):
            return None
        found = Session(**{name: row[f"session_{name}"] for name in _SESSION})
        if row["disabled"] or found.ends_at <= at or found.seen_at + idle_us <= at:
            return None
        return user_of(row), found

    def session_seen(self, token: str, *, at: int) -> None:
        """Note when a session and its user were last seen; not a mutation, so not audited."""
        mine = SESSIONS.c.token_hash == _hash(token)
        with self._database.write() as connection:
            late = sa.and_(mine, SESSIONS.c.seen_at <= at - SEEN_STEP_US)
            statement = sa.update(SESSIONS).where(late).values(seen_at=at)
            if not connection.execute(statement).rowcount:
                return  # another request of the same browser was first
            owner = sa.select(SESSIONS.c.user_id).where(mine).scalar_subquery()
            this = USERS.c.user_id == owner
            connection.execute(sa.update(USERS).where(this).values(last_seen_at=at))

    def end_session(self, token: str) -> None:
        """End a session; one that is not there is ended already."""
        with self._database.write() as connection:
            _end(connection, token)

    def create_link(self, user_id: str, *, token: str, ends_at: int, actor: str, at: int) -> None:
        """Let whoever brings the token once, before it ends, sign in as a user.

        Raises:
            NotFoundError: there is no such user.
            ConflictError: he is disabled.
        """
        check_time(at, "at")
        check_time(ends_at, "ends_at")
        check_token(token)
        with self._database.write() as connection:
            user = get_user(connection, user_id)
            if user is None:
                raise NotFoundError("There is no such user.", where="user_id")
            if user.disabled:
                raise ConflictError(
                    "The user is disabled.", where="user_id", hint="Enable the user first."
                )
            _make_room(connection, SIGN_IN_LINKS, user_id, MAX_LINKS_PER_USER, at=at)
            row = {
                "token_hash": _hash(token), "user_id": user_id, "created_at": at,
                "ends_at": ends_at,
            }  # fmt: skip
            connection.execute(sa.insert(SIGN_IN_LINKS).values(row))
            details = {"email": user.email, "ends_at": ends_at}
            note(connection, actor, "user.link", user_id, at, details)

    def use_link(self, token: str, *, at: int) -> User | None:
        """Use up a link and return whose it is; `None` if it is used, over, or never was."""
        this = SIGN_IN_LINKS.c.token_hash == _hash(token)
        with self._database.read() as connection:
            # Whoever brings anything at all must not keep those waiting who write.
            if connection.execute(sa.select(SIGN_IN_LINKS).where(this)).first() is None:
                return None
        with self._database.write() as connection:
            row = connection.execute(sa.select(SIGN_IN_LINKS).where(this)).mappings().one_or_none()
            if row is None:
                return None
            connection.execute(sa.delete(SIGN_IN_LINKS).where(this))
            user = get_user(connection, row["user_id"])
        if user is None or user.disabled or row["ends_at"] <= at:
            return None
        return user


def user_of(row: sa.RowMapping) -> User:
    """Return a user of a row of `users`."""
    return User(**{name: row[name] for name in _USER})


def get_user(connection: sa.Connection, user_id: str) -> User | None:
    """Return a user by id."""
    statement = sa.select(USERS).where(USERS.c.user_id == user_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else user_of(row)


def end_all(connection: sa.Connection, user_id: str) -> None:
    """End the sessions of a user, and drop the links to sign in as him."""
    for table in (SESSIONS, SIGN_IN_LINKS):
        connection.execute(sa.delete(table).where(table.c.user_id == user_id))


def _end(connection: sa.Connection, token: str) -> None:
    connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.token_hash == _hash(token)))


def _make_room(connection: sa.Connection, table: Any, user_id: str, most: int, *, at: int) -> None:
    """Drop what is over, of everybody, and the user's oldest, so that one more has its place."""
    connection.execute(sa.delete(table).where(table.c.ends_at <= at))
    newest = (
        sa.select(table.c.token_hash)
        .where(table.c.user_id == user_id)
        .order_by(table.c.created_at.desc(), table.c.token_hash)
        .limit(most - 1)
    )
    kept = list(connection.scalars(newest))
    extra = sa.and_(table.c.user_id == user_id, table.c.token_hash.not_in(kept))
    connection.execute(sa.delete(table).where(extra))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
