"""What every implementation of `store.limits.LimitBooks` keeps: definitions, seeds and notices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from outlay.core.limits.limit import Entitlement, Limit, Match, Override, Threshold
from outlay.errors import BadRequestError, ConflictError, NotFoundError
from outlay.store.base import Books
from outlay.store.books import limits as module
from outlay.store.books.sql import SqlBooks
from outlay.store.limits import LimitChange, Notice

FULL = Limit(
    "acme-month", "tokens", "rolling", 10**18,
    scope=(Match("tenant", ("acme", 'ä"\\*')), Match("model", (), each=True)),
    thresholds=(
        Threshold(800_000, "downgrade", models=(("gpt-5", "gpt-5-mini"),)),
        Threshold(900_000, "throttle", delay_ms=5),
        Threshold(950_000, "escalate", url="https://x.test/hook"),
        Threshold(1_000_000, "block"),
    ),
    span_us=86_400_000_000, burst=3, zone="Europe/Berlin", anchor_day=31, priority=5,
    mode="shadow", on_unreachable="closed", strict=True, name="Acme's month",
)  # fmt: skip
SMALL = Limit("small", "cost", "day", 5)
PLAN = Entitlement("free", agents=("a*",), features=("f",), models=("gpt-*-mini",), names=("n",))
RAISE = Override("o1", "small", 50, 100, 200, "a busy week", "me", '[["tenant","acme"]]')


@pytest.fixture
def books(books_url: str) -> Iterator[Books]:
    opened = SqlBooks(books_url)
    yield opened
    opened.close()


def change(books: Books, *limits: Limit, at: int = 10, **parts: tuple[object, ...]) -> int:
    wanted = LimitChange(limits=limits, **parts)  # type: ignore[arg-type]
    return books.change_limits(wanted, reason="because", actor="me", at=at)


class TestDefinitions:
    def test_everything_of_a_limit_comes_back(self, books: Books) -> None:
        assert change(books, FULL, SMALL, entitlements=(PLAN,)) == 3
        assert books.limits() == [FULL, SMALL]
        assert books.entitlements() == [PLAN]

    def test_limits_are_in_order_of_priority_then_id(self, books: Books) -> None:
        ranks = {"c": 2, "a": 2, "b": 1}
        change(books, *(replace(SMALL, limit_id=i, priority=p) for i, p in ranks.items()))
        assert [limit.limit_id for limit in books.limits()] == ["b", "a", "c"]

    def test_the_same_again_changes_nothing(self, books: Books) -> None:
        change(books, FULL, entitlements=(PLAN,))
        before = (books.revision("limits"), len(books.audit()))
        assert change(books, FULL, entitlements=(PLAN,), at=20) == 0
        assert (books.revision("limits"), len(books.audit())) == before == (1, 1)
        assert len(books.limit_history("acme-month")) == 1

    def test_every_version_stays_in_the_history(self, books: Books) -> None:
        change(books, SMALL, at=10)
        change(books, replace(SMALL, amount=6), at=20)
        change(books, removed=("small",), at=30)
        change(books, SMALL, at=40)
        found = books.limit_history("small")
        assert [(v.version, v.limit and v.limit.amount, v.at) for v in found] == [
            (4, 5, 40), (3, None, 30), (2, 6, 20), (1, 5, 10),
        ]  # fmt: skip
        assert {(v.actor, v.reason) for v in found} == {("me", "because")}
        assert books.limits() == [SMALL]
        assert books.limit_history("none") == []

    def test_a_change_is_audited_with_what_it_named(self, books: Books) -> None:
        change(books, SMALL, entitlements=(PLAN,))
        (entry,) = books.audit()
        assert (entry.action, entry.subject, entry.actor) == ("limits.change", "because", "me")
        assert entry.details == {
            "reason": "because", "limits": ["small"], "plans": ["free"], "changed": 2
        }  # fmt: skip

    def test_a_plan_is_replaced_and_removed(self, books: Books) -> None:
        change(books, entitlements=(PLAN, Entitlement("pro")))
        assert change(books, entitlements=(replace(PLAN, names=()),)) == 1
        assert change(books, removed_plans=("free",)) == 1
        assert books.entitlements() == [Entitlement("pro")]

    @pytest.mark.parametrize(
        "parts", [{"removed": ("none",)}, {"removed_plans": ("none",)}, {"removed": ("gone",)}]
    )
    def test_removing_what_is_not_there_writes_nothing_at_all(
        self, books: Books, parts: dict[str, tuple[str, ...]]
    ) -> None:
        change(books, replace(SMALL, limit_id="gone"))
        change(books, removed=("gone",))
        with pytest.raises(NotFoundError):
            change(books, SMALL, **parts)  # type: ignore[arg-type]
        assert books.limits() == []

    def test_a_reason_is_required(self, books: Books) -> None:
        with pytest.raises(BadRequestError) as caught:
            books.change_limits(LimitChange((SMALL,)), reason=" ", actor="me", at=1)
        assert caught.value.where == "reason"

    def test_the_number_of_limits_is_bounded(
        self, books: Books, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_LIMITS", 2)
        three = [replace(SMALL, limit_id=f"l{n}") for n in range(3)]
        with pytest.raises(BadRequestError, match="at most 2"):
            change(books, *three)
        assert change(books, *three[:2]) == 2
        assert change(books, three[2], removed=("l0",)) == 2
        plans = tuple(Entitlement(f"p{n}") for n in range(3))
        with pytest.raises(BadRequestError, match="at most 2"):
            change(books, entitlements=plans)
        assert change(books, entitlements=plans[:2]) == 2


class TestOverrides:
    @pytest.fixture(autouse=True)
    def _limit(self, books: Books) -> None:
        change(books, SMALL)

    def test_it_holds_from_its_start_to_its_end(self, books: Books) -> None:
        assert books.put_override(RAISE, at=50) == RAISE
        assert [bool(books.overrides(at=at)) for at in (99, 100, 199, 200)] == [
            False, True, True, False,
        ]  # fmt: skip
        assert books.overrides() == [RAISE]

    def test_the_newest_come_first(self, books: Books) -> None:
        books.put_override(RAISE, at=50)
        later = replace(RAISE, override_id="o0", scope_key="")
        books.put_override(later, at=60)
        assert [one.override_id for one in books.overrides()] == ["o0", "o1"]

    def test_the_same_again_changes_nothing_and_other_content_is_a_conflict(
        self, books: Books
    ) -> None:
        books.put_override(RAISE, at=50)
        before = books.revision("limits")
        assert books.put_override(RAISE, at=60) == RAISE
        with pytest.raises(ConflictError):
            books.put_override(replace(RAISE, amount=51), at=60)
        assert books.revision("limits") == before

    def test_a_revoked_one_is_over_and_stays_revoked(self, books: Books) -> None:
        books.put_override(RAISE, at=50)
        revoked = books.revoke_override("o1", reason="enough", actor="you", at=150)
        assert revoked == replace(RAISE, revoked_at=150)
        assert books.revoke_override("o1", reason="again", actor="you", at=160) == revoked
        assert books.overrides(at=150) == []
        assert books.overrides() == [revoked]
        assert books.put_override(RAISE, at=170) == revoked
        actions = [entry.action for entry in books.audit()]
        assert actions == ["limits.revoke", "limits.override", "limits.change"]
        assert books.revision("limits") == 3

    @pytest.mark.parametrize("limit_id", ["none", "gone"])
    def test_the_limit_must_be_there(self, books: Books, limit_id: str) -> None:
        change(books, replace(SMALL, limit_id="gone"))
        change(books, removed=("gone",))
        with pytest.raises(NotFoundError):
            books.put_override(replace(RAISE, limit_id=limit_id), at=50)
        with pytest.raises(NotFoundError):
            books.revoke_override("none", reason="r", actor="me", at=1)

    @pytest.mark.parametrize(
        ("part", "value"),
        [
            ("override_id", ""), ("override_id", "x" * 129), ("reason", ""), ("ends_at", 100),
            ("starts_at", -1), ("amount", -1), ("amount", 10**18 + 1),
        ],
    )  # fmt: skip
    def test_a_bad_part_is_named(self, books: Books, part: str, value: object) -> None:
        with pytest.raises(BadRequestError) as caught:
            books.put_override(replace(RAISE, **{part: value}), at=50)  # type: ignore[arg-type]
        assert caught.value.where == part
        assert books.overrides() == []


def notice(at: int = 10, **values: object) -> Notice:
    base = Notice(
        "small", "small|x|0", '[["tenant","acme"]]', "acme", "crossed", 800_000, "warn", "enforce",
        at, 8, 10, details={"x": 1},
    )  # fmt: skip
    return replace(base, **values)  # type: ignore[arg-type]


class TestNotices:
    def test_only_the_first_is_new(self, books: Books) -> None:
        assert books.notice([notice()]) == [notice()]
        assert books.notice([]) == []
        assert books.notice([notice(at=20, used=9, details={})]) == []
        assert books.notices() == [notice(at=20, used=9, details={}, times=2)]

    def test_each_counter_kind_and_rung_has_its_own(self, books: Books) -> None:
        others = [
            notice(counter_id="small|x|1"), notice(kind="refused"), notice(at_ppm=900_000),
            notice(action="block"), notice(limit_id="other"),
        ]  # fmt: skip
        assert len(books.notice([notice(), *others])) == 6
        assert len(books.notices()) == 6

    def test_the_same_in_one_call_is_one_with_the_sum_of_times(self, books: Books) -> None:
        got = books.notice([notice(times=3), notice(at=20, times=4)])
        assert got == [notice(at=20, times=7)] == books.notices()
        assert books.notice([notice(at=30, times=7)]) == []
        assert books.notices()[0].times == 14

    def test_they_are_found_by_limit_tenant_and_time(self, books: Books) -> None:
        books.notice([notice(at=10), notice(at=20, limit_id="b", tenant="beta")])
        assert [n.at for n in books.notices()] == [20, 10]
        assert [n.at for n in books.notices(limit=1)] == [20]
        assert [n.at for n in books.notices(since=20)] == [20]
        assert [n.at for n in books.notices(limit_id="small")] == [10]
        assert [n.at for n in books.notices(tenant="beta")] == [20]
        assert books.notices(limit_id="small", tenant="beta") == []

    def test_old_ones_are_forgotten(self, books: Books) -> None:
        books.notice([notice(at=10), notice(at=20, limit_id="b")])
        assert books.forget_holds(before=20, limit=100) == 1
        assert [n.at for n in books.notices()] == [20]
