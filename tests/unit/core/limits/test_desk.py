"""The desk, one call at a time: reserve, extend, settle, void, expire, and events."""

from __future__ import annotations

import pytest

from outlay.core.limits.desk import Desk
from outlay.core.limits.holds import Expire, Meter, Void
from tests.unit.core.limits.desk_rows import (
    NOW,
    SECOND,
    TTL,
    balance,
    extend,
    key,
    need,
    post,
    reserve,
    settle,
    stands,
    sync,
    want,
)

GAUGE = Meter("gauge")


@pytest.fixture
def desk() -> Desk:
    return Desk({}, {})


def test_a_reservation_fits_up_to_the_cap_and_not_one_above(desk: Desk) -> None:
    assert reserve(desk, "h1", need(60)).status == "ok"
    assert reserve(desk, "h2", need(41)).status == "busy"
    assert reserve(desk, "h3", need(40)).status == "ok"
    assert stands(desk) == (0, 100)


def test_busy_may_fit_later_and_over_never_does(desk: Desk) -> None:
    reserve(desk, "h1", need(50))
    settle(desk, "h1", 50)
    reserve(desk, "h2", need(50))
    assert reserve(desk, "h3", need(50)).stands[0].verdict == "busy"
    assert reserve(desk, "h4", need(51)).stands[0].verdict == "over"


def test_without_a_cap_everything_fits_and_is_counted(desk: Desk) -> None:
    assert reserve(desk, "h", need(10**12, None)).status == "ok"
    assert stands(desk) == (0, 10**12)


def test_a_call_holds_in_all_its_scopes_or_in_none(desk: Desk) -> None:
    outcome = reserve(desk, "h", need(50, 100, "a"), need(50, 49, "b"), need(5, 5, "c"))
    assert outcome.status == "over"
    assert [stand.verdict for stand in outcome.stands] == ["ok", "over", "ok"]
    assert "h" not in desk.holds
    assert stands(desk, "a") == stands(desk, "b") == stands(desk, "c") == (0, 0)


def test_two_needs_of_one_counter_have_to_fit_together(desk: Desk) -> None:
    assert reserve(desk, "h", need(60), need(60)).status == "over"
    assert reserve(desk, "h", need(60), need(40)).status == "ok"
    assert stands(desk) == (0, 100)


def test_the_same_request_again_is_answered_the_same_and_other_content_is_a_conflict(
    desk: Desk,
) -> None:
    reserve(desk, "h", need(60), digest="x")
    again = reserve(desk, "h", need(60), digest="x")
    assert (again.status, again.stands[0].held) == ("already", 60)
    assert reserve(desk, "h", need(60), digest="y").status == "conflict"
    assert stands(desk) == (0, 60)


