"""Proves the credit ledger: replays every entry and compares the end with balances and grants.

Reads one state of the database, tenant by tenant, and keeps in memory only what is open of one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.limits.drain import OVERDRAFT
from outlay.store.books import credit_rows, hold_rows
from outlay.store.books.credit_charges import parts_of
from outlay.store.books.credit_entries import SHORTFALL, TRANSFERS
from outlay.store.books.credit_rows import Account, GrantRow
from outlay.store.books.credit_tables import CREDIT_ENTRIES, CREDIT_GRANTS, CREDIT_TX

MAX_DIFFERENCES: Final = 1000
"""Lines that are returned at most; a ledger with more of them needs a backup, not a list."""
ROWS_READ: Final = 1000
_CHARGES: Final = ("usage", "adjustment")
"""Kinds that may be given back."""


@dataclass(slots=True)
class _Replay:
    """What a tenant's transactions add up to so far."""

    posted: int = 0
    version: int = 0
    txs: int = 0
    shortfall: int = 0
    parts: Counter[str] = field(default_factory=Counter)
    undone: Counter[str] = field(default_factory=Counter)
    """By transaction: what later ones say they gave back of it, less what its row says."""


def differences(connection: sa.Connection) -> list[str]:
    """Return a line of text for everything that does not add up."""
    lines: list[str] = []
    more = 0
    for line in _differences(connection):
        if len(lines) < MAX_DIFFERENCES:
            lines.append(line)
        else:
            more += 1
    return [*lines, f"and {more} more differences"] if more else lines


def _differences(connection: sa.Connection) -> Iterator[str]:
    streamed = connection.execution_options(yield_per=ROWS_READ)
    accounts = {account.tenant: account for account in credit_rows.accounts(connection)}
    grants: dict[str, list[GrantRow]] = {}
    with streamed.execute(sa.select(CREDIT_GRANTS)) as rows:
        for grant in map(credit_rows.grant_of, rows):
            grants.setdefault(grant.tenant, []).append(grant)
    replays: dict[str, _Replay] = {}
    transfers = 0
    for tenant, of_tenant in groupby(_entries(streamed), key=lambda row: row.tenant):
        replay = replays[tenant] = _Replay()
        for _, entries in groupby(of_tenant, key=lambda row: row.number):
            of_one = list(entries)
            yield from _transaction(replay, of_one)
            transfers += sum(row.amount for row in of_one if row.account == TRANSFERS)
        if tenant not in accounts:
            yield f"{tenant}: has transactions and no account"
    if transfers:
        yield f"{TRANSFERS}: what was sent differs from what arrived by {transfers}"
    yield from _strays(connection)
    for tenant, account in accounts.items():
        replay = replays.get(tenant, _Replay())
        yield from _account(account, replay)
        yield from _grants(account, grants.pop(tenant, []), replay)
    for tenant in grants:
        yield f"{tenant}: has grants and no account"
    yield from _held(connection, accounts.values())


def _entries(connection: sa.Connection) -> Iterator[Any]:
    entry, tx = CREDIT_ENTRIES.c, CREDIT_TX
    statement = (
        sa.select(tx, entry.account, entry.amount, entry.balance_before, entry.version)
        .join_from(tx, CREDIT_ENTRIES, entry.tx_id == tx.c.tx_id, isouter=True)
        .order_by(tx.c.tenant, tx.c.number, entry.entry_id)
    )
    with connection.execute(statement) as rows:
        yield from rows


def _strays(connection: sa.Connection) -> Iterator[str]:
    entry, tx = CREDIT_ENTRIES.c, CREDIT_TX
    statement = (
        sa.select(entry.entry_id, entry.tx_id)
        .join(tx, tx.c.tx_id == entry.tx_id, isouter=True)
        .where(tx.c.tx_id.is_(None))
        .order_by(entry.entry_id)
        .limit(MAX_DIFFERENCES)
    )
    for entry_id, tx_id in connection.execute(statement):
        yield f"entry {entry_id}: its transaction {tx_id} is not there"


