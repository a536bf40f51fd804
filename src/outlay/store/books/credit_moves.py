"""Grants, adjustments, refunds and transfers of credits, each inside the caller's transaction.

Each is checked against the balance, goes through the ledger and leaves its audit entry. What they
return is what the books answer, as JSON carries it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import sqlalchemy as sa

from outlay.errors import ConflictError, NotFoundError, TooLargeError
from outlay.store.books import credit_rows
from outlay.store.books.credit_charges import charge_of
from outlay.store.books.credit_entries import (
    ADJUSTMENTS,
    PAID,
    PROMOTIONAL,
    REVENUE,
    TRANSFERS,
    Ledger,
    Why,
)
from outlay.store.books.credit_rows import Account, GrantRow, grant_row
from outlay.store.books.credit_rules import (
    MAX_BALANCE,
    MAX_OPEN_GRANTS,
    check_available,
    check_grant_times,
    credits_text,
)
from outlay.store.books.journal import changed, note
from outlay.store.credits import Category, TxKind

_SOURCES: Final[Mapping[Category, str]] = {"paid": PAID, "promotional": PROMOTIONAL}
_REFUNDED: Final[Mapping[TxKind, str]] = {"usage": REVENUE, "adjustment": ADJUSTMENTS}
"""What a refund takes the credits from, by the kind of what is given back."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What every mutation says: under which key, why, who and when."""

    key: str
    reason: str
    actor: str
    at: int

    def why(self, kind: TxKind, **details: Any) -> Why:
        """Return the ledger's words for it."""
        return Why(kind, self.key, self.at, self.actor, self.reason, details)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a grant is to be used."""

    category: Category
    priority: int
    effective_at: int | None
    expires_at: int | None
    rollover_ppm: int
    rollover_us: int


def source_of(category: Category) -> str:
    """Return the system account that grants of a category come from."""
    return _SOURCES[category]


def grant(
    connection: sa.Connection, tenant: str, amount: int, terms: Terms, asked: Asked
) -> dict[str, Any]:
    """Give credits, now or from a time on; the first ones open an account."""
    at = asked.at
    check_grant_times(effective_at=terms.effective_at, expires_at=terms.expires_at, at=at)
    account, is_new = credit_rows.opened(connection, tenant, at=at)
    _check_room(connection, account, amount, grants=1)
    waits = terms.effective_at is not None and terms.effective_at > at
    given = _new(account, amount, terms, asked, state="waiting" if waits else "open")
    ledger = Ledger(connection, [account])
    ledger.add([given])
    if not waits:
        ledger.open(account, [given], asked.why("grant"), source_of(terms.category))
    ledger.flush()
    details = {
        "amount": amount, "category": terms.category, "grant_id": given.grant_id,
        "effective_at": given.effective_at, "expires_at": terms.expires_at,
    }  # fmt: skip
    _journal(connection, "credits.grant", tenant, asked, details, is_new=is_new)
    return {"grant": asdict(given.grant()), "balance": asdict(account.balance())}


def adjust(connection: sa.Connection, tenant: str, amount: int, asked: Asked) -> dict[str, Any]:
    """Correct a balance; upwards by a promotional grant that does not expire."""
    account = credit_rows.lock_one(connection, tenant)
    ledger = Ledger(connection, [account])
    if amount < 0:
        check_available(account, -amount, what="take away")
        tx_id = ledger.take(account, -amount, asked.why("adjustment"), ADJUSTMENTS)
    else:
        tx_id = _give(connection, ledger, account, amount, "promotional", asked, "adjustment")
    ledger.flush()
    _journal(connection, "credits.adjust", tenant, asked, {"amount": amount, "tx_id": tx_id})
    return {"balance": asdict(account.balance())}


def refund(
    connection: sa.Connection, tenant: str, amount: int, charged: str, asked: Asked
) -> dict[str, Any]:
    """Give back a charge to the grants that paid it, or, if none is named, as a paid grant."""
    account = credit_rows.lock_one(connection, tenant)
    ledger = Ledger(connection, [account])
    if charged:
        charge = charge_of(connection, tenant, charged)
        if charge is None:
            raise NotFoundError(
                f"{tenant} has no transaction {charged!r}.",
                where="tx_id",
                hint="`outlay credits history` lists them.",
            )
        left = charge.drained - charge.undone
        if charge.kind not in _REFUNDED or amount > left:
            raise ConflictError(
                f"At most {credits_text(left if charge.kind in _REFUNDED else 0)} credits of "
                f"{charged} can be given back.",
                where="amount",
                hint="Leave `tx_id` out to give back credits that belong to no transaction.",
            )
        _check_room(connection, account, amount, grants=0)
        source = _REFUNDED[charge.kind]
        tx_id = ledger.refund(account, charge, amount, asked.why("refund"), source)
    else:
        tx_id = _give(connection, ledger, account, amount, "paid", asked, "refund")
    ledger.flush()
    details = {"amount": amount, "tx_id": tx_id, "charged": charged}
    _journal(connection, "credits.refund", tenant, asked, details)
    return {"balance": asdict(account.balance())}


def transfer(
    connection: sa.Connection, source: str, target: str, amount: int, asked: Asked
) -> dict[str, Any]:
    """Move credits that are there; they keep their category, priority, expiry and rollover.

    Neither an overdraft nor what has expired can be moved.
    """
    found = credit_rows.lock(connection, [source, target])
    for tenant in (source, target):
        if tenant not in found:
            raise credit_rows.no_account(tenant)
    giver, taker = found[source], found[target]
    lasting = [
        one
        for one in credit_rows.grants_of(connection, [source], ["open"])
        if one.expires_at is None or one.expires_at > asked.at
    ]
    have = min(giver.posted - giver.held, sum(one.remaining for one in lasting))
    check_available(giver, amount, what="transfer", have=have)
    ledger = Ledger(connection, [giver, taker])
    why = asked.why("transfer", to=target)
    parts = ledger.take_from(giver, lasting, amount, why, TRANSFERS)
    _check_room(connection, taker, amount, grants=len(parts))
    by_id = {one.grant_id: one for one in lasting}
    moved = [_moved(taker, by_id[grant_id], -part, asked) for grant_id, part in parts]
    ledger.add(moved)
    ledger.open(taker, moved, asked.why("transfer", **{"from": source}), TRANSFERS)
    ledger.flush()
    for tenant in (source, target):
        details = {"amount": amount, "from": source, "to": target}
        _journal(connection, "credits.transfer", tenant, asked, details)
    return {"source": asdict(giver.balance()), "target": asdict(taker.balance())}


def _give(
    connection: sa.Connection,
    ledger: Ledger,
    account: Account,
    amount: int,
    category: Category,
    asked: Asked,
    kind: TxKind,
) -> str:
    _check_room(connection, account, amount, grants=1)
    terms = Terms(category, 100, None, None, 0, 0)
    given = _new(account, amount, terms, asked, state="open")
    ledger.add([given])
    source = REVENUE if kind == "refund" else ADJUSTMENTS
    return ledger.open(account, [given], asked.why(kind), source)


def _new(
    account: Account, amount: int, terms: Terms, asked: Asked, *, state: credit_rows.GrantState
) -> GrantRow:
    return grant_row(
        account, amount=amount, category=terms.category, at=asked.at, key=asked.key,
        actor=asked.actor, reason=asked.reason, state=state, priority=terms.priority,
        effective_at=terms.effective_at, expires_at=terms.expires_at,
        rollover_ppm=terms.rollover_ppm, rollover_us=terms.rollover_us,
    )  # fmt: skip


def _moved(account: Account, grant: GrantRow, amount: int, asked: Asked) -> GrantRow:
    terms = Terms(
        grant.category, grant.priority, grant.effective_at, grant.expires_at, grant.rollover_ppm,
        grant.rollover_us,
    )  # fmt: skip
    moved = _new(account, amount, terms, asked, state="open")
    moved.source_grant_id = grant.grant_id
    return moved


def _check_room(connection: sa.Connection, account: Account, amount: int, *, grants: int) -> None:
    """Check that an account may get so much in so many grants."""
    open_ones = credit_rows.grants_of(connection, [account.tenant], ["open", "waiting"])
    waiting = sum(one.amount for one in open_ones if one.state == "waiting")
    if account.posted + waiting + amount > MAX_BALANCE:
        raise TooLargeError(
            f"{account.tenant} would have more than {credits_text(MAX_BALANCE)} credits.",
            where="amount",
            hint="Grant less; such a balance is a mistake in the unit.",
        )
    if len(open_ones) + grants > MAX_OPEN_GRANTS:
        raise TooLargeError(
            f"{account.tenant} would have more than {MAX_OPEN_GRANTS} grants that are not spent.",
            where="tenant",
            hint="Use fewer, larger grants.",
        )


def _journal(
    connection: sa.Connection, action: str, tenant: str, asked: Asked, details: Mapping[str, Any],
    *, is_new: bool = False,
) -> None:  # fmt: skip
    """Write the audit entry; an account that was opened is told to those who cache them."""
    told = {"key": asked.key, "reason": asked.reason, **details}
    if is_new:
        changed(connection, "credits", asked.actor, action, tenant, asked.at, told)
    else:
        note(connection, asked.actor, action, tenant, asked.at, told)
