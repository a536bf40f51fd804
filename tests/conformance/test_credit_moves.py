"""How credits are corrected, given back, moved and expired."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.errors import ConflictError, NotFoundError
from tests.purse import LATER, NOW, Purse


class TestAdjustments:
    def test_up_makes_a_promotional_grant(self, purse: Purse) -> None:
        purse.give(10)
        assert purse.books.adjust("acme", 5, **purse.said()).posted == 15
        made = purse.books.grants("acme")[0]
        assert (made.amount, made.category, made.expires_at) == (5, "promotional", None)

    def test_down_drains_in_order(self, purse: Purse) -> None:
        purse.give(10)
        purse.give(10, priority=1)
        assert purse.books.adjust("acme", -12, **purse.said()).posted == 8
        assert list(purse.left().values()) == [0, 8]

    def test_down_only_what_is_available(self, purse: Purse) -> None:
        purse.give(10)
        purse.hold(4, "h")
        with pytest.raises(ConflictError, match=r"0\.000006 credits available") as caught:
            purse.books.adjust("acme", -7, **purse.said())
        assert caught.value.where == "amount"
        assert purse.books.adjust("acme", -6, **purse.said()).available == 0


class TestRefunds:
    def test_the_grants_of_the_charge_get_it_back_in_reverse(self, purse: Purse) -> None:
        first, second = purse.give(40, priority=1), purse.give(60)
        purse.hold(50, "h")
        purse.settle("h", 50)
        charged = purse.books.credit_history("acme")[0].tx_id
        purse.books.refund("acme", 12, tx_id=charged, **purse.said())
        assert purse.left() == {first.grant_id: 2, second.grant_id: 60}
        purse.books.refund("acme", 38, tx_id=charged, **purse.said())
        assert purse.left() == {first.grant_id: 40, second.grant_id: 60}
        with pytest.raises(ConflictError, match="At most 0 credits"):
            purse.books.refund("acme", 1, tx_id=charged, **purse.said())

    def test_what_was_refunded_is_not_corrected_again(self, purse: Purse) -> None:
        given = purse.give(100)
        purse.hold(50, "h")
        purse.settle("h", 50)
        charged = purse.books.credit_history("acme")[0].tx_id
        purse.books.refund("acme", 20, tx_id=charged, **purse.said())
        purse.event("h", 10)
        assert purse.of().posted == 110
        assert purse.left()[given.grant_id] == 100

    def test_an_adjustment_down_can_be_given_back(self, purse: Purse) -> None:
        given = purse.give(100)
        purse.books.adjust("acme", -30, **purse.said())
        taken = purse.books.credit_history("acme")[0].tx_id
        purse.books.refund("acme", 30, tx_id=taken, **purse.said())
        assert purse.left() == {given.grant_id: 100}

    def test_without_a_charge_it_is_a_paid_grant(self, purse: Purse) -> None:
        purse.give(100)
        purse.spend(30)
        assert purse.books.refund("acme", 10, **purse.said()).posted == 80
        assert purse.books.grants("acme")[-1].amount == 10

    def test_a_grant_cannot_be_refunded(self, purse: Purse) -> None:
        purse.give(100)
        with pytest.raises(ConflictError):
            purse.books.refund("acme", 1, tx_id="acme/1", **purse.said())

    def test_nor_what_is_not_there_or_somebody_elses(self, purse: Purse) -> None:
        purse.give(100)
        purse.give(100, "beta")
        purse.spend(30, "beta")
        for tx_id in ("acme/9", "beta/2", "?"):
            with pytest.raises(NotFoundError) as caught:
                purse.books.refund("acme", 1, tx_id=tx_id, **purse.said())
            assert caught.value.where == "tx_id"


class TestTransfers:
    def test_the_parts_keep_their_terms(self, purse: Purse) -> None:
        soon = purse.give(10, expires_at=LATER, category="promotional", rollover_ppm=10)
        rest = purse.give(90, priority=200)
        purse.give(1, "beta")
        source, target = purse.books.transfer("acme", "beta", 30, **purse.said())
        assert (source.posted, target.posted) == (70, 31)
        moved = [one for one in purse.books.grants("beta") if one.source_grant_id]
        assert [(one.amount, one.source_grant_id) for one in moved] == [
            (10, soon.grant_id), (20, rest.grant_id),
        ]  # fmt: skip
        assert (moved[0].expires_at, moved[0].category) == (LATER, "promotional")
        assert (moved[0].rollover_ppm, moved[1].priority) == (10, 200)

    def test_what_is_held_or_overdrawn_is_not_moved(self, purse: Purse) -> None:
        purse.give(10)
        purse.give(1, "beta")
        purse.books.set_account("acme", floor=-50, reason="r", actor="me", at=NOW)
        purse.hold(4, "h")
        with pytest.raises(ConflictError, match=r"0\.000006 credits"):
            purse.books.transfer("acme", "beta", 7, **purse.said())
        assert purse.books.transfer("acme", "beta", 6, **purse.said())[0].posted == 4

    def test_nor_what_has_expired(self, purse: Purse) -> None:
        purse.give(10, expires_at=NOW + 1)
        lasting = purse.give(5)
        purse.give(1, "beta")
        with pytest.raises(ConflictError):
            purse.books.transfer("acme", "beta", 6, **purse.said(NOW + 1))
        purse.books.transfer("acme", "beta", 5, **purse.said(NOW + 1))
        assert purse.books.grants("beta")[-1].source_grant_id == lasting.grant_id

    def test_it_repays_the_overdraft_of_the_target(self, purse: Purse) -> None:
        purse.give(10)
        purse.books.set_account("beta", floor=-50, reason="r", actor="me", at=NOW)
        purse.spend(6, "beta")
        assert purse.books.transfer("acme", "beta", 10, **purse.said())[1].posted == 4

    def test_both_tenants_see_and_audit_it(self, purse: Purse) -> None:
        purse.give(10)
        purse.give(1, "beta")
        purse.books.transfer("acme", "beta", 10, **purse.said())
        for tenant, amount in (("acme", -10), ("beta", 10)):
            entry = purse.books.credit_history(tenant)[0]
            assert (entry.kind, entry.amount) == ("transfer", amount)
            assert entry.tx_id.startswith(f"{tenant}/")
        subjects = [entry.subject for entry in purse.books.audit(action="credits.transfer")]
        assert sorted(subjects) == ["acme", "beta"]

    def test_both_need_an_account(self, purse: Purse) -> None:
        purse.give(10)
        for source, target in (("acme", "beta"), ("beta", "acme")):
            with pytest.raises(NotFoundError, match="beta has no credits") as caught:
                purse.books.transfer(source, target, 1, **purse.said())
            assert "first grant" in caught.value.hint


class TestExpiry:
    def test_what_is_left_goes_at_its_time(self, purse: Purse) -> None:
        purse.give(10, expires_at=NOW + 5)
        lasting = purse.give(10)
        purse.spend(4)
        assert purse.books.mature(at=NOW + 4, limit=10) == 0
        assert purse.books.mature(at=NOW + 5, limit=10) == 1
        assert purse.of().posted == 10
        assert list(purse.left().values()) == [0, lasting.amount]
        entry = purse.books.credit_history("acme")[0]
        assert (entry.kind, entry.amount) == ("expiry", -6)
        assert purse.books.mature(at=NOW + 5, limit=10) == 0
        assert purse.books.audit(action="credits.expire")[0].subject == "acme"

    def test_what_is_held_stays_until_it_is_free(self, purse: Purse) -> None:
        purse.give(100, expires_at=NOW + 5)
        purse.hold(60, "h")
        assert purse.books.mature(at=NOW + 5, limit=10) == 1
        assert (purse.of().posted, purse.of().held) == (60, 60)
        assert purse.books.mature(at=NOW + 5, limit=10) == 0
        purse.settle("h", 25)
        assert purse.books.mature(at=NOW + 6, limit=10) == 1
        assert purse.of().posted == 0

    def test_other_grants_cover_what_is_held(self, purse: Purse) -> None:
        purse.give(50, expires_at=NOW + 5)
        purse.give(30)
        purse.hold(40, "h")
        purse.books.mature(at=NOW + 5, limit=10)
        assert (purse.of().posted, purse.of().available) == (40, 0)

    def test_the_overdraft_does_not_cover_what_is_held(self, purse: Purse) -> None:
        purse.give(50, expires_at=NOW + 5)
        purse.books.set_account("acme", floor=-50, reason="r", actor="me", at=NOW)
        purse.hold(40, "h")
        purse.books.mature(at=NOW + 5, limit=10)
        assert (purse.of().posted, purse.of().held) == (40, 40)

    def test_a_part_rolls_over_once(self, purse: Purse) -> None:
        terms: dict[str, Any] = {"rollover_ppm": 500_000, "rollover_us": 10}
        terms["category"] = "promotional"
        old = purse.give(11, expires_at=NOW + 5, **terms)
        purse.books.mature(at=NOW + 7, limit=10)
        assert purse.of().posted == 5
        new = purse.books.grants("acme", open_only=True)[0]
        assert (new.amount, new.source_grant_id, new.category) == (5, old.grant_id, "promotional")
        assert (new.expires_at, new.rollover_ppm) == (NOW + 15, 0)
        kinds = [entry.kind for entry in purse.books.credit_history("acme")]
        assert kinds == ["rollover", "expiry", "grant"]
        purse.books.mature(at=NOW + 15, limit=10)
        assert purse.of().posted == 0

    def test_a_rollover_without_a_length_lasts_for_ever(self, purse: Purse) -> None:
        purse.give(10, expires_at=NOW + 5, rollover_ppm=1_000_000)
        purse.books.mature(at=NOW + 5, limit=10)
        assert [one.expires_at for one in purse.books.grants("acme", open_only=True)] == [None]
        assert purse.of().posted == 10

    def test_a_rollover_does_not_make_room_for_more_of_it(self, purse: Purse) -> None:
        purse.give(100, expires_at=NOW + 5, rollover_ppm=500_000)
        purse.hold(60, "h")
        assert purse.books.mature(at=NOW + 5, limit=10) == 1
        assert (purse.of().posted, purse.of().available) == (80, 20)
        assert purse.books.mature(at=NOW + 6, limit=10) == 0
        purse.settle("h", 60)
        assert purse.of().posted == 20
        assert purse.books.mature(at=NOW + 7, limit=10) == 0

    def test_a_bounded_number_at_a_time_and_none_that_is_held_in_the_way(
        self, purse: Purse
    ) -> None:
        for tenant in ("held", "one", "two"):
            purse.give(10, tenant, expires_at=NOW + 5)
        purse.hold(10, "h", "held")
        assert [purse.books.mature(at=NOW + 9, limit=1) for _ in range(3)] == [1, 1, 0]
        assert [b.posted for b in purse.books.balances()] == [10, 0, 0]
        assert purse.books.mature(at=NOW + 9, limit=0) == 0

    def test_what_starts_and_ends_between_two_sweeps_does_both(self, purse: Purse) -> None:
        purse.give(10, effective_at=NOW + 2, expires_at=NOW + 4)
        assert purse.books.mature(at=NOW + 9, limit=10) == 2
        kinds = [entry.kind for entry in purse.books.credit_history("acme")]
        assert kinds == ["expiry", "grant"]

    def test_a_refund_to_an_expired_grant_expires_too(self, purse: Purse) -> None:
        purse.give(10, expires_at=NOW + 5)
        purse.spend(4)
        purse.books.mature(at=NOW + 5, limit=10)
        purse.books.refund("acme", 4, tx_id="acme/2", **purse.said(NOW + 6))
        assert purse.of().posted == 4
        purse.books.mature(at=NOW + 6, limit=10)
        assert purse.of().posted == 0