def _transaction(replay: _Replay, entries: Sequence[Any]) -> Iterator[str]:
    """Replay one transaction; say what is wrong in itself and in the chain."""
    tx = entries[0]
    name = tx.tx_id
    replay.txs += 1
    if tx.number != replay.txs:
        yield f"{name}: is number {tx.number} of {tx.tenant}, and {replay.txs} was expected"
        replay.txs = tx.number
    if tx.account is None:
        yield f"{name}: has no entries"
        return
    total = sum(row.amount for row in entries)
    if total:
        yield f"{name}: its entries sum to {total}, not to 0"
    moved = 0
    for row in entries:
        if row.account == SHORTFALL:
            replay.shortfall -= row.amount
        if row.account.startswith("system:"):
            continue
        if row.account != f"tenant:{tx.tenant}":
            yield f"{name}: has an entry of {row.account}, which is not its tenant"
            continue
        replay.version += 1
        if row.version != replay.version:
            yield f"{name}: its entry has version {row.version}, and {replay.version} was expected"
            replay.version = row.version or replay.version
        if row.balance_before != replay.posted:
            yield (
                f"{name}: says the balance was {row.balance_before} before it, "
                f"and it was {replay.posted}"
            )
        replay.posted += row.amount
        moved += row.amount
    yield from _details(replay, tx, moved)


def _details(replay: _Replay, tx: Any, moved: int) -> Iterator[str]:
    try:
        details = json.loads(tx.details)
        parts, undid = parts_of(details), dict(details.get("undid", ()))
    except (ValueError, TypeError, KeyError, AttributeError):
        yield f"{tx.tx_id}: its details cannot be read"
        return
    for grant_id, amount in parts:
        replay.parts[grant_id] += amount
    if sum(amount for _, amount in parts) != moved:
        yield f"{tx.tx_id}: what grants gave or got is not what the tenant lost or got"
    if tx.drained != (max(0, -moved) if tx.kind in _CHARGES else 0):
        yield f"{tx.tx_id}: says that {tx.drained} were drained, and {max(0, -moved)} were"
    for charged, amount in undid.items():
        replay.undone[charged] += amount
    if tx.undone:
        replay.undone[tx.tx_id] -= tx.undone


def _account(account: Account, replay: _Replay) -> Iterator[str]:
    name = account.tenant
    for what, said, replayed in (
        ("balance", account.posted, replay.posted),
        ("version", account.version, replay.version),
        ("number of transactions", account.txs, replay.txs),
        ("shortfall", account.shortfall, replay.shortfall),
    ):
        if said != replayed:
            yield f"{name}: its {what} is {said}, and its entries make it {replayed}"
    if account.posted - account.held < account.floor:
        yield (
            f"{name}: its balance {account.posted}, less {account.held} held, "
            f"is below its floor {account.floor}"
        )
    for tx_id, difference in sorted(replay.undone.items()):
        if difference:
            yield f"{tx_id}: what was given back of it differs from what it says by {difference}"


def _grants(account: Account, grants: Sequence[GrantRow], replay: _Replay) -> Iterator[str]:
    left = 0
    for grant in sorted(grants, key=lambda one: one.number):
        counted = replay.parts.pop(grant.grant_id, 0)
        waits = grant.state == "waiting"
        if not waits:
            left += grant.remaining
        if (grant.state == "open") != (grant.remaining > 0 and not waits):
            yield f"{grant.grant_id}: is {grant.state} with {grant.remaining} left"
        expected = counted + (grant.amount if waits else 0)
        if grant.remaining != expected or (waits and counted):
            yield f"{grant.grant_id}: has {grant.remaining} left, and entries make it {expected}"
    owed = -replay.parts.pop(OVERDRAFT, 0)
    if owed != account.owed:
        yield f"{account.tenant}: owes {account.owed}, and its entries make it {owed}"
    if left - account.owed != account.posted:
        yield (
            f"{account.tenant}: its grants have {left} left, less {account.owed} owed, "
            f"and its balance is {account.posted}"
        )
    for grant_id in sorted(replay.parts):
        yield f"{grant_id}: has entries and is not there"


def _held(connection: sa.Connection, accounts: Any) -> Iterator[str]:
    held, short = hold_rows.held_and_short(connection)
    for account in accounts:
        lines = held.get(account.counter_id, 0)
        if lines != account.held:
            yield f"{account.tenant}: {account.held} are held, and open holds hold {lines}"
        told = short.get(account.counter_id, 0) + account.loose
        if told != account.shortfall:
            name, short_of = account.tenant, account.shortfall
            yield f"{name}: its shortfall is {short_of}, and lines make it {told}"
