"""The desk and processes: slices, reports, what a process that dies or comes back leaves."""

from __future__ import annotations

import pytest

from outlay.core.limits.desk import EXACT_SHARE, LEASE_SHARE, Desk
from outlay.core.limits.holds import Expire, Hold
from tests.unit.core.limits.desk_rows import (
    NOW,
    TTL,
    balance,
    key,
    need,
    post,
    reserve,
    settle,
    stands,
    sync,
    want,
)


@pytest.fixture
def desk() -> Desk:
    return Desk({}, {})


def granted(desk: Desk, owner: str, ahead: int) -> int:
    return sync(desk, owner, want(0, 1000, ahead=ahead)).stands[0].granted


def test_a_slice_is_a_share_of_what_is_free_so_that_slices_shrink_by_themselves(
    desk: Desk,
) -> None:
    slices = [granted(desk, f"p{n}", ahead=10_000) for n in range(40)]
    assert slices[0] == 1000 // LEASE_SHARE
    assert slices == sorted(slices, reverse=True)
    assert sum(slices) == stands(desk)[1] <= 1000
    assert slices[-1] == 0


def test_a_process_gets_no_more_than_it_asks_for(desk: Desk) -> None:
    assert granted(desk, "p", ahead=7) == 7


def test_near_the_cap_nothing_is_given_ahead_and_calls_hold_their_own(desk: Desk) -> None:
    post(desk, "", 1000 - 1000 // EXACT_SHARE + 1)
    outcome = sync(desk, "p", want(5, 1000, ahead=100))
    assert (outcome.stands[0].exact, outcome.stands[0].granted) == (True, 5)


def test_the_last_part_that_is_still_shared_ends_exactly_at_its_bound(desk: Desk) -> None:
    post(desk, "", 1000 - 1000 // EXACT_SHARE)
    assert not sync(desk, "p", want(0, 1000, ahead=4)).stands[0].exact
    post(desk, "", 1)
    assert sync(desk, "p", want(0, 1000, ahead=4)).stands[0].exact


def test_what_waits_is_granted_whole_or_not_at_all(desk: Desk) -> None:
    reserve(desk, "h", need(60))
    assert sync(desk, "p", want(40)).stands[0].granted == 40
    busy = sync(desk, "q", want(1)).stands[0]
    assert (busy.verdict, busy.granted) == ("busy", 0)
    settle(desk, "h", 60)
    assert sync(desk, "q", want(41)).stands[0].verdict == "over"


def test_what_is_reported_counts_and_what_is_not_wanted_goes_back(desk: Desk) -> None:
    sync(desk, "p", want(40))
    sync(desk, "p", want(reported=25, calls=1, flying=10))
    assert stands(desk) == (25, 10)


def test_reports_are_totals_so_that_one_may_be_lost_or_come_twice(desk: Desk) -> None:
    sync(desk, "p", want(40))
    sync(desk, "p", want(reported=25, calls=1), seq=2)
    sync(desk, "p", want(reported=25, calls=1), seq=2)
    sync(desk, "p", want(reported=5, calls=1), seq=3)
    assert stands(desk) == (25, 0)


def test_a_sync_that_comes_twice_or_is_overtaken_shrinks_no_slice(desk: Desk) -> None:
    sync(desk, "p", want(10), seq=1)
    sync(desk, "p", want(80), seq=2)
    for seq in (1, 2):
        again = sync(desk, "p", want(3), seq=seq)
        assert (again.status, again.stands[0].granted) == ("already", 80)
    assert stands(desk) == (0, 80)


def test_an_overtaken_sync_may_tell_of_a_line_that_there_is_not(desk: Desk) -> None:
    sync(desk, "p", want(10), seq=2)
    late = sync(desk, "p", want(5, name="b"), want(5), seq=1)
    assert [stand.granted for stand in late.stands] == [0, 10]


def test_calls_on_their_way_stay_held_for_though_others_overspent(desk: Desk) -> None:
    sync(desk, "p", want(40))
    reserve(desk, "h", need(60))
    settle(desk, "h", 90)
    outcome = sync(desk, "p", want(flying=40, ahead=10))
    assert outcome.stands[0].granted == 40
    assert stands(desk) == (90, 40)


def test_an_event_before_its_report_is_taken_out_of_the_slice(desk: Desk) -> None:
    sync(desk, "p", want(40))
    post(desk, "p", 25)
    assert stands(desk) == (25, 15)
    sync(desk, "p", want(reported=26, calls=1, flying=15))
    assert stands(desk) == (25, 15)


def test_reports_stand_until_as_many_events_have_come(desk: Desk) -> None:
    sync(desk, "p", want(90))
    sync(desk, "p", want(reported=60, calls=3))
    post(desk, "p", 18)
    post(desk, "p", 19)
    assert stands(desk)[0] == 60
    post(desk, "p", 20)
    assert stands(desk)[0] == 57


def test_events_that_tell_of_more_count_before_they_are_all_there(desk: Desk) -> None:
    sync(desk, "p", want(90))
    sync(desk, "p", want(reported=20, calls=3))
    post(desk, "p", 30, events=2)
    assert stands(desk)[0] == 30


def test_a_dead_process_leaves_what_it_reported_and_its_events_come_later(desk: Desk) -> None:
    sync(desk, "p", want(90))
    sync(desk, "p", want(reported=20, calls=1, flying=60))
    desk.apply(Expire("p", NOW + TTL))
    assert stands(desk) == (20, 0)
    post(desk, "p", 21)
    post(desk, "p", 33)
    assert stands(desk) == (54, 0)


def test_closing_gives_everything_back(desk: Desk) -> None:
    sync(desk, "p", want(90), want(9, name="b"))
    sync(desk, "p", want(reported=20, calls=1, flying=60), closing=True)
    assert desk.holds["p"].state == "closed"
    assert stands(desk) == (20, 0)
    assert stands(desk, "b") == (0, 0)


def test_a_lease_that_expired_comes_back_with_what_fits_now(desk: Desk) -> None:
    sync(desk, "p", want(90))
    desk.apply(Expire("p", NOW + TTL))
    reserve(desk, "h", need(70))
    outcome = sync(desk, "p", want(reported=20, calls=1, flying=60), at=NOW + 2 * TTL)
    assert desk.holds["p"].state == "open"
    assert outcome.stands[0].granted == 10
    assert stands(desk) == (20, 80)


def test_a_lease_that_comes_back_holds_nothing_of_what_events_corrected_meanwhile(
    desk: Desk,
) -> None:
    sync(desk, "p", want(90))
    sync(desk, "p", want(reported=50, calls=1, flying=40))
    desk.apply(Expire("p", NOW + TTL))
    post(desk, "p", 30)
    # Only the line that is asked for is loaded in a real store.
    sync(desk, "p", want(5, name="b"), at=NOW + 2 * TTL)
    assert stands(desk) == (30, 0)
    assert desk.holds["p"].lines[key().counter_id].held() == 0
    sync(desk, "p", want(reported=50, calls=1), at=NOW + 2 * TTL)
    assert stands(desk) == (30, 0)


def test_an_event_of_a_single_hold_falls_to_the_lease_where_the_hold_has_no_line(
    desk: Desk,
) -> None:
    sync(desk, "p", want(50, name="b"))
    reserve(desk, "h", need(20), owner="p")
    settle(desk, "h", 15)
    post(desk, "h", 15)
    post(desk, "h", 15, "b")
    sync(desk, "p", want(name="b", reported=15, calls=1))
    assert stands(desk) == stands(desk, "b") == (15, 0)


def test_the_id_of_a_hold_is_no_name_for_a_lease(desk: Desk) -> None:
    reserve(desk, "h", need(20))
    assert sync(desk, "h", want(5)).status == "conflict"
    sync(desk, "p", want(5))
    assert reserve(desk, "p", need(5)).status == "conflict"


def test_where_nothing_bounds_a_process_gets_what_it_asks_for(desk: Desk) -> None:
    outcome = sync(desk, "p", want(50, None, flying=10, ahead=7))
    assert outcome.stands[0].granted == 67
    assert not outcome.stands[0].exact


def test_slices_of_a_balance_stay_above_its_floor() -> None:
    desk = balance(100)
    assert sync(desk, "p", want(90, None)).stands[0].granted == 90
    sync(desk, "q", want(0, None, reported=30, calls=1))
    assert stands(desk) == (10, 90)
    outcome = sync(desk, "p", want(0, None, flying=95))
    assert outcome.stands[0].granted == 90


def test_only_changed_rows_say_so() -> None:
    lease = Hold("p", "p", True, "open", NOW, NOW + TTL)
    desk = Desk({}, {"p": lease, "other": Hold("other", "other", True, "open", NOW, NOW + TTL)})
    sync(desk, "p", want(5))
    assert desk.holds["p"].changed
    assert not desk.holds["other"].changed
    assert desk.counters[key().counter_id].changed