def test_a_request_that_comes_again_when_its_hold_is_over_holds_nothing(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    desk.apply(Expire("h", NOW + TTL))
    assert reserve(desk, "h", need(60)).status == "ended"
    assert stands(desk) == (0, 0)


def test_settling_counts_what_was_used_and_gives_the_rest_back(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    assert settle(desk, "h", 25).status == "ok"
    assert stands(desk) == (25, 0)
    assert (desk.holds["h"].state, desk.holds["h"].actual_nanos) == ("settled", 25)


def test_settling_more_than_was_held_counts_it_all(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    settle(desk, "h", 130)
    assert stands(desk) == (130, 0)


def test_settling_again_changes_nothing_and_with_another_amount_is_a_conflict(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    settle(desk, "h", 25)
    assert settle(desk, "h", 25).status == "already"
    assert settle(desk, "h", 26).status == "conflict"
    assert stands(desk) == (25, 0)


def test_a_void_call_used_nothing(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    assert desk.apply(Void("h", NOW)).status == "ok"
    assert stands(desk) == (0, 0)
    assert desk.apply(Void("h", NOW)).status == "already"


def test_what_was_settled_is_not_voided(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    settle(desk, "h", 25)
    assert desk.apply(Void("h", NOW)).status == "ended"
    assert stands(desk) == (25, 0)


def test_nobody_knows_a_hold_that_was_never_made(desk: Desk) -> None:
    assert settle(desk, "h", 1).status == "unknown"
    assert extend(desk, "h", need(1)).status == "unknown"
    assert desk.apply(Void("h", NOW)).status == "unknown"
    sync(desk, "lease", want())
    assert settle(desk, "lease", 1).status == "unknown"


def test_a_hold_expires_at_its_time_and_not_a_moment_before(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    assert desk.apply(Expire("h", NOW + TTL - 1)).status == "already"
    assert stands(desk) == (0, 60)
    assert desk.apply(Expire("h", NOW + TTL)).status == "ok"
    assert stands(desk) == (0, 0)


def test_settling_after_expiry_counts_and_is_told_to_be_late(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    desk.apply(Expire("h", NOW + TTL))
    outcome = settle(desk, "h", 55)
    assert (outcome.status, outcome.late) == ("ok", True)
    assert stands(desk) == (55, 0)
    assert settle(desk, "h", 55).late


def test_extending_holds_more_or_changes_nothing(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    assert extend(desk, "h", need(41)).status == "busy"
    assert stands(desk) == (0, 60)
    assert extend(desk, "h", need(40)).status == "ok"
    assert stands(desk) == (0, 100)
    assert desk.holds["h"].expires_at == NOW + 2 * TTL
    settle(desk, "h", 90)
    assert extend(desk, "h", need(1)).status == "ended"
    assert stands(desk) == (90, 0)


def test_extending_after_the_period_has_ended_stays_with_the_counter_of_the_call(
    desk: Desk,
) -> None:
    reserve(desk, "h", need(10, starts_at=0))
    extend(desk, "h", need(10, starts_at=500))
    settle(desk, "h", 15)
    post(desk, "h", 15, starts_at=500)
    assert stands(desk) == (15, 0)
    assert key("a", 500).counter_id not in desk.counters


def test_what_is_extended_is_held_though_the_event_told_of_more_than_was(desk: Desk) -> None:
    reserve(desk, "h", need(10))
    post(desk, "h", 30)
    extend(desk, "h", need(20))
    assert stands(desk) == (30, 20)
    assert desk.holds["h"].lines[key().counter_id].held() == 20


def test_the_event_takes_the_place_of_the_report(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    settle(desk, "h", 50)
    post(desk, "h", 44)
    assert stands(desk) == (44, 0)


def test_the_report_after_the_event_changes_nothing(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    post(desk, "h", 44)
    assert stands(desk) == (44, 16)
    settle(desk, "h", 50)
    assert stands(desk) == (44, 0)


def test_a_lost_event_leaves_the_report(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    settle(desk, "h", 50)
    desk.apply(Expire("h", NOW + TTL))
    assert stands(desk) == (50, 0)


def test_a_lost_report_leaves_the_event_whether_it_comes_before_or_after_expiry(
    desk: Desk,
) -> None:
    reserve(desk, "h1", need(40))
    reserve(desk, "h2", need(40))
    post(desk, "h1", 30)
    desk.apply(Expire("h1", NOW + TTL))
    desk.apply(Expire("h2", NOW + TTL))
    post(desk, "h2", 31)
    assert stands(desk) == (61, 0)


def test_a_corrected_price_moves_what_is_used_both_ways(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    settle(desk, "h", 50)
    post(desk, "h", 50)
    post(desk, "h", 7, events=0)
    assert stands(desk) == (57, 0)
    post(desk, "h", -20, events=0)
    assert stands(desk) == (37, 0)


def test_an_event_without_a_hold_counts_straight_away(desk: Desk) -> None:
    post(desk, "", 12)
    post(desk, "nobody", 3)
    assert stands(desk) == (15, 0)
    assert desk.counters[key().counter_id].folded == 15


def test_an_event_of_a_period_that_nobody_counted_makes_no_counter_if_it_must_not(
    desk: Desk,
) -> None:
    post(desk, "", 12, create=False)
    assert not desk.counters
    post(desk, "", 12)
    post(desk, "", 3, create=False)
    assert stands(desk) == (15, 0)


def test_a_call_and_its_event_may_disagree_about_the_period(desk: Desk) -> None:
    reserve(desk, "h", need(60, starts_at=500))
    settle(desk, "h", 50)
    post(desk, "h", 44, starts_at=0)
    assert stands(desk, starts_at=500) == (44, 0)
    assert key().counter_id not in desk.counters


def test_calls_at_once_are_held_and_never_used(desk: Desk) -> None:
    for hold_id in ("h1", "h2"):
        assert reserve(desk, hold_id, need(1, 2, meter=GAUGE)).status == "ok"
    assert reserve(desk, "h3", need(1, 2, meter=GAUGE)).status == "busy"
    settle(desk, "h1", 40)
    post(desk, "h1", 40, meter=GAUGE)
    post(desk, "", 40, meter=GAUGE)
    assert stands(desk) == (0, 1)
    assert reserve(desk, "h3", need(1, 2, meter=GAUGE)).status == "ok"


def test_a_new_amount_touches_nothing_that_is_used(desk: Desk) -> None:
    reserve(desk, "h1", need(60))
    settle(desk, "h1", 60)
    assert reserve(desk, "h2", need(1, 50)).status == "over"
    assert reserve(desk, "h3", need(90, 150)).status == "ok"
    assert stands(desk) == (60, 90)


# prepaid balances


def test_a_balance_is_held_to_its_floor_and_no_further() -> None:
    desk = balance(100)
    assert reserve(desk, "h1", need(100, None)).status == "ok"
    assert reserve(desk, "h2", need(1, None)).status == "busy"


def test_a_balance_is_never_charged_below_its_floor_and_the_rest_is_its_shortfall() -> None:
    desk = balance(100)
    reserve(desk, "h1", need(50, None))
    reserve(desk, "h2", need(40, None))
    assert settle(desk, "h1", 75).short == 15
    assert stands(desk) == (60, 40)
    booked = [(one.amount, one.short) for one in desk.bookings]
    assert booked == [(60, 15)]


def test_events_without_a_hold_are_charged_as_far_as_the_balance_goes() -> None:
    desk = balance(100, used=90)
    post(desk, "", 15)
    assert stands(desk) == (100, 0)
    assert [(one.amount, one.short) for one in desk.bookings] == [(10, 5)]


def test_a_lower_price_forgives_the_shortfall_before_it_gives_back() -> None:
    desk = balance(100, used=40)
    reserve(desk, "h", need(50, None))
    settle(desk, "h", 80)
    assert stands(desk) == (100, 0)
    post(desk, "h", 70)
    assert stands(desk) == (100, 0)
    post(desk, "h", -25, events=0)
    assert stands(desk) == (85, 0)
    booked = [(one.amount, one.short) for one in desk.bookings]
    assert booked == [(60, 20), (0, -10), (-15, -10)]


def test_what_was_short_is_not_held_when_it_is_forgiven() -> None:
    desk = balance(60)
    sync(desk, "p", want(30, None))
    sync(desk, "p", want(0, None, reported=70, calls=2))
    assert stands(desk) == (60, 0)
    post(desk, "p", 68, events=2)
    assert stands(desk) == (60, 0)
    post(desk, "p", -18, events=0)
    # What is given back stays with the lease until its next sync; the floor is kept.
    assert stands(desk) == (50, 10)


def test_a_floor_that_was_raised_since_lets_nothing_more_be_charged() -> None:
    desk = balance(100, used=90)
    desk.counters[key().counter_id].ceiling = 50
    assert reserve(desk, "h", need(1, None)).status == "over"
    post(desk, "", 5)
    assert stands(desk) == (90, 0)


def test_times_do_not_matter_to_what_never_forgets(desk: Desk) -> None:
    reserve(desk, "h", need(60), at=NOW)
    settle(desk, "h", 60, at=NOW - 3600 * SECOND)
    post(desk, "h", 60, at=NOW + 3600 * SECOND)
    assert stands(desk) == (60, 0)
