"""The part of `Books` that keeps saved views."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import Final

import sqlalchemy as sa

from outlay.errors import BadRequestError, ConflictError, NotFoundError, TooLargeError
from outlay.store import views as contract
from outlay.store.books.checks import check_text, check_time
from outlay.store.books.engine import Database
from outlay.store.books.looking_tables import SAVED_VIEWS
from outlay.store.views import View

_VIEW_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~%@:+-][A-Za-z0-9._~%@:+/-]*)?")
"""A place on this server: no other host, and nothing that a browser reads as one."""


class SqlViews:
    """The methods of `store.views.ViewBooks`, on `self._database`."""

    _database: Database

    def views(self, owner: str, *, shared: bool) -> list[View]:
        """Return an owner's views, and with `shared` what others share, by name."""
        table = SAVED_VIEWS
        wanted: sa.ColumnElement[bool] = table.c.owner == owner
        if shared:
            wanted = sa.or_(wanted, table.c.shared)
        statement = sa.select(table).where(wanted).order_by(table.c.name, table.c.view_id)
        with self._database.read() as connection:
            return [View(**row) for row in connection.execute(statement).mappings()]

    def view(self, view_id: str) -> View | None:
        """Return a view by its id, whoever's it is."""
        with self._database.read() as connection:
            return _get(connection, view_id)

    def add_view(self, view: View) -> View:
        """Keep a new view; the same one again changes nothing.

        Raises:
            BadRequestError: a part of it is not valid.
            ConflictError: the id is used.
            TooLargeError: the owner, or all together, have as many as may be.
        """
        _check(view)
        with self._database.write() as connection:
            known = _get(connection, view.view_id)
            if known is not None:
                if replace(known, updated_at=view.updated_at) == view:
                    return known
                raise ConflictError("This id is used by another view.", where="view_id")
            _check_room(connection, view.owner)
            connection.execute(sa.insert(SAVED_VIEWS).values(asdict(view)))
        return view

    def change_view(self, view: View) -> View:
        """Put a view in the place of the one with its id; the owner stays.

        Raises:
            BadRequestError: a part of it is not valid.
            NotFoundError: there is no such view.
        """
        _check(view)
        with self._database.write() as connection:
            known = _get(connection, view.view_id)
            if known is None:
                raise _none()
            changed = replace(view, owner=known.owner)
            this = SAVED_VIEWS.c.view_id == view.view_id
            connection.execute(sa.update(SAVED_VIEWS).where(this).values(asdict(changed)))
        return changed

    def drop_view(self, view_id: str) -> None:
        """Forget a view. Raises `NotFoundError`."""
        with self._database.write() as connection:
            if _get(connection, view_id) is None:
                raise _none()
            this = SAVED_VIEWS.c.view_id == view_id
            connection.execute(sa.delete(SAVED_VIEWS).where(this))


def _get(connection: sa.Connection, view_id: str) -> View | None:
    if not _VIEW_ID.fullmatch(view_id):  # not every database can even look for any text
        return None
    statement = sa.select(SAVED_VIEWS).where(SAVED_VIEWS.c.view_id == view_id)
    row = connection.execute(statement).mappings().one_or_none()
    return None if row is None else View(**row)


def _none() -> NotFoundError:
    return NotFoundError("There is no such view.", where="view_id")


def _check(view: View) -> None:
    if not _VIEW_ID.fullmatch(view.view_id):
        raise BadRequestError("A view's id is 1 to 64 letters, digits or `_ -`.", where="view_id")
    check_time(view.updated_at, "updated_at")
    check_text(view.owner, "owner", required=True)
    if len(check_text(view.name, "name", required=True)) > contract.MAX_NAME_CHARACTERS:
        raise BadRequestError(
            f"`name` must be at most {contract.MAX_NAME_CHARACTERS} characters.", where="name"
        )
    if len(view.path) > contract.MAX_PATH_CHARACTERS or not _PATH.fullmatch(view.path):
        raise BadRequestError(
            f"`path` must be a path of the dashboard, such as `/app/explore`, of at most "
            f"{contract.MAX_PATH_CHARACTERS} characters.",
            where="path",
        )
    search = view.search
    good = search.isascii() and search.isprintable() and search[:1] in ("", "?")
    if not good or len(search) > contract.MAX_SEARCH_CHARACTERS:
        raise BadRequestError(
            "`search` must be empty or what stands behind the path in an address, from the `?` "
            f"on, percent-encoded, of at most {contract.MAX_SEARCH_CHARACTERS} characters.",
            where="search",
        )


def _check_room(connection: sa.Connection, owner: str) -> None:
    count = sa.select(sa.func.count()).select_from(SAVED_VIEWS)
    own = int(connection.scalar(count.where(SAVED_VIEWS.c.owner == owner)) or 0)
    if own >= contract.MAX_OWNER_VIEWS:
        raise TooLargeError(
            f"You have {contract.MAX_OWNER_VIEWS} saved views, as many as one may keep.",
            hint="Delete one that you do not use.",
        )
    if int(connection.scalar(count) or 0) >= contract.MAX_VIEWS:
        raise TooLargeError(
            f"There are {contract.MAX_VIEWS} saved views, as many as there may be.",
            hint="Have those deleted that nobody uses.",
        )
