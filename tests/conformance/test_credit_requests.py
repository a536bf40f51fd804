"""What may be asked of credits: once per key, within bounds, by many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from outlay.errors import BadRequestError, ConflictError, NotFoundError
from outlay.store.books import credit_rules
from outlay.store.credits import MAX_MICROS
from tests.purse import LATER, NOW, Purse


class TestKeys:
    def test_the_same_again_is_answered_the_same(self, purse: Purse) -> None:
        purse.give(1, "beta")
        said = {**purse.said(), "key": "k"}
        first = purse.books.grant("acme", 50, **said)
        purse.spend(20)
        assert purse.books.grant("acme", 50, **{**said, "at": NOW + 9, "actor": "you"}) == first
        again: list[Callable[[dict[str, Any]], object]] = [
            lambda said: purse.books.adjust("acme", -3, **said),
            lambda said: purse.books.refund("acme", 4, tx_id="acme/2", **said),
            lambda said: purse.books.transfer("acme", "beta", 5, **said),
        ]
        for do in again:
            said = purse.said()
            assert do(said) == do(said)
        assert (purse.of().posted, purse.of("beta").posted) == (26, 6)

    def test_other_content_is_a_conflict(self, purse: Purse) -> None:
        said = purse.said()
        purse.books.grant("acme", 50, **said)
        for again in (
            lambda: purse.books.grant("acme", 51, **said),
            lambda: purse.books.grant("acme", 50, priority=1, **said),
            lambda: purse.books.grant("acme", 50, **{**said, "reason": "another"}),
            lambda: purse.books.adjust("acme", 50, **said),
        ):
            with pytest.raises(ConflictError) as caught:
                again()
            assert caught.value.where == "key"
        assert purse.of().posted == 50

    def test_each_tenant_has_its_own(self, purse: Purse) -> None:
        said = purse.said()
        for tenant in ("acme", "beta"):
            purse.books.grant(tenant, 50, **said)
        assert [balance.posted for balance in purse.books.balances()] == [50, 50]

    def test_what_was_refused_may_be_tried_again(self, purse: Purse) -> None:
        purse.give(5)
        said = purse.said()
        with pytest.raises(ConflictError):
            purse.books.adjust("acme", -6, **said)
        purse.give(1)
        assert purse.books.adjust("acme", -6, **said).posted == 0

    def test_a_grant_that_expired_since_is_still_answered(self, purse: Purse) -> None:
        said = {**purse.said(), "expires_at": NOW + 5}
        first = purse.books.grant("acme", 50, **said)
        assert purse.books.grant("acme", 50, **{**said, "at": NOW + 6}) == first

    def test_at_the_same_time_it_happens_once(self, purse: Purse) -> None:
        said = purse.said()
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: purse.books.grant("acme", 50, **said), range(8)))
        assert answers == [answers[0]] * 8
        assert purse.of().posted == 50


class TestBadInput:
    @pytest.mark.parametrize(
        ("amount", "where"),
        [(0, "amount"), (-1, "amount"), (MAX_MICROS + 1, "amount"), (1.5, "amount"),
         (True, "amount"), ("5", "amount"), (None, "amount")],
    )  # fmt: skip
    def test_amounts(self, purse: Purse, amount: Any, where: str) -> None:
        purse.give(1, "beta")
        for do in (
            lambda: purse.books.grant("beta", amount, **purse.said()),
            lambda: purse.books.refund("beta", amount, **purse.said()),
            lambda: purse.books.transfer("beta", "beta2", amount, **purse.said()),
        ):
            with pytest.raises(BadRequestError) as caught:
                do()
            assert (caught.value.where, "micro-credits" in caught.value.hint) == (where, True)

    @pytest.mark.parametrize("amount", [0, -MAX_MICROS - 1, MAX_MICROS + 1, 1.0, False])
    def test_adjustments(self, purse: Purse, amount: Any) -> None:
        with pytest.raises(BadRequestError) as caught:
            purse.books.adjust("acme", amount, **purse.said())
        assert caught.value.where == "amount"

    @pytest.mark.parametrize(
        ("wrong", "where"),
        [
            ({"key": ""}, "key"),
            ({"key": " "}, "key"),
            ({"key": "x" * 129}, "key"),
            ({"key": "ä" * 65}, "key"),
            ({"key": "a\nb"}, "key"),
            ({"key": 5}, "key"),
            ({"reason": ""}, "reason"),
            ({"reason": "x" * 257}, "reason"),
            ({"actor": "a\0b"}, "actor"),
            ({"at": -1}, "at"),
            ({"category": "free"}, "category"),
            ({"priority": -1}, "priority"),
            ({"priority": credit_rules.MAX_PRIORITY + 1}, "priority"),
            ({"priority": 1.5}, "priority"),
            ({"effective_at": -1}, "effective_at"),
            ({"expires_at": "soon"}, "expires_at"),
            ({"expires_at": NOW}, "expires_at"),
            ({"expires_at": NOW + 5, "effective_at": NOW + 5}, "expires_at"),
            ({"rollover_ppm": -1, "expires_at": LATER}, "rollover_ppm"),
            ({"rollover_ppm": 1_000_001, "expires_at": LATER}, "rollover_ppm"),
            ({"rollover_ppm": 1}, "rollover_ppm"),
            ({"rollover_us": 1, "expires_at": LATER}, "rollover_us"),
            ({"rollover_us": -1, "rollover_ppm": 1, "expires_at": LATER}, "rollover_us"),
            (
                {"rollover_us": 253_402_300_799_999_999, "rollover_ppm": 1, "expires_at": LATER},
                "rollover_us",
            ),
        ],
    )
    def test_grants(self, purse: Purse, wrong: dict[str, Any], where: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            purse.books.grant("acme", 1, **{**purse.said(), **wrong})
        assert caught.value.where == where
        assert purse.books.balances() == []

    def test_the_bounds_themselves_are_fine(self, purse: Purse) -> None:
        said = {**purse.said(), "key": "ä" * 64, "reason": "x" * 256}
        purse.books.grant(
            "a" * 128, 1, expires_at=NOW + 1, rollover_ppm=1_000_000, priority=0,
            **said,
        )  # fmt: skip
        purse.give(1, "a" * 128, priority=credit_rules.MAX_PRIORITY)
        purse.hold(1, "h" * 256, "a" * 128)
        purse.settle("h" * 256, 1)

    @pytest.mark.parametrize("tenant", ["", "a b", "unattributed", "x" * 129])
    def test_tenants(self, purse: Purse, tenant: str) -> None:
        for do in (
            lambda: purse.give(1, tenant),
            lambda: purse.books.adjust(tenant, 1, **purse.said()),
            lambda: purse.books.transfer("acme", tenant, 1, **purse.said()),
            lambda: purse.books.set_account(tenant, floor=0, reason="r", actor="me", at=NOW),
        ):
            with pytest.raises(BadRequestError) as caught:
                do()
            assert caught.value.where == "tenant_id"

    def test_nobody_is_sent_to_himself(self, purse: Purse) -> None:
        purse.give(5)
        with pytest.raises(BadRequestError) as caught:
            purse.books.transfer("acme", "acme", 1, **purse.said())
        assert caught.value.where == "target"

    @pytest.mark.parametrize(
        ("wrong", "where"),
        [
            ({"floor": 1}, "floor"),
            ({"floor": -MAX_MICROS - 1}, "floor"),
            ({"floor": 0.5}, "floor"),
            ({"top_up_amount": 5}, "top_up_below"),
            ({"top_up_below": 0, "top_up_amount": 5}, "top_up_below"),
            ({"top_up_below": 5, "top_up_amount": 0}, "top_up_amount"),
            ({"top_up_url": "https://example.com"}, "top_up_below"),
            ({"enforce": 1}, "enforce"),
            ({"reason": ""}, "reason"),
            *(
                ({"top_up_below": 5, "top_up_amount": 5, "top_up_url": url}, "top_up_url")
                for url in ("ftp://x", "https://", "x", "https://a b", "http://[", 5,
                            "https://x/" + "a" * 2048)
            ),
        ],
    )  # fmt: skip
    def test_accounts(self, purse: Purse, wrong: dict[str, Any], where: str) -> None:
        given: dict[str, Any] = {"floor": 0, "reason": "r", "actor": "me", "at": NOW}
        with pytest.raises(BadRequestError) as caught:
            purse.books.set_account("acme", **{**given, **wrong})
        assert caught.value.where == where
        assert purse.books.balances() == []

    def test_a_tenant_without_an_account(self, purse: Purse) -> None:
        asked: list[Callable[[], object]] = [
            lambda: purse.books.adjust("acme", 1, **purse.said()),
            lambda: purse.books.refund("acme", 1, **purse.said()),
        ]
        for do in asked:
            with pytest.raises(NotFoundError) as caught:
                do()
            assert caught.value.where == "tenant"
            assert "outlay credits grant" in caught.value.hint


class TestManyAtOnce:
    def test_a_balance_never_falls_below_its_floor(self, purse: Purse) -> None:
        purse.give(2_000)
        purse.give(1_000, "beta")
        purse.books.set_account("acme", floor=-100, reason="r", actor="me", at=NOW)
        seen: list[int] = []
        failed: list[BaseException] = []
        done = threading.Event()

        def work(number: int) -> None:
            for n in range(25):
                hold_id = f"{number}-{n}"
                if purse.hold(40, hold_id) != "ok":
                    purse.spend(7)
                elif n % 5 == 0:
                    purse.void(hold_id)
                else:
                    purse.settle(hold_id, 30 + (number * n) % 25)
                    purse.event(hold_id, 20 + (number + n) % 30)

        def move(number: int) -> None:
            for n in range(12):
                purse.books.grant("acme", 10, **{**purse.said(), "key": f"{number}-{n}"})
                for pair in (("acme", "beta"), ("beta", "acme")):
                    try:
                        said = {**purse.said(), "key": f"{number}-{n}-{pair[0]}"}
                        purse.books.transfer(*pair, 15, **said)
                    except ConflictError:
                        continue

        def watch() -> None:
            while not done.is_set():
                seen.append(purse.of().available)

        def run(target: Any, number: int) -> None:
            try:
                target(number)
            except BaseException as error:
                failed.append(error)

        watcher = threading.Thread(target=watch)
        watcher.start()
        jobs = [(work, n) for n in range(6)] + [(move, n) for n in range(6, 8)]
        threads = [threading.Thread(target=run, args=job) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        watcher.join()
        assert failed == []
        assert min(seen) >= 0
        for tenant in ("acme", "beta"):
            entries = purse.books.credit_history(tenant, limit=10_000)[::-1]
            balance = 0
            for version, entry in enumerate(entries, 1):
                assert (entry.version, entry.balance_before) == (version, balance)
                balance += entry.amount
            assert balance == purse.of(tenant).posted
        assert purse.of().held == 0
