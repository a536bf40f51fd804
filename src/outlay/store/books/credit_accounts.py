"""Balances of prepaid credits as counters: their part in a batch of holds and charges.

Works inside the transaction of the batch, beside the counters of limits.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

import sqlalchemy as sa

from outlay.core.limits.holds import Booking, Counter
from outlay.core.limits.period import credit_key
from outlay.errors import OutlayError
from outlay.store.books.credit_entries import Ledger, Why
from outlay.store.books.credit_rows import ACCOUNT_ROWS, Account, account_of


def load(
    connection: sa.Connection, counter_ids: Collection[str], *, lock: bool
) -> dict[str, Counter]:
    """Return the balances that exist, by counter id; `lock` keeps others from changing them."""
    rows = ACCOUNT_ROWS.select(connection, lock=lock, counter_id=counter_ids)
    found = (account_of(row) for row in rows)
    return {account.counter_id: as_counter(account) for account in found}


def as_counter(account: Account) -> Counter:
    """Return a balance as the arithmetic of holds sees it: used is what it is below zero."""
    return Counter(
        credit_key(account.tenant),
        used=-account.posted,
        held=account.held,
        hard=True,
        ceiling=-account.floor,
        short=account.loose,
    )


def loosen(connection: sa.Connection, short: Mapping[str, int]) -> None:
    """Take shortfalls, by counter id, over from lines that are about to be dropped."""
    rows = ACCOUNT_ROWS.select(connection, lock=True, counter_id=short)
    accounts = [account_of(row) for row in rows]
    changes = [(one.tenant, one.loose + short[one.counter_id]) for one in accounts]
    ACCOUNT_ROWS.update(connection, ("loose",), changes)


def save(
    connection: sa.Connection, counters: Iterable[Counter], bookings: Sequence[Booking]
) -> None:
    """Write balances that were loaded with their lock, and their charges into the ledger.

    Charges of one hold become one transaction of the ledger; what is given back goes first, so
    that no order of them passes the floor on the way.

    Raises:
        OutlayError: a balance is not what its charges make of it.
        sqlalchemy.exc.IntegrityError: a balance is below its floor.
    """
    balances = {counter.key.counter_id: counter for counter in counters}
    moved = {booking.counter_id for booking in bookings}
    held = [
        (_tenant(counter), counter.held)
        for counter_id, counter in balances.items()
        if counter.changed and counter_id not in moved
    ]
    if held and ACCOUNT_ROWS.update(connection, ("held",), sorted(held)) != len(held):
        raise OutlayError("A balance was to be written that does not exist.")
    if not moved:
        return
    rows = ACCOUNT_ROWS.select(connection, counter_id=moved)
    accounts = {account.counter_id: account for account in map(account_of, rows)}
    ledger = Ledger(connection, accounts.values())
    groups = _grouped(bookings)
    back = {name for name, (amount, short, _) in groups if amount < 0 or (not amount and short < 0)}
    ledger.look_up([(accounts[counter_id].tenant, hold_id) for counter_id, hold_id in back])
    for name, (amount, short, at) in groups:
        account = accounts[name[0]]
        account.held, account.loose = balances[name[0]].held, balances[name[0]].short
        if name in back:
            ledger.correct(account, -amount, short, Why("reversal", name[1], at))
        elif amount or short:
            ledger.charge(account, amount, short, Why("usage", name[1], at))
    for counter_id, account in accounts.items():
        if account.posted != -balances[counter_id].used:
            raise OutlayError("A balance is not what its charges make of it.")
    ledger.flush()


def _grouped(
    bookings: Sequence[Booking],
) -> list[tuple[tuple[str, str], tuple[int, int, int]]]:
    """Sum charges and shortfalls by balance and hold; what is given back comes first."""
    sums: dict[tuple[str, str], tuple[int, int, int]] = {}
    for booking in bookings:
        name = (booking.counter_id, booking.hold_id)
        amount, short, at = sums.get(name, (0, 0, booking.at))
        sums[name] = (amount + booking.amount, short + booking.short, max(at, booking.at))
    return sorted(sums.items(), key=lambda one: one[1][0] >= 0)


def _tenant(counter: Counter) -> str:
    return str(json.loads(counter.key.scope_key)[0][1])
