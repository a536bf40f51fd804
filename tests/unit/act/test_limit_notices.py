"""Notices: each rung once per counter, every refusal counted, and each URL told once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.core.limits.holds import Post, PostLine, Settle, Sync, Want
from outlay.core.limits.limit import Override, Threshold
from outlay.core.limits.subject import Subject
from outlay.errors import UnavailableError
from outlay.store.limits import Notice
from tests.unit.act.desks import HOUR, NOW, Bench, limit

LADDER = (Threshold(500_000, "warn"), Threshold(800_000, "warn"), Threshold(1_000_000, "block"))
HOOK = "https://hooks.example/x"


class Calls:
    """Stands for webhooks: keeps what would be sent."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def send(self, url: str, payload: dict[str, Any], *, done: Any = None) -> bool:
        self.sent.append({"url": url, **payload})
        return True


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path, limit(thresholds=LADDER))
    yield made
    made.close()


@pytest.fixture
def calls(bench: Bench) -> Calls:
    made = Calls()
    bench.notices._calls._webhooks = made  # type: ignore[assignment]
    return made


def use(bench: Bench, cost: int, tenant: str = "acme") -> None:
    hold_id = f"h{threading.get_ident()}-{cost}-{tenant}-{bench.authority.state().ops}"
    assert bench.reserve(hold_id, cost, tenant).status == "ok"
    bench.ask(Settle(hold_id, {"cost": cost, "calls": 1}, bench.now))


def noted(bench: Bench, **which: Any) -> list[tuple[str, int, str, int]]:
    """Return kind, rung, action and times of every notice, in order."""
    bench.notices.flush()
    found = bench.books.notices(**which)
    return sorted((one.kind, one.at_ppm, one.action, one.times) for one in found)


def test_each_rung_is_noted_once_as_use_passes_it(bench: Bench) -> None:
    use(bench, 499)
    assert noted(bench) == []
    use(bench, 1)
    assert noted(bench) == [("crossed", 500_000, "warn", 1)]
    for _ in range(3):
        use(bench, 10)
    assert noted(bench) == [("crossed", 500_000, "warn", 1)]
    use(bench, 470)
    assert noted(bench) == [
        ("crossed", 500_000, "warn", 1),
        ("crossed", 800_000, "warn", 1),
        ("crossed", 1_000_000, "block", 1),
    ]
    one = next(one for one in bench.books.notices() if one.action == "block")
    assert (one.tenant, one.used, one.amount, one.mode) == ("acme", 1_000, 1_000, "enforce")
    assert one.scope_key == '[["tenant","acme"]]'


def test_each_scope_has_its_own(bench: Bench) -> None:
    use(bench, 600, "acme")
    use(bench, 600, "rival")
    assert noted(bench, tenant="rival") == [("crossed", 500_000, "warn", 1)]
    assert len(noted(bench)) == 2


def test_refusals_are_counted_and_waiting_is_none(bench: Bench) -> None:
    use(bench, 400)
    for number in range(3):
        assert bench.reserve(f"r{number}", 601).status == "over"
    assert bench.reserve("held", 600).status == "ok"
    assert bench.reserve("waits", 600).status == "busy"
    assert noted(bench) == [("refused", 1_000_000, "block", 3)]
    assert bench.reserve("r9", 601).status == "over"
    assert noted(bench) == [("refused", 1_000_000, "block", 4)]
    assert bench.notices.actions == {("block", "enforce"): 4}


def test_in_the_shadow_what_would_have_been_refused_is_noted(bench: Bench) -> None:
    bench.put(limit(thresholds=LADDER, mode="shadow"))
    use(bench, 900)
    assert bench.reserve("more", 200).status == "ok"
    bench.notices.flush()
    kinds = {(one.kind, one.action, one.mode) for one in bench.books.notices()}
    assert kinds == {("crossed", "warn", "shadow"), ("refused", "block", "shadow")}


