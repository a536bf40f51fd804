"""A plant that counts: settler and seeder stepped by hand, and the sums that counters must show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outlay.act.ceilings import Ceilings
from outlay.act.seeding import Seeder
from outlay.act.settle import Settler
from outlay.core.limits.holds import Counter, Need, Reserve, Settle, Sync, Want
from outlay.core.limits.limit import Limit, Match
from outlay.core.limits.period import counter_key, credit_key, meter_of
from outlay.core.limits.subject import matches, scope_key, subject_of
from outlay.store.limits import LimitChange
from outlay.stream.ipc import from_ipc
from tests.unit.act.plant import Plant

EACH_TENANT = (Match("tenant", each=True),)


def limit(limit_id: str = "month", **values: Any) -> Limit:
    """Return a limit, by default on the cost of each tenant in a month."""
    said: dict[str, Any] = {"metric": "cost", "window": "month", "amount": 10**12}
    return Limit(limit_id, **(said | {"scope": EACH_TENANT} | values))


class CountingPlant(Plant):
    """A plant whose events are counted."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.moved: set[str] = set()
        self.by_hand = False
        """Events stay in the captured log until a step is made."""
        self.restart()

    def settle(self, _timeout_s: float = 0.0) -> bool:
        """Let events reach the stores, unless that is done step by step."""
        return self.by_hand or super().settle()

    def all_in(self) -> None:
        """Let everything that was captured reach the stores."""
        super().settle()

    def restart(self) -> None:
        """Begin with a new settler and seeder, as after a crash."""
        self.settler = Settler(
            self.enriched, self.books, self.olap, clock=self.clock, moved=self.moved.update
        )
        self.seeder = Seeder(self.enriched, self.books, self.olap, clock=self.clock)

    def set(self, *limits: Limit, removed: tuple[str, ...] = ()) -> None:
        """Change limits."""
        self.now += 1
        change = LimitChange(limits=limits, removed=removed)
        self.books.change_limits(change, reason="test", actor="test", at=self.now)

    def count(self) -> None:
        """Let the settler and then the seeder do all there is to do."""
        while self.settler.run_once():
            pass
        self.seeder.run_once()

    def counters(self, limit_id: str = "month") -> dict[str, int]:
        """Return what counts as used, by scope key."""
        return {c.key.scope_key: c.used for c in self.books.counters(limit_id=limit_id) if c.used}

    def counter(self, limit_id: str = "month") -> Counter:
        """Return the only counter of a limit."""
        (one,) = self.books.counters(limit_id=limit_id)
        return one

    def credits(self, tenant: str = "acme") -> int:
        """Return a tenant's balance."""
        balance = self.books.balance(tenant)
        assert balance is not None
        return balance.posted

    def expected(self, one: Limit) -> dict[str, int]:
        """Add up the whole log event by event, as `core.limits` says it."""
        ceilings = Ceilings(self.books, self.olap)
        sums: dict[str, int] = {}
        for record in self.enriched.read(0, max_events=10**9):
            table = from_ipc(record.payload)
            lacking = ceilings.lacking(table).tolist()
            for row, more in zip(table.to_pylist(), lacking, strict=True):
                subject = subject_of(row)
                if not matches(one, subject):
                    continue
                scope = scope_key(one, subject)
                sums[scope] = sums.get(scope, 0) + self._amount(one, row, more)
        return {scope: total for scope, total in sums.items() if total}

    @staticmethod
    def _amount(one: Limit, row: dict[str, Any], more: int) -> int:
        called = row["kind"] == "usage" and row["status"] != "blocked"
        read = row["input"] + row["input_cache_read"]
        return int(
            {
                "cost": (row["cost_nanos"] or 0) + more,
                "tokens": read + row["output"] + row["output_reasoning"],
                "calls": int(called),
            }[one.metric]
        )

    # -- what holders do

    def hold(self, hold_id: str, one: Limit, amount: int, tenant: str = "acme") -> None:
        """Reserve for one call."""
        need = self._need(one, amount, tenant)
        op = Reserve(hold_id, "sdk", (need,), self.now, self.now + 60_000_000)
        assert self.books.apply([op])[0].status == "ok"

    def report(self, hold_id: str, amount: int) -> None:
        """Settle a call's hold by what its holder says."""
        (answer,) = self.books.apply([Settle(hold_id, {"cost": amount, "calls": 1}, self.now)])
        assert answer.status == "ok"

    def lease(
        self, owner: str, one: Limit, reported: int, calls: int, tenant: str = "acme"
    ) -> None:
        """Report what a process has used so far."""
        want = Want(self._need(one, 0, tenant), reported, calls, flying=0, ahead=0)
        op = Sync(owner, (want,), self.now, self.now + 60_000_000)
        assert self.books.apply([op])[0].status == "ok"

    def _need(self, one: Limit, amount: int, tenant: str) -> Need:
        scope = scope_key(one, subject_of({"tenant_id": tenant}))
        key = counter_key(one, scope, self.now)
        return Need(key, one.metric, amount, one.amount, meter_of(one, one.amount))


__all__ = ["CountingPlant", "credit_key", "limit"]
