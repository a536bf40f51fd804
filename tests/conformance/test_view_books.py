"""What every implementation of `store.views.ViewBooks` keeps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from outlay.errors import BadRequestError, ConflictError, NotFoundError, TooLargeError
from outlay.store import views
from outlay.store.books.sql import SqlBooks
from outlay.store.views import View

MINE = View("v-1", "Spend by tenant", "/app/explore", "?by=tenant&last=7d", False, "user:me", 10)


@pytest.fixture
def books(books_url: str) -> Iterator[SqlBooks]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


def test_a_view_comes_back_as_it_was_kept_after_opening_again(books_url: str) -> None:
    first = SqlBooks(books_url)
    first.add_view(MINE)
    first.close()
    second = SqlBooks(books_url)
    assert second.view("v-1") == MINE
    assert second.views("user:me", shared=False) == [MINE]
    second.close()


def test_others_views_are_listed_only_when_shared_and_wanted(books: SqlBooks) -> None:
    private = replace(MINE, view_id="v-2", owner="user:you")
    shared = replace(private, view_id="v-3", name="A", shared=True)
    for view in (MINE, private, shared):
        books.add_view(view)
    assert books.views("user:me", shared=True) == [shared, MINE]
    assert books.views("user:me", shared=False) == [MINE]
    assert books.views("user:you", shared=False) == [shared, private]
    assert books.views("user:nobody", shared=False) == []


def test_the_same_view_again_changes_nothing_and_another_of_its_id_is_a_conflict(
    books: SqlBooks,
) -> None:
    books.add_view(MINE)
    assert books.add_view(replace(MINE, updated_at=20)) == MINE
    for other in (replace(MINE, name="n"), replace(MINE, owner="user:you")):
        with pytest.raises(ConflictError) as caught:
            books.add_view(other)
        assert "Spend" not in str(caught.value)
    assert books.views("user:me", shared=True) == [MINE]


def test_a_change_keeps_the_owner(books: SqlBooks) -> None:
    books.add_view(MINE)
    changed = replace(MINE, name="n", search="", shared=True, updated_at=30)
    assert books.change_view(replace(changed, owner="user:admin")) == changed
    assert books.view("v-1") == changed
    with pytest.raises(NotFoundError):
        books.change_view(replace(MINE, view_id="v-2"))


def test_a_view_that_is_dropped_is_gone(books: SqlBooks) -> None:
    books.add_view(MINE)
    books.drop_view("v-1")
    assert books.view("v-1") is None
    with pytest.raises(NotFoundError):
        books.drop_view("v-1")


@pytest.mark.parametrize("view_id", ["", "\0", "ü", "x" * 65, "a/b"])
def test_what_is_no_id_is_not_found(books: SqlBooks, view_id: str) -> None:
    assert books.view(view_id) is None
    with pytest.raises(NotFoundError):
        books.drop_view(view_id)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"view_id": ""}, "view_id"),
        ({"view_id": "x" * 65}, "view_id"),
        ({"view_id": "a b"}, "view_id"),
        ({"name": " "}, "name"),
        ({"name": "x" * (views.MAX_NAME_CHARACTERS + 1)}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"path": ""}, "path"),
        ({"path": "//evil.example"}, "path"),
        ({"path": "/\\evil.example"}, "path"),
        ({"path": "https://evil.example"}, "path"),
        ({"path": "/app?x"}, "path"),
        ({"path": "/" + "x" * views.MAX_PATH_CHARACTERS}, "path"),
        ({"search": "by=tenant"}, "search"),
        ({"search": "?a\nb"}, "search"),
        ({"search": "?" + "x" * views.MAX_SEARCH_CHARACTERS}, "search"),
        ({"updated_at": -1}, "updated_at"),
    ],
)
def test_a_bad_part_is_named_and_nothing_is_kept(
    books: SqlBooks, change: dict[str, object], where: str
) -> None:
    books.add_view(MINE)
    bad = replace(replace(MINE, view_id="v-1" if "view_id" not in change else "x"), **change)  # type: ignore[arg-type]
    for write in (books.add_view, books.change_view):
        with pytest.raises(BadRequestError) as caught:
            write(bad)
        assert caught.value.where == where
    assert books.views("user:me", shared=True) == [MINE]


def test_the_bounds_of_one_view_are_allowed(books: SqlBooks) -> None:
    longest = View(
        "x" * 64, "ü" * views.MAX_NAME_CHARACTERS, "/" + "x" * (views.MAX_PATH_CHARACTERS - 1),
        "?" + "x" * (views.MAX_SEARCH_CHARACTERS - 1), True, "o" * 256, 1,
    )  # fmt: skip
    assert books.add_view(longest) == longest
    assert books.view(longest.view_id) == longest


def test_an_owner_and_all_together_keep_so_many(
    books: SqlBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "MAX_OWNER_VIEWS", 2)
    monkeypatch.setattr(views, "MAX_VIEWS", 3)
    for number in (1, 2):
        books.add_view(replace(MINE, view_id=f"v-{number}"))
    with pytest.raises(TooLargeError, match="2 saved views"):
        books.add_view(replace(MINE, view_id="v-3"))
    books.add_view(replace(MINE, view_id="v-3", owner="user:you"))
    with pytest.raises(TooLargeError, match="3 saved views"):
        books.add_view(replace(MINE, view_id="v-4", owner="user:you"))
    books.drop_view("v-1")
    books.add_view(replace(MINE, view_id="v-4", owner="user:you"))
