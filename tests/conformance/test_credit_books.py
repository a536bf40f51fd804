"""What every implementation of `store.credits.CreditBooks` keeps: grants, charges, accounts."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.core.limits.holds import Need, Reserve, Settle, Sync, Want
from outlay.core.limits.period import credit_key
from outlay.errors import ConflictError, NotFoundError, TooLargeError
from outlay.store.credits import MAX_MICROS, Balance
from tests.purse import LATER, NOW, Purse


class TestGrants:
    def test_the_first_grant_opens_an_account(self, purse: Purse) -> None:
        assert purse.books.balance("acme") is None
        before = purse.books.revision("credits")
        grant, balance = purse.books.grant("acme", 50, **purse.said())
        assert (grant.amount, grant.remaining, grant.category) == (50, 50, "paid")
        assert balance == Balance("acme", posted=50, held=0, floor=0, shortfall=0, version=1)
        assert balance == purse.of()
        assert purse.books.revision("credits") == before + 1

    def test_another_one_adds_to_it(self, purse: Purse) -> None:
        purse.give(50)
        before = purse.books.revision("credits")
        purse.give(7)
        assert (purse.of().posted, purse.of().available) == (57, 57)
        assert purse.books.revision("credits") == before

    def test_everything_of_a_grant_comes_back(self, purse: Purse) -> None:
        terms: dict[str, Any] = {
            "category": "promotional", "priority": 3, "effective_at": NOW - 5, "expires_at": LATER,
            "rollover_ppm": 500_000, "rollover_us": 60,
        }  # fmt: skip
        made = purse.give(50, **terms)
        assert purse.books.grants("acme") == [made]
        assert {name: getattr(made, name) for name in terms} == terms
        assert (made.reason, made.created_at, made.source_grant_id) == ("a reason", NOW, "")

    def test_grants_are_listed_and_drained_in_order(self, purse: Purse) -> None:
        last = purse.give(10)
        free = purse.give(10, category="promotional")
        soon = purse.give(10, expires_at=LATER)
        first = purse.give(10, priority=1)
        listed = [grant.grant_id for grant in purse.books.grants("acme")]
        assert listed == [one.grant_id for one in (first, soon, free, last)]
        purse.spend(25)
        assert list(purse.left().values()) == [0, 0, 5, 10]
        opened = purse.books.grants("acme", open_only=True)
        assert [one.grant_id for one in opened] == [free.grant_id, last.grant_id]

    def test_it_is_audited(self, purse: Purse) -> None:
        made = purse.give(50)
        entry = purse.books.audit(action="credits.grant")[0]
        assert (entry.subject, entry.actor, entry.at) == ("acme", "me", NOW)
        assert entry.details["grant_id"] == made.grant_id
        assert entry.details["reason"] == "a reason"

    def test_one_that_starts_later_counts_from_then_on(self, purse: Purse) -> None:
        purse.give(50, effective_at=NOW + 10)
        assert (purse.of().posted, purse.books.credit_history("acme")) == (0, [])
        assert len(purse.books.grants("acme", open_only=True)) == 1
        assert purse.hold(1, "h") == "over"
        assert purse.books.mature(at=NOW + 9, limit=10) == 0
        assert purse.books.mature(at=NOW + 10, limit=10) == 1
        assert purse.of().posted == 50
        assert purse.books.mature(at=NOW + 11, limit=10) == 0
        assert [entry.kind for entry in purse.books.credit_history("acme")] == ["grant"]

    def test_the_largest_amount_and_the_largest_balance(self, purse: Purse) -> None:
        for n in range(4):
            purse.give(MAX_MICROS, effective_at=NOW + n % 2)
        with pytest.raises(TooLargeError) as caught:
            purse.give(1)
        assert caught.value.where == "amount"
        assert purse.books.mature(at=NOW + 1, limit=9) == 2
        assert purse.of().posted == 4 * MAX_MICROS
        with pytest.raises(TooLargeError):
            purse.books.adjust("acme", 1, **purse.said())

    def test_a_bounded_number_of_grants_is_open(
        self, purse: Purse, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("outlay.store.books.credit_moves.MAX_OPEN_GRANTS", 3)
        for _ in range(2):
            purse.give(1)
        purse.give(1, effective_at=NOW + 1)
        with pytest.raises(TooLargeError):
            purse.give(1)
        purse.spend(1)
        purse.give(1)


class TestCharges:
    def test_a_hold_reserves_and_its_settlement_charges(self, purse: Purse) -> None:
        purse.give(100)
        assert purse.hold(60, "h") == "ok"
        assert (purse.of().posted, purse.of().held, purse.of().available) == (100, 60, 40)
        assert purse.settle("h", 45) == "ok"
        assert (purse.of().posted, purse.of().held, purse.of().available) == (55, 0, 55)
        entry = purse.books.credit_history("acme")[0]
        assert (entry.kind, entry.amount, entry.balance_before) == ("usage", -45, 100)
        assert (entry.key, entry.version, entry.actor) == ("h", 2, "system")

    def test_what_is_held_cannot_be_held_twice(self, purse: Purse) -> None:
        purse.give(100)
        assert purse.hold(60, "one") == "ok"
        assert purse.hold(41, "two") == "busy"
        assert purse.hold(40, "two") == "ok"
        purse.void("one")
        assert purse.hold(60, "three") == "ok"
        purse.settle("two", 40)
        assert purse.hold(61, "four") == "over"

    def test_what_the_balance_cannot_pay_is_its_shortfall(self, purse: Purse) -> None:
        purse.give(100)
        purse.spend(130)
        assert (purse.of().posted, purse.of().shortfall) == (0, 30)
        purse.spend(5)
        assert (purse.of().posted, purse.of().shortfall, purse.of().version) == (0, 35, 2)

    def test_a_correction_of_what_was_not_paid_gives_nothing_back(self, purse: Purse) -> None:
        purse.give(100)
        purse.spend(130)
        purse.spend(-20)
        assert (purse.of().posted, purse.of().shortfall) == (0, 10)
        purse.spend(-110)
        assert (purse.of().posted, purse.of().shortfall) == (100, 0)
        assert purse.books.check_credits() == []

    @pytest.mark.parametrize("lease", [False, True])
    def test_nor_does_it_when_the_hold_is_forgotten(self, purse: Purse, *, lease: bool) -> None:
        purse.give(100)
        want = Want(Need(credit_key("acme"), "credits", 0), 130, 1, 0, 0)
        if lease:
            purse.do(Sync("h", (want,), NOW, LATER, closing=True))
        else:
            purse.hold(50, "h")
            purse.settle("h", 130)
        assert (purse.of().posted, purse.of().shortfall) == (0, 30)
        assert purse.books.forget_holds(before=LATER, limit=10) == 1
        assert purse.books.check_credits() == []
        purse.event("h", -130)
        assert (purse.of().posted, purse.of().shortfall) == (100, 0)
        assert purse.books.check_credits() == []

    def test_an_event_corrects_what_was_reported(self, purse: Purse) -> None:
        first, second = purse.give(40, priority=1), purse.give(60)
        purse.hold(50, "h")
        purse.settle("h", 50)
        assert purse.left() == {first.grant_id: 0, second.grant_id: 50}
        purse.event("h", 35)
        assert purse.left() == {first.grant_id: 5, second.grant_id: 60}
        kinds = [entry.kind for entry in purse.books.credit_history("acme")]
        assert kinds[:2] == ["reversal", "usage"]

    def test_corrections_go_back_charge_by_charge(self, purse: Purse) -> None:
        first, second = purse.give(40, priority=1), purse.give(60)
        for amount in (30, 30):
            purse.spend(amount)
        assert list(purse.left().values()) == [0, 40]
        for amount, left in ((15, [0, 55]), (10, [5, 60]), (35, [40, 60])):
            purse.spend(-amount)
            assert purse.left() == dict(zip((first.grant_id, second.grant_id), left, strict=True))

    def test_what_belongs_to_no_charge_goes_to_the_newest_grant_with_room(
        self, purse: Purse
    ) -> None:
        old = purse.give(40)
        new = purse.give(60, priority=1)
        purse.hold(70, "h")
        purse.settle("h", 70)
        purse.event("another", -65)
        assert purse.left() == {new.grant_id: 60, old.grant_id: 35}

    def test_where_no_grant_has_room_it_becomes_one(self, purse: Purse) -> None:
        purse.give(40)
        purse.spend(-15)
        assert purse.of().posted == 55
        made = purse.books.grants("acme")[-1]
        assert (made.amount, made.category, made.expires_at) == (15, "paid", None)

    def test_one_batch_charges_many_holds_of_many_tenants(self, purse: Purse) -> None:
        tenants = [f"t{n}" for n in range(5)]
        for tenant in tenants:
            purse.give(100, tenant)
        ops = [
            Reserve(f"{tenant}-{n}", "o", (Need(credit_key(tenant), "credits", 10),), NOW, LATER)
            for n in range(12)
            for tenant in tenants
        ]
        statuses = [outcome.status for outcome in purse.books.apply(ops)]
        assert statuses == ["ok"] * 50 + ["busy"] * 10
        settled = [Settle(op.hold_id, {"credits": 10}, NOW) for op in ops[:50]]
        purse.books.apply(settled)
        assert [(b.posted, b.held, b.version) for b in purse.books.balances()] == [(0, 0, 11)] * 5

    def test_without_an_account_nothing_is_charged(self, purse: Purse) -> None:
        purse.spend(10)
        assert purse.hold(10, "h") == "ok"
        purse.settle("h", 10)
        assert purse.books.balances() == []


class TestOverdraft:
    def test_a_balance_may_fall_to_its_floor(self, purse: Purse) -> None:
        purse.give(100)
        purse.books.set_account("acme", floor=-50, reason="r", actor="me", at=NOW)
        assert purse.of().available == 150
        assert purse.hold(151, "h") == "over"
        assert purse.hold(150, "h") == "ok"
        purse.settle("h", 150)
        assert (purse.of().posted, purse.of().available, purse.of().shortfall) == (-50, 0, 0)
        purse.spend(1)
        assert (purse.of().posted, purse.of().shortfall) == (-50, 1)

    def test_a_grant_repays_it_first(self, purse: Purse) -> None:
        purse.books.set_account("acme", floor=-50, reason="r", actor="me", at=NOW)
        purse.spend(30)
        small = purse.give(20)
        assert (purse.of().posted, small.remaining) == (-10, 0)
        assert purse.give(25).remaining == 15
        assert purse.of().posted == 15

    def test_a_correction_repays_it_first(self, purse: Purse) -> None:
        given = purse.give(100)
        purse.books.set_account("acme", floor=-50, reason="r", actor="me", at=NOW)
        purse.spend(120)
        purse.spend(-50)
        assert (purse.of().posted, purse.left()) == (30, {given.grant_id: 30})

    def test_what_a_grant_repaid_goes_back_to_that_grant(self, purse: Purse) -> None:
        purse.books.set_account("acme", floor=-50, reason="r", actor="me", at=NOW)
        purse.spend(30)
        given = purse.give(100)
        assert purse.left() == {given.grant_id: 70}
        purse.spend(-30)
        assert purse.left() == {given.grant_id: 100}

    def test_the_floor_cannot_rise_above_what_is_there(self, purse: Purse) -> None:
        purse.books.set_account("acme", floor=-50, reason="r", actor="me", at=NOW)
        purse.spend(20)
        purse.hold(10, "h")
        with pytest.raises(ConflictError, match="available"):
            purse.books.set_account("acme", floor=-29, reason="r", actor="me", at=NOW)
        changed = purse.books.set_account("acme", floor=-30, reason="r", actor="me", at=NOW)
        assert changed.available == 0


class TestAccounts:
    def test_settings_open_one(self, purse: Purse) -> None:
        before = purse.books.revision("credits")
        made = purse.books.set_account(
            "acme", floor=-5, reason="r", actor="me", at=NOW, top_up_below=10, top_up_amount=100,
            top_up_url="https://example.com/pay", enforce=False,
        )  # fmt: skip
        assert made == Balance(
            "acme", 0, 0, -5, 0, 0, 10, 100, "https://example.com/pay", enforce=False
        )
        assert made == purse.of()
        assert purse.books.revision("credits") == before + 1

    def test_the_same_settings_change_nothing(self, purse: Purse) -> None:
        for _ in range(2):
            purse.books.set_account("acme", floor=-5, reason="r", actor="me", at=NOW)
        assert len(purse.books.audit(action="credits.account")) == 1
        purse.books.set_account("acme", floor=-6, reason="r", actor="me", at=NOW)
        entry = purse.books.audit(action="credits.account")[0]
        assert (entry.details["before"]["floor"], entry.details["after"]["floor"]) == (-5, -6)

    def test_balances_come_by_tenant(self, purse: Purse) -> None:
        for tenant in ("b", "a", "C"):
            purse.give(1, tenant)
        assert [balance.tenant for balance in purse.books.balances()] == ["C", "a", "b"]

    def test_history_is_read_in_pages(self, purse: Purse) -> None:
        purse.give(100)
        purse.give(100, "beta")
        for _ in range(5):
            purse.spend(1)
            purse.spend(1, "beta")
        whole = purse.books.credit_history("acme")
        assert [entry.version for entry in whole] == [6, 5, 4, 3, 2, 1]
        pages, before = [], 0
        while page := purse.books.credit_history("acme", before=before, limit=4):
            pages += page
            before = page[-1].entry_id
        assert pages == whole
        assert purse.books.credit_history("nobody") == []
        assert purse.books.credit_history("acme", limit=0) == []


class TestTopUps:
    @pytest.fixture(autouse=True)
    def account(self, purse: Purse) -> None:
        purse.give(100)
        purse.books.set_account(
            "acme", floor=0, reason="r", actor="me", at=NOW, top_up_below=30, top_up_amount=100
        )

    def due(self, purse: Purse) -> list[str]:
        return [balance.tenant for balance in purse.books.top_ups_due()]

    def test_due_below_the_bound(self, purse: Purse) -> None:
        purse.spend(70)
        assert self.due(purse) == []
        purse.spend(1)
        assert self.due(purse) == ["acme"]

    def test_what_is_held_is_not_available(self, purse: Purse) -> None:
        purse.hold(71, "h")
        assert self.due(purse) == ["acme"]

    def test_asked_for_once_until_it_rises(self, purse: Purse) -> None:
        purse.spend(80)
        purse.books.top_up_asked("acme", at=NOW)
        assert self.due(purse) == []
        purse.give(5)
        assert self.due(purse) == []
        purse.give(5)
        purse.spend(10)
        assert self.due(purse) == ["acme"]

    def test_a_hold_that_ends_makes_it_rise_too(self, purse: Purse) -> None:
        purse.hold(80, "h")
        purse.books.top_up_asked("acme", at=NOW)
        purse.void("h")
        assert self.due(purse) == []
        purse.hold(80, "again")
        assert self.due(purse) == ["acme"]

    def test_no_account_no_top_up(self, purse: Purse) -> None:
        with pytest.raises(NotFoundError):
            purse.books.top_up_asked("beta", at=NOW)
