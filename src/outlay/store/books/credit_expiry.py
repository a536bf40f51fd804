"""Grants whose time has come or is over. Works inside the caller's transaction."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from outlay.core.limits.drain import expirable, rolled_over
from outlay.store.books import credit_rows
from outlay.store.books.credit_entries import EXPIRED, SYSTEM, Ledger, Why
from outlay.store.books.credit_moves import source_of
from outlay.store.books.credit_rows import Account, GrantRow, grant_row
from outlay.store.books.credit_tables import CREDIT_ACCOUNTS, CREDIT_GRANTS
from outlay.store.books.journal import note

_GRANT: Final = CREDIT_GRANTS.c


def begin(connection: sa.Connection, *, at: int, limit: int) -> int:
    """Make grants count whose time has come; return how many."""
    statement = (
        sa.select(_GRANT.grant_id, _GRANT.tenant)
        .where(_GRANT.state == "waiting", _GRANT.effective_at <= at)
        .order_by(_GRANT.effective_at, _GRANT.grant_id)
        .limit(limit)
    )
    due = connection.execute(statement).all()
    accounts = credit_rows.lock(connection, {tenant for _, tenant in due})
    ledger = Ledger(connection, accounts.values())
    grants = credit_rows.grants_by_id(connection, [grant_id for grant_id, _ in due])
    for grant in sorted(grants, key=lambda one: (one.effective_at, one.number)):
        ledger.change([grant])
        why = Why("grant", grant.key, at, grant.actor, grant.reason)
        ledger.open(accounts[grant.tenant], [grant], why, source_of(grant.category))
        told = {"grant_id": grant.grant_id, "amount": grant.amount}
        note(connection, SYSTEM, "credits.begin", grant.tenant, at, told)
    ledger.flush()
    return len(grants)


def end(connection: sa.Connection, *, at: int, limit: int) -> int:
    """Expire grants whose time is over, as far as they are free; return how many."""
    accounts_of = CREDIT_ACCOUNTS.c
    later = CREDIT_GRANTS.alias("later")
    rolled = (
        sa.select(sa.func.coalesce(sa.func.sum(later.c.remaining), 0))
        .where(later.c.tenant == _GRANT.tenant, later.c.state == "open")
        .where(later.c.source_grant_id == _GRANT.grant_id)
        .scalar_subquery()
    )
    statement = (
        sa.select(_GRANT.grant_id, _GRANT.tenant)
        .join(CREDIT_ACCOUNTS, accounts_of.tenant == _GRANT.tenant)
        .where(_GRANT.state == "open", _GRANT.expires_at <= at)
        # Those that are wholly held must not stand in the way of others.
        .where(accounts_of.posted - accounts_of.held - rolled > 0)
        .order_by(_GRANT.expires_at, _GRANT.grant_id)
        .limit(limit)
    )
    due = connection.execute(statement).all()
    tenants = {tenant for _, tenant in due}
    accounts = credit_rows.lock(connection, tenants)
    # Read again: what was free may have been used while others had the lock.
    grants = {one.grant_id: one for one in credit_rows.grants_of(connection, tenants, ["open"])}
    ledger = Ledger(connection, accounts.values())
    ended = 0
    for grant_id, tenant in due:
        grant = grants.get(grant_id)
        if grant is not None and _end(ledger, accounts[tenant], grant, list(grants.values()), at):
            note(connection, SYSTEM, "credits.expire", tenant, at, {"grant_id": grant_id})
            ended += 1
    ledger.flush()
    return ended


def _end(ledger: Ledger, account: Account, grant: GrantRow, known: list[GrantRow], at: int) -> bool:
    later = (one for one in known if one.source_grant_id == grant.grant_id)
    rolled = sum(one.remaining for one in later if one.tenant == grant.tenant)
    gone = expirable(grant.remaining, account.posted, account.held, rolled)
    if not gone or grant.expires_at is None:
        return False
    told = {"grant_id": grant.grant_id}
    ledger.take_from(
        account, [grant], gone, Why("expiry", grant.grant_id, at, details=told), EXPIRED
    )
    kept = rolled_over(gone, grant.rollover_ppm)
    if kept:
        until = grant.expires_at + grant.rollover_us if grant.rollover_us else None
        new = grant_row(
            account, amount=kept, category=grant.category, at=at, key=grant.key, actor=SYSTEM,
            reason=grant.reason, priority=grant.priority, expires_at=until,
            source_grant_id=grant.grant_id,
        )  # fmt: skip
        ledger.add([new])
        ledger.open(account, [new], Why("rollover", grant.grant_id, at, details=told), EXPIRED)
    return True
