"""What the gate lets through: leases, the last cent, waiting, and what happens without a server."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from outlay.capture import guard
from outlay.capture.limits import exchange
from outlay.capture.limits.entering import FAILED
from outlay.capture.limits.steps import Admitted, Refused
from outlay.capture.limits.waiting import admit, admit_async
from tests.unit.capture.limits.authority import (
    CENT,
    SPENT,
    Authority,
    Gates,
    admitted,
    ask,
    book,
    entitled,
    month,
    refused,
    scope,
    until,
)


def test_a_call_is_held_at_its_estimate_and_settled_at_what_it_cost(make: Gates) -> None:
    authority = Authority(month())
    door = make(authority)
    ticket = admitted(door)
    assert ticket.estimate_nanos == CENT
    assert ticket.hold_id == door.client.owner
    until(lambda: authority.held >= CENT)
    ticket.settle({**SPENT, "cost": CENT // 2})
    until(lambda: authority.used == CENT // 2)


def test_calls_do_not_wait_for_the_network_while_the_lease_lasts(make: Gates) -> None:
    authority = Authority(month("100.00"))
    door = make(authority)
    for _ in range(40):
        admitted(door).settle(SPENT)
    until(lambda: authority.used == 40 * CENT)
    before = door.stats()["waited"]
    authority.delay_s = 0.3
    for _ in range(20):
        admitted(door).settle(SPENT)
    assert door.stats()["waited"] == before
    authority.delay_s = 0.0


def test_no_request_at_all_is_made_until_the_next_sync_is_due(make: Gates) -> None:
    authority = Authority(month("100.00"))
    door = make(authority, limits_sync_s=5.0)
    admitted(door).settle(SPENT)
    before = len(authority.requests)
    for _ in range(50):
        admitted(door, tokens=10).settle(SPENT | {"cost": CENT // 100})
    assert len(authority.requests) == before


def test_what_was_used_is_reported_in_totals_so_that_a_lost_answer_changes_nothing(
    make: Gates,
) -> None:
    authority = Authority(month())
    door = make(authority)
    admitted(door).settle(SPENT)
    until(lambda: authority.used == CENT)
    authority.lose_answers = True
    admitted(door).settle(SPENT)
    until(lambda: door.stats()["sync_failures"] >= 2)
    authority.lose_answers = False
    until(lambda: authority.used == 2 * CENT)
    time.sleep(0.2)
    assert authority.used == 2 * CENT


def test_the_last_cent_is_spent_and_the_next_call_refused(make: Gates) -> None:
    authority = Authority(month("0.05"))
    door = make(authority)
    for _ in range(5):
        admitted(door).settle(SPENT)
    refusal = refused(door)
    assert (refusal.reason, refusal.limit_id, refusal.left) == ("limit", "month", 0)
    assert refusal.resets_at > authority.now()
    assert refusal.verdict == "over"
    assert authority.used <= 5 * CENT
    assert door.stats()["refused"] == 1


def test_a_limit_that_others_have_used_up_refuses_at_once(make: Gates) -> None:
    authority = Authority(month("0.05"))
    door = make(authority)
    admitted(door).settle(SPENT)
    until(lambda: authority.used == CENT)
    authority.spend(4 * CENT)
    began = time.monotonic()
    refused(door, tokens=3000)
    assert time.monotonic() - began < 0.5


def test_two_processes_share_what_there_is(make: Gates) -> None:
    authority = Authority(month("0.10"))
    doors = [make(authority), make(authority)]
    passed = 0
    for turn in range(16):
        step = admit(doors[turn % 2], ask())
        if isinstance(step, Admitted):
            passed += 1
            step.ticket.settle(SPENT)
    assert passed == 10
    until(lambda: authority.used == 10 * CENT)


def test_a_call_waits_for_what_others_hold_and_goes_when_it_comes_back(make: Gates) -> None:
    authority = Authority(month("0.02"))
    door, other = make(authority), make(authority)
    held = [admitted(other), admitted(other)]
    threading.Timer(0.15, lambda: [one.settle({**SPENT, "cost": 1}) for one in held]).start()
    began = time.monotonic()
    admitted(door)
    assert 0.1 < time.monotonic() - began < 0.9
    assert door.stats()["waited"] == 1


def test_a_call_wakes_at_once_when_a_call_of_its_own_process_ends(make: Gates) -> None:
    authority = Authority(month("0.02"))
    door = make(authority)
    held = admitted(door, tokens=2000)
    woken: list[float] = []

    def wait() -> None:
        admitted(door).void()
        woken.append(time.monotonic())

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.1)
    ended = time.monotonic()
    held.void()
    thread.join()
    assert woken[0] - ended < 0.05


@pytest.mark.parametrize("patience", [0.0, 0.3])
def test_patience_bounds_the_wait(make: Gates, patience: float) -> None:
    authority = Authority(month("0.02"))
    door, other = make(authority, limits_patience_s=patience), make(authority)
    held = admitted(other, tokens=2000)
    began = time.monotonic()
    refusal = refused(door)
    assert patience <= time.monotonic() - began < patience + 0.3
    assert refusal.verdict == "busy"
    assert refusal.retry_after_s > 0
    held.void()


def test_a_burst_of_threads_never_passes_the_cap_and_uses_it_up(make: Gates) -> None:
    authority = Authority(month("0.20"))
    door = make(authority, limits_patience_s=2.0)
    lock, flying, worst, passed = threading.Lock(), 0, 0, 0

    def call() -> None:
        nonlocal flying, worst, passed
        step = admit(door, ask())
        if not isinstance(step, Admitted):
            return
        with lock:
            passed += 1
            flying += 1
            worst = max(worst, flying + authority.used // CENT)
        time.sleep(0.005)
        with lock:
            flying -= 1
        step.ticket.settle(SPENT)

    threads = [threading.Thread(target=call) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert passed == 20
    until(lambda: authority.used == 20 * CENT)


def test_a_burst_of_tasks_never_passes_the_cap_and_uses_it_up(make: Gates) -> None:
    authority = Authority(month("0.20"))
    door = make(authority, limits_patience_s=2.0)

    async def call() -> bool:
        step = await admit_async(door, ask())
        if isinstance(step, Refused):
            return False
        assert isinstance(step, Admitted)
        await asyncio.sleep(0.005)
        step.ticket.settle(SPENT)
        return True

    async def burst() -> int:
        return sum(await asyncio.gather(*(call() for _ in range(100))))

    assert asyncio.run(burst()) == 20
    until(lambda: authority.used == 20 * CENT)


def test_a_cancelled_wait_leaves_nothing_behind(
    make: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outlay.capture.limits.wants.IDLE_S", 0.2)
    authority = Authority(month("0.02"))
    door, other = make(authority), make(authority)
    held = admitted(other, tokens=2000)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(admit_async(door, ask()), 0.1)

    asyncio.run(give_up())
    held.void()
    until(lambda: not door.client.wants, 4.0)
    until(lambda: authority.held == 0, 4.0)


def test_a_ticket_that_is_dropped_gives_back_what_it_held(make: Gates) -> None:
    authority = Authority(month("0.02"))
    door = make(authority)
    ticket = admitted(door, tokens=2000)
    ring: list[Any] = [ticket]
    ring.append(ring)
    del ticket, ring
    gc.collect()
    admitted(door, tokens=2000).void()


def test_ending_twice_counts_once(make: Gates) -> None:
    authority = Authority(month())
    door = make(authority)
    ticket = admitted(door)
    ticket.settle(SPENT)
    ticket.settle(SPENT)
    ticket.void()
    until(lambda: authority.used == CENT)
    time.sleep(0.15)
    assert authority.used == CENT


def test_a_ticket_may_end_while_the_gate_is_at_work(make: Gates) -> None:
    door = make(Authority(month()))
    ticket = admitted(door)
    with door._lock:
        other = threading.Thread(target=ticket.void)
        other.start()
        other.join(1.0)
        assert not other.is_alive()


@pytest.mark.parametrize("rule", ["open", "closed"])
def test_without_the_authority_each_limit_has_its_own_rule(make: Gates, rule: str) -> None:
    authority = Authority(month("0.50", on_unreachable=rule), ttl_s=0.3)
    door = make(authority)
    admitted(door).settle(SPENT)
    until(lambda: authority.used == CENT)
    authority.down = True
    admitted(door).void()  # the lease still lasts
    time.sleep(0.4)
    if rule == "open":
        ticket = admitted(door)
        assert ticket.unchecked
        assert door.stats()["open_failed"] == 1
        ticket.settle(SPENT)
        authority.down = False
        until(lambda: authority.used == 2 * CENT, 8.0)
    else:
        assert refused(door).reason == "unreachable"
    began = time.monotonic()
    admit(door, ask())
    assert time.monotonic() - began < 0.6


def test_an_authority_that_hangs_is_waited_for_no_longer_than_the_timeout(make: Gates) -> None:
    authority = Authority(month())
    door = make(authority, limits_timeout_s=0.2)
    admitted(door, where=scope(tenant_id="other")).void()
    authority.delay_s = 1.0
    began = time.monotonic()
    assert admitted(door).unchecked
    assert time.monotonic() - began < 0.5
    authority.delay_s = 0.0


def test_a_lease_ends_by_the_clock_that_only_grows(make: Gates) -> None:
    authority = Authority(month("0.50", on_unreachable="closed"), ttl_s=0.4)
    authority.ahead_us = -3_600_000_000
    door = make(authority)
    admitted(door).void()
    authority.down = True
    assert 0 < door.client.valid_until - time.monotonic() < 0.4
    time.sleep(0.45)
    assert refused(door).reason == "unreachable"


def test_before_any_policy_is_known_calls_pass_and_are_counted(make: Gates) -> None:
    authority = Authority(month())
    authority.down = True
    door = make(authority, limits_timeout_s=0.1)
    assert admitted(door).unchecked
    assert door.stats()["unknown"] == 1
    authority.down = False
    until(lambda: door.table.policy is not None)
    assert not admitted(door).unchecked


def test_a_policy_kept_on_disk_holds_while_the_server_is_away(make: Gates, tmp_path: Any) -> None:
    kept = tmp_path / "limits.json"
    authority = Authority(month(on_unreachable="closed"))
    admitted(make(authority, kept=kept)).void()
    authority.down = True
    door = make(authority, kept=kept)
    assert refused(door).reason == "unreachable"
    kept.write_bytes(b"{")
    damaged = make(authority, kept=kept, limits_timeout_s=0.1)
    assert admitted(damaged).unchecked
    guard.reset()


def test_a_kept_policy_gives_way_to_what_the_server_says(make: Gates, tmp_path: Any) -> None:
    kept = tmp_path / "limits.json"
    admitted(make(Authority(month()), kept=kept)).void()
    stricter = Authority(month("0.005"))
    stricter.delay_s = 0.1
    assert refused(make(stricter, kept=kept)).reason == "limit"


def test_nothing_is_held_after_closing(make: Gates) -> None:
    authority = Authority(month())
    door = make(authority)
    ticket = admitted(door)
    admitted(door).settle(SPENT)
    assert authority.held > 0
    door.close(1.0)
    assert authority.held == 0
    assert authority.used == CENT
    ticket.settle(SPENT)
    assert isinstance(admit(door, ask()), Admitted)


def test_an_idle_line_is_given_back(make: Gates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outlay.capture.limits.wants.IDLE_S", 0.2)
    authority = Authority(month("100.00"))
    door = make(authority)
    admitted(door).settle(SPENT)
    assert authority.held > 0
    until(lambda: authority.held == 0)
    until(lambda: not door.table.active)
    syncs = len(authority.syncs)
    time.sleep(0.3)
    assert len(authority.syncs) == syncs


def test_a_period_that_ends_begins_anew_and_what_is_left_of_it_is_reported(make: Gates) -> None:
    authority = Authority(month("0.03", window="hour"))
    hour = 3_600_000_000
    door = make(authority)
    admitted(door).settle(SPENT)
    late = admitted(door)
    until(lambda: authority.used == CENT)
    authority.ahead_us = hour
    until(lambda: len(authority.desk.counters) == 2)
    late.settle(SPENT)
    until(lambda: authority.used == 2 * CENT)
    for _ in range(3):
        admitted(door).settle(SPENT)
    until(lambda: authority.used == 5 * CENT)
    used = sorted(counter.used for counter in authority.desk.counters.values())
    assert used == [2 * CENT, 3 * CENT]
    refused(door)


def test_a_changed_limit_holds_within_a_sync_and_keeps_what_was_used(make: Gates) -> None:
    authority = Authority(month("1.00"))
    door = make(authority)
    admitted(door).settle(SPENT)
    until(lambda: authority.used == CENT)
    authority.change(month("0.02"))
    admitted(door).void()
    until(lambda: door.table.policy is not None and door.table.policy.limits[0].amount == 2 * CENT)
    time.sleep(0.15)
    refused(door, tokens=2000)
    authority.change()
    time.sleep(0.25)  # what was said just now is believed so long
    until(lambda: admitted(door, tokens=20_000).hold_id == "")


def test_a_limit_that_does_not_select_a_call_does_not_touch_it(make: Gates) -> None:
    authority = Authority(month(scope={"tenant": "other"}))
    door = make(authority)
    ticket = admitted(door)
    assert ticket.hold_id == ""
    assert not authority.syncs


def test_all_lines_of_a_call_are_taken_or_none(make: Gates) -> None:
    authority = Authority(
        month("1.00"), month("0.01", id="small", scope={"feature": "x", "tenant": "each"})
    )
    door = make(authority, limits_patience_s=0.1)
    assert refused(door, where=scope(feature="x"), tokens=2000).limit_id == "small"
    assert all(not line.now.flying for line in door.table.lines.values())
    admitted(door, tokens=2000).void()


def test_strict_holds_the_worst_case_whatever_was_learned(make: Gates) -> None:
    strict = month(id="strict", strict=True, metric="tokens") | {"amount": 100_000}
    authority = Authority(month("10.00"), strict)
    door = make(authority)
    for _ in range(5):
        admitted(door, tokens=10_000).settle({**SPENT, "output_tokens": 100, "tokens": 100})
    ticket = admitted(door, tokens=10_000)
    by_limit = {period.line.limit.limit_id: held for period, held in ticket.holds}
    assert by_limit["strict"] == 10_000
    assert by_limit["month"] < CENT


def test_calls_at_once_are_counted_while_they_run(make: Gates) -> None:
    at_once = {"id": "many", "metric": "concurrent_calls", "amount": 2}
    authority = Authority(at_once)
    door = make(authority, limits_patience_s=0.1)
    first, second = admitted(door), admitted(door)
    assert refused(door).verdict == "busy"
    first.settle(SPENT)
    third = admitted(door)
    second.void()
    third.void()
    until(lambda: authority.held == 0 or not door.table.active, 1.0)


def test_a_plan_that_does_not_include_a_model_refuses_it(make: Gates) -> None:
    authority = Authority(
        month(), entitlements=(entitled("free", models=("mini",)),), plans={"acme": "free"}
    )
    door = make(authority)
    assert refused(door).reason == "entitlement"
    admitted(door, model="mini").void()


def test_a_tenant_without_credits_is_refused(make: Gates) -> None:
    authority = Authority(floors={"acme": 0})
    door = make(authority)
    refusal = refused(door)
    assert refusal.reason == "credits"
    admitted(door, where=scope(tenant_id="other")).void()


def test_an_unpriced_model_is_held_at_its_ceiling(make: Gates) -> None:
    door = make(Authority(month("10.00")))
    assert admitted(door, model="unheard-of").estimate_nanos >= CENT


def test_a_failure_of_the_gate_itself_lets_the_call_pass(make: Gates) -> None:
    door = make(Authority(month()))
    door.quotes.of = None  # type: ignore[method-assign, assignment]
    until(lambda: isinstance(admit(door, ask()), Admitted))
    assert guard.counts()["limits.enter"] >= 1
    guard.reset()


def test_events_of_calls_that_failed_do_not_stand_for_what_others_used(make: Gates) -> None:
    authority = Authority(month())
    door = make(authority)
    for _ in range(5):
        admitted(door).settle(FAILED)
    until(lambda: [one.calls for one in authority.lease(door.client.owner)] == [5])
    for _ in range(5):
        authority.event(door.client.owner, 0)
    admitted(door).settle(SPENT)
    until(lambda: authority.used == CENT)
    authority.event(door.client.owner, CENT)
    assert authority.used == CENT


def test_the_first_calls_wait_for_the_prices_instead_of_being_refused(make: Gates) -> None:
    door = make(Authority(month("0.05")), priced=False, prices_come=True)
    timer = threading.Timer(0.1, setattr, (door._rates, "book", book()))
    timer.start()
    assert admitted(door).estimate_nanos == CENT
    timer.join()


def test_calls_do_not_wait_longer_for_prices_than_for_the_authority(make: Gates) -> None:
    door = make(
        Authority(month("0.05")), priced=False, prices_come=True, limits_timeout_s=0.2,
        limits_patience_s=0.0,
    )  # fmt: skip
    began = time.monotonic()
    refused(door)
    assert 0.2 <= time.monotonic() - began < 1.5
    began = time.monotonic()
    refused(door)  # they did not come: nobody waits for them again
    assert time.monotonic() - began < 0.2


def test_calls_that_no_limit_selects_do_not_wait_for_prices(make: Gates) -> None:
    door = make(
        Authority(month(scope={"tenant": "other"})), priced=False, prices_come=True,
        limits_timeout_s=5.0,
    )  # fmt: skip
    began = time.monotonic()
    admitted(door)
    assert time.monotonic() - began < 2.0


def test_the_policy_is_kept_where_no_folder_is_yet(make: Gates, tmp_path: Path) -> None:
    place = tmp_path / "new" / "limits.json"
    door = make(Authority(month()), kept=place)
    admitted(door)
    until(place.exists)


@pytest.mark.parametrize("skew_s", [-2, 2])
def test_a_call_whose_event_falls_in_another_period_counts_once(make: Gates, skew_s: int) -> None:
    authority = Authority(month("1.00", window="hour"))
    door = make(authority)
    admitted(door).settle(SPENT)
    until(lambda: authority.used == CENT)
    ticket = admitted(door)
    (period,) = (period for period, _ in ticket.holds)
    edge = period.ends_at if skew_s > 0 else period.starts_at - 1
    ticket.begun(edge)
    assert ticket.hold_id == ""
    ticket.settle(SPENT)
    syncs = len(authority.syncs)
    until(lambda: len(authority.syncs) >= syncs + 2)
    authority.event("", CENT, edge)
    assert authority.used == 2 * CENT
    assert period.calls == 1


def test_a_call_that_is_held_in_one_period_and_begins_in_the_next_counts_there(
    make: Gates,
) -> None:
    authority = Authority(month("1.00", window="hour"))
    door = make(authority)
    ticket = admitted(door)
    (held,) = (period for period, _ in ticket.holds)
    authority.ahead_us = 3_600_000_000
    until(lambda: len(authority.desk.counters) == 2)
    until(lambda: held.line.now.ends_at)
    ticket.begun(held.ends_at)
    assert ticket.hold_id == door.client.owner
    ticket.settle(SPENT)
    until(lambda: authority.used == CENT)
    assert (held.calls, held.flying, held.line.now.calls) == (0, 0, 1)


def test_a_call_counts_in_its_own_period_from_its_first_to_its_last_microsecond(
    make: Gates,
) -> None:
    authority = Authority(month("1.00", window="hour"))
    door = make(authority)
    until(lambda: admitted(door).holds[0][0].ends_at)
    for place in ("starts_at", "ends_at"):
        ticket = admitted(door)
        (period,) = (period for period, _ in ticket.holds)
        ticket.begun(getattr(period, place) - (place == "ends_at"))
        assert (ticket.hold_id, ticket.counts) == (door.client.owner, {})
        ticket.void()


def test_a_thread_that_cannot_start_holds_no_call_up_and_is_tried_again(
    make: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(month())
    door = make(authority)

    def fail(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fail)
        began = time.monotonic()
        for _ in range(3):
            assert isinstance(admit(door, ask()), Admitted)
        assert time.monotonic() - began < 0.3
    assert guard.counts() == {"limits.enter": 3}
    guard.reset()
    assert admitted(door).hold_id == door.client.owner


def test_what_is_left_of_a_period_whose_limit_is_gone_is_not_told_for_ever(make: Gates) -> None:
    authority = Authority(month("1.00", window="hour"))
    door = make(authority)
    late = admitted(door)
    authority.ahead_us = 3_600_000_000
    until(lambda: door.table.ended)
    authority.change()
    until(lambda: door.table.policy is not None and not door.table.policy.limits)
    late.settle(SPENT)
    until(lambda: not door.table.ended)
    syncs = len(authority.syncs)
    time.sleep(0.3)
    assert len(authority.syncs) == syncs


def test_a_scope_that_the_key_may_not_ask_about_holds_no_call_up(
    make: Gates, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(month("1.00"))
    authority.key_of = "acme"
    door = make(authority, limits_patience_s=5.0)
    began = time.monotonic()
    for _ in range(3):
        ticket = admitted(door, where=scope(tenant_id="other"))
        assert ticket.hold_id == ""
        ticket.settle(SPENT)
    assert time.monotonic() - began < 1.0
    assert admitted(door).hold_id == door.client.owner
    until(lambda: "another tenant" in caplog.text)


@pytest.mark.parametrize("tenants", [2, 3, 7])
def test_more_lines_than_a_sync_may_have_go_with_the_next(
    make: Gates, monkeypatch: pytest.MonkeyPatch, tenants: int
) -> None:
    monkeypatch.setattr(exchange, "MAX_DRAFTS", 2)
    authority = Authority(month("1.00"))
    door = make(authority)
    for number in range(tenants):
        admitted(door, where=scope(tenant_id=f"t{number}")).settle(SPENT)
    until(lambda: authority.used == tenants * CENT)
    assert max(len(sync["lines"]) for sync in authority.syncs) == 2


def test_what_a_soft_limit_counts_before_its_first_sync_is_counted_once(make: Gates) -> None:
    warn = [{"at": "50%", "action": "warn"}]
    authority = Authority(month("1.00", thresholds=warn))
    door = make(authority, limits_sync_s=0.3)
    ticket = admitted(door)  # nothing bounds it: it goes out before any lease is there
    ticket.settle(SPENT)
    authority.event(ticket.hold_id, CENT)  # and its event comes first
    until(lambda: bool(authority.syncs) and bool(authority.lease(door.client.owner)))
    later = admitted(door)
    later.settle(SPENT)
    until(lambda: [line.calls for line in authority.lease(door.client.owner)] == [1])
    authority.event(later.hold_id, CENT)
    assert authority.used == 2 * CENT
