"""Writes the credit ledger: what happens to locked accounts in one transaction of the database.

A `Ledger` collects changes and writes them with a few statements, however many they are. It owns
what an entry looks like: each transaction of the ledger is of one tenant, its entries sum to zero,
and its `parts` say what each grant gave or got; with the overdraft they sum to the tenant's entry.
Works inside the caller's transaction, on accounts that he has locked.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.limits.drain import OVERDRAFT, Part, drain, drain_order, refill, undo
from outlay.errors import OutlayError
from outlay.store.books import credit_rows
from outlay.store.books.bulk import Bulk
from outlay.store.books.credit_charges import TX_ROWS, Charge, newest, older
from outlay.store.books.credit_rows import ACCOUNT_ROWS, GRANT_ROWS, Account, GrantRow, grant_row
from outlay.store.books.credit_tables import CREDIT_ENTRIES, CREDIT_GRANTS
from outlay.store.credits import TxKind

SYSTEM: Final = "system"
"""Who does what nobody asked for: usage, expiry."""
PAID: Final = "system:paid"
PROMOTIONAL: Final = "system:promotional"
REVENUE: Final = "system:revenue"
SHORTFALL: Final = "system:shortfall"
EXPIRED: Final = "system:expired"
ADJUSTMENTS: Final = "system:adjustments"
TRANSFERS: Final = "system:transfers"
"""The other sides of tenants' entries. Usage that a balance could not pay is on `SHORTFALL`."""

MAX_REFILLED: Final = 32
"""How many grants are looked at to give something back to that belongs to none."""

