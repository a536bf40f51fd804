"""What every implementation of `store.people.PeopleBooks` keeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
import sqlalchemy as sa

from outlay.errors import BadRequestError, ConflictError, NotFoundError, TooLargeError
from outlay.store.books import people as users_module
from outlay.store.books import people_sessions
from outlay.store.books.sql import SqlBooks
from outlay.store.books.tables import METADATA
from outlay.store.people import (
    MAX_EMAIL_CHARACTERS,
    SEEN_STEP_US,
    SESSION_LIFE_US,
    User,
    UserChange,
)

ANN = User("u-ann", "ann@example.com", "Ann Ä", "engineer")
IDLE_US = 3_600_000_000
FOREVER = 10**15


def token(number: int = 0) -> str:
    return f"token-{number:040}"


@pytest.fixture
def books(books_url: str) -> Iterator[SqlBooks]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


def create(books: SqlBooks, user: User = ANN, *, hashed: str | None = None, at: int = 10) -> User:
    return books.create_user(user, actor="me", at=at, password_hash=hashed)


def change(books: SqlBooks, what: UserChange, *, at: int = 50) -> User:
    return books.change_user("u-ann", what, actor="me", at=at)


def is_open(books: SqlBooks, number: int = 0, *, at: int = 50, idle_us: int = IDLE_US) -> bool:
    return books.session(token(number), at=at, idle_us=idle_us) is not None


def enter(books: SqlBooks, number: int = 0, *, at: int = 20, user_id: str = "u-ann") -> None:
    assert books.open_session(user_id, token=token(number), way="link", at=at) is not None


def link(books: SqlBooks, number: int = 0, *, ends_at: int = 100, at: int = 20) -> None:
    books.create_link("u-ann", token=token(number), ends_at=ends_at, actor="me", at=at)


class TestUsers:
    def test_what_is_said_of_a_user_comes_back(self, books: SqlBooks) -> None:
        made = create(books)
        assert made == replace(ANN, created_at=10)
        assert books.user("u-ann") == made
        assert books.users() == [made]
        assert books.user_by_email("ann@example.com") == (made, None)
        assert books.user("u-bob") is None
        assert books.user_by_email("bob@example.com") is None

    def test_what_a_user_has_not_got_cannot_be_said(self, books: SqlBooks) -> None:
        made = create(books, replace(ANN, disabled=True, last_seen_at=5, created_at=5))
        assert (made.disabled, made.last_seen_at, made.created_at) == (False, None, 10)

    def test_an_email_is_one_person_however_it_is_written(self, books: SqlBooks) -> None:
        made = create(books, replace(ANN, email="  Ann@Example.COM "))
        assert made.email == "ann@example.com"
        found = books.user_by_email("ANN@example.com ")
        assert found is not None
        assert found[0] == made
        with pytest.raises(ConflictError) as caught:
            create(books, replace(ANN, user_id="u-2", email="aNN@example.com"))
        assert caught.value.where == "email"
        with pytest.raises(ConflictError):
            create(books, replace(ANN, email="other@example.com"))
        assert len(books.users()) == 1

    @pytest.mark.parametrize(
        "email",
        ["", "ann", "ann@", "@x", "a b@x", "a@b@c", "änn@x", "a@x\n", "a\0@x", "a" * 250 + "@x"],
    )
    def test_what_is_no_email_is_refused_and_found_nowhere(
        self, books: SqlBooks, email: str
    ) -> None:
        if email == "a@x\n":  # blanks around it are no part of it
            assert create(books, replace(ANN, email=email)).email == "a@x"
            return
        with pytest.raises(BadRequestError) as caught:
            create(books, replace(ANN, email=email))
        assert caught.value.where == "email"
        assert books.user_by_email(email) is None
        assert books.users() == []

    def test_an_email_may_be_as_long_as_the_bound(self, books: SqlBooks) -> None:
        email = "a" * (MAX_EMAIL_CHARACTERS - 2) + "@x"
        assert create(books, replace(ANN, email=email)).email == email

    @pytest.mark.parametrize(
        ("part", "where"),
        [
            ({"name": "x" * 257}, "name"),
            ({"name": "x\n"}, "name"),
            ({"role": "boss"}, "role"),
            ({"role": "tenant"}, "tenant_id"),
            ({"role": "tenant", "tenant_id": "a b"}, "tenant_id"),
            ({"tenant_id": "acme"}, "tenant_id"),
        ],
    )
    def test_a_bad_part_is_named_and_nothing_is_written(
        self, books: SqlBooks, part: dict[str, str], where: str
    ) -> None:
        with pytest.raises(BadRequestError) as caught:
            create(books, replace(ANN, **part))  # type: ignore[arg-type]
        assert caught.value.where == where
        assert (books.users(), books.audit()) == ([], [])

    def test_there_is_a_bound_of_users(
        self, books: SqlBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(users_module, "MAX_USERS", 2)
        for number in range(2):
            create(books, User(f"u-{number}", f"{number}@x", "", "finance"), at=number)
        with pytest.raises(TooLargeError, match="at most 2"):
            create(books)
        assert [user.email for user in books.users()] == ["1@x", "0@x"]
        assert [user.email for user in books.users(limit=1)] == ["1@x"]

    def test_every_change_is_in_the_audit_log_without_the_password(self, books: SqlBooks) -> None:
        create(books, hashed="$hash-of-one")
        change(books, UserChange(name="Ann", password_hash="$hash-of-two"))
        change(books, UserChange(name="Ann"))
        second, first = books.audit()
        assert (first.action, first.actor, first.subject) == ("user.create", "me", "u-ann")
        assert first.details["email"] == "ann@example.com"
        assert (second.action, second.at) == ("user.change", 50)
        assert second.details["before"]["name"] == "Ann Ä"
        assert (second.details["after"]["name"], second.details["password"]) == ("Ann", True)
        assert "$hash" not in str(books.audit())

    def test_a_tenant_goes_with_the_role(self, books: SqlBooks) -> None:
        create(books)
        with pytest.raises(BadRequestError):
            change(books, UserChange(role="tenant"))
        assert change(books, UserChange(role="tenant", tenant_id="acme")).tenant_id == "acme"
        assert change(books, UserChange(tenant_id="rival")).tenant_id == "rival"
        assert change(books, UserChange(role="finance")).tenant_id is None
        with pytest.raises(BadRequestError):
            change(books, UserChange(tenant_id="acme"))
        assert books.user("u-ann") == replace(ANN, role="finance", created_at=10)

    def test_an_unknown_user_cannot_be_changed(self, books: SqlBooks) -> None:
        with pytest.raises(NotFoundError):
            change(books, UserChange(name="x"))


class TestPasswords:
    def test_a_hash_is_told_with_the_user_only_by_email(self, books: SqlBooks) -> None:
        assert not books.has_passwords()
        made = create(books, hashed="$one")
        assert made.way == "password"
        assert books.user_by_email(ANN.email) == (made, "$one")
        assert books.has_passwords()
        change(books, UserChange(disabled=True))
        assert not books.has_passwords()

    def test_who_gets_a_password_signs_in_by_it(self, books: SqlBooks) -> None:
        assert create(books).way == "link"
        assert change(books, UserChange(password_hash="$one")).way == "password"
        assert books.user_by_email(ANN.email) == (books.user("u-ann"), "$one")

    def test_a_hash_is_renewed_only_if_it_is_still_the_same(self, books: SqlBooks) -> None:
        create(books, hashed="$one")
        enter(books)
        books.rehash("u-ann", old="$one", new="$two")
        books.rehash("u-ann", old="$one", new="$three")
        found = books.user_by_email(ANN.email)
        assert found is not None
        assert found[1] == "$two"
        assert is_open(books)
        assert [entry.action for entry in books.audit()] == ["user.sign_in", "user.create"]


class TestSessions:
    def test_a_session_tells_its_user(self, books: SqlBooks) -> None:
        create(books)
        opened = books.open_session("u-ann", token=token(), way="password", at=20)
        assert opened is not None
        assert (opened.created_at, opened.seen_at) == (20, 20)
        assert opened.ends_at == 20 + SESSION_LIFE_US
        found = books.session(token(), at=21, idle_us=IDLE_US)
        assert found == (books.user("u-ann"), opened)
        assert found is not None
        assert found[0].last_seen_at == 20
        assert not is_open(books, 1)
        entry = books.audit()[0]
        assert (entry.action, entry.actor) == ("user.sign_in", "user:ann@example.com")
        assert entry.details == {"way": "password"}

    def test_tokens_are_not_in_the_database(self, books: SqlBooks) -> None:
        create(books)
        enter(books)
        link(books, 1)
        with books._database.read() as connection:
            for table in METADATA.tables.values():
                text = str(connection.execute(sa.select(table)).all())
                assert token(0) not in text, table.name
                assert token(1) not in text, table.name

    def test_a_token_that_can_be_guessed_is_refused(self, books: SqlBooks) -> None:
        create(books)
        with pytest.raises(BadRequestError):
            books.open_session("u-ann", token="short", way="link", at=20)
        with pytest.raises(BadRequestError):
            books.create_link("u-ann", token="short", ends_at=100, actor="me", at=20)

    def test_it_ends_when_it_is_not_used(self, books: SqlBooks) -> None:
        create(books)
        enter(books, at=20)
        assert is_open(books, at=20 + IDLE_US - 1)
        assert not is_open(books, at=20 + IDLE_US)
        books.session_seen(token(), at=20 + IDLE_US - 1)
        assert is_open(books, at=20 + IDLE_US)

    def test_it_ends_after_its_life_however_much_it_is_used(self, books: SqlBooks) -> None:
        create(books)
        enter(books, at=20)
        end = 20 + SESSION_LIFE_US
        books.session_seen(token(), at=end - 1)
        assert is_open(books, at=end - 1)
        assert not is_open(books, at=end, idle_us=FOREVER)

    def test_use_is_written_once_a_minute(self, books: SqlBooks) -> None:
        create(books)
        enter(books, at=20)
        for at, seen in ((20 + SEEN_STEP_US - 1, 20), (20 + SEEN_STEP_US, 20 + SEEN_STEP_US)):
            books.session_seen(token(), at=at)
            found = books.session(token(), at=at, idle_us=IDLE_US)
            assert found is not None
            assert (found[1].seen_at, found[0].last_seen_at) == (seen, seen)
        books.session_seen(token(1), at=FOREVER)

    def test_ending_it_is_at_once_and_only_once_needed(self, books: SqlBooks) -> None:
        create(books)
        enter(books)
        enter(books, 1)
        for _ in range(2):
            books.end_session(token())
        assert not is_open(books)
        assert is_open(books, 1)

    def test_one_takes_the_place_of_another(self, books: SqlBooks) -> None:
        create(books)
        enter(books)
        assert books.open_session("u-ann", token=token(1), way="link", at=30, instead=token())
        assert not is_open(books)
        assert is_open(books, 1)

    def test_the_oldest_of_a_user_ends_at_the_bound(
        self, books: SqlBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(people_sessions, "MAX_SESSIONS_PER_USER", 2)
        create(books)
        create(books, User("u-bob", "bob@x", "", "finance"))
        enter(books, 9, at=1, user_id="u-bob")
        for number in range(3):
            enter(books, number, at=20 + number)
        assert [is_open(books, number) for number in (0, 1, 2, 9)] == [False, True, True, True]

    def test_what_is_over_is_cleared_away(self, books: SqlBooks) -> None:
        create(books)
        enter(books, 0, at=20)
        enter(books, 1, at=20 + SESSION_LIFE_US)
        with books._database.read() as connection:
            number = connection.scalar(sa.text("SELECT count(*) FROM sessions"))
        assert number == 1

    @pytest.mark.parametrize(
        "what",
        [
            UserChange(role="finance"),
            UserChange(role="tenant", tenant_id="acme"),
            UserChange(disabled=True),
            UserChange(password_hash="$two"),
        ],
    )
    def test_what_takes_rights_away_ends_everything_that_is_open(
        self, books: SqlBooks, what: UserChange
    ) -> None:
        create(books, hashed="$one")
        create(books, User("u-bob", "bob@x", "", "finance"))
        enter(books)
        enter(books, 1, user_id="u-bob")
        link(books, 2)
        change(books, what)
        change(books, UserChange(disabled=False))
        assert not is_open(books)
        assert is_open(books, 1)
        assert books.use_link(token(2), at=60) is None

    def test_another_tenant_ends_what_is_open(self, books: SqlBooks) -> None:
        create(books, replace(ANN, role="tenant", tenant_id="acme"))
        enter(books)
        change(books, UserChange(tenant_id="rival"))
        assert not is_open(books)

    def test_another_name_ends_nothing(self, books: SqlBooks) -> None:
        create(books)
        enter(books)
        change(books, UserChange(name="A.", role="engineer", disabled=False))
        assert is_open(books)

    def test_nobody_disabled_or_unknown_gets_in(self, books: SqlBooks) -> None:
        create(books)
        change(books, UserChange(disabled=True))
        for user_id in ("u-ann", "u-none"):
            assert books.open_session(user_id, token=token(), way="link", at=60) is None
        assert not is_open(books)

    def test_a_password_that_was_changed_meanwhile_lets_nobody_in(self, books: SqlBooks) -> None:
        create(books, hashed="$one")

        def come(number: int, hashed: str) -> bool:
            opened = books.open_session(
                "u-ann", token=token(number), way="password", at=60, password_hash=hashed
            )
            return opened is not None

        assert come(0, "$one")
        change(books, UserChange(password_hash="$two"))
        assert not come(1, "$one")
        assert come(2, "$two")


class TestLinks:
    def test_what_is_no_link_waits_for_nobody_who_writes(self, books: SqlBooks) -> None:
        found: list[User | None] = []
        with books._database.write():
            thread = threading.Thread(target=lambda: found.append(books.use_link(token(), at=50)))
            thread.start()
            thread.join(5.0)
            assert found == [None]

    def test_a_link_works_once(self, books: SqlBooks) -> None:
        made = create(books)
        link(books)
        assert books.use_link(token(), at=99) == made
        assert books.use_link(token(), at=99) is None
        assert books.use_link(token(1), at=99) is None
        entry = books.audit()[0]
        assert (entry.action, entry.subject) == ("user.link", "u-ann")

    def test_of_many_who_bring_it_at_once_one_gets_in(self, books: SqlBooks) -> None:
        create(books)
        link(books)
        found: list[User | None] = []
        start = threading.Barrier(8)

        def come() -> None:
            start.wait()
            found.append(books.use_link(token(), at=50))

        threads = [threading.Thread(target=come) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [user is not None for user in found].count(True) == 1
        assert len(found) == 8

    def test_it_is_over_at_its_end(self, books: SqlBooks) -> None:
        create(books)
        link(books, ends_at=100)
        link(books, 1, ends_at=101)
        assert books.use_link(token(), at=100) is None
        assert books.use_link(token(1), at=100) is not None

    def test_only_the_newest_of_a_user_are_kept(
        self, books: SqlBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(people_sessions, "MAX_LINKS_PER_USER", 2)
        create(books)
        for number in range(3):
            link(books, number, at=20 + number)
        used = [books.use_link(token(number), at=50) is not None for number in range(3)]
        assert used == [False, True, True]

    def test_who_is_disabled_or_unknown_gets_none(self, books: SqlBooks) -> None:
        create(books)
        change(books, UserChange(disabled=True))
        with pytest.raises(ConflictError, match="disabled"):
            link(books)
        with pytest.raises(NotFoundError):
            books.create_link("u-none", token=token(), ends_at=100, actor="me", at=20)
