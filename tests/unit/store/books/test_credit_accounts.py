"""Balances as counters of a batch: what is loaded, what is written, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from outlay.core.limits.holds import Booking, Counter
from outlay.core.limits.period import credit_key
from outlay.errors import OutlayError
from outlay.store.books import credit_accounts, credit_charges
from outlay.store.books.sql import SqlBooks
from tests.purse import NOW, Purse

ACME = credit_key("acme")


@pytest.fixture
def purse(books_url: str) -> Iterator[Purse]:
    opened = SqlBooks(books_url)
    purse = Purse(opened)
    purse.give(100)
    yield purse
    assert opened.check_credits() == []
    opened.close()


def booking(amount: int, *, short: int = 0, hold_id: str = "h") -> Booking:
    return Booking(ACME.counter_id, hold_id, amount, short, NOW)


def write(purse: Purse, *bookings: Booking, used: int | None = None, held: int = 0) -> None:
    """Write a batch as the desk leaves it: what is used is what was booked, if not said."""
    books = purse.books
    assert isinstance(books, SqlBooks)
    with books._database.rows() as connection:
        counter = credit_accounts.load(connection, [ACME.counter_id], lock=True)[ACME.counter_id]
        counter.used += sum(one.amount for one in bookings) if used is None else used
        counter.held += held
        counter.changed = True
        credit_accounts.save(connection, [counter], bookings)


def entries(purse: Purse, kind: str) -> list[int]:
    return [one.amount for one in purse.books.credit_history("acme") if one.kind == kind]


def test_a_balance_is_a_counter_that_is_used_below_zero(purse: Purse) -> None:
    purse.books.set_account("acme", floor=-7, reason="r", actor="me", at=NOW)
    assert isinstance(purse.books, SqlBooks)
    with purse.books._database.read() as connection:
        wanted = [ACME.counter_id, credit_key("nobody").counter_id]
        loaded = credit_accounts.load(connection, wanted, lock=False)
    assert loaded == {ACME.counter_id: Counter(ACME, used=-100, hard=True, ceiling=7)}


def test_charges_of_one_hold_become_one_transaction(purse: Purse) -> None:
    write(purse, booking(10), booking(5, hold_id="other"), booking(20), booking(-4))
    assert sorted(entries(purse, "usage")) == [-26, -5]


def test_what_cancels_out_is_not_written(purse: Purse) -> None:
    write(purse, booking(10), booking(-10))
    assert (entries(purse, "usage"), purse.of().posted) == ([], 100)


def test_what_is_given_back_goes_first(purse: Purse) -> None:
    write(purse, booking(100, hold_id="before"))
    write(purse, booking(30, hold_id="new"), booking(-30, hold_id="before"))
    kinds = [one.kind for one in purse.books.credit_history("acme")]
    assert kinds == ["usage", "reversal", "usage", "grant"]


def test_a_shortfall_that_comes_back_is_taken_off(purse: Purse) -> None:
    write(purse, booking(100, short=30))
    assert purse.of().shortfall == 30
    write(purse, booking(0, short=-20))
    assert (purse.of().shortfall, purse.of().posted, purse.of().version) == (10, 0, 2)
    write(purse, booking(-5, short=-10))
    assert (purse.of().shortfall, purse.of().posted) == (0, 5)


def test_a_balance_below_its_floor_is_refused_by_the_database(purse: Purse) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        write(purse, booking(101))
    with pytest.raises(sa.exc.IntegrityError):
        write(purse, booking(50), held=51)
    with pytest.raises(sa.exc.IntegrityError):
        write(purse, held=101)
    assert (purse.of().posted, purse.of().held, purse.of().version) == (100, 0, 1)


def test_a_balance_that_its_charges_do_not_explain_is_refused(purse: Purse) -> None:
    with pytest.raises(OutlayError, match="is not what its charges make of it"):
        write(purse, booking(10), used=11)
    assert purse.of().posted == 100


def test_a_balance_that_does_not_exist_is_refused(purse: Purse) -> None:
    assert isinstance(purse.books, SqlBooks)
    counter = Counter(credit_key("nobody"), hard=True, held=1, changed=True)
    with (
        pytest.raises(OutlayError, match="does not exist"),
        purse.books._database.rows() as connection,
    ):
        credit_accounts.save(connection, [counter], [])


def test_a_correction_looks_back_at_a_bounded_number_of_charges(
    purse: Purse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credit_charges, "CHARGES_READ", 2)
    monkeypatch.setattr(credit_charges, "MAX_CHARGES_UNDONE", 4)
    old = purse.give(100, priority=1)
    for _ in range(6):
        write(purse, booking(10))
    purse.give(100)
    write(purse, booking(-60))
    undid = purse.books.credit_history("acme")[0].details["undid"]
    assert [tx_id for tx_id, _ in undid] == [f"acme/{n}" for n in (8, 7, 6, 5, 4)]  # type: ignore[attr-defined]
    assert purse.left()[old.grant_id] == 100


def test_what_of_one_hold_is_given_back_leaves_the_charges_of_others_alone(purse: Purse) -> None:
    first = purse.give(20, priority=1)
    write(purse, booking(20, hold_id="one"))
    write(purse, booking(10, hold_id="two"))
    write(purse, booking(-20, hold_id="one"))
    assert list(purse.left().values()) == [20, 90]
    assert purse.books.grants("acme")[0] == first