# Without the id, which the database gives.
_ENTRY_ROWS: Final = Bulk(
    sa.Table(
        CREDIT_ENTRIES.name,
        sa.MetaData(),
        *(sa.Column(c.name, c.type) for c in CREDIT_ENTRIES.columns if not c.primary_key),
    )
)
_ACCOUNT_CHANGES: Final = (
    "posted", "held", "floor", "shortfall", "version", "txs", "grants", "enforce", "top_up_below",
    "top_up_amount", "top_up_url", "top_up_asked_at", "loose",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Why:
    """What a transaction of the ledger is about; `key` names what was asked for or settled."""

    kind: TxKind
    key: str
    at: int
    actor: str = SYSTEM
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class Ledger:
    """Changes of locked accounts, written by `flush`. What it holds is lost without."""

    def __init__(self, connection: sa.Connection, accounts: Iterable[Account]) -> None:
        self._connection = connection
        self._accounts = {account.tenant: account for account in accounts}
        self._grants: dict[str, GrantRow] = {}
        self._ordered: dict[str, list[GrantRow]] = {}
        self._loaded = False
        self._new: list[GrantRow] = []
        self._changed: set[str] = set()
        self._newest: dict[tuple[str, str], Charge] = {}
        self._undone: dict[str, int] = {}
        self._txs: list[tuple[Any, ...]] = []
        self._entries: list[tuple[Any, ...]] = []

    # what tenants lose

    def charge(self, account: Account, amount: int, short: int, why: Why) -> None:
        """Charge usage: drain grants in order, then the overdraft; note what was not paid."""
        parts = self._drain(account, amount)
        others = ((SHORTFALL, -short), (REVENUE, amount + short))
        account.shortfall += short
        self._write(account, why, -amount, others, parts, drained=amount)

    def take(self, account: Account, amount: int, why: Why, to: str) -> str:
        """Take credits away, for what may be undone by a refund; return the transaction's id."""
        parts = self._drain(account, amount)
        return self._write(account, why, -amount, ((to, amount),), parts, drained=amount)

    def take_from(
        self, account: Account, grants: Sequence[GrantRow], amount: int, why: Why, to: str
    ) -> list[Part]:
        """Take credits out of certain grants, for good; return what each of them gave."""
        self._know(grants)
        parts = drain([self._grants[grant.grant_id] for grant in grants], amount)
        self._changed.update(grant_id for grant_id, _ in parts)
        self._write(account, why, -amount, ((to, amount),), parts)
        return parts

    # what tenants get

    def open(self, account: Account, grants: Sequence[GrantRow], why: Why, source: str) -> str:
        """Make new or waiting grants count; what is owed is repaid out of them first."""
        parts: list[Part] = []
        amount, owed = 0, account.owed
        for grant in grants:
            repaid = min(owed, grant.amount)
            owed -= repaid
            amount += grant.amount
            grant.state, grant.remaining = "open", grant.amount - repaid
            if repaid:
                parts.append((OVERDRAFT, repaid))
            if grant.remaining:
                parts.append((grant.grant_id, grant.remaining))
        return self._write(account, why, amount, ((source, -amount),), parts)

    def add(self, grants: Iterable[GrantRow]) -> None:
        """Have grants written that are new."""
        self._ordered.clear()
        for grant in grants:
            self._grants[grant.grant_id] = grant
            self._new.append(grant)

    def change(self, grants: Iterable[GrantRow]) -> None:
        """Have grants written that were read."""
        self._ordered.clear()
        for grant in grants:
            self._grants[grant.grant_id] = grant
            self._changed.add(grant.grant_id)

    def look_up(self, keys: Collection[tuple[str, str]]) -> None:
        """Read at once what corrections of these tenants and keys will give back first."""
        self._newest = newest(self._connection, keys)
        parts = [part for charge in self._newest.values() for part in charge.parts]
        self._know_by_id(grant_id for grant_id, _ in parts)

    def correct(self, account: Account, amount: int, short: int, why: Why) -> None:
        """Give back usage that was charged too much for `why.key`, the last charge first.

        The key must have been looked up.
        """
        wanted: list[Part] = []
        undid: list[Part] = []
        left = amount
        for charge in self._to_undo(account, why.key) if left else ():
            back = undo(charge.parts, charge.undone, left)
            given = sum(part for _, part in back)
            self._undone[charge.tx_id] = charge.undone + given
            undid.append((charge.tx_id, given))
            wanted += back
            left -= given
            if not left:
                break
        parts = self._give_back(account, amount, wanted, why)
        account.shortfall += short
        why = replace(why, details={**why.details, "undid": undid})
        others = ((SHORTFALL, -short), (REVENUE, short - amount))
        self._write(account, why, amount, others, parts)

    def refund(self, account: Account, charge: Charge, amount: int, why: Why, source: str) -> str:
        """Give back a part of one charge; the caller has checked that so much is left of it."""
        wanted = undo(charge.parts, charge.undone, amount)
        self._undone[charge.tx_id] = charge.undone + amount
        parts = self._give_back(account, amount, wanted, why)
        why = replace(why, details={**why.details, "undid": [(charge.tx_id, amount)]})
        return self._write(account, why, amount, ((source, -amount),), parts)

    # the rows

    def flush(self) -> None:
        """Write everything; the database refuses all of it if a balance is below its floor."""
        connection, changed = self._connection, self._changed
        new = {grant.grant_id for grant in self._new}
        for grant_id in changed | new:
            grant = self._grants[grant_id]
            if grant.state != "waiting":
                grant.state = "open" if grant.remaining else "spent"
        _all(GRANT_ROWS.insert(connection, [grant.row() for grant in self._new]), len(new))
        rows = [self._grants[grant_id] for grant_id in sorted(changed - new)]
        GRANT_ROWS.update(
            connection,
            ("remaining", "state"),
            [(grant.grant_id, grant.remaining, grant.state) for grant in rows],
        )
        _all(TX_ROWS.insert(connection, self._txs), len(self._txs))
        TX_ROWS.update(connection, ("undone",), sorted(self._undone.items()))
        _all(_ENTRY_ROWS.insert(connection, self._entries), len(self._entries))
        ACCOUNT_ROWS.update(
            connection,
            _ACCOUNT_CHANGES,
            [
                (account.tenant, *(getattr(account, name) for name in _ACCOUNT_CHANGES))
                for account in sorted(self._accounts.values(), key=lambda one: one.tenant)
            ],
        )

    def _drain(self, account: Account, amount: int) -> list[Part]:
        if not amount:
            return []
        if not self._loaded:
            self._know(credit_rows.grants_of(self._connection, list(self._accounts), ["open"]))
            self._loaded = True
        mine = self._ordered.get(account.tenant)
        if mine is None:
            known = (one for one in self._grants.values() if one.tenant == account.tenant)
            counted = (one for one in known if one.state != "waiting")
            mine = self._ordered[account.tenant] = sorted(counted, key=drain_order)
        parts = drain(mine, amount)
        self._changed.update(grant_id for grant_id, _ in parts if grant_id != OVERDRAFT)
        return parts

    def _give_back(
        self, account: Account, amount: int, wanted: Sequence[Part], why: Why
    ) -> list[Part]:
        """Repay what is owed, then give to the grants that are wanted, then to the newest."""
        repaid = min(account.owed, amount)
        parts: list[Part] = [(OVERDRAFT, repaid)] if repaid else []
        left = amount - repaid
        if left:
            named = [grant_id for grant_id, _ in wanted if grant_id != OVERDRAFT]
            self._know_by_id(named)
            given, left = refill(map(self._grants.__getitem__, named), wanted, left)
            parts += given
        if left:
            newest = self._with_room(account, at=why.at)
            given, left = refill(newest, [(one.grant_id, one.room) for one in newest], left)
            parts += given
        self._changed.update(grant_id for grant_id, _ in parts if grant_id != OVERDRAFT)
        if left:
            new = grant_row(
                account, amount=left, category="paid", at=why.at, key=why.key[:128],
                actor=why.actor, reason=why.reason or why.kind,
            )  # fmt: skip
            self.add([new])
            parts.append((new.grant_id, left))
        return parts

    def _with_room(self, account: Account, *, at: int) -> list[GrantRow]:
        table = CREDIT_GRANTS.c
        found = credit_rows.grants_where(
            self._connection,
            table.tenant == account.tenant,
            table.state.in_(("open", "spent")),
            sa.or_(table.expires_at.is_(None), table.expires_at > at),
            limit=MAX_REFILLED,
        )
        self._know(found)
        return [self._grants[grant.grant_id] for grant in found]

    def _to_undo(self, account: Account, key: str) -> Iterator[Charge]:
        last = self._newest.get((account.tenant, key))
        if last is not None:
            yield last
            yield from older(self._connection, last)

    def _know_by_id(self, grant_ids: Iterable[str]) -> None:
        unknown = set(grant_ids) - self._grants.keys() - {OVERDRAFT}
        if unknown:
            self._know(credit_rows.grants_by_id(self._connection, unknown))

    def _know(self, grants: Iterable[GrantRow]) -> None:
        """Take grants as read, except those that were changed since."""
        self._ordered.clear()
        for grant in grants:
            self._grants.setdefault(grant.grant_id, grant)

    def _write(
        self,
        account: Account,
        why: Why,
        amount: int,
        others: Iterable[tuple[str, int]],
        parts: Sequence[Part],
        *,
        drained: int = 0,
    ) -> str:
        account.txs += 1
        tx_id = f"{account.tenant}/{account.txs}"
        if amount:
            account.version += 1
            self._entries.append((tx_id, account.name, amount, account.posted, account.version))
            account.posted += amount
        self._entries += [(tx_id, other, part, None, None) for other, part in others if part]
        details = json.dumps({**why.details, "parts": parts}, sort_keys=True, ensure_ascii=False)
        self._txs.append(
            (
                tx_id, account.tenant, account.txs, why.kind, why.key, why.at, why.actor,
                why.reason, details, drained, 0,
            )
        )  # fmt: skip
        below = account.top_up_below
        if amount > 0 and below is not None and account.available >= below:
            account.top_up_asked_at = None
        return tx_id


def _all(written: int, wanted: int) -> None:
    if written != wanted:
        raise OutlayError("The credit ledger holds rows already that it is to write now.")
