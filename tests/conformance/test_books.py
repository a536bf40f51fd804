"""What every implementation of `store.base.Books` keeps."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.errors import (
    BadRequestError,
    ConfigError,
    ConflictError,
    NotFoundError,
    StorageBusyError,
    StorageFullError,
    UnavailableError,
)
from outlay.store.base import Books, DeadLetter, Key, PriceChange, Tenant
from outlay.store.books import engine, sql
from outlay.store.books.sql import SqlBooks
from outlay.store.books.tables import METADATA

SECRET = "ok_" + "s" * 43
OTHER = "ok_" + "t" * 43


@pytest.fixture
def books(books_url: str) -> Iterator[Books]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


def make_key(books: Books, secret: str = SECRET, at: int = 10, tenant: str | None = None) -> Key:
    return books.create_key(
        name="k", scopes=["read", "ingest"], tenant_id=tenant, secret=secret, actor="me", at=at
    )


def put(books: Books, start: int, plan: str, tenant_id: str = "acme") -> Tenant:
    version = Tenant(tenant_id, plan=plan, valid_from=start)
    return books.put_tenant(version, actor="me", at=100)


def spans(books: Books) -> list[tuple[int, int | None, str]]:
    return [(v.valid_from, v.valid_to, v.plan) for v in books.tenant_history("acme")]


class TestTenants:
    def test_a_version_holds_from_its_start_and_ends_the_one_before(self, books: Books) -> None:
        put(books, 0, "free")
        got = put(books, 50, "pro")
        assert got == Tenant("acme", plan="pro", valid_from=50)
        assert spans(books) == [(0, 50, "free"), (50, None, "pro")]

    def test_a_version_in_the_past_splits_the_one_in_force_then(self, books: Books) -> None:
        put(books, 10, "free")
        put(books, 50, "pro")
        put(books, 30, "trial")
        put(books, 5, "before")
        assert spans(books) == [
            (5, 10, "before"), (10, 30, "free"), (30, 50, "trial"), (50, None, "pro"),
        ]  # fmt: skip

    def test_a_version_with_the_same_start_replaces_it(self, books: Books) -> None:
        put(books, 0, "free")
        put(books, 50, "pro")
        put(books, 0, "trial")
        assert spans(books) == [(0, 50, "trial"), (50, None, "pro")]

    def test_the_same_content_again_changes_nothing(self, books: Books) -> None:
        put(books, 0, "free")
        before = (books.revision("tenants"), len(books.audit()))
        put(books, 0, "free")
        assert put(books, 70, "free").valid_from == 0
        assert (books.revision("tenants"), len(books.audit())) == before
        assert spans(books) == [(0, None, "free")]

    def test_the_given_end_is_not_read(self, books: Books) -> None:
        books.put_tenant(Tenant("acme", valid_from=3, valid_to=9), actor="me", at=1)
        assert spans(books) == [(3, None, "")]

    def test_versions_in_force_at_a_time(self, books: Books) -> None:
        put(books, 10, "free")
        put(books, 50, "pro")
        put(books, 20, "free", tenant_id="beta")
        at_49 = [(t.tenant_id, t.plan) for t in books.tenants(at=49)]
        assert at_49 == [("acme", "free"), ("beta", "free")]
        assert [t.plan for t in books.tenants(at=50) if t.tenant_id == "acme"] == ["pro"]
        assert books.tenants(at=9) == []
        assert len(books.tenants()) == 3

    def test_everything_of_a_version_comes_back(self, books: Books) -> None:
        version = Tenant(
            "a.b:c@d-e_F", "Ä", "pro", "gold", "annual", "c-1", {"region": "eu", "ü": ""}, 5
        )
        books.put_tenant(version, actor="me", at=1)
        assert books.tenant_history("a.b:c@d-e_F") == [version]

    @pytest.mark.parametrize(
        ("tenant", "where"),
        [
            (Tenant(""), "tenant_id"),
            (Tenant("a b"), "tenant_id"),
            (Tenant("a/b"), "tenant_id"),
            (Tenant("ä"), "tenant_id"),
            (Tenant("a\n"), "tenant_id"),
            (Tenant("a" * 129), "tenant_id"),
            (Tenant("unattributed"), "tenant_id"),
            (Tenant("a", name="x" * 257), "name"),
            (Tenant("a", plan="x\0"), "plan"),
            (Tenant("a", tier=None), "tier"),  # type: ignore[arg-type]
            (Tenant("a", labels={str(i): "" for i in range(65)}), "labels"),
            (Tenant("a", labels={"": "x"}), "labels"),
            (Tenant("a", labels={"x": "y" * 257}), "labels"),
            (Tenant("a", valid_from=-1), "valid_from"),
            (Tenant("a", valid_from=2**62), "valid_from"),
        ],
    )
    def test_a_bad_part_is_named_and_nothing_is_written(
        self, books: Books, tenant: Tenant, where: str
    ) -> None:
        with pytest.raises(BadRequestError) as caught:
            books.put_tenant(tenant, actor="me", at=1)
        assert caught.value.where == where
        assert books.tenants() == []

    def test_the_bounds_themselves_are_allowed(self, books: Books) -> None:
        labels = {str(i): "x" * 256 for i in range(64)}
        books.put_tenant(Tenant("a" * 128, name="x" * 256, labels=labels), actor="me", at=1)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        puts=st.lists(
            st.tuples(st.integers(0, 30), st.sampled_from("abc")), min_size=1, max_size=12
        )
    )
    def test_versions_never_overlap_and_leave_no_gap(
        self, books: Books, puts: list[tuple[int, str]]
    ) -> None:
        name = f"t{books.revision('tenants')}"  # the books stay, so each example has its own tenant
        truth: dict[int, str] = {}
        for start, plan in puts:
            books.put_tenant(Tenant(name, plan=plan, valid_from=start), actor="me", at=1)
            held = [at for at in truth if at <= start]
            if not held or truth[max(held)] != plan:
                truth[start] = plan
        versions = books.tenant_history(name)
        assert [v.valid_from for v in versions] == sorted(truth)
        assert [v.valid_to for v in versions] == [*sorted(truth)[1:], None]
        assert [v.plan for v in versions] == [truth[at] for at in sorted(truth)]


class TestKeys:
    def test_a_key_is_found_by_its_secret_only(self, books: Books) -> None:
        made = make_key(books, tenant="acme")
        assert books.key_by_secret(SECRET) == made
        assert made.scopes == ("ingest", "read")
        assert books.key_by_secret(OTHER) is None
        assert books.key_by_secret("ok_\ud800") is None

    def test_a_secret_is_not_in_the_database(self, books: Books, tmp_path: Path) -> None:
        made = make_key(books)
        assert made.prefix == SECRET[:8]
        assert isinstance(books, SqlBooks)
        with books._database.read() as connection:
            for table in METADATA.tables.values():
                assert SECRET not in str(connection.execute(sa.select(table)).all()), table.name
        books.close()
        for file in tmp_path.iterdir():
            assert SECRET.encode() not in file.read_bytes(), file.name

    def test_a_revoked_key_says_so_and_stays(self, books: Books) -> None:
        made = make_key(books)
        revoked = books.revoke_key(made.key_id, actor="me", at=20)
        assert revoked.revoked_at == 20
        assert books.revoke_key(made.key_id, actor="me", at=30).revoked_at == 20
        assert books.key_by_secret(SECRET) == revoked
        with pytest.raises(NotFoundError):
            books.revoke_key("key_none", actor="me", at=1)

    def test_newest_first(self, books: Books) -> None:
        make_key(books, at=1)
        make_key(books, OTHER, at=2)
        assert [key.created_at for key in books.keys()] == [2, 1]  # noqa: SIM118

    def test_use_is_noted_and_never_goes_back(self, books: Books) -> None:
        made = make_key(books)
        revision = books.revision("keys")
        books.keys_used({made.key_id: 40})
        books.keys_used({made.key_id: 30, "key_none": 1})
        books.keys_used({})
        assert books.keys()[0].last_used_at == 40
        assert books.revision("keys") == revision

    @pytest.mark.parametrize(
        ("change", "where"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 257}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": ["root"]}, "scopes"),
            ({"scopes": ["admin"], "tenant_id": "acme"}, "scopes"),
            ({"tenant_id": "a b"}, "tenant_id"),
            ({"tenant_id": "unattributed"}, "tenant_id"),
            ({"secret": "ok_short"}, "secret"),
            ({"expires_at": 10}, "expires_at"),
        ],
    )
    def test_a_bad_key_is_refused(
        self, books: Books, change: dict[str, object], where: str
    ) -> None:
        values: dict[str, object] = {
            "name": "k", "scopes": ["read"], "tenant_id": None, "secret": SECRET, "actor": "me",
            "at": 10, "expires_at": None,
        }  # fmt: skip
        with pytest.raises(BadRequestError) as caught:
            books.create_key(**{**values, **change})  # type: ignore[arg-type]
        assert caught.value.where == where
        assert books.keys() == []

    def test_a_secret_is_used_once(self, books: Books) -> None:
        make_key(books)
        with pytest.raises(ConflictError):
            make_key(books)


def rate(model: str, price: int = 1_000_000, **values: object) -> RateRow:
    return RateRow.make("openai", model, "input", price, **values)


def model(name: str) -> ModelRow:
    return ModelRow("openai", name, f'{{"equals":"{name}"}}')


class TestPrices:
    def test_a_catalogue_comes_back_in_order_with_the_time_it_was_believed(
        self, books: Books
    ) -> None:
        book = PriceBook(models=(model("b"), model("a")), rates=(rate("b"), rate("a")))
        assert books.save_catalogue(book, source="test 1", actor="me", at=10) == 4
        got = books.load_prices()
        assert [m.model for m in got.models] == ["b", "a"]
        assert got.hash == book.hash
        assert {r.recorded_at for r in got.rates} == {10}

    def test_every_field_of_a_rate_comes_back(self, books: Books) -> None:
        row = rate(
            "m", 7, host_class="h", region_class="r", tier="flex", batch=True, speed="fast",
            min_context=200_000, window="01:00:00-02:00:00", valid_from=5, valid_to=9,
            layer="contract", source="deal", tenant="acme", min_quantity=10,
        )  # fmt: skip
        books.change_prices(PriceChange(rates=(row,)), reason="r", actor="me", at=10)
        assert books.load_prices().rates == (replace(row, recorded_at=10),)

    def test_equal_rows_stay_new_ones_come_and_vanished_ones_are_superseded(
        self, books: Books
    ) -> None:
        first = PriceBook(models=(model("a"),), rates=(rate("a"), rate("b")))
        second = PriceBook(models=(model("a"),), rates=(rate("a"), rate("b", 9), rate("c")))
        books.save_catalogue(first, source="s", actor="me", at=10)
        assert books.save_catalogue(second, source="s", actor="me", at=20) == 3
        now = {(r.model, r.nanos_per_million): r.recorded_at for r in books.load_prices().rates}
        assert now == {("a", 1_000_000): 10, ("b", 9): 20, ("c", 1_000_000): 20}

    def test_the_book_is_as_it_was_believed_at_a_time(self, books: Books) -> None:
        books.save_catalogue(PriceBook(rates=(rate("a"),)), source="s", actor="me", at=10)
        books.save_catalogue(PriceBook(rates=(rate("a", 5),)), source="s", actor="me", at=20)

        def prices(at: int) -> list[int]:
            return [r.nanos_per_million for r in books.load_prices(known_at=at).rates]

        seen = [prices(at) for at in (9, 10, 19, 20)]
        assert seen == [[], [1_000_000], [1_000_000], [5]]

    def test_saving_the_same_again_changes_nothing(self, books: Books) -> None:
        book = PriceBook(models=(model("a"),), rates=(rate("a"),))
        books.save_catalogue(book, source="s", actor="me", at=10)
        before = (books.revision("prices"), len(books.audit()))
        assert books.save_catalogue(book, source="s", actor="me", at=20) == 0
        assert (books.revision("prices"), len(books.audit())) == before

    def test_a_row_may_come_back(self, books: Books) -> None:
        book, empty = PriceBook(rates=(rate("a"),)), PriceBook()
        for at, some in ((10, book), (20, empty), (30, book)):
            books.save_catalogue(some, source="s", actor="me", at=at)
        assert [len(books.load_prices(known_at=t).rates) for t in (10, 20, 30)] == [1, 0, 1]

    def test_a_new_order_of_models_is_kept(self, books: Books) -> None:
        for order in ("ab", "ba"):
            book = PriceBook(models=tuple(model(name) for name in order))
            books.save_catalogue(book, source="s", actor="me", at=10)
        assert [m.model for m in books.load_prices().models] == ["b", "a"]

    def test_layers_that_a_catalogue_does_not_have_are_left_alone(self, books: Books) -> None:
        own = PriceChange(rates=(rate("a", 3, layer="override"),))
        books.change_prices(own, reason="r", actor="me", at=10)
        books.save_catalogue(PriceBook(rates=(rate("a"),)), source="s", actor="me", at=20)
        books.save_catalogue(PriceBook(), source="s", actor="me", at=30)
        assert {r.layer for r in books.load_prices().rates} == {"override"}
        assert len(books.load_prices(known_at=20).rates) == 2

    def test_a_catalogue_with_rows_of_other_layers_is_a_mistake(self, books: Books) -> None:
        own = PriceBook(rates=(rate("a", 3, layer="override"),))
        with pytest.raises(ValueError, match="override"):
            books.save_catalogue(own, source="s", actor="me", at=10)
        assert books.load_prices().rates == ()

    def test_a_newer_version_that_says_the_same_changes_nothing(self, books: Books) -> None:
        first, second = (
            PriceBook(rates=(rate("a", source=f"list {n}"),), models=(model("a"),)) for n in "12"
        )
        books.save_catalogue(first, source="list 1", actor="me", at=10)
        assert books.save_catalogue(second, source="list 2", actor="me", at=20) == 0
        assert [r.source for r in books.load_prices().rates] == ["list 1"]

    def test_a_correction_by_hand_survives_the_next_catalogue(self, books: Books) -> None:
        theirs = rate("a", 5, layer="correction", source="ours")
        mine = rate("a", 7, layer="correction", source="me", valid_from=100, valid_to=200)
        catalogue = PriceBook(rates=(rate("a"), theirs))
        books.save_catalogue(catalogue, source="s", actor="me", at=10)
        books.change_prices(PriceChange(rates=(mine,)), reason="r", actor="me", at=20)
        assert books.save_catalogue(catalogue, source="s", actor="me", at=30) == 0
        found = sorted(
            (r.valid_from or 0, r.valid_to, r.nanos_per_million)
            for r in books.load_prices().rates
            if r.layer == "correction"
        )
        assert found == [(0, 100, 5), (100, 200, 7), (200, None, 5)]

    def test_rates_are_found_by_id_even_when_superseded(self, books: Books) -> None:
        old, new = rate("a"), rate("a", 5)
        books.save_catalogue(PriceBook(rates=(old,)), source="s", actor="me", at=10)
        books.save_catalogue(PriceBook(rates=(new,)), source="s", actor="me", at=20)
        got = books.rates([old.rate_id, new.rate_id, "none"])
        assert got[old.rate_id].superseded_at == 20
        assert got[new.rate_id].superseded_at is None
        assert len(got) == 2

    def test_many_rates_are_found(self, books: Books) -> None:
        rows = tuple(rate(f"m{number}") for number in range(1203))
        books.save_catalogue(PriceBook(rates=rows), source="s", actor="me", at=10)
        assert len(books.rates([row.rate_id for row in rows])) == 1203
        assert books.save_catalogue(PriceBook(), source="s", actor="me", at=11) == 1203


class TestDeadLetters:
    def test_the_newest_come_first_and_are_counted(self, books: Books) -> None:
        books.dead_letter([DeadLetter(at, "ingest", "bad", "no", "{}") for at in range(3)])
        books.dead_letter([DeadLetter(9, "enrich", "worse", "no", "{}")])
        books.dead_letter([])
        assert [letter.at for letter in books.dead_letters(limit=2)] == [9, 2]
        assert books.dead_letter_counts() == {"bad": 3, "worse": 1}

    def test_the_oldest_go_and_the_counts_stay(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sql, "MAX_DEAD_LETTERS", 5)
        for at in range(8):
            books.dead_letter([DeadLetter(at, "s", "c", "m", "p")])
        books.dead_letter([DeadLetter(at, "s", "c", "m", "p") for at in range(100, 107)])
        assert [letter.at for letter in books.dead_letters()] == [106, 105, 104, 103, 102]
        assert books.dead_letter_counts() == {"c": 15}

    def test_what_a_hostile_client_sent_is_kept_without_its_zero_bytes(self, books: Books) -> None:
        books.dead_letter([DeadLetter(1, "s\0", "c\0d", "m\0", 'a\0"\\{}')])
        got = books.dead_letters()[0]
        assert got == DeadLetter(1, "s", "cd", "m", 'a"\\{}')
        books.note("x", "s\0", {"a": "b\0c"}, actor="m\0e", at=1)
        entry = books.audit()[0]
        assert (entry.subject, entry.actor, entry.details) == ("s", "me", {"a": "b\0c"})

    def test_text_is_cut_to_its_bound(self, books: Books) -> None:
        books.dead_letter([DeadLetter(1, "s" * 999, "c" * 99, "m" * 9999, "ä" * 9999)])
        got = books.dead_letters()[0]
        sizes = [len(text.encode()) for text in (got.source, got.code, got.message, got.payload)]
        assert sizes == [256, 64, 1024, 4096]


class TestTheWhole:
    def test_every_mutation_is_audited_and_moves_its_revision(self, books: Books) -> None:
        topics = ("tenants", "keys", "prices")
        assert [books.revision(topic) for topic in topics] == [0, 0, 0]
        put(books, 0, "free")
        made = make_key(books)
        books.revoke_key(made.key_id, actor="you", at=11)
        books.save_catalogue(PriceBook(rates=(rate("a"),)), source="s 1", actor="me", at=12)
        assert [books.revision(topic) for topic in topics] == [1, 2, 1]
        entries = [(entry.action, entry.subject, entry.actor) for entry in books.audit()]
        assert entries == [
            ("prices.save", "s 1", "me"),
            ("key.revoke", made.key_id, "you"),
            ("key.create", made.key_id, "me"),
            ("tenant.put", "acme", "me"),
        ]
        assert books.audit(limit=1)[0].details == {"added": 1, "source": "s 1", "superseded": 0}
        assert SECRET not in str(books.audit())

    def test_an_unknown_topic_is_a_mistake(self, books: Books) -> None:
        with pytest.raises(ValueError, match="no topic"):
            books.revision("events")

    def test_everything_is_there_after_opening_again(self, books_url: str) -> None:
        first = SqlBooks(books_url)
        put(first, 0, "free")
        make_key(first)
        first.close()
        first.close()
        second = SqlBooks(books_url)
        assert second.key_by_secret(SECRET) is not None
        assert spans(second) == [(0, None, "free")]
        second.close()

    def test_two_openers_see_each_others_changes_at_once(self, books_url: str) -> None:
        one, two = SqlBooks(books_url), SqlBooks(books_url)
        made = make_key(one)
        assert two.key_by_secret(SECRET) == made
        two.revoke_key(made.key_id, actor="me", at=20)
        assert one.revision("keys") == 2
        one.close()
        two.close()

    def test_threads_may_write_together(self, books: Books) -> None:
        def work(number: int) -> None:
            for round_ in range(10):
                put(books, round_, f"p{number}.{round_}", tenant_id=f"t{number}")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert books.revision("tenants") == 40
        assert len(books.audit()) == 40

    def test_two_processes_never_write_between_what_the_other_reads_and_writes(
        self, books_url: str
    ) -> None:
        openers = [SqlBooks(books_url), SqlBooks(books_url)]

        def work(opened: SqlBooks, plan: str) -> None:
            for start in range(15):
                put(opened, start, f"{plan}{start}")

        threads = [
            threading.Thread(target=work, args=(opened, plan))
            for opened, plan in zip(openers, "ab", strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        versions = openers[0].tenant_history("acme")
        assert [v.valid_from for v in versions] == list(range(15))
        assert [v.valid_to for v in versions] == [*range(1, 15), None]
        for opened in openers:
            opened.close()


class TestOpening:
    def test_the_migrations_make_exactly_the_tables(self, books_url: str) -> None:
        SqlBooks(books_url).close()
        opened = sa.create_engine(books_url.replace("postgresql:", "postgresql+psycopg:"))
        with opened.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"compare_type": True, "version_table": "books_version"}
            )
            assert compare_metadata(context, METADATA) == []
        opened.dispose()

    def test_a_file_that_is_no_database_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "books.db"
        file.write_bytes(b"not a database" * 100)
        with pytest.raises(UnavailableError, match="damaged"):
            SqlBooks(f"sqlite:///{file}")
        assert file.read_bytes() == b"not a database" * 100

    def test_books_of_a_newer_version_are_refused(self, tmp_path: Path) -> None:
        file = tmp_path / "books.db"
        SqlBooks(f"sqlite:///{file}").close()
        with sqlite3.connect(file) as connection:
            connection.execute("UPDATE books_version SET version_num = '9999'")
        connection.close()
        with pytest.raises(UnavailableError, match="newer version"):
            SqlBooks(f"sqlite:///{file}")

    @pytest.mark.parametrize("url", ["books", "nothing://x", "postgresql+nodriver://x/y"])
    def test_a_url_that_cannot_be_used_is_a_config_error(self, url: str) -> None:
        with pytest.raises(ConfigError):
            SqlBooks(url)

    def test_a_held_lock_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(engine, "BUSY_TIMEOUT_MS", 50)
        opened = SqlBooks(f"sqlite:///{tmp_path / 'books.db'}")
        holder = sqlite3.connect(tmp_path / "books.db", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageBusyError):
            put(opened, 0, "free")
        assert opened.tenants() == []
        holder.execute("ROLLBACK")
        holder.close()
        put(opened, 0, "free")
        opened.close()

    def test_a_full_disk_is_named_and_nothing_is_half_written(self, tmp_path: Path) -> None:
        opened = SqlBooks(f"sqlite:///{tmp_path / 'books.db'}")
        with opened._database.write() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        limit = f"PRAGMA max_page_count = {pages}"
        sa.event.listen(
            opened._database._engine, "begin", lambda c: c.exec_driver_sql(limit), insert=True
        )
        rows = tuple(rate(f"m{number}") for number in range(2000))
        with pytest.raises(StorageFullError):
            opened.save_catalogue(PriceBook(rates=rows), source="s", actor="me", at=1)
        assert opened.load_prices().rates == ()
        assert opened.revision("prices") == 0
        opened.close()
