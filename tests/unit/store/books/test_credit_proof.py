"""The proof of the ledger finds whatever somebody changed past it, and names it.

Each row of the tables that could lie is made to lie with raw SQL, where the database lets it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from outlay.store.books import credit_proof
from outlay.store.books.sql import SqlBooks
from tests.purse import LATER, NOW, Purse

TABLES = ("credit_entries", "credit_tx", "credit_accounts", "credit_grants")


class Raw:
    """A connection past the books, with or without what the database guards."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        self.sqlite = self.engine.dialect.name == "sqlite"
        self.unguarded = False

    def unguard(self) -> None:
        """Take the triggers and the checks away, as only the database's owner can."""
        self.unguarded = True
        with self.engine.begin() as connection:
            if self.sqlite:
                triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                for (name,) in connection.exec_driver_sql(triggers).fetchall():
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
                return
            for table in TABLES:
                connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
                checks = sa.inspect(connection).get_check_constraints(table)
                for check in checks:
                    name = check["name"]
                    connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")

    def run(self, statement: str) -> int:
        with self.engine.begin() as connection:
            if self.sqlite:
                connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
            return int(connection.exec_driver_sql(statement).rowcount)


@pytest.fixture
def purse(books_url: str) -> Iterator[Purse]:
    opened = SqlBooks(books_url)
    yield make(Purse(opened))
    opened.close()


@pytest.fixture
def raw(books_url: str, purse: Purse, request: pytest.FixtureRequest) -> Iterator[Raw]:
    opened = Raw(books_url)
    yield opened
    opened.engine.dispose()
    if opened.unguarded and not opened.sqlite:
        request.getfixturevalue("postgres").spoil_books()


def make(purse: Purse) -> Purse:
    """Make a ledger with everything in it: acme's, which did much, and beta's, which owes."""
    books = purse.books
    purse.give(100, expires_at=NOW + 10, rollover_ppm=500_000)  # g1
    purse.give(50)  # g2
    purse.hold(40, "h")
    purse.settle("h", 40)  # acme/3
    purse.event("h", 30)  # acme/4 gives back 10 of acme/3
    books.set_account("beta", floor=-50, reason="r", actor="me", at=NOW)
    purse.spend(70, "beta")  # beta/1: 50 of the overdraft, 20 short
    purse.give(20, "beta")  # beta/2: repays
    books.transfer("acme", "beta", 5, **purse.said())  # acme/5, beta/3
    books.refund("acme", 6, tx_id="acme/3", **purse.said())  # acme/6
    books.adjust("acme", -3, **purse.said())  # acme/7
    purse.give(9, effective_at=LATER)  # g3
    purse.hold(12, "open")
    books.mature(at=NOW + 10, limit=10)  # acme/8, acme/9
    return purse


def test_what_nobody_touched_balances(purse: Purse) -> None:
    assert purse.books.check_credits() == []
    assert purse.of("beta").posted == -25
    kinds = {entry.kind for entry in purse.books.credit_history("acme")}
    assert kinds == {
        "grant", "usage", "reversal", "transfer", "refund", "adjustment", "expiry", "rollover",
    }  # fmt: skip


