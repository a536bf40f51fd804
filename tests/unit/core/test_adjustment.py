"""What an adjustment says: the old reversed, the new booked, and the arithmetic checked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core import units
from outlay.core.adjustment import (
    MAX_LINES,
    Adjustment,
    adjustment_id,
    difference,
    net_lines,
)
from outlay.core.ids import uuid7, uuid7_unix_ms

EVENT = uuid7(1_790_000_000_000, bytes(range(10)))


def line(unit: str, quantity: int, rate_id: str, nanos: int, basis: str = "catalogue") -> Any:
    return {"unit": unit, "quantity": quantity, "rate_id": rate_id, "nanos": nanos, "basis": basis}


def change(**values: Any) -> Adjustment:
    stated: dict[str, Any] = {
        "was_nanos": 300,
        "now_nanos": 360,
        "lines": (("input", -100, "r1", -300, "catalogue"), ("input", 100, "r2", 360, "contract")),
        "price_basis": "contract",
    }
    return Adjustment(**{**stated, **values})


lines = st.lists(
    st.builds(
        line,
        st.sampled_from((*units.EVENT_UNITS, "web_search")),
        st.integers(0, 10**6),
        st.sampled_from(("r1", "r2", "")),
        st.integers(-(10**9), 10**9),
    ),
    max_size=6,
)


def test_a_new_rate_reverses_the_old_line_and_books_the_new_one() -> None:
    booked = net_lines([[line("input", 100, "r1", 300)]])
    made = difference(booked, [line("input", 100, "r2", 360, "contract")])
    assert set(made) == {
        ("input", -100, "r1", -300, "catalogue"),
        ("input", 100, "r2", 360, "contract"),
    }


def test_a_line_that_stays_as_it_is_is_not_booked_twice() -> None:
    booked = net_lines([[line("input", 100, "r1", 300), line("output", 5, "r9", 50)]])
    made = difference(booked, [line("input", 100, "r1", 300), line("output", 5, "r8", 40)])
    assert {unit for unit, *_ in made} == {"output"}


@given(lines, st.lists(lines, max_size=3), lines)
def test_an_event_and_all_its_adjustments_add_up_to_the_newest_price(
    own: list[Any], earlier: list[list[Any]], newest: list[Any]
) -> None:
    booked: list[list[Any]] = [own]
    for wanted in [*earlier, newest]:
        made = difference(net_lines(booked), wanted)
        booked.append([line(*one) for one in made])
    assert {k: v for k, v in net_lines(booked).items() if any(v)} == {
        k: v for k, v in net_lines([newest]).items() if any(v)
    }


@given(lines, lines)
def test_a_document_is_read_as_it_was_written(own: list[Any], wanted: list[Any]) -> None:
    was, now = (sum(one["nanos"] for one in some) for some in (own, wanted))
    made = Adjustment(
        was, now, difference(net_lines([own]), wanted), price_basis="catalogue", price_model="m"
    )
    assert Adjustment.from_json(made.to_json()) == made
    assert sum(made.columns().values()) == made.cost_change == now - was


def test_the_same_change_found_twice_is_one_adjustment() -> None:
    assert adjustment_id(EVENT, 0, change().to_json()) == adjustment_id(
        EVENT, 0, change().to_json()
    )


def test_the_same_change_after_another_one_is_a_new_adjustment() -> None:
    assert adjustment_id(EVENT, 0, change().to_json()) != adjustment_id(
        EVENT, 2, change().to_json()
    )


def test_an_adjustment_lies_beside_its_event() -> None:
    made = adjustment_id(EVENT, 1, change().to_json())
    assert uuid7_unix_ms(made) == uuid7_unix_ms(EVENT)


def test_a_first_price_of_nothing_is_a_change_too() -> None:
    free = change(was_nanos=0, now_nanos=0, lines=(), priced_late=True)
    assert free.changes
    assert not change(was_nanos=0, now_nanos=0, lines=()).changes


@pytest.mark.parametrize(
    "spoil",
    [
        {"now_nanos": 361},
        {"price_basis": "guess"},
        {"lines": [["input", 1, "r", 2]]},
        {"lines": None},
        {"was_nanos": 10**30, "now_nanos": 10**30 + 60},
        {"sell_change": "1"},
        {"more": 1},
        {"lines": [["input", 1, "r", 60, "catalogue"]] + [["input", 0, "r", 0, "c"]] * MAX_LINES},
    ],
)
def test_a_document_that_does_not_add_up_is_refused(spoil: dict[str, Any]) -> None:
    document = {**json.loads(change().to_json()), **spoil}
    with pytest.raises(ValueError, match="adjustment"):
        Adjustment.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "{", '"x"'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Adjustment.from_json(text)