def test_a_lease_that_gets_nothing_is_a_refusal(bench: Bench) -> None:
    use(bench, 990)
    (need,) = bench.policy.current().needs(Subject(tenant="acme"), {"cost": 20}, NOW)
    bench.ask(Sync("process", (Want(need, 0, 0, 0, 0),), NOW, NOW + HOUR))
    assert ("refused", 1_000_000, "block", 1) in noted(bench)


def test_a_late_settlement_is_noted(bench: Bench) -> None:
    bench.reserve("a", 100)
    bench.now += 2 * HOUR
    bench.sweeper.run_once()
    assert bench.ask(Settle("a", {"cost": 70, "calls": 1}, bench.now)).late
    assert noted(bench) == [("late", 0, "", 1)]


def test_a_balance_that_could_not_pay_is_noted(bench: Bench) -> None:
    bench.books.grant("acme", 100, key="k", reason="r", actor="t", at=NOW)
    bench.policy.expire()
    policy = bench.policy.current()
    assert policy.floors == {"acme": 0}
    bench.reserve("a", 10)
    bench.ask(Settle("a", {"cost": 10, "calls": 1, "credits": 250}, NOW))
    bench.notices.flush()
    (short,) = [one for one in bench.books.notices() if one.kind == "short"]
    assert (short.limit_id, short.tenant, short.details["short"]) == ("credits", "acme", 150)


def test_what_a_plan_does_not_allow_is_noted(bench: Bench) -> None:
    subject = Subject(tenant="acme", plan="free", agent="research", model="gpt-5")
    for _ in range(2):
        bench.notices.denied(subject, "the plan `free` does not include the agent `research`")
    bench.notices.flush()
    (one,) = bench.books.notices()
    assert (one.limit_id, one.kind, one.tenant, one.times) == ("entitlement", "denied", "acme", 2)
    assert one.details["agent"] == "research"


def test_a_limit_of_requests_is_noted_only_where_somebody_is_to_be_told(bench: Bench) -> None:
    ladder = (Threshold(500_000, "warn"), Threshold(800_000, "escalate", url=HOOK))
    bench.put(limit(window="request", thresholds=ladder))
    use(bench, 900)
    assert noted(bench) == [("crossed", 800_000, "escalate", 1)]


def test_a_restart_notes_and_calls_nothing_twice(
    bench: Bench, calls: Calls, tmp_path: Path
) -> None:
    ladder = (Threshold(500_000, "escalate", url=HOOK),)
    bench.put(limit(thresholds=ladder))
    use(bench, 600)
    bench.notices.flush()
    assert len(calls.sent) == 1
    bench.close()
    again = Bench(tmp_path)
    later = Calls()
    again.notices._calls._webhooks = later  # type: ignore[assignment]
    use(again, 10)
    assert noted(again) == [("crossed", 500_000, "escalate", 2)]
    assert later.sent == []
    again.close()


def test_a_rung_with_a_url_tells_it(bench: Bench, calls: Calls) -> None:
    bench.put(limit(thresholds=(Threshold(800_000, "escalate", url=HOOK), LADDER[2])))
    use(bench, 850)
    use(bench, 10)
    bench.notices.flush()
    (call,) = calls.sent
    assert call == {
        "url": HOOK, "event": "limit.crossed", "limit": "budget", "name": "", "metric": "cost",
        "window": "month", "scope": '[["tenant","acme"]]', "tenant": "acme", "used": 850,
        "amount": 1_000, "left": 150, "threshold": 800_000, "action": "escalate",
        "resets_at": call["resets_at"], "at": NOW,
    }  # fmt: skip
    assert call["resets_at"] > NOW


def test_a_refusal_and_the_rung_that_refuses_are_told_once(bench: Bench, calls: Calls) -> None:
    bench.put(limit(thresholds=(Threshold(1_000_000, "block", url=HOOK),)))
    use(bench, 990)
    bench.reserve("no", 20)
    bench.notices.flush()
    use(bench, 10)
    bench.notices.flush()
    assert [call["event"] for call in calls.sent] == ["limit.refused"]