LIES = [
    (
        (
            "UPDATE credit_entries SET amount = amount + 1"
            " WHERE tx_id = 'acme/3' AND account = 'system:revenue'"
        ),
        ["acme/3: its entries sum to 1, not to 0"],
    ),
    (
        (
            "UPDATE credit_entries SET amount = amount + 1"
            " WHERE tx_id = 'acme/3' AND account = 'tenant:acme'"
        ),
        ["acme/3: its entries sum to 1", "acme/4: says the balance was 110", "and it was 111",
         "acme: its balance is", "acme/3: what grants gave or got",
         "acme/3: says that 40 were drained, and 39 were"],
    ),
    (
        "DELETE FROM credit_entries WHERE tx_id = 'acme/7'",
        ["acme/7: has no entries", "acme/8: its entry has version 8, and 7 was expected",
         "acme/8: says the balance was", "acme: its balance is"],
    ),
    (
        "UPDATE credit_entries SET version = 99 WHERE tx_id = 'acme/9' AND version IS NOT NULL",
        ["acme/9: its entry has version 99, and 9 was expected", "acme: its version is 9"],
    ),
    (
        (
            "UPDATE credit_entries SET balance_before = 7 WHERE tx_id = 'acme/2'"
            " AND version IS NOT NULL"
        ),
        ["acme/2: says the balance was 7 before it, and it was 100"],
    ),
    (
        (
            "UPDATE credit_entries SET account = 'tenant:beta' WHERE tx_id = 'acme/9'"
            " AND version IS NOT NULL"
        ),
        ["acme/9: has an entry of tenant:beta, which is not its tenant"],
    ),
    (
        (
            "UPDATE credit_entries SET account = 'system:revenue'"
            " WHERE account = 'system:transfers' AND amount > 0"
        ),
        ["system:transfers: what was sent differs from what arrived by -5"],
    ),
    (
        "DELETE FROM credit_tx WHERE tx_id = 'acme/4'",
        ["acme/5: is number 5 of acme, and 4 was expected", ": its transaction acme/4 is not there",
         "acme/3: what was given back of it differs from what it says by -10"],
    ),
    (
        "UPDATE credit_tx SET undone = undone + 1 WHERE tx_id = 'acme/3'",
        ["acme/3: what was given back of it differs from what it says by -1"],
    ),
    (
        "UPDATE credit_tx SET drained = drained + 1 WHERE tx_id = 'acme/7'",
        ["acme/7: says that 4 were drained, and 3 were"],
    ),
    (
        "UPDATE credit_tx SET details = '{\"parts\": []}' WHERE tx_id = 'acme/7'",
        ["acme/7: what grants gave or got is not what the tenant lost or got",
         "acme/g1: has "],
    ),
    (
        "UPDATE credit_tx SET details = '[' WHERE tx_id = 'acme/7'",
        ["acme/7: its details cannot be read"],
    ),
    (
        "UPDATE credit_accounts SET posted = posted + 1 WHERE tenant = 'acme'",
        ["acme: its balance is", "acme: its grants have"],
    ),
    (
        "UPDATE credit_accounts SET held = held + 1 WHERE tenant = 'acme'",
        ["acme: 13 are held, and open holds hold 12"],
    ),
    ("UPDATE credit_accounts SET version = 1 WHERE tenant = 'acme'", ["acme: its version is 1"]),
    (
        "UPDATE credit_accounts SET txs = 1 WHERE tenant = 'acme'",
        ["acme: its number of transactions is 1, and its entries make it 9"],
    ),
    (
        "UPDATE credit_accounts SET shortfall = 21 WHERE tenant = 'beta'",
        ["beta: its shortfall is 21, and its entries make it 20",
         "beta: its shortfall is 21, and lines make it 20"],
    ),
    (
        "UPDATE credit_accounts SET loose = 19 WHERE tenant = 'beta'",
        ["beta: its shortfall is 20, and lines make it 19"],
    ),
    (
        "UPDATE credit_accounts SET floor = -24 WHERE tenant = 'beta'",
        ["beta: its balance -25, less 0 held, is below its floor -24"],
    ),
    (
        "DELETE FROM credit_accounts WHERE tenant = 'beta'",
        ["beta: has transactions and no account", "beta: has grants and no account"],
    ),
    (
        "UPDATE credit_grants SET remaining = remaining + 1 WHERE grant_id = 'acme/g2'",
        ["acme/g2: has 51 left, and entries make it 50", "acme: its grants have"],
    ),
    (
        "UPDATE credit_grants SET state = 'spent' WHERE grant_id = 'acme/g2'",
        ["acme/g2: is spent with 50 left"],
    ),
    (
        "UPDATE credit_grants SET state = 'open' WHERE grant_id = 'acme/g3'",
        ["acme/g3: has 9 left, and entries make it 0", "acme: its grants have"],
    ),
    (
        "UPDATE credit_grants SET remaining = 8 WHERE grant_id = 'acme/g3'",
        ["acme/g3: has 8 left, and entries make it 9"],
    ),
    (
        "DELETE FROM credit_grants WHERE grant_id = 'acme/g2'",
        ["acme/g2: has entries and is not there", "acme: its grants have"],
    ),
    (
        "UPDATE holds SET state = 'void' WHERE hold_id = 'open'",
        ["acme: 12 are held, and open holds hold 0"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("lie", "found"), LIES)
def test_a_lie_is_found(purse: Purse, raw: Raw, lie: str, found: list[str]) -> None:
    raw.unguard()
    assert raw.run(lie)
    lines = purse.books.check_credits()
    assert [one for one in found if not any(one in line for line in lines)] == [], lines


def test_what_is_owed_is_proven_too(purse: Purse, raw: Raw) -> None:
    raw.unguard()
    parts = '{"parts": [["beta/g1", 20]]}'
    raw.run(f"UPDATE credit_tx SET details = '{parts}' WHERE tx_id = 'beta/2'")
    lines = purse.books.check_credits()
    assert "beta: owes 25, and its entries make it 45" in lines


def test_a_bounded_number_of_lines(purse: Purse, raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    raw.unguard()
    raw.run("UPDATE credit_entries SET amount = amount + 1")
    whole = purse.books.check_credits()
    monkeypatch.setattr(credit_proof, "MAX_DIFFERENCES", len(whole))
    assert purse.books.check_credits() == whole
    monkeypatch.setattr(credit_proof, "MAX_DIFFERENCES", 5)
    expected = [*whole[:5], f"and {len(whole) - 5} more differences"]
    assert purse.books.check_credits() == expected


GUARDED = [
    "UPDATE credit_entries SET amount = 0",
    "UPDATE credit_entries SET version = NULL WHERE entry_id = 1",
    "DELETE FROM credit_entries",
    "DELETE FROM credit_tx WHERE tx_id = 'acme/1'",
    "UPDATE credit_tx SET reason = 'another'",
    "UPDATE credit_tx SET undone = 0, kind = 'grant'",
    "UPDATE credit_tx SET undone = drained + 1 WHERE tx_id = 'acme/3'",
    "UPDATE credit_accounts SET posted = held - 1 WHERE tenant = 'acme'",
    "UPDATE credit_accounts SET held = posted + 1 WHERE tenant = 'acme'",
    "UPDATE credit_accounts SET floor = 0 WHERE tenant = 'beta'",
    "UPDATE credit_accounts SET floor = 1",
    "UPDATE credit_accounts SET held = -1",
    "UPDATE credit_grants SET remaining = -1",
    "UPDATE credit_grants SET remaining = amount + 1",
    "INSERT INTO credit_entries (tx_id, account, amount, version) VALUES ('', 'tenant:acme', 1, 1)",
]


@pytest.mark.parametrize("statement", GUARDED)
def test_the_database_itself_refuses(purse: Purse, raw: Raw, statement: str) -> None:
    with pytest.raises(sa.exc.DBAPIError), raw.engine.begin() as connection:
        connection.exec_driver_sql(statement)
    assert purse.books.check_credits() == []


def test_postgresql_refuses_to_empty_the_ledger(purse: Purse, raw: Raw) -> None:
    if raw.sqlite:
        pytest.skip("SQLite has no TRUNCATE")
    for table in ("credit_entries", "credit_tx"):
        with pytest.raises(sa.exc.DBAPIError), raw.engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {table}")
    assert purse.books.check_credits() == []
