"""Limits of one request or one agent run: counted here where their id was made here."""

from __future__ import annotations

import pytest

import outlay
from outlay.capture.limits import plans
from outlay.capture.limits.gate import Gate
from outlay.capture.scope import Scope, working_scope
from tests.unit.capture.limits.authority import (
    CENT,
    SPENT,
    Authority,
    Gates,
    admitted,
    month,
    refused,
    until,
)


def test_a_request_begun_here_is_counted_here(make: Gates) -> None:
    authority = Authority(month("0.02", window="request"))
    door = make(authority)
    for _ in range(2):
        with outlay.context(tenant="acme"):
            for _ in range(2):
                admitted(door, where=working_scope()).settle(SPENT)
            refusal = refused(door, where=working_scope())
            assert refusal.window == "request"
            assert working_scope().values["request_id"] in refusal.scope_key
    assert not authority.syncs


def test_a_run_ends_with_its_limit_and_not_before(make: Gates) -> None:
    authority = Authority(month("0.02", window="run"))
    door = make(authority)
    with outlay.agent("a", tenant="acme"):
        admitted(door, where=working_scope()).settle(SPENT)
        with outlay.agent("b"):
            admitted(door, where=working_scope()).settle(SPENT)
            refused(door, where=working_scope())
    with outlay.agent("a", tenant="acme"):
        admitted(door, where=working_scope()).void()
    with outlay.context(tenant="acme"):
        assert admitted(door, where=working_scope(), tokens=9000).hold_id == ""


def test_an_id_from_elsewhere_is_counted_with_the_authority(make: Gates) -> None:
    authority = Authority(month("0.02", window="request"))
    doors = [make(authority), make(authority)]
    with outlay.context(tenant="acme", request_id="theirs"):
        for door in doors:
            admitted(door, where=working_scope()).settle(SPENT)
        refused(doors[0], where=working_scope())
    until(lambda: authority.used == 2 * CENT)
    assert [key.scope_key for key in (c.key for c in authority.desk.counters.values())] == [
        '[["tenant","acme"],["request","theirs"]]'
    ]


def test_a_request_from_before_the_gate_is_not_this_process_s_alone(make: Gates) -> None:
    with outlay.context(tenant="acme"):
        authority = Authority(month("0.02", window="request"))
        door = make(authority)
        door.table._born_ms += 60_000
        admitted(door, where=working_scope()).settle(SPENT)
    assert authority.syncs


def test_a_call_outside_any_request_is_one_of_its_own(make: Gates) -> None:
    door = make(Authority(month("0.02", window="request")))
    loose = Scope({"tenant_id": "acme"}, {})
    for _ in range(3):
        admitted(door, where=loose, tokens=2000).void()
    refused(door, where=loose, tokens=2001)


def test_what_waits_in_a_request_goes_when_another_of_its_calls_ends(make: Gates) -> None:
    door = make(Authority(month("0.02", window="request")), limits_patience_s=0.1)
    with outlay.context(tenant="acme"):
        held = admitted(door, where=working_scope(), tokens=2000)
        assert refused(door, where=working_scope()).verdict == "busy"
        held.void()
        admitted(door, where=working_scope()).void()


def test_requests_that_rest_are_forgotten_past_a_bound(
    make: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_LOCAL", 8)
    door = make(Authority(month("0.02", window="request")))
    for _ in range(20):
        with outlay.context(tenant="acme"):
            admitted(door, where=working_scope()).void()
    assert len(door.table._local) <= 8


def test_lines_that_rest_are_forgotten_past_a_bound(
    make: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "MAX_LINES", 8)
    monkeypatch.setattr("outlay.capture.limits.wants.IDLE_S", 0.05)
    authority = Authority(month("5.00", scope={"user": "each"}))
    door = make(authority)
    for user in range(20):
        with outlay.context(tenant="acme", user=f"u{user}"):
            admitted(door, where=working_scope()).settle(SPENT)
        until(lambda: not door.table.active)
    assert len(door.table.lines) <= 8
    assert authority.used == 20 * CENT


def test_a_new_policy_leaves_what_a_run_has_used_and_a_new_amount_holds_at_once(
    make: Gates,
) -> None:
    authority = Authority(month("0.02", window="run"))
    door = make(authority)
    with outlay.agent("a", tenant="acme"):
        admitted(door, where=working_scope()).settle(SPENT)
        admitted(door, where=working_scope()).settle(SPENT)
        authority.change(month("0.02", window="run"), month(id="other", scope={"tenant": "b"}))
        renew(door)
        assert refused(door, where=working_scope()).used == 2 * CENT
        authority.change(month("0.03", window="run"))
        renew(door)
        admitted(door, where=working_scope()).settle(SPENT)
        refused(door, where=working_scope())


def renew(door: Gate) -> None:
    """Have the gate take the authority's policy as it is now."""
    before = door.table.policy
    door.client._keeper.due = True
    door.client.ring()
    until(lambda: door.table.policy is not before)
