"""Events count once on every counter they match: restarts, holds, periods, corrections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outlay.act import settle
from outlay.core.limits.limit import Limit, Match
from outlay.core.rates import RateRow
from outlay.core.sell import SellRow
from outlay.errors import ConflictError, UnavailableError
from outlay.store.base import PriceChange
from outlay.stream.base import Chunk
from tests.unit.act.counted import EACH_TENANT, CountingPlant, limit
from tests.unit.act.plant import ALL, HOUR, M, own

ACME = '[["tenant","acme"]]'
RIVAL = '[["tenant","rival"]]'
COST = 3_000
"""Nano-dollars of an event as `capture` makes it, at the prices of `own`."""


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[CountingPlant]:
    made = CountingPlant(tmp_path)
    made.rates(*own())
    yield made
    made.close()


# -- what counts -----------------------------------------------------------------------------------


def test_each_event_counts_on_every_counter_it_matches(plant: CountingPlant) -> None:
    plant.set(
        limit(),
        limit("all", scope=()),
        limit("search", scope=(Match("feature", ("search",)),), metric="calls"),
        limit("web", scope=(Match("agent", ("web",)),), metric="tokens"),
    )
    plant.capture(feature="search")
    plant.capture(tenant_id="rival", agent_path="chief/web/reader")
    plant.count()
    assert plant.counters() == {ACME: COST, RIVAL: COST}
    assert plant.counters("all") == {"[]": 2 * COST}
    assert plant.counters("search") == {"[]": 1}
    assert plant.counters("web") == {"[]": 1_100}
    assert plant.books.check_holds() == []


def test_a_limit_that_is_off_or_a_shadow_counts_as_well(plant: CountingPlant) -> None:
    plant.set(limit("off", mode="off"), limit("shadow", mode="shadow"))
    plant.capture()
    plant.count()
    assert plant.counters("off") == plant.counters("shadow") == {ACME: COST}


def test_what_a_limit_refused_counts_nothing(plant: CountingPlant) -> None:
    plant.set(limit(), limit("calls", metric="calls"), limit("tokens", metric="tokens"))
    plant.capture(
        status="blocked", billed="no", limit_action="block", input=0, output=0,
        usage_source="none",
    )  # fmt: skip
    plant.count()
    assert plant.counters() == plant.counters("calls") == plant.counters("tokens") == {}


def test_what_a_provider_blocked_costs_what_it_cost(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.capture(status="blocked")
    plant.count()
    assert plant.counters() == {ACME: COST}


def test_an_event_counts_in_the_period_it_started_in(plant: CountingPlant) -> None:
    plant.set(limit("hour", window="hour"))
    for at in (HOUR, HOUR + 3_600_000_000 - 1, HOUR + 3_600_000_000):
        plant.capture(started_at=at, ended_at=at)
    plant.count()
    starts = {c.key.starts_at: c.used for c in plant.books.counters(limit_id="hour")}
    assert starts == {HOUR: 2 * COST, HOUR + 3_600_000_000: COST}


def test_a_zone_of_odd_minutes_begins_its_day_when_its_clocks_say_so(plant: CountingPlant) -> None:
    one = limit("day", window="day", zone="Asia/Kathmandu")  # UTC+5:45
    plant.set(one)
    midnight = HOUR // 86_400_000_000 * 86_400_000_000 + (24 * 60 - 345) * 60_000_000
    for at in (midnight - 1, midnight):
        plant.capture(started_at=at, ended_at=at)
    plant.now = midnight + 1
    plant.count()
    starts = {c.key.starts_at: c.used for c in plant.books.counters(limit_id="day")}
    assert starts == {midnight - 86_400_000_000: COST, midnight: COST}


def test_a_rolling_window_forgets_no_event_too_early(plant: CountingPlant) -> None:
    span = 3_600_000_000
    plant.set(limit("hour", window="rolling", span_us=span))
    at = HOUR + 59_999_999
    plant.capture(started_at=at, ended_at=at)
    plant.count()
    (bucket,) = plant.counter("hour").buckets
    assert bucket <= at < bucket + span // 60


def test_a_window_of_one_request_counts_where_a_hold_has_begun_it(plant: CountingPlant) -> None:
    one = limit("request", window="request", scope=())
    plant.set(one)
    plant.capture(request_id="unheld")
    plant.count()
    assert plant.books.counters(limit_id="request") == []


def test_credits_are_charged_to_tenants_that_have_an_account(plant: CountingPlant) -> None:
    sells = (SellRow.make("cost", "credits", 1_000 * M),)
    plant.books.change_prices(PriceChange(sells=sells), reason="r", actor="t", at=plant.now)
    plant.capture()  # before there was an account
    plant.count()
    plant.books.grant("acme", 10**9, key="g", reason="r", actor="t", at=plant.now)
    plant.count()
    plant.capture()
    plant.capture(tenant_id="rival")
    event = plant.olap.event(plant.capture())
    assert event is not None
    plant.count()
    assert 10**9 - plant.credits() == 2 * event["credits_micros"] > 0


# -- exactly once ----------------------------------------------------------------------------------


def test_a_settler_that_begins_again_counts_nothing_twice(plant: CountingPlant) -> None:
    plant.set(limit())
    for _ in range(3):
        plant.capture()
        plant.count()
        plant.restart()
    plant.count()
    assert plant.counters() == {ACME: 3 * COST}
    assert plant.books.posted() == plant.enriched.head()


def test_a_crash_behind_the_commit_counts_nothing_twice(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.set(limit())
    plant.count()
    post = plant.books.post

    def torn(*args: Any, **kwargs: Any) -> Any:
        post(*args, **kwargs)
        raise UnavailableError("the connection was lost behind the commit")

    plant.capture()
    monkeypatch.setattr(plant.books, "post", torn)
    with pytest.raises(UnavailableError):
        plant.settler.run_once()
    monkeypatch.undo()
    with pytest.raises(ConflictError):
        plant.settler.run_once()
    plant.count()
    assert plant.counters() == {ACME: COST}


def test_a_crash_before_the_commit_loses_nothing(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.set(limit())
    plant.count()
    plant.capture()

    def fails(*_: Any, **__: Any) -> Any:
        raise UnavailableError("the database is away")

    monkeypatch.setattr(plant.books, "post", fails)
    with pytest.raises(UnavailableError):
        plant.settler.run_once()
    monkeypatch.undo()
    plant.restart()
    plant.count()
    assert plant.counters() == {ACME: COST}


def test_two_settlers_count_every_event_once(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.count()
    for _ in range(30):
        plant.capture()
    others = [settle.Settler(plant.enriched, plant.books, plant.olap, max_events=1)
              for _ in range(2)]  # fmt: skip

    def race(one: settle.Settler) -> None:
        while True:
            try:
                if not one.run_once():
                    return
            except ConflictError:
                continue

    threads = [threading.Thread(target=race, args=(one,)) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert plant.counters() == {ACME: 30 * COST}


def test_without_limits_only_the_offset_moves_and_seldom(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "from_ipc", None)  # nothing is decoded
    plant.capture()
    plant.settler.run_once()
    first = plant.books.posted()
    plant.capture()
    plant.settler.run_once()
    assert (first, plant.books.posted(), plant.settler.offset()) == (1, 1, 1)
    assert plant.settler.state().lag_records == 0
    plant.settler.write_offset()
    assert plant.books.posted() == 2


def test_events_that_the_books_refuse_again_and_again_are_put_aside(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.set(limit())
    plant.count()
    for _ in range(3):
        plant.capture()
    post = plant.books.post

    def picky(posts: Any, *, after: int, offset: int) -> Any:
        if posts and after < 2 <= offset:
            raise ValueError("no")
        return post(posts, after=after, offset=offset)

    monkeypatch.setattr(plant.books, "post", picky)
    for _ in range(12):
        try:
            plant.settler.run_once()
        except ValueError:
            continue
    assert plant.counters() == {ACME: 2 * COST}
    assert plant.settler.state().skipped == 1
    (letter,) = plant.books.dead_letters()
    assert (letter.source, letter.code) == ("settle", "settle_failed")


def test_a_damaged_record_is_passed(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.count()
    plant.enriched.append([Chunk(b"damaged", 4)], appended_at=plant.now)
    plant.capture()
    plant.count()
    assert plant.counters() == {ACME: COST}
    assert plant.settler.state().skipped == 4


# -- holds and leases ------------------------------------------------------------------------------


def test_an_event_takes_the_place_of_what_its_hold_reported(plant: CountingPlant) -> None:
    one = limit()
    plant.set(one)
    plant.count()
    plant.hold("h1", one, 5_000)
    plant.report("h1", 2_500)
    assert plant.counters() == {ACME: 2_500}
    plant.capture(hold_id="h1")
    plant.count()
    assert plant.counters() == {ACME: COST}
    assert plant.books.check_holds() == []


def test_an_event_may_come_before_its_report(plant: CountingPlant) -> None:
    one = limit()
    plant.set(one)
    plant.count()
    plant.hold("h1", one, 5_000)
    plant.capture(hold_id="h1")
    plant.count()
    assert plant.counters() == {ACME: COST}
    assert plant.counter().held == 2_000, "it frees what it used"
    plant.report("h1", 2_500)
    assert plant.counters() == {ACME: COST}
    assert plant.counter().held == 0


def test_events_of_a_lease_take_the_place_of_its_reports(plant: CountingPlant) -> None:
    one = limit()
    plant.set(one)
    plant.count()
    plant.lease("process-1", one, 5_000, 2)
    for _ in range(2):
        plant.capture(hold_id="process-1")
        plant.count()
    assert plant.counters() == {ACME: 2 * COST}
    plant.lease("process-1", one, 8_500, 3)
    assert plant.counters() == {ACME: 8_500}, "one is on its way"


def test_an_event_of_an_unknown_hold_counts(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.count()
    plant.capture(hold_id="forgotten")
    plant.count()
    assert plant.counters() == {ACME: COST}


# -- corrections -----------------------------------------------------------------------------------


def test_an_adjustment_corrects_the_period_of_its_event(plant: CountingPlant) -> None:
    plant.set(limit("hour", window="hour"))
    plant.now = HOUR + 1
    plant.capture()
    plant.count()
    plant.rates(*own(input_nanos=1 * M))
    assert plant.run().changed == 1
    plant.count()
    assert plant.counter("hour").used == COST - 1_000


def test_an_adjustment_of_a_period_that_is_over_makes_no_counter(plant: CountingPlant) -> None:
    plant.capture()
    plant.count()
    plant.set(limit("hour", window="hour"))
    plant.count()
    plant.rates(*own(input_nanos=1 * M))
    assert plant.run().changed == 1
    plant.count()
    assert plant.books.counters(limit_id="hour") == []


def test_an_event_without_a_price_counts_its_ceiling_until_it_has_one(
    plant: CountingPlant,
) -> None:
    plant.set(limit(), limit("tokens", metric="tokens"))
    plant.count()
    plant.capture(model_served="new")
    plant.count()
    ceiling = plant.counters()[ACME]
    assert ceiling > 0
    plant.rates(*_rates_of("new"))
    plant.restart()
    plant.capture()  # another one, by the new book
    plant.count()
    assert plant.counters() == {ACME: ceiling + COST}
    assert plant.run().priced_late == 1
    plant.count()
    assert plant.counters() == {ACME: 2 * COST}
    assert plant.counters("tokens") == {ACME: 2_200}
    assert plant.settler.state().unsure == 0


def test_an_event_that_was_not_billed_counts_no_ceiling(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.capture(model_served="new", billed="no", status="error")
    plant.count()
    assert plant.counters() == {}


def test_a_late_price_that_comes_with_its_event_counts_once(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.count()
    plant.capture(model_served="new")
    plant.rates(*_rates_of("new"))
    assert plant.run().priced_late == 1
    plant.count()  # both in one piece
    assert plant.counters() == {ACME: COST}


def test_prices_that_changed_again_and_again_still_take_back_the_ceiling(
    plant: CountingPlant,
) -> None:
    plant.set(limit())
    plant.count()
    plant.capture(model_served="new")
    plant.count()
    ceiling = plant.counters()[ACME]
    for number in range(6):
        # Makes ceilings of everything else higher, but not what was held then.
        plant.rates(*_rates_of("dear", times=50 + number))
    assert plant.counters() == {ACME: ceiling}
    plant.rates(*_rates_of("new"))
    plant.run(ALL)
    plant.restart()
    plant.count()
    assert plant.counters() == {ACME: COST}


def _rates_of(model: str, *, times: int = 1) -> tuple[RateRow, ...]:
    return tuple(
        RateRow.make("vllm", model, unit, times * nanos, layer="override")
        for unit, nanos in (("input", 2 * M), ("output", 10 * M))
    )


# -- who is told -----------------------------------------------------------------------------------


def test_whoever_watches_is_told_of_the_counters_that_moved(plant: CountingPlant) -> None:
    one: Limit = limit(scope=EACH_TENANT)
    plant.set(one)
    plant.capture()
    plant.count()
    (series,) = plant.moved
    assert series == plant.counter().key.series


def test_its_thread_counts_until_it_is_stopped(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.settler.start()
    plant.capture()
    deadline = threading.Event()
    for _ in range(100):
        if plant.counters():
            break
        deadline.wait(0.05)
    assert plant.settler.state().running
    assert plant.settler.stop()
    assert plant.counters() == {ACME: COST}
    assert not plant.settler.state().running
