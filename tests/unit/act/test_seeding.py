"""A new limit starts with what its period has used, exactly, whatever happens meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.act.settle import Settler
from outlay.act.spans import read_spans, shape_of
from outlay.core.limits.counting import ROLLING_BUCKETS
from outlay.core.limits.limit import Limit, Match, Threshold
from outlay.core.rates import RateRow
from outlay.errors import ConflictError, UnavailableError
from tests.unit.act.counted import EACH_TENANT, CountingPlant, limit
from tests.unit.act.plant import HOUR, M, own

ACME = '[["tenant","acme"]]'
RIVAL = '[["tenant","rival"]]'
COST = 3_000
EACH_FEATURE = (Match("tenant", each=True), Match("feature", ("search", "chat*"), each=True))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[CountingPlant]:
    made = CountingPlant(tmp_path)
    made.rates(*own())
    yield made
    made.close()


@pytest.mark.parametrize(
    "one",
    [
        limit(),
        limit(scope=()),
        limit(scope=EACH_FEATURE, metric="tokens"),
        limit(scope=(Match("agent", ("web",)),), metric="calls"),
        limit(scope=(Match("model", ("OW*",), each=True), Match("provider", ("vllm",)))),
        limit(scope=(Match("billing_unit", ("seat:7",), each=True),)),
        limit(scope=(Match("tenant", ("acme",)), Match("user", each=True)), window="day"),
        limit(scope=(Match("workflow", ("nightly",)), Match("initiator", ("system",)))),
    ],
    ids=lambda one: " ".join(part.field for part in one.scope) or "all",
)
def test_a_new_limit_starts_with_what_its_period_has_used(plant: CountingPlant, one: Limit) -> None:
    plant.capture(feature="search", agent_path="chief/web", user_id="u1")
    plant.capture(feature="chat-now", tenant_id="rival", workflow="nightly")
    plant.capture(feature="other", billing_unit_type="seat", billing_unit_id="7", user_id="u2")
    plant.capture(model_served="new", agent_path="web/deep")  # no price: its ceiling
    plant.capture(status="blocked", billed="no", input=0, output=0, usage_source="none")
    plant.count()
    plant.set(one)
    plant.count()
    assert plant.counters() == plant.expected(one)
    plant.capture(feature="search", agent_path="web", user_id="u1", billing_unit_type="seat",
                  billing_unit_id="7", workflow="nightly")  # fmt: skip
    plant.count()
    assert plant.counters() == plant.expected(one) != {}


def test_an_event_of_an_earlier_period_is_no_part_of_it(plant: CountingPlant) -> None:
    plant.capture(started_at=HOUR, ended_at=HOUR)
    plant.now = HOUR + 3_600_000_000
    plant.capture(started_at=plant.now, ended_at=plant.now)
    plant.count()
    plant.set(limit(window="hour"))
    plant.count()
    assert plant.counter().used == COST
    assert plant.counter().key.starts_at == plant.now // 3_600_000_000 * 3_600_000_000


def test_a_rolling_window_starts_with_its_steps(plant: CountingPlant) -> None:
    span = 2 * 3_600_000_000
    plant.now = HOUR + 2 * 3_600_000_000
    times = (HOUR - 3 * 60_000_000, HOUR + 60_000_000, HOUR + 90_000_000, plant.now - 1)
    for at in times:
        plant.capture(started_at=at, ended_at=at)
    plant.count()
    plant.set(limit(window="rolling", span_us=span))
    plant.count()
    width = span // ROLLING_BUCKETS
    steps = [at // width * width for at in times[2:]]
    assert plant.counter().used == 3 * COST
    assert plant.counter().buckets == {steps[0]: 2 * COST, steps[1]: COST}


@pytest.mark.parametrize(
    "one",
    [
        limit(window="request", scope=()),
        limit(window="run", scope=()),
        limit(window="rate", span_us=60_000_000, burst=9),
        limit(metric="concurrent_calls", window="none"),
    ],
    ids=lambda one: one.window,
)
def test_what_has_no_past_has_nothing_to_start_with(plant: CountingPlant, one: Limit) -> None:
    plant.capture(request_id="r", run_id="r")
    plant.count()
    plant.set(one)
    plant.count()
    assert plant.counters() == {}
    assert plant.seeder.state().waiting == 0


def test_another_amount_ladder_or_mode_touches_no_use(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.capture()
    plant.count()
    rows = plant.books.seeded()
    plant.set(limit(amount=5, thresholds=(Threshold(M, "warn"),), mode="shadow", priority=3))
    plant.count()
    assert plant.books.seeded() == rows
    assert plant.counters() == {ACME: COST}


def test_another_scope_starts_with_what_that_has_used(plant: CountingPlant) -> None:
    plant.set(limit(scope=(*EACH_TENANT, Match("feature", ("search",)))))
    plant.count()
    plant.capture(feature="search")
    plant.capture(feature="chat")
    plant.capture(feature="chat", tenant_id="rival")
    plant.count()
    assert plant.counters() == {ACME: COST}
    plant.set(limit(scope=(*EACH_TENANT, Match("feature", ("chat",)))))
    plant.count()
    assert plant.counters() == {ACME: COST, RIVAL: COST}
    plant.set(limit(scope=EACH_TENANT, metric="calls"))
    plant.count()
    assert plant.counters() == {ACME: 2, RIVAL: 1}
    plant.set(limit(scope=(*EACH_TENANT, Match("feature", ("none",)))))
    plant.count()
    assert plant.counters() == {}


def test_a_limit_that_was_away_for_a_while_has_missed_nothing(plant: CountingPlant) -> None:
    plant.set(limit())
    plant.capture()
    plant.count()
    plant.set(removed=("month",))
    plant.capture()
    plant.count()
    assert plant.counters() == {ACME: COST}, "nothing counts for it"
    plant.set(limit())
    plant.capture()
    plant.count()
    assert plant.counters() == {ACME: 3 * COST}


def test_it_waits_for_a_live_store_that_is_behind_and_counts_on_meanwhile(
    plant: CountingPlant,
) -> None:
    plant.capture()
    plant.by_hand = True
    plant.capture()
    while plant.enricher.run_once():
        pass
    plant.settler.run_once()
    plant.set(limit())
    plant.capture()
    while plant.enricher.run_once():
        pass
    plant.settler.run_once()
    assert plant.seeder.run_once() == 0
    assert plant.seeder.state().waiting == 1
    assert plant.counters() == {ACME: COST}, "what came since counts already"
    plant.all_in()
    assert plant.seeder.run_once() == 1
    assert plant.counters() == {ACME: 3 * COST}


def test_a_live_store_that_fails_is_asked_again(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.capture()
    plant.count()
    plant.set(limit(), limit("calls", metric="calls"))
    plant.settler.run_once()

    def fails(*_: Any, **__: Any) -> Any:
        raise UnavailableError("the store is away")

    monkeypatch.setattr(plant.olap, "spent", fails)
    with pytest.raises(UnavailableError):
        plant.seeder.run_once()
    assert plant.seeder.state().waiting == 2
    monkeypatch.undo()
    assert plant.seeder.run_once() == 2
    assert plant.counters() == {ACME: COST}
    assert plant.seeder.state().waiting == 0


def test_a_seed_is_written_once_whoever_tries_again(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.capture()
    plant.count()
    plant.set(limit())
    plant.settler.run_once()
    seed = plant.books.seed

    def torn(*args: Any, **kwargs: Any) -> None:
        seed(*args, **kwargs)
        raise UnavailableError("the connection was lost behind the commit")

    monkeypatch.setattr(plant.books, "seed", torn)
    with pytest.raises(UnavailableError):
        plant.seeder.run_once()
    monkeypatch.undo()
    plant.restart()
    plant.count()
    assert plant.counters() == {ACME: COST}


def test_records_that_the_log_has_forgotten_are_told_of(
    plant: CountingPlant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.by_hand = True
    plant.capture()
    plant.capture()
    plant.enricher.run_once()
    plant.settler.run_once()
    plant.set(limit())
    plant.settler.run_once()
    plant.all_in()
    monkeypatch.setattr(plant.olap, "stored_up_to", lambda _: 0)
    plant.enriched.trim(plant.enriched.head(), appended_before=plant.now + 10**12)
    plant.seeder.run_once()
    assert plant.seeder.state().inexact == 1


def test_its_thread_looks_when_it_is_woken_and_ends_when_it_is_told(plant: CountingPlant) -> None:
    plant.seeder.start()
    assert plant.seeder.state().running
    plant.seeder.wake()
    assert plant.seeder.stop(5)
    assert not plant.seeder.state().running


def test_a_shape_is_what_is_counted_and_no_more() -> None:
    first = limit(scope=(Match("tenant", ("a", "b")), Match("feature", each=True)))
    same = limit(scope=(Match("feature", each=True), Match("tenant", ("b", "a"))), amount=7)
    assert shape_of(first) == shape_of(same)
    others = [
        limit(),
        limit(metric="calls"),
        limit(window="day"),
        limit(zone="Europe/Berlin"),
        limit(anchor_day=15),
        limit(window="rolling", span_us=5),
        limit(scope=(Match("tenant"),)),
    ]
    assert len({shape_of(one) for one in others}) == len(others)


def test_rows_of_the_books_that_are_no_spans_are_passed() -> None:
    assert read_spans({"begin|a|x|s": 1, "begin|a": 2, "seed|a|1": 3, "else": 4}) == {}


# -- whatever the interleaving ---------------------------------------------------------------------

SHAPES = (
    limit(),
    limit(scope=()),
    limit(scope=EACH_FEATURE),
    limit(scope=(*EACH_TENANT, Match("feature", ("search",)))),
    limit(scope=EACH_TENANT, metric="calls"),
    limit(scope=EACH_TENANT, metric="tokens", zone="Asia/Tokyo"),
)
EVENTS = st.fixed_dictionaries(
    {
        "tenant_id": st.sampled_from(["acme", "rival"]),
        "feature": st.sampled_from(["search", "chat-1", "other"]),
        "model_served": st.sampled_from(["own", "own", "new"]),
        "input": st.integers(0, 5000),
    }
)
STEPS = st.lists(
    st.one_of(
        EVENTS,
        EVENTS,
        st.sampled_from(
            ["enrich", "pump", "count", "count", "seed", "restart", "remove", "reprice"]
        ),
        st.integers(0, len(SHAPES) - 1),
    ),
    min_size=5,
    max_size=40,
)
CALM = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


def again(step: Callable[[], object]) -> None:
    try:
        step()
    except ConflictError:
        step()


@given(steps=STEPS)
@CALM
def test_counters_end_at_the_sum_of_the_events_whatever_the_order(steps: list[Any]) -> None:
    """Events, limits that come, change and go, prices, crashes, and each stage at its own pace."""
    with tempfile.TemporaryDirectory() as folder:
        plant = CountingPlant(Path(folder))
        try:
            plant.rates(*own())
            plant.by_hand = True
            current, prices = None, 1
            for step in steps:
                if isinstance(step, dict):
                    plant.capture(**step)
                elif isinstance(step, int):
                    current = SHAPES[step]
                    plant.set(current)
                elif step == "remove" and current is not None:
                    plant.set(removed=("month",))
                    current = None
                elif step == "restart":
                    plant.restart()
                elif step == "reprice":
                    prices += 1
                    plant.rates(*priced(prices))
                    plant.all_in()
                    plant.run()
                else:
                    make(plant, step)
            if current is None:
                current = SHAPES[0]
                plant.set(current)
            plant.all_in()
            again(plant.count)
            assert plant.counters() == plant.expected(current)
            assert plant.books.check_holds() == []
        finally:
            plant.close()


@given(
    before=st.lists(EVENTS, max_size=4),
    steps=st.lists(
        st.one_of(st.integers(0, 4000), st.sampled_from(["enrich", "pump", "count", "seed"])),
        max_size=30,
    ),
    data=st.data(),
)
@CALM
def test_calls_that_were_held_count_once_whatever_the_order(
    before: list[dict[str, Any]], steps: list[Any], data: st.DataObject
) -> None:
    """A limit that calls are held on at once, long before it knows what was used before."""
    one = SHAPES[0]
    with tempfile.TemporaryDirectory() as folder:
        plant = CountingPlant(Path(folder))
        try:
            plant.rates(*own())
            plant.by_hand = True
            for event in before:
                plant.capture(**event)
                if data.draw(st.booleans()):
                    make(plant, data.draw(st.sampled_from(["enrich", "pump", "count"])))
            plant.set(one)
            reported, leased = 0, 0
            for number, step in enumerate(steps):
                if isinstance(step, str):
                    make(plant, step)
                    continue
                hold_id = f"h{number}" if data.draw(st.booleans()) else "process-1"
                if hold_id == "process-1":
                    leased += 1
                    reported += step
                    plant.lease(hold_id, one, reported, leased)
                else:
                    plant.hold(hold_id, one, step)
                early = data.draw(st.booleans())
                if early:
                    plant.capture(hold_id=hold_id, input=step)
                    plant.enricher.run_once()
                if hold_id != "process-1":
                    plant.report(hold_id, step)
                if not early:
                    plant.capture(hold_id=hold_id, input=step)
            plant.all_in()
            plant.count()
            assert plant.counters() == plant.expected(one)
            assert plant.books.check_holds() == []
        finally:
            plant.close()


def make(plant: CountingPlant, step: str) -> None:
    """Let one stage do one step."""
    stages: dict[str, Callable[[], object]] = {
        "enrich": plant.enricher.run_once,
        "pump": plant.pumps[0].run_once,
        "count": plant.settler.run_once,
        "seed": plant.seeder.run_once,
    }
    if step in stages:
        stages[step]()


def priced(times: int) -> list[RateRow]:
    return [
        RateRow.make("vllm", model, unit, times * M, layer="override")
        for model in ("own", "new")
        for unit in ("input", "output")
    ]


def test_a_settler_without_a_seeder_is_whole(plant: CountingPlant) -> None:
    """Whoever is told that a limit began may be nobody: the next look finds it."""
    plant.capture()
    plant.set(limit())
    Settler(plant.enriched, plant.books, plant.olap, clock=plant.clock).run_once()
    plant.seeder.run_once()
    assert plant.counters() == {ACME: COST}
