"""The contract of saved views: a question of the dashboard under a name; part of the books.

A view is where it leads, nothing more: what is there is asked again with the rights of whoever
opens it. Views decide nothing, so changes of them are not audited. Thread-safe; times are
microseconds UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

MAX_OWNER_VIEWS: Final = 200
"""Views that one owner may keep."""
MAX_VIEWS: Final = 10_000
"""Views in all."""
MAX_NAME_CHARACTERS: Final = 128
MAX_PATH_CHARACTERS: Final = 256
MAX_SEARCH_CHARACTERS: Final = 4096


@dataclass(frozen=True, slots=True)
class View:
    """A page of the dashboard with its questions: `path` and `search` as in its address.

    `owner` is the key id of whoever made it; `shared` shows it to all who are not bound to a
    tenant.
    """

    view_id: str
    name: str
    path: str
    search: str
    shared: bool
    owner: str
    updated_at: int


class ViewBooks(Protocol):
    """Views by id; the id is made by the caller."""

    def views(self, owner: str, *, shared: bool) -> list[View]:
        """Return an owner's views, and with `shared` what others share, by name."""

    def view(self, view_id: str) -> View | None:
        """Return a view by its id, whoever's it is."""

    def add_view(self, view: View) -> View:
        """Keep a new view; the same one again changes nothing.

        Raises `BadRequestError` for a part that is not valid, `ConflictError` for an id that is
        used, `TooLargeError` past `MAX_OWNER_VIEWS` or `MAX_VIEWS`.
        """

    def change_view(self, view: View) -> View:
        """Put a view in the place of the one with its id; the owner stays.

        Raises `BadRequestError` for a part that is not valid, `NotFoundError` without such a view.
        """

    def drop_view(self, view_id: str) -> None:
        """Forget a view. Raises `NotFoundError`."""
