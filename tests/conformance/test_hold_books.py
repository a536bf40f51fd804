"""What every implementation of `store.limits.LimitBooks` keeps: counters, holds and events."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from outlay.core.limits.desk import Desk
from outlay.core.limits.holds import (
    Expire,
    Extend,
    Meter,
    Op,
    Outcome,
    Post,
    PostLine,
    Reserve,
    Void,
)
from outlay.core.limits.period import credit_key
from outlay.errors import ConflictError, StorageBusyError
from outlay.store.base import Books
from outlay.store.books import hold_batch, holds
from outlay.store.books.sql import SqlBooks
from outlay.store.limits import Seed
from tests.conformance.limit_ops import (
    GAUGE,
    RATE,
    ROLLING,
    TTL,
    key,
    need,
    post,
    reserve,
    settle,
    sync,
    want,
)

A, B = key("a"), key("b")


@pytest.fixture
def books(books_url: str) -> Iterator[Books]:
    opened = SqlBooks(books_url)
    yield opened
    assert opened.check_holds() == []
    opened.close()


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


def amounts(books: Books) -> dict[str, tuple[int, int]]:
    return {c.key.limit_id: (c.used, c.held) for c in books.counters()}


class TestHolds:
    def test_a_call_is_reserved_and_settled_in_all_its_scopes(self, books: Books) -> None:
        needs = (need(A, 10, 100), need(B, 10, 50))
        (got,) = books.apply([reserve("h", *needs)])
        assert [(s.key, s.held) for s in got.stands] == [(A, 10), (B, 10)]
        assert amounts(books) == {"a": (0, 10), "b": (0, 10)}
        assert statuses(books.apply([settle("h", 7)])) == ["ok"]
        assert amounts(books) == {"a": (7, 0), "b": (7, 0)}
        hold = books.hold("h")
        assert hold is not None
        assert (hold.state, hold.actual_nanos, hold.estimate_nanos) == ("settled", 7, 5)
        assert [(line.key, line.booked) for line in hold.lines.values()] == [(A, 7), (B, 7)]

    def test_reserved_and_settled_in_one_batch_is_the_same(self, books: Books) -> None:
        ops: list[Op] = [
            reserve("h", need(A, 10, 10)),
            settle("h", 7),
            reserve("i", need(A, 4, 10)),
        ]
        assert statuses(books.apply(ops)) == ["ok", "ok", "over"]
        assert amounts(books) == {"a": (7, 0)}

    def test_a_refusal_in_one_scope_leaves_all_as_they_are(self, books: Books) -> None:
        ops = [reserve("h", need(A, 1, 5), need(B, 6, 5)), reserve("i", need(A, 5, 5))]
        assert statuses(books.apply(ops)) == ["over", "ok"]
        assert books.hold("h") is None
        assert amounts(books)["a"] == (0, 5)
        assert statuses(books.apply([reserve("j", need(A, 1, 5))])) == ["busy"]

    def test_the_same_operation_again_is_answered_and_changes_nothing(self, books: Books) -> None:
        first = reserve("h", need(A, 10, 10), digest="x")
        assert statuses(books.apply([first])) == ["ok"]
        other = reserve("h", need(A, 10, 10), digest="y")
        assert statuses(books.apply([first, other])) == ["already", "conflict"]
        ops = [settle("h", 7), settle("h", 7), settle("h", 8)]
        assert statuses(books.apply(ops)) == ["ok", "already", "conflict"]
        assert statuses(books.apply(ops)) == ["already", "already", "conflict"]
        assert amounts(books) == {"a": (7, 0)}

    def test_extend_void_and_expire(self, books: Books) -> None:
        books.apply([reserve(name, need(A, 10, 100)) for name in "hij"])
        more = Extend("h", (need(A, 5, 100),), 150, 150 + TTL)
        assert statuses(books.apply([more, Void("i", 150)])) == ["ok", "ok"]
        assert amounts(books) == {"a": (0, 25)}
        late = 100 + TTL
        assert books.due(at=late - 1, limit=10) == []
        assert books.due(at=late, limit=10) == ["j"]
        assert books.due(at=late + 50, limit=10) == ["j", "h"]
        assert books.due(at=late + 50, limit=1) == ["j"]
        assert statuses(books.apply([Expire("j", late), Expire("h", late)])) == ["ok", "already"]
        assert amounts(books) == {"a": (0, 15)}
        (got,) = books.apply([settle("j", 3, at=late + 60)])
        assert got.late
        assert amounts(books) == {"a": (3, 15)}

    def test_unknown_holds_are_unknown(self, books: Books) -> None:
        ops: list[Op] = [
            settle("x", 1),
            Void("x", 1),
            Extend("x", (need(A, 1),), 1, 2),
            Expire("x", 1),
        ]
        assert statuses(books.apply(ops)) == ["unknown", "unknown", "unknown", "already"]
        assert books.apply([]) == []
        assert books.counters() == []

    def test_every_meter_comes_back(self, books: Books) -> None:
        meters = {"rolling": ROLLING, "rate": RATE, "gauge": GAUGE}
        needs = [need(key(name), 10, 100, meter=meter) for name, meter in meters.items()]
        books.apply([reserve("h", *needs, at=5_000_000), settle("h", 10, at=6_000_000)])
        found = {c.key.limit_id: c for c in books.counters()}
        assert {name: c.meter for name, c in found.items()} == meters
        assert found["rolling"].buckets == {6_000_000: 10}
        assert (found["gauge"].used, found["gauge"].held) == (0, 0)
        assert (found["rate"].used, found["rate"].as_of) == (10, 6_000_000)
        gone = reserve("i", *needs, at=10**9)
        books.apply([gone])
        assert {c.used for c in books.counters()} == {0}


class TestLeases:
    def test_slices_are_taken_used_and_given_back(self, books: Books) -> None:
        (got,) = books.apply([sync("p", want(need(A, 0, 1000), ahead=100))])
        assert got.stands[0].granted == 100
        again = want(need(A, 0, 1000), reported=30, calls=3, flying=5, ahead=20)
        (got,) = books.apply([sync("p", again, at=200)])
        assert (got.stands[0].used, got.stands[0].granted) == (30, 25)
        assert amounts(books) == {"a": (30, 25)}
        closing = want(need(A, 0, 1000), reported=35, calls=4)
        books.apply([sync("p", closing, at=300, closing=True)])
        assert amounts(books) == {"a": (35, 0)}
        lease = books.hold("p")
        assert lease is not None
        assert (lease.state, lease.lease) == ("closed", True)

    def test_closing_gives_back_lines_that_it_does_not_name(self, books: Books) -> None:
        books.apply([sync("p", *(want(need(k, 0, 1000), ahead=100) for k in (A, B)))])
        books.apply([sync("p", want(need(A, 0, 1000)), at=200, closing=True)])
        assert amounts(books) == {"a": (0, 0), "b": (0, 0)}

    def test_a_lease_that_expired_comes_back(self, books: Books) -> None:
        wanted = want(need(A, 0, 1000), reported=10, calls=1, ahead=100)
        books.apply([sync("p", wanted)])
        late = 100 + TTL
        assert statuses(books.apply([Expire("p", late)])) == ["ok"]
        assert amounts(books) == {"a": (10, 0)}
        books.apply([sync("p", wanted, at=late + 1)])
        assert amounts(books) == {"a": (10, 100)}

    def test_several_leases_never_pass_the_cap_together(self, books: Books) -> None:
        for _ in range(5):
            books.apply([sync(f"p{n}", want(need(A, 0, 100), ahead=60)) for n in range(8)])
        ((used, held),) = amounts(books).values()
        assert used == 0
        assert held <= 100


class TestEvents:
    def test_what_an_event_says_takes_the_place_of_what_was_reported(self, books: Books) -> None:
        books.apply([reserve("h", need(A, 10, 100)), settle("h", 7)])
        assert statuses(books.post([post("h", A, 9)], after=0, offset=4)) == ["ok"]
        assert amounts(books) == {"a": (9, 0)}
        assert books.posted() == 4

    def test_events_are_counted_once(self, books: Books) -> None:
        books.post([post("", A, 9)], after=0, offset=4)
        for after in (0, 3, 5):
            with pytest.raises(ConflictError):
                books.post([post("", A, 9)], after=after, offset=8)
        assert amounts(books) == {"a": (9, 0)}
        assert books.post([], after=4, offset=6) == []
        assert books.posted() == 6

    def test_only_known_counters_count_where_none_may_be_made(self, books: Books) -> None:
        books.apply([post("", A, 9, create=False)])
        assert books.counters() == []
        books.apply([post("", A, 9)])
        books.apply([post("", A, 9, create=False)])
        assert amounts(books) == {"a": (18, 0)}

    def test_an_event_of_a_lease_goes_onto_its_line(self, books: Books) -> None:
        books.apply([sync("p", want(need(A, 0, 1000), reported=10, calls=1, ahead=100))])
        books.apply([post("p", A, 12)])
        assert amounts(books)["a"][0] == 12
        books.apply([sync("p", want(need(A, 0, 1000), reported=10, calls=1), at=400)])
        assert amounts(books) == {"a": (12, 0)}

    def test_an_event_of_a_call_that_its_hold_has_no_line_for_goes_onto_the_owners_lease(
        self, books: Books
    ) -> None:
        books.apply([sync("p", want(need(B, 0, 1000), reported=10, calls=1, ahead=100))])
        books.apply([reserve("h", need(A, 10, 100), owner="p")])
        books.apply([post("h", B, 12)])
        assert amounts(books)["b"] == (12, 98)

    def test_an_event_of_another_period_goes_onto_the_latest_line(self, books: Books) -> None:
        day = [key("d", start, start + 10) for start in (10, 20, 30, 40)]
        books.apply([sync("p", *(want(need(k, 0, 100), reported=1, calls=1) for k in day[:3]))])
        books.apply([post("p", day[3], 5, at=41)])
        used = {c.key.starts_at: c.used for c in books.counters()}
        assert used == {10: 1, 20: 1, 30: 5}


class TestCredits:
    def test_without_an_account_nothing_bounds_a_call_and_nothing_is_kept_of_it(
        self, books: Books
    ) -> None:
        credit = credit_key("acme")
        ops: list[Op] = [
            reserve("h", need(A, 10), need(credit, 10**9, 0, metric="credits")),
            sync("p", want(need(credit, 0, metric="credits"), ahead=50)),
        ]
        assert statuses(books.apply(ops)) == ["over", "ok"]
        ops[0] = reserve("h", need(A, 10), need(credit, 10**9, metric="credits"))
        assert statuses(books.apply(ops)) == ["ok", "ok"]
        books.grant("acme", 5, key="k", reason="r", actor="me", at=100)
        books.apply([settle("h", 7), sync("p", at=200, closing=True)])
        balance = books.balance("acme")
        assert balance is not None
        assert (balance.posted, balance.held) == (5, 0)
        assert amounts(books) == {"a": (7, 0)}
        assert books.check_credits() == []


class TestBatches:
    def test_one_that_cannot_be_applied_leaves_the_others(self, books: Books) -> None:
        huge = 2**63 - 1
        ops: list[Op] = [
            reserve("h", need(A, 10, 100)),
            reserve("n\0", need(A, 10, 100)),
            reserve("s\ud800", need(A, 10, 100)),
            reserve("l" * 257, need(A, 10, 100)),
            Reserve("t", "p", (need(A, 10, 100),), 2**63, 2**63),
            reserve("u", need(A, huge), need(B, 1)),
            settle("h", 7),
        ]
        expected = ["ok", "failed", "failed", "failed", "failed", "failed", "ok"]
        assert statuses(books.apply(ops)) == expected
        assert amounts(books)["a"] == (7, 0)
        posts = [post("", A, huge), post("", A, 3), Post("x\0", ())]
        assert statuses(books.post(posts, after=0, offset=1)) == ["failed", "ok", "failed"]
        assert amounts(books)["a"] == (10, 0)
        assert books.posted() == 1

    @pytest.mark.parametrize(
        "name",
        ['"', "\\", '\\"', "{a,b}", ",", "NULL", "null", " ", "\n", "'", "%s", "ü\u2028", "🦊"],
    )
    def test_ids_may_be_any_text(self, books: Books, name: str) -> None:
        ops: list[Op] = [reserve(name, need(key(name), 3), owner=name, digest=name)]
        assert statuses(books.apply(ops)) == ["ok"]
        assert statuses(books.apply([*ops, settle(name, 2), Void("", 1)])) == [
            "already", "ok", "unknown",
        ]  # fmt: skip
        hold = books.hold(name)
        assert hold is not None
        assert (hold.owner, hold.digest) == (name, name)
        assert [(line.key, line.booked) for line in hold.lines.values()] == [(key(name), 2)]

    def test_a_defect_in_one_operation_leaves_the_others(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        apply = Desk._void

        def broken(desk: Desk, op: Void) -> Outcome:
            outcome = apply(desk, op)
            if op.hold_id == "i":
                raise ZeroDivisionError
            return outcome

        monkeypatch.setattr(Desk, "_void", broken)
        books.apply([reserve(name, need(A, 10, 100)) for name in "hij"])
        got = statuses(books.apply([Void(name, 150) for name in "hij"]))
        assert got == ["ok", "failed", "ok"]
        assert amounts(books) == {"a": (0, 10)}

    def test_threads_that_make_the_same_counters_and_holds_agree(self, books: Books) -> None:
        answers: list[str] = []

        def work() -> None:
            for number in range(12):
                fresh = [need(key(f"l{number}-{n}"), 1, 3) for n in range(5)]
                ops = [reserve(f"h{number}", *fresh)]
                answers.extend(statuses(books.apply(ops)))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == ["already"] * 36 + ["ok"] * 12
        assert set(amounts(books).values()) == {(0, 1)}

    def test_openers_never_pass_a_cap_together(self, books_url: str, books: Books) -> None:
        openers = [SqlBooks(books_url) for _ in range(3)]
        won: list[str] = []

        def work(opened: SqlBooks, name: str) -> None:
            for number in range(20):
                ids = [f"{name}-{number}-{n}" for n in range(5)]
                # Each in another order of scopes: locks are sorted all the same.
                scopes = (A, B) if number % 2 else (B, A)
                needs = [need(scope, 1, 120) for scope in scopes]
                got = opened.apply([reserve(i, *needs, owner=name) for i in ids])
                won.extend(i for i, o in zip(ids, got, strict=True) if o.status == "ok")

        threads = [
            threading.Thread(target=work, args=(opened, f"p{n}"))
            for n, opened in enumerate(openers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 120
        assert amounts(books) == {"a": (0, 120), "b": (0, 120)}
        for opened in openers:
            opened.close()

    def test_a_row_that_is_always_taken_is_busy(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(holds, "MAX_ATTEMPTS", 3)
        tries = []

        def raced(*_: object, **__: object) -> list[Outcome]:
            tries.append(1)
            raise hold_batch.RacedError

        with monkeypatch.context() as patched:
            patched.setattr(hold_batch, "run", raced)
            with pytest.raises(StorageBusyError):
                books.apply([reserve("h", need(A, 1, 1))])
        assert len(tries) == 3
        assert statuses(books.apply([reserve("h", need(A, 1, 1))])) == ["ok"]


class TestSeeds:
    def test_a_counter_starts_with_what_was_used_once(self, books: Books) -> None:
        seed = Seed(A, Meter(), 30, 50)
        books.seed("a", [seed], offset=7, at=60)
        books.seed("a", [seed], offset=9, at=70)
        assert books.seeded() == {"a": 7}
        assert amounts(books) == {"a": (30, 0)}
        books.apply([reserve("h", need(A, 10, 39)), reserve("i", need(A, 9, 39))])
        assert amounts(books) == {"a": (30, 9)}

    def test_a_counter_that_is_there_is_added_to(self, books: Books) -> None:
        books.apply([post("", A, 5)])
        books.seed("a", [Seed(A, Meter(), 30, 50), Seed(B, Meter(), 1, 50)], offset=7, at=60)
        assert amounts(books) == {"a": (35, 0), "b": (1, 0)}

    def test_all_of_several_for_one_counter_are_added(self, books: Books) -> None:
        seeds = [Seed(A, Meter(), 30, 50), Seed(B, Meter(), 1, 50), Seed(A, Meter(), -10, 40)]
        books.seed("a", seeds, offset=7, at=60)
        assert amounts(books) == {"a": (20, 0), "b": (1, 0)}

    def test_a_rolling_counter_gets_its_steps(self, books: Books) -> None:
        steps = {1_000_000: 10, 2_000_000: 20}
        seed = Seed(A, ROLLING, 30, 2_000_000, steps)
        books.seed("a", [seed], offset=7, at=2_000_000)
        assert books.counters()[0].buckets == steps
        books.apply([reserve("h", need(A, 1, 100, meter=ROLLING), at=62_500_000)])
        assert amounts(books) == {"a": (20, 1)}

    def test_nothing_to_start_with_is_remembered_too(self, books: Books) -> None:
        books.seed("a", [], offset=7, at=60)
        assert books.seeded() == {"a": 7}


class TestListing:
    def test_counters_are_found_with_most_used_first(self, books: Books) -> None:
        beta = key("a", tenant="Beta_%")
        books.apply([post("", A, 5), post("", beta, 9), post("", B, 7)])
        found = books.counters()
        assert [c.used for c in found] == [9, 7, 5]
        assert [c.used for c in books.counters(limit=2)] == [9, 7]
        assert [c.used for c in books.counters(limit_id="a")] == [9, 5]
        assert [c.used for c in books.counters(series=A.series)] == [5]
        assert [c.used for c in books.counters(scope_like="Beta_%")] == [9]
        assert books.counters(scope_like="beta") == []
        assert books.counters(limit_id="b", series=A.series) == []
        assert books.counters(limit=-1) == []

    def test_counters_of_a_time_leave_out_periods_that_are_over(self, books: Books) -> None:
        old, new, always = key("a", 0, 100), key("a", 100, 200), key("b")
        old = replace(old, starts_at=1)
        books.apply([post("", old, 9), post("", new, 5), post("", always, 1)])
        assert [c.used for c in books.counters(at=99)] == [9, 1]
        assert [c.used for c in books.counters(at=100)] == [5, 1]
        assert [c.used for c in books.counters(at=200)] == [1]
        assert [c.used for c in books.counters(at=100, limit=1)] == [5]

    def test_holds_are_found_newest_first_with_their_lines(self, books: Books) -> None:
        books.apply([
            reserve("h", need(A, 1), at=100), reserve("i", need(A, 2), at=110, owner="q"),
            sync("p", want(need(B, 0), ahead=3), at=120), Void("h", 130),
        ])  # fmt: skip
        assert [h.hold_id for h in books.holds()] == ["p", "i"]
        assert [h.hold_id for h in books.holds(state="")] == ["p", "i", "h"]
        assert [h.hold_id for h in books.holds(state="void")] == ["h"]
        assert [h.hold_id for h in books.holds(owner="q")] == ["i"]
        assert [h.hold_id for h in books.holds(leases=True)] == ["p"]
        assert [h.hold_id for h in books.holds(leases=False)] == ["i"]
        assert [h.hold_id for h in books.holds(limit=1)] == ["p"]
        lines = [line for hold in books.holds() for line in hold.lines.values()]
        assert [(line.key, line.granted) for line in lines] == [(B, 3), (A, 2)]
        assert books.hold("none") is None


class TestForgetting:
    def test_ended_holds_go_and_what_they_used_stays(self, books: Books) -> None:
        books.apply([
            reserve("h", need(A, 10)), settle("h", 7), reserve("open", need(A, 4)),
            sync("p", want(need(A, 0), reported=5, calls=1)),
            sync("p", at=200, closing=True),
        ])  # fmt: skip
        assert books.forget_holds(before=200, limit=10) == 0
        assert books.forget_holds(before=201, limit=1) == 1
        assert books.forget_holds(before=201, limit=10) == 1
        assert [h.hold_id for h in books.holds(state="")] == ["open"]
        (counter,) = books.counters()
        assert (counter.used, counter.held, counter.folded) == (12, 4, 12)

    def test_an_event_may_still_come(self, books: Books) -> None:
        running = key("r", 0, 900)
        books.apply([reserve("h", need(running, 10)), settle("h", 7)])
        assert books.forget_holds(before=201, limit=10) == 1
        books.apply([post("h", running, 2)])
        assert amounts(books) == {"r": (9, 0)}

    def test_counters_of_ended_periods_go_and_those_that_run_stay(self, books: Books) -> None:
        ended, running, busy = key("e", 0, 150), key("r", 0, 900), key("b", 10, 150)
        books.apply([post("", k, 5, at=100) for k in (ended, running)])
        books.apply([reserve("h", need(busy, 1))])
        assert books.forget_holds(before=150, limit=10) == 0
        assert books.forget_holds(before=151, limit=10) == 1
        assert set(amounts(books)) == {"r", "b"}
        assert books.forget_holds(before=901, limit=10) == 1
        assert set(amounts(books)) == {"b"}

    def test_counters_that_forget_go_when_they_are_empty(self, books: Books) -> None:
        lines = [
            PostLine(key("rolling"), "cost", 5, 1, 100, ROLLING),
            PostLine(key("rate"), "cost", 600, 1, 100, RATE),
        ]
        books.apply([Post("", tuple(lines))])
        assert books.forget_holds(before=60_000_000, limit=10) == 0
        assert books.forget_holds(before=60_000_100, limit=10) == 1
        assert books.forget_holds(before=62_000_000, limit=10) == 1

    def test_the_lines_of_a_forgotten_counter_are_left_out(self, books: Books) -> None:
        over = key("e", 0, 150)
        books.apply([
            reserve("h", need(over, 5), need(A, 5)), settle("h", 5),
            sync("p", want(need(over, 0), reported=1, calls=1), want(need(A, 0), ahead=2)),
        ])  # fmt: skip
        books.apply([post("h", A, 6, at=500), sync("p", want(need(A, 0), ahead=2), at=500)])
        assert books.forget_holds(before=400, limit=10) == 1
        for name in ("h", "p"):
            hold = books.hold(name)
            assert hold is not None
            assert list(hold.lines) == [A.counter_id]
        books.apply([post("h", A, 1, at=600), sync("p", at=600, closing=True)])
        assert amounts(books) == {"a": (7, 0)}


class TestChecking:
    @pytest.mark.parametrize("column", ["used", "held", "folded"])
    def test_a_counter_that_does_not_equal_its_lines_is_named(
        self, books_url: str, column: str
    ) -> None:
        opened = SqlBooks(books_url)
        opened.apply([reserve("h", need(A, 10)), reserve("i", need(A, 4)), settle("h", 7)])
        assert opened.check_holds() == []
        with opened._database.write() as connection:
            connection.exec_driver_sql(f"UPDATE counters SET {column} = {column} + 1")
        (line,) = opened.check_holds()
        assert line.startswith(A.counter_id)
        opened.close()

    def test_a_held_line_without_a_counter_is_named(self, books_url: str) -> None:
        opened = SqlBooks(books_url)
        opened.apply([reserve("h", need(A, 10))])
        with opened._database.write() as connection:
            connection.exec_driver_sql("DELETE FROM counters")
        (line,) = opened.check_holds()
        assert "not there" in line
        opened.close()
