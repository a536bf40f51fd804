"""The part of `Books` that keeps prepaid credits: who may ask for what, once each.

Each mutation is one transaction with its audit entry. What it does to the ledger is in
`credit_moves` and `credit_expiry`; charges come with holds, by `credit_accounts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from outlay.errors import BadRequestError
from outlay.store.books import credit_expiry, credit_moves, credit_proof, credit_rows, credit_rules
from outlay.store.books.checks import check_tenant_id, check_text, check_time
from outlay.store.books.credit_answers import answered, remember
from outlay.store.books.credit_entries import SYSTEM
from outlay.store.books.credit_moves import Asked, Terms
from outlay.store.books.credit_rows import ACCOUNT_ROWS, MAX_LISTED
from outlay.store.books.credit_tables import CREDIT_ACCOUNTS, CREDIT_ENTRIES, CREDIT_TX
from outlay.store.books.engine import Database
from outlay.store.books.journal import changed, note
from outlay.store.credits import Balance, Category, Entry, Grant

_SETTINGS = ("floor", "top_up_below", "top_up_amount", "top_up_url", "enforce")


class SqlCredits:
    """The methods of `store.credits.CreditBooks`, on `self._database`."""

    _database: Database

    def grant(
        self, tenant: str, amount: int, *, key: str, reason: str, actor: str, at: int,
        category: Category = "paid", priority: int = 100, effective_at: int | None = None,
        expires_at: int | None = None, rollover_ppm: int = 0, rollover_us: int = 0,
    ) -> tuple[Grant, Balance]:  # fmt: skip
        """Give credits; they count from `effective_at` (now if not said).

        Raises:
            BadRequestError: a part of it is not valid.
            ConflictError: the key was used for something else.
            TooLargeError: the tenant would have too much, or too many grants.
        """
        credit_rules.check_asked(tenant, key=key, reason=reason, actor=actor, at=at)
        credit_rules.check_amount(amount)
        asked_for = {
            "category": category, "priority": priority, "effective_at": effective_at,
            "expires_at": expires_at, "rollover_ppm": rollover_ppm, "rollover_us": rollover_us,
        }  # fmt: skip
        credit_rules.check_grant(**asked_for)
        terms = Terms(category, priority, effective_at, expires_at, rollover_ppm, rollover_us)
        asked = Asked(key, reason, actor, at)
        answer = self._once(
            tenant, asked, {"do": "grant", "amount": amount, **asked_for},
            lambda connection: credit_moves.grant(connection, tenant, amount, terms, asked),
        )  # fmt: skip
        return Grant(**answer["grant"]), Balance(**answer["balance"])

    def adjust(
        self, tenant: str, amount: int, *, key: str, reason: str, actor: str, at: int
    ) -> Balance:
        """Correct a balance up or down.

        Raises:
            BadRequestError: a part of it is not valid.
            NotFoundError: the tenant has no account.
            ConflictError: less than that is available, or the key was used for something else.
        """
        credit_rules.check_asked(tenant, key=key, reason=reason, actor=actor, at=at)
        credit_rules.check_amount(amount, signed=True)
        asked = Asked(key, reason, actor, at)
        answer = self._once(
            tenant, asked, {"do": "adjust", "amount": amount},
            lambda connection: credit_moves.adjust(connection, tenant, amount, asked),
        )  # fmt: skip
        return Balance(**answer["balance"])

    def refund(
        self, tenant: str, amount: int, *, key: str, reason: str, actor: str, at: int,
        tx_id: str = "",
    ) -> Balance:  # fmt: skip
        """Give back what was charged, to the grants it was drained from if `tx_id` names it.

        What belongs to a grant that has expired since expires again; without `tx_id` it is given
        as a grant of its own, which does not expire.

        Raises:
            BadRequestError: a part of it is not valid.
            NotFoundError: the tenant has no account, or no such transaction.
            ConflictError: so much is not left of the charge, or the key was used otherwise.
        """
        credit_rules.check_asked(tenant, key=key, reason=reason, actor=actor, at=at)
        credit_rules.check_amount(amount)
        check_text(tx_id, "tx_id")
        asked = Asked(key, reason, actor, at)
        answer = self._once(
            tenant, asked, {"do": "refund", "amount": amount, "tx_id": tx_id},
            lambda connection: credit_moves.refund(connection, tenant, amount, tx_id, asked),
        )  # fmt: skip
        return Balance(**answer["balance"])

    def transfer(
        self, source: str, target: str, amount: int, *, key: str, reason: str, actor: str, at: int
    ) -> tuple[Balance, Balance]:
        """Move credits between tenants; the key is the source's.

        Raises:
            BadRequestError: a part of it is not valid, or both are the same.
            NotFoundError: one of them has no account.
            ConflictError: the source has not enough, or the key was used for something else.
        """
        credit_rules.check_asked(source, key=key, reason=reason, actor=actor, at=at)
        check_tenant_id(target)
        credit_rules.check_amount(amount)
        if source == target:
            raise BadRequestError("Credits cannot be moved to where they are.", where="target")
        asked = Asked(key, reason, actor, at)
        answer = self._once(
            source, asked, {"do": "transfer", "amount": amount, "target": target},
            lambda connection: credit_moves.transfer(connection, source, target, amount, asked),
        )  # fmt: skip
        return Balance(**answer["source"]), Balance(**answer["target"])

    def set_account(
        self, tenant: str, *, floor: int, reason: str, actor: str, at: int,
        top_up_below: int | None = None, top_up_amount: int | None = None, top_up_url: str = "",
        enforce: bool = True,
    ) -> Balance:  # fmt: skip
        """Open or change an account; the same settings again change nothing.

        Raises:
            BadRequestError: a setting is not valid.
            ConflictError: the balance, less what is held, is below the floor asked for.
        """
        check_tenant_id(tenant)
        credit_rules.check_why(reason=reason, actor=actor, at=at)
        settings = {
            "floor": floor, "top_up_below": top_up_below, "top_up_amount": top_up_amount,
            "top_up_url": top_up_url, "enforce": enforce,
        }  # fmt: skip
        credit_rules.check_account(**settings)
        with self._database.write() as connection:
            account, is_new = credit_rows.opened(connection, tenant, at=at)
            before = {name: getattr(account, name) for name in _SETTINGS}
            if before == settings and not is_new:
                return account.balance()
            raised = max(0, floor - account.floor)
            credit_rules.check_available(account, raised, what="put out of use by the new floor")
            for name, value in settings.items():
                setattr(account, name, value)
            account.top_up_asked_at = None
            row = (tenant, *settings.values(), None)
            ACCOUNT_ROWS.update(connection, (*settings, "top_up_asked_at"), [row])
            details = {"reason": reason, "after": settings, "before": None if is_new else before}
            changed(connection, "credits", actor, "credits.account", tenant, at, details)
        return account.balance()

    def mature(self, *, at: int, limit: int) -> int:
        """Make grants effective whose time has come and expire those whose time is over.

        What is held stays held: an expiry takes at most what is free, and the rest once it is.
        Returns how many grants changed.
        """
        check_time(at, "at")
        most = max(0, min(limit, MAX_LISTED))
        # Two transactions: each locks its accounts at once, in their order.
        with self._database.write() as connection:
            begun = credit_expiry.begin(connection, at=at, limit=most)
        with self._database.write() as connection:
            return begun + credit_expiry.end(connection, at=at, limit=most - begun)

    # reading

    def balance(self, tenant: str) -> Balance | None:
        """Return a tenant's balance by one row, `None` without an account."""
        with self._database.read() as connection:
            rows = ACCOUNT_ROWS.select(connection, tenant=[tenant])
        return credit_rows.account_of(rows[0]).balance() if rows else None

    def balances(self) -> list[Balance]:
        """Return every account, by tenant."""
        with self._database.read() as connection:
            return [account.balance() for account in credit_rows.accounts(connection)]

    def grants(self, tenant: str, *, open_only: bool = False) -> list[Grant]:
        """Return a tenant's grants in the order they drain; waiting ones are open, too."""
        states = ["open", "waiting"] if open_only else ["open", "waiting", "spent"]
        with self._database.read() as connection:
            rows = credit_rows.grants_of(connection, [tenant], states)
        return [row.grant() for row in rows[:MAX_LISTED]]

    def credit_history(self, tenant: str, *, before: int = 0, limit: int = 100) -> list[Entry]:
        """Return a tenant's entries, the newest first; `before` is an entry id (0: the newest)."""
        table, tx = CREDIT_ENTRIES.c, CREDIT_TX
        statement = (
            sa.select(CREDIT_ENTRIES, *tx.c["kind", "at", "actor", "reason", "key", "details"])
            .join(tx, tx.c.tx_id == table.tx_id)
            .where(table.account == f"tenant:{tenant}", table.version.is_not(None))
            .order_by(table.version.desc())
            .limit(max(0, min(limit, MAX_LISTED)))
        )
        if before:
            known = sa.select(table.version).where(
                table.entry_id == before, table.account == f"tenant:{tenant}"
            )
            statement = statement.where(table.version < known.scalar_subquery())
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings().all()
        return [Entry(**{**row, "details": json.loads(row["details"])}) for row in rows]

    # top-ups

    def top_ups_due(self) -> list[Balance]:
        """Return accounts with less available than `top_up_below`, not asked for yet.

        Those that were asked for and have risen above it since may be asked for again.
        """
        with self._database.read() as connection:
            accounts = credit_rows.accounts(connection, top_ups=True)
        if any(account.top_up_asked_at is not None and not account.low for account in accounts):
            with self._database.write() as connection:
                connection.execute(
                    sa.update(CREDIT_ACCOUNTS)
                    .where(CREDIT_ACCOUNTS.c.top_up_below <= credit_rows.AVAILABLE)
                    .values(top_up_asked_at=None)
                )
        return [one.balance() for one in accounts if one.low and one.top_up_asked_at is None]

    def top_up_asked(self, tenant: str, *, at: int) -> None:
        """Remember that a top-up was asked for, until the account rises above its bound.

        Raises:
            NotFoundError: the tenant has no account.
        """
        check_time(at, "at")
        with self._database.write() as connection:
            credit_rows.lock_one(connection, tenant)
            ACCOUNT_ROWS.update(connection, ("top_up_asked_at",), [(tenant, at)])
            note(connection, SYSTEM, "credits.top_up_asked", tenant, at, {})

    def check_credits(self) -> list[str]:
        """Prove the ledger: a line of text per difference, empty when it balances."""
        with self._database.read() as connection:
            return credit_proof.differences(connection)

    def _once(
        self,
        tenant: str,
        asked: Asked,
        request: dict[str, Any],
        do: Callable[[sa.Connection], dict[str, Any]],
    ) -> dict[str, Any]:
        """Do what was asked, or return the answer that it had before."""
        whole = {**request, "reason": asked.reason}
        with self._database.write() as connection:
            known = answered(connection, tenant, asked.key, whole)
            if known is not None:
                return known
            answer = do(connection)
            remember(connection, tenant, asked.key, whole, answer, at=asked.at)
            return answer
