"""A policy says what a call needs of each counter; its cache follows the books."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.act.policy import MAX_SUBJECTS, Policy
from outlay.act.policy_cache import POLL_S, PolicyCache
from outlay.core.limits.holds import Meter
from outlay.core.limits.limit import Entitlement, Match, Override, Threshold
from outlay.core.limits.subject import Subject, matches
from outlay.core.sell import SellRates, SellRow
from outlay.errors import UnavailableError
from outlay.store.base import PriceChange, Tenant
from outlay.store.limits import LimitChange
from tests.unit.act.desks import HOUR, NOW, Bench, limit

ACME = Subject(tenant="acme", request="r1")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


def ids(policy: Policy, subject: Subject) -> list[str]:
    return [found.limit_id for found in policy.limits_for(subject)]


def test_a_call_needs_its_amounts_of_every_limit_that_selects_it() -> None:
    policy = Policy(
        limits=[
            limit("a-cost", 500),
            limit("b-tokens", 9_000, metric="tokens", scope=()),
            limit("c-calls", 60, metric="calls", window="rate", span_us=60_000_000, burst=5),
            limit("d-at-once", 4, metric="concurrent_calls", window="none"),
            limit("e-other", 1, scope=(Match("tenant", ("rival",)),)),
        ]
    )
    needs = policy.needs(ACME, {"cost": 70, "tokens": 30}, NOW)
    told = [(n.key.limit_id, n.metric, n.amount, n.cap) for n in needs]
    assert told == [
        ("a-cost", "cost", 70, 500),
        ("b-tokens", "tokens", 30, 9_000),
        ("c-calls", "calls", 1, 5),
        ("d-at-once", "concurrent_calls", 1, 4),
    ]
    assert needs[0].key.scope_key == '[["tenant","acme"]]'
    assert needs[1].key.scope_key == "[]"
    assert [n.meter for n in needs[2:]] == [Meter("rate", 60_000_000, 60), Meter("gauge")]


def test_limits_of_a_request_or_run_need_its_id() -> None:
    policy = Policy(limits=[limit("per-request", window="request"), limit("per-run", window="run")])
    assert ids(policy, Subject(tenant="acme")) == []
    assert ids(policy, ACME) == ["per-request"]
    assert ids(policy, Subject(tenant="acme", run="7")) == ["per-run"]
    (need,) = policy.needs(ACME, {}, NOW)
    assert need.key.scope_key == '[["tenant","acme"],["request","r1"]]'
    (other,) = policy.needs(Subject(tenant="acme", request="r2"), {}, NOW)
    assert other.key.counter_id != need.key.counter_id


def test_a_limit_in_the_shadow_counts_without_a_cap_and_one_that_is_off_not_at_all() -> None:
    policy = Policy(limits=[limit("s", mode="shadow"), limit("o", mode="off")])
    (need,) = policy.needs(ACME, {"cost": 5}, NOW)
    assert (need.key.limit_id, need.amount, need.cap) == ("s", 5, None)
    assert policy.limit("o") is None
    assert policy.limit("s") is not None


def test_a_limit_that_never_blocks_has_no_cap() -> None:
    policy = Policy(limits=[limit("w", thresholds=(Threshold(800_000, "warn"),))])
    assert policy.needs(ACME, {}, NOW)[0].cap is None


def test_overrides_raise_one_scope_or_all_while_they_hold() -> None:
    def raised(amount: int, scope: str = "") -> Override:
        return Override(f"o{amount}", "budget", amount, NOW, NOW + HOUR, "r", "a", scope)

    policy = Policy(
        limits=[limit()], overrides=[raised(2_000), raised(7_000, '[["tenant","acme"]]')]
    )
    rival = Subject(tenant="rival")
    assert policy.needs(ACME, {}, NOW)[0].cap == 7_000
    assert policy.needs(rival, {}, NOW)[0].cap == 2_000
    assert policy.needs(rival, {}, NOW + HOUR)[0].cap == 1_000
    assert policy.needs(rival, {}, NOW - 1)[0].cap == 1_000


def test_the_plan_of_a_known_tenant_counts_and_not_what_is_said() -> None:
    policy = Policy(limits=[limit(scope=(Match("plan", ("free",)),))], plans={"acme": "free"})
    said = Subject(tenant="acme", plan="pro")
    assert policy.known(said).plan == "free"
    assert ids(policy, policy.known(said)) == ["budget"]
    assert policy.known(Subject(tenant="new", plan="pro")).plan == "pro"


def test_a_plan_may_use_what_it_lists() -> None:
    policy = Policy(entitlements=[Entitlement("free", models=("gpt-5-*",), names=("basic",))])
    free = Subject(tenant="acme", plan="free", model="gpt-5-mini")
    assert policy.denied(free) == ""
    assert "premium" in policy.denied(free, "premium")
    assert "gpt-5" in policy.denied(Subject(plan="free", model="gpt-5"))
    assert policy.denied(Subject(plan="pro", model="gpt-5"), "premium") == ""


FIELDS = ("tenant", "user", "feature", "workflow", "plan", "billing_unit", "initiator", "model")
VALUES = ("", "a", "b", "ab")
SELECTORS = st.lists(
    st.tuples(
        st.sampled_from(FIELDS),
        st.lists(st.sampled_from(("a", "b", "a*", "*", "unattributed")), max_size=2).map(tuple),
        st.booleans(),
    ),
    max_size=3,
    unique_by=lambda part: part[0],
)


@given(
    scopes=st.lists(SELECTORS, max_size=6),
    subject=st.fixed_dictionaries({name: st.sampled_from(VALUES) for name in FIELDS}),
    twice=st.booleans(),
)
def test_looking_limits_up_finds_exactly_those_that_match(
    scopes: list[Any], subject: dict[str, str], twice: bool
) -> None:
    limits = [
        limit(f"l{n}", scope=tuple(Match(f, v, each=e or not v) for f, v, e in parts))
        for n, parts in enumerate(scopes)
    ]
    policy, asked = Policy(limits=limits), Subject(**subject)
    if twice:
        policy.limits_for(asked)
    expected = [one.limit_id for one in limits if matches(one, asked)]
    assert ids(policy, asked) == expected


def test_what_is_found_is_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.act.policy.MAX_SUBJECTS", 3)
    assert MAX_SUBJECTS > 3
    policy = Policy(limits=[limit()])
    for number in range(10):
        assert ids(policy, Subject(tenant=f"t{number}")) == ["budget"]
    assert len(policy._found) <= 3
    # Requests do not make subjects of their own.
    for number in range(10):
        policy.limits_for(Subject(tenant="t9", request=str(number)))
    assert len(policy._found) <= 3


def credit(unit: str, per_million: int, **said: Any) -> SellRow:
    return SellRow.make(unit, "credits", per_million, **said)


@pytest.mark.parametrize(
    ("rows", "amount"),
    [
        ([], 0),
        ([SellRow.make("cost", "nanos", 2_000_000)], 0),
        ([credit("cost", 2_000_000)], 2_000),
        ([credit("cost", 2_000_000), credit("cost", 3_000_000, tenant="acme")], 3_000),
        ([credit("calls", 5_000_000)], 5),
        ([credit("input", 4_000_000), credit("output", 10_000_000)], 4 * 100 + 10 * 20),
        ([credit("output", 10_000_000), credit("cost", 1_000_000)], 10 * 20 + 1_000),
        ([credit("cost", 1_000_000, model="gpt-5")], 1_000),
        ([credit("cost", 1_000_000, model="other")], 0),
    ],
)
def test_credits_follow_the_rules_of_selling(rows: list[SellRow], amount: int) -> None:
    policy = Policy(floors={"acme": 0}, sells=SellRates(rows))
    subject = Subject(tenant="acme", model="GPT-5", provider="openai")
    amounts = {"cost": 1_000, "input_tokens": 100, "output_tokens": 20, "calls": 1}
    (need,) = policy.needs(subject, amounts, NOW)
    assert (need.key.limit_id, need.metric, need.amount) == ("credits", "credits", amount)
    (said,) = policy.needs(subject, {**amounts, "credits": 7}, NOW)
    assert said.amount == 7


def test_credits_are_needed_only_where_a_balance_is_enforced() -> None:
    policy = Policy(floors={"rival": -50})
    assert policy.needs(ACME, {"credits": 7}, NOW) == []
    (need,) = policy.needs(Subject(tenant="rival"), {"credits": 7}, NOW)
    assert (need.cap, need.key.scope_key) == (50, '[["tenant","rival"]]')


def test_the_revision_changes_with_the_content_only() -> None:
    one = Policy(limits=[limit()], plans={"a": "x", "b": "y"})
    assert one.revision == Policy(limits=[limit()], plans={"b": "y", "a": "x"}).revision
    others = [
        Policy(limits=[limit(amount=5)], plans={"a": "x", "b": "y"}),
        Policy(limits=[limit()], plans={"a": "x"}),
        Policy(limits=[limit()], plans={"a": "x", "b": "y"}, floors={"a": 0}),
        Policy(limits=[limit()], plans={"a": "x", "b": "y"}, entitlements=[Entitlement("x")]),
    ]
    assert len({one.revision, *(other.revision for other in others)}) == 5


def test_the_revision_changes_with_the_rules_of_credits_of_those_who_have_some() -> None:
    rows = [credit("cost", 1), credit("cost", 2), credit("cost", 2, valid_from=NOW)]
    own = {Policy(floors={"a": 0}, sells=SellRates([row])).revision for row in rows}
    assert len(own) == 3
    money, others = SellRow.make("cost", "nanos", 1), credit("cost", 1, tenant="b")
    for row in (money, others, credit("cost", 1, plan="x")):
        same = Policy(floors={"a": 0}, sells=SellRates([row])).revision
        assert same == Policy(floors={"a": 0}).revision
    assert Policy(sells=SellRates(rows)).revision == Policy().revision


# the cache


class Ticks:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_cache_asks_the_books_only_now_and_then(bench: Bench) -> None:
    ticks = Ticks()
    cache = PolicyCache(bench.books, lambda: bench.now, ticks=ticks)
    assert cache.ready() is None
    empty = cache.current()
    bench.put(limit())
    ticks.now += POLL_S * 0.99
    assert cache.ready() is empty
    ticks.now += POLL_S * 0.02
    assert cache.ready() is None
    assert [one.limit_id for one in cache.current().limits] == ["budget"]
    same = cache.current()
    ticks.now += POLL_S
    assert cache.current() is same


def test_what_this_process_changes_is_seen_at_once(bench: Bench) -> None:
    cache = PolicyCache(bench.books, lambda: bench.now, ticks=Ticks())
    cache.current()
    bench.put(limit())
    assert cache.current().limits == ()
    cache.expire()
    assert len(cache.current().limits) == 1


def test_every_part_is_followed(bench: Bench) -> None:
    books = bench.books

    def now() -> Policy:
        bench.policy.expire()
        return bench.policy.current()

    books.put_tenant(Tenant("acme", plan="pro"), actor="t", at=NOW)
    assert now().plans == {"acme": "pro"}
    books.set_account("acme", floor=-9, reason="r", actor="t", at=NOW)
    assert now().floors == {"acme": -9}
    books.set_account("acme", floor=-9, reason="r", actor="t", at=NOW, enforce=False)
    assert now().floors == {}
    change = LimitChange((limit(),), entitlements=(Entitlement("pro", ("a",)),))
    books.change_limits(change, reason="r", actor="t", at=NOW)
    assert [one.plan for one in now().entitlements] == ["pro"]
    override = Override("o", "budget", 5, NOW, NOW + HOUR, "r", "t")
    books.put_override(override, at=NOW)
    assert [one.override_id for one in now().overrides] == ["o"]
    books.revoke_override("o", reason="r", actor="t", at=NOW)
    assert now().overrides == ()
    sells = (SellRow.make("cost", "credits", 2_000_000),)
    books.change_prices(PriceChange(sells=sells), reason="r", actor="t", at=NOW)
    assert now().credits_of(Subject(tenant="acme"), {"cost": 4}, NOW) == 8


def test_a_plan_that_begins_later_counts_from_then_on(bench: Bench) -> None:
    bench.books.put_tenant(Tenant("acme", plan="free"), actor="t", at=NOW)
    later = Tenant("acme", plan="pro", valid_from=NOW + HOUR)
    bench.books.put_tenant(later, actor="t", at=NOW)
    cache = PolicyCache(bench.books, lambda: bench.now, ticks=Ticks())
    assert cache.current().plans == {"acme": "free"}
    bench.now = NOW + HOUR
    assert cache.ready() is None
    assert cache.current().plans == {"acme": "pro"}


def test_books_that_cannot_answer_are_an_error_until_they_can(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = Ticks()
    cache = PolicyCache(bench.books, lambda: bench.now, ticks=ticks)
    cache.current()
    bench.put(limit())
    ticks.now += 1

    def down(*_: Any) -> Any:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(bench.books, "entitlements", down)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                cache.current()
    assert len(cache.current().limits) == 1