def test_a_shadow_tells_nobody(bench: Bench, calls: Calls) -> None:
    bench.put(limit(mode="shadow", thresholds=(Threshold(500_000, "escalate", url=HOOK),)))
    use(bench, 900)
    bench.notices.flush()
    assert calls.sent == []


def test_a_raise_that_is_used_up_is_told_again(bench: Bench, calls: Calls) -> None:
    bench.put(limit(thresholds=(Threshold(900_000, "escalate", url=HOOK), LADDER[2])))
    use(bench, 950)
    bench.notices.flush()
    raised = Override("o", "budget", 2_000, NOW, NOW + HOUR, "more", "boss")
    bench.books.put_override(raised, at=NOW)
    bench.policy.expire()
    use(bench, 10)
    bench.notices.flush()
    use(bench, 900)
    bench.notices.flush()
    assert [(call["used"], call["amount"]) for call in calls.sent] == [(950, 1_000), (1_860, 2_000)]


def test_a_rate_that_is_passed_up_and_down_is_told_now_and_then(bench: Bench, calls: Calls) -> None:
    minute = 60_000_000
    rung = Threshold(500_000, "warn", url=HOOK)
    bench.put(limit(window="rate", span_us=minute, thresholds=(rung, LADDER[2])))
    for _ in range(11):
        use(bench, 600)
        bench.notices.flush()
        bench.now += minute
        use(bench, 1)
    assert [call["at"] - NOW for call in calls.sent] == [0, 5 * minute, 10 * minute]
    assert noted(bench) == [("crossed", 500_000, "warn", 11)]


def test_counters_that_only_events_move_are_looked_at_when_told(bench: Bench) -> None:
    (need,) = bench.policy.current().needs(Subject(tenant="acme"), {}, NOW)
    line = PostLine(need.key, "cost", 850, 1, NOW)
    bench.books.post([Post("", (line,))], after=bench.books.posted(), offset=9)
    assert noted(bench) == []
    bench.notices.look([need.key.series, "gone|0123"])
    assert [rung for _, rung, _, _ in noted(bench)] == [500_000, 800_000]


def test_while_the_books_are_down_notices_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(bench, 600)

    def down(_: list[Notice]) -> list[Notice]:
        raise UnavailableError

    with monkeypatch.context() as patch:
        patch.setattr(bench.books, "notice", down)
        with pytest.raises(UnavailableError):
            bench.notices.flush()
        use(bench, 300)
        with pytest.raises(UnavailableError):
            bench.notices.flush()
    assert noted(bench) == [("crossed", 500_000, "warn", 1), ("crossed", 800_000, "warn", 1)]


def test_what_waits_is_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.act.limit_notices.MAX_BATCHES", 2)
    for _ in range(3):
        bench.reserve("same", 1)
    assert bench.notices.counts["passed_over"] == 1
    monkeypatch.setattr("outlay.act.limit_notices.MAX_PENDING", 2)
    for plan in ("a", "b", "c"):
        bench.notices.denied(Subject(tenant="acme", plan=plan), "no")
    bench.notices.flush()
    assert bench.notices.counts == {"notices": 2, "passed_over": 2}


def test_remembered_counters_are_bounded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.act.limit_notices.MAX_LEVELS", 3)
    for number in range(6):
        use(bench, 600, f"t{number}")
    bench.notices.flush()
    assert len(bench.notices._levels) == 3
    assert len(bench.books.notices()) == 6


def test_its_thread_writes_by_itself_and_at_the_end(bench: Bench) -> None:
    bench.notices.start()
    use(bench, 600)
    bench.notices.stop()
    assert [one.kind for one in bench.books.notices()] == ["crossed"]
    assert bench.notices.error is None
