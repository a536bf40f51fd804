"""What is PostgreSQL's own: how books are opened on it, and what its failures are called."""

from __future__ import annotations

import io
import sys
import threading
from pathlib import Path

import psycopg
import pytest

from outlay.config import load
from outlay.core.prices import PriceBook, RateRow
from outlay.errors import (
    ConfigError,
    NotFoundError,
    StorageBusyError,
    StorageFullError,
    UnavailableError,
)
from outlay.store.base import Tenant
from outlay.store.books import postgres as ours
from outlay.store.books.engine import Database
from outlay.store.books.sql import SqlBooks
from outlay.wiring import Server
from outlay.wiring.backends import target
from tests.postgres import Postgres


def test_servers_may_open_empty_books_at_the_same_time(postgres: Postgres) -> None:
    url = postgres.new_database()
    opened: list[SqlBooks] = []
    threads = [threading.Thread(target=lambda: opened.append(SqlBooks(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [books.revision("limits") for books in opened] == [0] * 4
    for books in opened:
        books.close()


def test_books_of_a_newer_version_are_refused(postgres: Postgres) -> None:
    url = postgres.new_books()
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE books_version SET version_num = '9999'")
    with pytest.raises(UnavailableError, match="newer version"):
        SqlBooks(url)


def test_a_database_that_is_not_there_is_unavailable(postgres: Postgres) -> None:
    with pytest.raises(UnavailableError) as caught:
        SqlBooks(postgres.url("nothing_here"))
    assert caught.value.where == "books_url"


def test_a_wrong_password_is_not_shown(postgres: Postgres) -> None:
    url = f"postgresql://nobody_here:hunter2@127.0.0.1:{postgres.port}/postgres"
    with pytest.raises(UnavailableError) as caught:
        SqlBooks(url)
    assert "hunter2" not in str(caught.value)


def test_the_url_of_the_setting_opens_it(postgres: Postgres, tmp_path: Path) -> None:
    found = target("books", postgres.new_books(), tmp_path)
    assert (found.scheme, found.ours) == ("postgresql", True)
    found.opener(found.url).close()


def test_a_server_keeps_its_books_on_it(postgres: Postgres, tmp_path: Path) -> None:
    chosen = {
        "data": str(tmp_path), "port": 0, "seed_prices": True, "duckdb_memory_mb": 256,
        "books_url": postgres.new_books(),
    }  # fmt: skip
    with Server(load({}, overrides=chosen), log_to=io.StringIO()) as server:
        assert len(server.books.load_prices().rates) > 1000
    assert not list(tmp_path.glob("books*"))


@pytest.mark.parametrize("url", ["postgresql://", "postgresql:///"])
def test_a_url_without_a_database_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="database"):
        target("books", url, tmp_path)


def test_a_missing_driver_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigError) as caught:
        SqlBooks("postgresql://host/name")
    assert "outlay[postgres]" in caught.value.hint


def test_a_held_lock_is_named(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "LOCK_TIMEOUT_MS", 50)
    url = postgres.new_books()
    one, two = Database(url), SqlBooks(url)
    with one.write(), pytest.raises(StorageBusyError):
        two.put_tenant(Tenant("acme"), actor="me", at=1)
    two.put_tenant(Tenant("acme"), actor="me", at=1)
    one.close()
    two.close()


def test_a_full_disk_is_named(postgres: Postgres) -> None:
    opened = Database(postgres.new_books())
    with pytest.raises(StorageFullError), opened.write() as connection:
        connection.exec_driver_sql("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END $$")
    opened.close()


def test_a_read_sees_one_state(postgres: Postgres) -> None:
    url = postgres.new_books()
    one, two = Database(url), SqlBooks(url)
    count = "SELECT count(*) FROM tenants"
    with one.read() as connection:
        before = connection.exec_driver_sql(count).scalar_one()
        two.put_tenant(Tenant("acme"), actor="me", at=1)
        assert connection.exec_driver_sql(count).scalar_one() == before == 0
    one.close()
    two.close()


def test_connections_that_died_are_replaced(postgres: Postgres) -> None:
    url = postgres.new_books()
    opened = SqlBooks(url)
    opened.put_tenant(Tenant("acme"), actor="me", at=1)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert [tenant.tenant_id for tenant in opened.tenants()] == ["acme"]
    opened.close()


def test_a_connection_that_dies_in_a_transaction_undoes_it(postgres: Postgres) -> None:
    url = postgres.new_books()
    opened = Database(url)

    def cut_off() -> None:
        with opened.write() as connection:
            connection.exec_driver_sql("INSERT INTO tenants VALUES ('acme', 1)")
            pid = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
            with psycopg.connect(url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s)", (pid,))
            connection.exec_driver_sql("SELECT 1")

    with pytest.raises(UnavailableError):
        cut_off()
    with opened.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM tenants").scalar_one() == 0
    opened.close()


def test_an_unknown_key_is_still_not_found(postgres: Postgres) -> None:
    opened = SqlBooks(postgres.new_books())
    with pytest.raises(NotFoundError):
        opened.revoke_key("key_none", actor="me", at=1)
    opened.close()


def test_a_row_that_does_not_fit_its_column_is_not_half_written(postgres: Postgres) -> None:
    opened = SqlBooks(postgres.new_books())
    rows = (
        RateRow.make("openai", "m", "input", 1),
        RateRow.make("p" * 200, "m", "input", 1),
    )
    with pytest.raises(Exception, match="too long"):
        opened.save_catalogue(PriceBook(rates=rows), source="s", actor="me", at=1)
    assert opened.load_prices().rates == ()
    opened.close()
