"""Random sequences of everything that can happen to credits, against a model of the balances.

After each step the ledger must prove itself, no balance may be below its floor, and every balance
must be what the model says, which knows nothing of grants and entries.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from outlay.errors import ConflictError
from outlay.store.books.sql import SqlBooks
from tests.postgres import Postgres
from tests.purse import NOW, Purse

TENANTS = ("a", "b")
AMOUNTS = st.integers(1, 60)


@dataclass
class Line:
    """A hold as the model sees it."""

    tenant: str
    granted: int
    booked: int = 0
    short: int = 0


@dataclass
class Model:
    posted: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TENANTS, 0))
    held: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TENANTS, 0))
    floor: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TENANTS, 0))
    loose: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TENANTS, 0))
    """What could not be charged for events of no hold."""

    def free(self, tenant: str) -> int:
        return self.posted[tenant] - self.held[tenant] - self.floor[tenant]

    def charge(self, tenant: str, amount: int) -> int:
        """Charge what the balance can pay; return how much that is."""
        paid = min(amount, max(0, self.free(tenant))) if amount > 0 else amount
        self.posted[tenant] -= paid
        return paid


class Machine(RuleBasedStateMachine):
    def __init__(self, open_books: Callable[[], SqlBooks]) -> None:
        super().__init__()
        self.books = open_books()
        self.purse = Purse(self.books)
        self.model = Model()
        self.now = NOW
        self.open: dict[str, Line] = {}
        self.settled: dict[str, Line] = {}
        self.waiting: list[tuple[int, str, int]] = []
        for tenant in TENANTS:
            self.books.set_account(tenant, floor=0, reason="r", actor="me", at=NOW)

    def teardown(self) -> None:
        self.books.close()

    def said(self) -> dict[str, Any]:
        return self.purse.said(self.now)

    @rule(
        tenant=st.sampled_from(TENANTS), amount=AMOUNTS, priority=st.integers(1, 3),
        lasts=st.none() | st.integers(1, 20), waits=st.none() | st.integers(1, 10),
        free=st.booleans(), rollover=st.sampled_from([0, 300_000, 1_000_000]),
    )  # fmt: skip
    def grant(
        self, tenant: str, amount: int, priority: int, lasts: int | None, waits: int | None,
        free: bool, rollover: int,
    ) -> None:  # fmt: skip
        starts = self.now + (waits or 0)
        terms: dict[str, Any] = {"priority": priority, "effective_at": starts}
        if free:
            terms["category"] = "promotional"
        if lasts is not None:
            terms |= {"expires_at": starts + lasts, "rollover_ppm": rollover}
            terms["rollover_us"] = 5 if rollover == 300_000 else 0
        self.books.grant(tenant, amount, **terms, **self.said())
        if waits:
            self.waiting.append((starts, tenant, amount))
        else:
            self.model.posted[tenant] += amount

    @rule(tenant=st.sampled_from(TENANTS), amount=AMOUNTS)
    def hold(self, tenant: str, amount: int) -> None:
        hold_id = self.purse.key()
        fits = amount <= self.model.free(tenant)
        assert (self.purse.hold(amount, hold_id, tenant, at=self.now) == "ok") == fits
        if fits:
            self.model.held[tenant] += amount
            self.open[hold_id] = Line(tenant, amount)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), amount=AMOUNTS)
    def settle(self, data: st.DataObject, amount: int) -> None:
        hold_id = data.draw(st.sampled_from(sorted(self.open)))
        line = self.settled[hold_id] = self.open.pop(hold_id)
        self.purse.settle(hold_id, amount, at=self.now)
        rest = max(0, line.granted - amount)
        self.model.held[line.tenant] -= line.granted - rest
        line.booked = self.model.charge(line.tenant, amount)
        line.short = amount - line.booked
        self.model.held[line.tenant] -= rest

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        hold_id = data.draw(st.sampled_from(sorted(self.open)))
        line = self.open.pop(hold_id)
        self.purse.void(hold_id, at=self.now)
        self.model.held[line.tenant] -= line.granted

    @precondition(lambda self: self.settled)
    @rule(data=st.data(), amount=st.integers(0, 60))
    def event(self, data: st.DataObject, amount: int) -> None:
        """The event of a settled call says what it really used."""
        hold_id = data.draw(st.sampled_from(sorted(self.settled)))
        line = self.settled.pop(hold_id)
        self.purse.event(hold_id, amount, line.tenant, at=self.now)
        change = amount - line.booked - line.short
        if change < 0:
            change += min(line.short, -change)
        self.model.charge(line.tenant, change)

    @rule(tenant=st.sampled_from(TENANTS), amount=st.integers(-30, 60))
    def spend(self, tenant: str, amount: int) -> None:
        """An event of no hold; below zero, a correction of one."""
        self.purse.spend(amount, tenant, at=self.now)
        forgiven = min(self.model.loose[tenant], max(0, -amount))
        left = amount + forgiven
        self.model.loose[tenant] += left - self.model.charge(tenant, left) - forgiven

    @rule(tenant=st.sampled_from(TENANTS), amount=st.integers(-60, 60).filter(bool))
    def adjust(self, tenant: str, amount: int) -> None:
        fits = -amount <= self.model.free(tenant) or amount > 0
        if not fits:
            with pytest.raises(ConflictError):
                self.books.adjust(tenant, amount, **self.said())
            return
        self.books.adjust(tenant, amount, **self.said())
        self.model.posted[tenant] += amount

    @rule(tenant=st.sampled_from(TENANTS), amount=AMOUNTS, data=st.data())
    def refund(self, tenant: str, amount: int, data: st.DataObject) -> None:
        entries = self.books.credit_history(tenant)
        charges = [entry for entry in entries if entry.kind in ("usage", "adjustment")]
        named = data.draw(st.sampled_from(["", *(entry.tx_id for entry in charges)]))
        try:
            self.books.refund(tenant, amount, tx_id=named, **self.said())
        except ConflictError:
            assert named
            return
        self.model.posted[tenant] += amount

    @rule(source=st.sampled_from(TENANTS), amount=AMOUNTS)
    def transfer(self, source: str, amount: int) -> None:
        target = next(tenant for tenant in TENANTS if tenant != source)
        there = self.model.posted[source] - self.model.held[source]
        try:
            self.books.transfer(source, target, amount, **self.said())
        except ConflictError:
            ends = [one.expires_at for one in self.books.grants(source)]
            assert amount > there or any(end is not None and end <= self.now for end in ends)
            return
        assert amount <= there
        self.model.posted[source] -= amount
        self.model.posted[target] += amount

    @rule(tenant=st.sampled_from(TENANTS), floor=st.integers(-40, 0))
    def overdraft(self, tenant: str, floor: int) -> None:
        fits = self.model.posted[tenant] - self.model.held[tenant] >= floor
        terms: dict[str, Any] = {"floor": floor, "reason": "r", "actor": "me", "at": self.now}
        if not fits:
            with pytest.raises(ConflictError):
                self.books.set_account(tenant, **terms)
            return
        self.books.set_account(tenant, **terms)
        self.model.floor[tenant] = floor

    @rule(passes=st.integers(1, 12))
    def mature(self, passes: int) -> None:
        self.now += passes
        self.books.mature(at=self.now, limit=1000)
        for starts, tenant, amount in list(self.waiting):
            if starts <= self.now:
                self.waiting.remove((starts, tenant, amount))
                self.model.posted[tenant] += amount
        for tenant in TENANTS:
            before, after = self.model.posted[tenant], self.purse.of(tenant).posted
            # What expired is not modelled: only that it took no more than was free.
            assert min(before, self.model.held[tenant]) <= after <= before
            self.model.posted[tenant] = after

    @invariant()
    def everything_adds_up(self) -> None:
        assert self.books.check_credits() == []
        for tenant in TENANTS:
            balance = self.purse.of(tenant)
            assert balance.posted == self.model.posted[tenant]
            assert balance.held == self.model.held[tenant]
            assert balance.available >= 0
            assert balance.shortfall >= 0


def run(open_books: Callable[[], SqlBooks], *, examples: int) -> None:
    class OfThese(Machine):
        def __init__(self) -> None:
            super().__init__(open_books)

    run_state_machine_as_test(
        OfThese,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_on_sqlite(tmp_path: Path) -> None:
    template, books = tmp_path / "template.db", tmp_path / "books.db"
    SqlBooks(f"sqlite:///{template}").close()

    def open_books() -> SqlBooks:
        for old in tmp_path.glob("books.db*"):
            old.unlink()
        shutil.copy(template, books)
        return SqlBooks(f"sqlite:///{books}")

    run(open_books, examples=60)


def test_on_postgresql(postgres: Postgres) -> None:
    run(lambda: SqlBooks(postgres.new_books()), examples=12)
