"""Events without a price get one soon after a rate arrives, whatever else is going on."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.act import late
from outlay.act.late import ARRIVED_REASON, LatePrices
from outlay.act.rerate import Rerater
from outlay.core.rates import RateRow
from outlay.enrich.price import price_table
from tests.unit.act.plant import ALL, HOUR, NOW, Plant, own

DAY = 86_400_000_000


def looking(plant: Plant, rerater: Rerater | None = None, **values: Any) -> LatePrices:
    said = {"settled": plant.settle, "clock": plant.clock, "past_us": DAY, "future_us": 0, **values}
    return LatePrices(plant.olap, plant.books, rerater or plant.rerater, **said)


def test_what_had_no_price_is_priced_once_after_each_change_of_the_book(plant: Plant) -> None:
    look = looking(plant)
    event_id = plant.capture()
    assert look.run() == 0
    plant.rates(*own())
    assert [look.run(), look.run()] == [1, 0]
    plant.settle()
    stored = plant.olap.event(event_id)
    assert stored is not None
    assert [one["reason"] for one in stored["adjustments"]] == [ARRIVED_REASON]
    plant.rates(RateRow.make("vllm", "another", "input", 1, layer="override"))
    plant.capture(model_served="unheard-of")
    assert look.run() == 0, "what has a price is left to people"
    assert plant.ask("cost", "unpriced") == (3000, 1)


def test_an_event_that_was_priced_before_the_rate_but_stored_after_it(plant: Plant) -> None:
    look = looking(plant)
    pumps, plant.pumps = plant.pumps, []
    plant.capture()  # enriched without a price, and not stored yet
    plant.rates(*own())
    plant.pumps = pumps
    assert look.run() == 1


def test_events_still_on_their_way_are_for_the_next_look(plant: Plant) -> None:
    answers = [False, True]
    look = looking(plant, settled=lambda _: answers.pop(0))
    plant.capture()
    plant.rates(*own())
    assert [look.run(), look.run()] == [0, 1]


def test_a_re_rating_by_hand_goes_first_and_is_no_error(plant: Plant) -> None:
    seen: list[int] = []

    def settled(timeout_s: float) -> bool:
        if not seen:
            seen.append(look.run())
        return plant.settle(timeout_s)

    busy = Rerater(
        plant.olap, plant.captured, plant.books, price=price_table, settled=settled,
        clock=plant.clock,
    )  # fmt: skip
    look = looking(plant, busy)
    plant.capture()
    plant.rates(*own())
    busy.run(ALL, reason="a look", actor="t", apply=False)
    assert seen == [0]
    assert look.run() == 1


def test_more_events_than_one_run_takes_are_done_in_parts(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(late, "MAX_PART_EVENTS", 2)
    for _ in range(7):
        plant.capture()
    plant.rates(*own())
    assert looking(plant).run() == 7
    plant.settle()
    assert plant.ask("unpriced", "cost") == (0, 7 * 3000)


@pytest.mark.parametrize(
    ("started_at", "priced"),
    [(NOW - DAY, 1), (NOW - DAY - 1, 0), (NOW + 5, 1), (NOW + 6, 0)],
)
def test_the_window_has_room_for_clocks_that_are_ahead(
    plant: Plant, started_at: int, priced: int
) -> None:
    assert HOUR > NOW - DAY
    plant.capture(started_at=started_at, ended_at=started_at + 10)
    plant.rates(*own())
    plant.now = NOW
    assert looking(plant, future_us=6).run() == priced
