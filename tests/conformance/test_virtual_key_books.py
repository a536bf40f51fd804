"""What every implementation of `store.virtual_keys.VirtualKeyBooks` keeps."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.core.virtual_keys import MAX_SECRET_CHARACTERS, VirtualKey, secret_hash
from outlay.errors import BadRequestError, ConflictError, NotFoundError, TooLargeError
from outlay.store.books import virtual_key_rules, virtual_keys
from outlay.store.books.sql import SqlBooks
from outlay.store.books.tables import METADATA
from outlay.store.virtual_keys import MAX_GRACE_S, KeyTerms

DAY_US = 86_400_000_000
FULL = KeyTerms(
    "Ä of support", "acme", feature="chat", agent="helper", workspace="w", initiator="system",
    upstreams=("openai", "bedrock-eu"), models=("gpt-5*", "ü"), priority="background",
    expires_at=5_000,
)  # fmt: skip


def secret(number: int = 0) -> str:
    return f"ov_{number:043}"


@pytest.fixture
def books(books_url: str) -> Iterator[SqlBooks]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


def create(
    books: SqlBooks, number: int = 0, *, at: int = 10, tenant: str | None = "acme"
) -> VirtualKey:
    terms = KeyTerms(f"k{number}", tenant)
    return books.create_virtual_key(terms, secret=secret(number), actor="me", at=at)


def rotate(
    books: SqlBooks, key: VirtualKey, number: int, *, at: int = 20, grace_us: int = 0
) -> tuple[VirtualKey, VirtualKey]:
    return books.rotate_virtual_key(
        key.key_id, secret=secret(number), grace_us=grace_us, actor="me", at=at
    )


class TestMaking:
    def test_everything_that_is_said_of_a_key_comes_back(self, books: SqlBooks) -> None:
        made = books.create_virtual_key(FULL, secret=secret(), actor="me", at=10)
        assert all(getattr(made, one.name) == getattr(FULL, one.name) for one in fields(FULL))
        assert (made.created_at, made.revoked_at, made.replaces) == (10, None, None)
        assert (made.secret_hash, made.prefix) == (secret_hash(secret()), "ov_00000")
        assert books.virtual_key(made.key_id) == made
        assert books.virtual_keys() == [made]
        assert books.virtual_key_changes(0, limit=10).keys == (made,)

    def test_a_key_may_name_no_tenant_or_one_that_the_books_do_not_know(
        self, books: SqlBooks
    ) -> None:
        assert create(books, tenant=None).tenant_id is None
        assert create(books, 1, tenant="never-seen").tenant_id == "never-seen"
        assert books.tenants() == []

    def test_a_secret_is_not_in_the_database(self, books: SqlBooks, tmp_path: Path) -> None:
        made = create(books)
        rotate(books, made, 1)
        with books._database.read() as connection:
            for table in METADATA.tables.values():
                text = str(connection.execute(sa.select(table)).all())
                assert secret(0) not in text, table.name
                assert secret(1) not in text, table.name
        books.close()
        for file in tmp_path.iterdir():
            assert secret(0).encode() not in file.read_bytes(), file.name

    def test_a_secret_is_used_once(self, books: SqlBooks) -> None:
        made = create(books)
        with pytest.raises(ConflictError):
            create(books)
        with pytest.raises(ConflictError):
            rotate(books, made, 0)
        assert books.virtual_keys() == [made]

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 257}, "name"),
            ({"name": "x\n"}, "name"),
            ({"tenant_id": "a b"}, "tenant_id"),
            ({"tenant_id": "unattributed"}, "tenant_id"),
            ({"feature": "x" * 257}, "feature"),
            ({"agent": "\0"}, "agent"),
            ({"workspace": "x" * 257}, "workspace"),
            ({"initiator": "robot"}, "initiator"),
            ({"priority": "urgent"}, "priority"),
            ({"upstreams": ("OpenAI",)}, "upstreams"),
            ({"upstreams": ("-x",)}, "upstreams"),
            ({"upstreams": ("x" * 33,)}, "upstreams"),
            ({"upstreams": ("",)}, "upstreams"),
            ({"upstreams": ("x",) * (virtual_key_rules.MAX_UPSTREAMS + 1)}, "upstreams"),
            ({"models": ("",)}, "models"),
            ({"models": ("x" * 257,)}, "models"),
            ({"models": ("x",) * (virtual_key_rules.MAX_MODELS + 1)}, "models"),
            ({"expires_at": 10}, "expires_at"),
            ({"expires_at": 2**62}, "expires_at"),
        ],
    )
    def test_a_bad_part_is_named_and_nothing_is_written(
        self, books: SqlBooks, change: dict[str, object], where: str
    ) -> None:
        terms = replace(FULL, **change)  # type: ignore[arg-type]
        with pytest.raises(BadRequestError) as caught:
            books.create_virtual_key(terms, secret=secret(), actor="me", at=10)
        assert caught.value.where == where
        assert (books.virtual_keys(), books.revision("virtual_keys")) == ([], 0)

    def test_the_bounds_themselves_are_allowed(self, books: SqlBooks) -> None:
        text = "x" * 256
        terms = KeyTerms(
            text, "a" * 128, feature=text, agent=text, workspace=text,
            upstreams=("x" * 32,) * virtual_key_rules.MAX_UPSTREAMS,
            models=(text,) * virtual_key_rules.MAX_MODELS, expires_at=11,
        )  # fmt: skip
        longest = "ov_" + "s" * (MAX_SECRET_CHARACTERS - 3)
        made = books.create_virtual_key(terms, secret=longest, actor="me", at=10)
        assert books.virtual_key(made.key_id) == made

    @pytest.mark.parametrize(
        "bad", ["ov_short", "ok_" + "s" * 43, "ov_" + "s" * MAX_SECRET_CHARACTERS, "ov_" + "/" * 43]
    )
    def test_a_secret_that_could_not_be_shown_is_refused(self, books: SqlBooks, bad: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            books.create_virtual_key(KeyTerms("k"), secret=bad, actor="me", at=10)
        assert caught.value.where == "secret"
        assert bad not in str(caught.value)

    def test_only_keys_of_use_count_towards_the_bound(
        self, books: SqlBooks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(virtual_keys, "MAX_KEYS", 2)
        books.create_virtual_key(
            KeyTerms("short", expires_at=15), secret=secret(9), actor="me", at=10
        )
        first = create(books, 0)
        for at in (11, 14):
            with pytest.raises(TooLargeError, match="2 virtual keys"):
                create(books, 1, at=at)
        second = create(books, 1, at=15)
        with pytest.raises(TooLargeError):
            rotate(books, second, 2, grace_us=5)
        books.revoke_virtual_key(first.key_id, actor="me", at=16)
        create(books, 3, at=16)
        assert len(books.virtual_keys()) == 4


class TestEnding:
    def test_a_key_is_revoked_at_once_and_stays(self, books: SqlBooks) -> None:
        made = create(books)
        revoked = books.revoke_virtual_key(made.key_id, actor="you", at=20)
        assert revoked == replace(made, revoked_at=20)
        assert books.virtual_key(made.key_id) == revoked
        assert revoked.problem(20) == "revoked"

    def test_an_end_may_lie_ahead_and_only_comes_nearer(self, books: SqlBooks) -> None:
        made = create(books)

        def revoke(at: int, revoked_at: int | None) -> int | None:
            return books.revoke_virtual_key(
                made.key_id, actor="me", at=at, revoked_at=revoked_at
            ).revoked_at

        assert revoke(20, 500) == 500
        assert revoke(21, 900) == 500
        assert revoke(22, 300) == 300
        assert revoke(23, None) == 23
        assert revoke(24, 900) == 23
        assert books.revision("virtual_keys") == 4

    def test_an_end_in_the_past_is_now(self, books: SqlBooks) -> None:
        made = create(books)
        ended = books.revoke_virtual_key(made.key_id, actor="me", at=20, revoked_at=3)
        assert ended.revoked_at == 20

    def test_an_unknown_key_is_not_found(self, books: SqlBooks) -> None:
        assert books.virtual_key("vk_none") is None
        with pytest.raises(NotFoundError):
            books.revoke_virtual_key("vk_none", actor="me", at=1)
        with pytest.raises(NotFoundError):
            books.rotate_virtual_key("vk_none", secret=secret(), grace_us=0, actor="me", at=1)


class TestRotating:
    def test_the_new_key_says_the_same_and_the_old_one_ends_after_its_grace(
        self, books: SqlBooks
    ) -> None:
        made = books.create_virtual_key(FULL, secret=secret(), actor="me", at=10)
        new, old = rotate(books, made, 1, at=100, grace_us=50)
        assert old == replace(made, revoked_at=150)
        assert [old.problem(at) for at in (149, 150)] == ["", "revoked"]
        assert new == replace(
            made, key_id=new.key_id, secret_hash=secret_hash(secret(1)), prefix=new.prefix,
            created_at=100, replaces=made.key_id,
        )  # fmt: skip
        assert books.virtual_keys() == [new, old]

    def test_without_grace_the_old_key_ends_at_once(self, books: SqlBooks) -> None:
        _, old = rotate(books, create(books), 1, at=100)
        assert old.problem(100) == "revoked"

    def test_the_new_key_may_expire_at_another_time(self, books: SqlBooks) -> None:
        made = books.create_virtual_key(FULL, secret=secret(), actor="me", at=10)
        new, old = books.rotate_virtual_key(
            made.key_id, secret=secret(1), grace_us=0, actor="me", at=20, expires_at=9_000
        )
        assert (new.expires_at, old.expires_at) == (9_000, 5_000)
        with pytest.raises(BadRequestError):
            books.rotate_virtual_key(
                new.key_id, secret=secret(2), grace_us=0, actor="me", at=20, expires_at=20
            )

    @pytest.mark.parametrize("grace_us", [-1, MAX_GRACE_S * 1_000_000 + 1])
    def test_a_grace_out_of_bounds_is_refused(self, books: SqlBooks, grace_us: int) -> None:
        made = create(books)
        with pytest.raises(BadRequestError) as caught:
            rotate(books, made, 1, grace_us=grace_us)
        assert caught.value.where == "grace_s"
        rotate(books, made, 1, grace_us=MAX_GRACE_S * 1_000_000)

    def test_what_is_of_no_use_or_ends_already_is_not_rotated(self, books: SqlBooks) -> None:
        made = books.create_virtual_key(FULL, secret=secret(), actor="me", at=10)
        with pytest.raises(ConflictError, match="expired"):
            rotate(books, made, 1, at=5_000)
        rotate(books, made, 1, at=100, grace_us=50)
        with pytest.raises(ConflictError, match="ends already"):
            rotate(books, made, 2, at=120)
        with pytest.raises(ConflictError, match="revoked"):
            rotate(books, made, 2, at=150)
        assert len(books.virtual_keys()) == 2


class TestListing:
    def test_the_newest_come_first_by_tenant_and_by_use(self, books: SqlBooks) -> None:
        names = [create(books, n, at=n, tenant=t).key_id for n, t in enumerate(["a", "b", "a"])]
        books.revoke_virtual_key(names[2], actor="me", at=50)

        def listed(**which: object) -> list[int]:
            return [names.index(k.key_id) for k in books.virtual_keys(**which)]  # type: ignore[arg-type]

        assert listed() == [2, 1, 0]
        assert listed(limit=1) == [2]
        assert listed(limit=-1) == []
        assert listed(tenant_id="a") == [2, 0]
        assert listed(tenant_id="none") == []
        assert listed(tenant_id="a", usable_at=49) == [2, 0]
        assert listed(tenant_id="a", usable_at=50) == [0]


class TestChanges:
    def test_only_what_changed_since_is_told_with_its_last_state(self, books: SqlBooks) -> None:
        one, two = create(books, 1), create(books, 2)
        first = books.virtual_key_changes(0, limit=10)
        assert (first.revision, first.keys, first.complete) == (2, (one, two), True)
        again = books.virtual_key_changes(2, limit=10)
        assert (again.after, again.revision, again.keys, again.complete) == (2, 2, (), True)
        ended = books.revoke_virtual_key(one.key_id, actor="me", at=30)
        assert books.virtual_key_changes(2, limit=10).keys == (ended,)
        assert books.virtual_key_changes(0, limit=10).keys == (two, ended)

    def test_a_rotation_is_one_change_of_two_keys(self, books: SqlBooks) -> None:
        new, old = rotate(books, create(books), 1)
        told = books.virtual_key_changes(1, limit=10)
        assert told.revision == 2
        assert set(told.keys) == {new, old}

    def test_a_page_never_ends_inside_a_change(self, books: SqlBooks) -> None:
        made = create(books)
        both = rotate(books, create(books, 1), 2)
        page = books.virtual_key_changes(0, limit=2)
        assert (page.keys, page.revision, page.complete) == ((made,), 1, False)
        for limit in (2, 0):
            page = books.virtual_key_changes(1, limit=limit)
            assert (set(page.keys), page.revision, page.complete) == (set(both), 3, True)

    def test_one_tenant_is_told_of_its_own_keys_only(self, books: SqlBooks) -> None:
        mine = create(books, 1, tenant="acme")
        create(books, 2, tenant="rival")
        create(books, 3, tenant=None)
        told = books.virtual_key_changes(0, limit=10, tenant_id="acme")
        assert (told.keys, told.revision, told.complete) == ((mine,), 3, True)

    @pytest.mark.parametrize("after", [3, 10**15, -1])
    def test_a_revision_that_never_was_gets_everything(self, books: SqlBooks, after: int) -> None:
        made = create(books)
        told = books.virtual_key_changes(after, limit=10)
        assert (told.after, told.revision, told.keys) == (0, 1, (made,))

    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(steps=st.lists(st.sampled_from("crRn"), max_size=14), limit=st.integers(1, 5))
    def test_who_follows_the_changes_knows_all_keys(
        self, books: SqlBooks, steps: list[str], limit: int
    ) -> None:
        since = books.revision("virtual_keys")  # the books stay from example to example
        known: dict[str, VirtualKey] = {}
        made: list[VirtualKey] = []
        all_made: set[str] = set()
        at = since

        def follow() -> None:
            nonlocal at
            for _ in range(50):
                told = books.virtual_key_changes(at, limit=limit)
                assert told.after == at
                known.update({key.key_id: key for key in told.keys})
                at = told.revision
                if told.complete:
                    return
            raise AssertionError("the pages have no end")

        for step in steps:
            number = books.revision("virtual_keys") + 1000
            if step == "n":
                follow()
            elif step == "c" or not made:
                made.append(create(books, number))
            elif step == "r":
                books.revoke_virtual_key(made.pop().key_id, actor="me", at=30)
            else:
                made.append(rotate(books, made.pop(0), number, grace_us=5)[0])
            all_made |= {key.key_id for key in made}
        follow()
        assert known == {key_id: books.virtual_key(key_id) for key_id in all_made}


class TestTheWhole:
    def test_every_mutation_is_audited_and_moves_the_revision(self, books: SqlBooks) -> None:
        made = create(books)
        new, _ = rotate(books, made, 1, grace_us=50)
        books.revoke_virtual_key(new.key_id, actor="you", at=30)
        books.revoke_virtual_key(new.key_id, actor="you", at=31)
        assert books.revision("virtual_keys") == 3
        assert books.revision("keys") == 0
        entries = [(entry.action, entry.subject, entry.actor) for entry in books.audit()]
        assert entries == [
            ("virtual_key.revoke", new.key_id, "you"),
            ("virtual_key.rotate", made.key_id, "me"),
            ("virtual_key.create", made.key_id, "me"),
        ]
        details = books.audit()[1].details
        assert (details["replaced_by"], details["revoked_at"]) == (new.key_id, 70)
        assert secret(1) not in str(books.audit())

    def test_two_openers_see_each_others_changes_at_once(self, books_url: str) -> None:
        one, two = SqlBooks(books_url), SqlBooks(books_url)
        made = create(one)
        assert two.virtual_key_changes(0, limit=10).keys == (made,)
        two.revoke_virtual_key(made.key_id, actor="me", at=20)
        assert one.revision("virtual_keys") == 2
        one.close()
        two.close()

    def test_who_follows_misses_nothing_that_others_write_meanwhile(self, books_url: str) -> None:
        openers = [SqlBooks(books_url) for _ in range(3)]
        reader = openers.pop()

        def work(opened: SqlBooks, base: int) -> None:
            for number in range(15):
                create(opened, base + number)

        threads = [
            threading.Thread(target=work, args=(opened, 100 * n))
            for n, opened in enumerate(openers)
        ]
        for thread in threads:
            thread.start()
        seen: list[str] = []
        after = 0
        while any(thread.is_alive() for thread in threads) or after < 30:
            told = reader.virtual_key_changes(after, limit=4)
            seen += [key.key_id for key in told.keys]
            after = told.revision
        assert len(seen) == len(set(seen)) == 30
        for opened in (*openers, reader):
            opened.close()

    def test_keys_are_there_after_opening_again(self, books_url: str) -> None:
        first = SqlBooks(books_url)
        made = create(first)
        first.close()
        second = SqlBooks(books_url)
        assert second.virtual_key(made.key_id) == made
        second.close()
