"""The ladder: what is reached at a use, what is crossed, and which model comes next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.limits.ladder import (
    actions_at,
    at_amount,
    cap_of,
    crossed,
    delay_ms,
    next_model,
    reached,
    room_of,
)
from outlay.core.limits.limit import PPM, Limit, Threshold

WARN = Threshold(800_000, "warn")
SLOW = Threshold(900_000, "throttle", delay_ms=500)
SLOWER = Threshold(950_000, "throttle", delay_ms=2000)
BLOCK = Threshold(PPM, "block")


def limit(*thresholds: Threshold, burst: int = 0) -> Limit:
    window = "rate" if burst else "month"
    return Limit("l", "cost", window, 1000, thresholds=thresholds, burst=burst)  # type: ignore[arg-type]


def swap(at_ppm: int, **models: str) -> Threshold:
    pairs = tuple((asked.replace("_", "-"), model) for asked, model in models.items())
    return Threshold(at_ppm, "downgrade", models=pairs)


def test_a_rung_is_reached_at_its_part_of_the_amount_and_not_one_below() -> None:
    ladder = limit(BLOCK, WARN)
    assert reached(ladder, used=799, amount=1000) == ()
    assert reached(ladder, used=800, amount=1000) == (WARN,)
    assert reached(ladder, used=999, amount=1000) == (WARN,)
    assert reached(ladder, used=1000, amount=1000) == (WARN, BLOCK)
    assert actions_at(ladder, used=1000, amount=1000) == ("warn", "block")


def test_rungs_come_mildest_first_whatever_their_order() -> None:
    ladder = limit(BLOCK, SLOWER, WARN, SLOW)
    assert reached(ladder, used=1000, amount=1000) == (WARN, SLOW, SLOWER, BLOCK)


def test_parts_are_exact_where_they_are_no_whole_amounts() -> None:
    third = Threshold(333_333, "warn")
    assert at_amount(limit(third), third, 10) == 4
    assert reached(limit(third), used=3, amount=10) == ()
    assert reached(limit(third), used=4, amount=10) == (third,)


def test_a_raised_amount_moves_the_rungs() -> None:
    assert reached(limit(WARN), used=800, amount=2000) == ()


def test_of_a_rate_the_rungs_are_parts_of_the_burst() -> None:
    ladder = limit(WARN, BLOCK, burst=10)
    assert room_of(ladder, 1000) == 10
    assert cap_of(ladder, 1000) == 10
    assert reached(ladder, used=8, amount=1000) == (WARN,)


def test_what_is_crossed_is_what_lies_between() -> None:
    ladder = limit(BLOCK, SLOW, WARN)
    assert crossed(ladder, 799, 800, 1000) == (WARN,)
    assert crossed(ladder, 800, 899, 1000) == ()
    assert crossed(ladder, 0, 5000, 1000) == (WARN, SLOW, BLOCK)
    assert crossed(ladder, 1000, 0, 1000) == ()


def test_the_longest_delay_that_is_reached_counts() -> None:
    ladder = limit(SLOW, SLOWER, WARN)
    assert [delay_ms(ladder, used, 1000) for used in (899, 900, 950)] == [0, 500, 2000]


@pytest.mark.parametrize(
    ("used", "asked", "served"),
    [
        (799, "gpt-5", None),
        (800, "gpt-5", "gpt-5-mini"),
        (800, "GPT-5", "gpt-5-mini"),
        (800, "gpt-5-mini", None),
        (800, "claude-opus-5", "claude-haiku-5"),
        (800, "claude-haiku-5", None),
        (800, "other", None),
    ],
)
def test_a_model_is_mapped_once_by_name_and_then_by_pattern(
    used: int, asked: str, served: str | None
) -> None:
    models = (("claude-*", "claude-haiku-5"), ("gpt-5*", "nano"), ("gpt-5", "gpt-5-mini"))
    ladder = limit(Threshold(800_000, "downgrade", models=models))
    assert next_model(ladder, used, 1000, asked) == served


def test_the_longest_pattern_counts() -> None:
    models = (("gpt-*", "a"), ("gpt-5-*", "b"))
    assert next_model(limit(Threshold(1, "downgrade", models=models)), 9, 9, "gpt-5-x") == "b"


def test_the_highest_rung_counts_that_names_the_model() -> None:
    ladder = limit(swap(800_000, big="mid"), swap(900_000, big="small"))
    assert next_model(ladder, 850, 1000, "big") == "mid"
    assert next_model(ladder, 900, 1000, "big") == "small"


def test_a_higher_rung_may_map_on_what_a_lower_one_put_there() -> None:
    ladder = limit(swap(800_000, big="mid"), swap(900_000, mid="small"))
    assert next_model(ladder, 850, 1000, "big") == "mid"
    assert next_model(ladder, 900, 1000, "big") == "small"
    assert next_model(ladder, 900, 1000, "mid") == "small"
    assert next_model(ladder, 900, 1000, "small") is None


def test_rungs_that_lead_back_lead_nowhere() -> None:
    ladder = limit(swap(800_000, big="mid"), swap(900_000, mid="big"))
    assert next_model(ladder, 900, 1000, "big") is None


rungs = st.lists(
    st.builds(Threshold, st.integers(1, 10 * PPM), st.sampled_from(("warn", "throttle", "block"))),
    max_size=8,
)


@given(rungs, st.integers(0, 5000), st.integers(0, 5000), st.integers(1, 3000))
def test_crossed_is_the_difference_of_reached(
    thresholds: list[Threshold], before: int, more: int, amount: int
) -> None:
    ladder = limit(*thresholds)
    low = reached(ladder, used=before, amount=amount)
    high = reached(ladder, used=before + more, amount=amount)
    passed = crossed(ladder, before, before + more, amount)
    assert sorted(low + passed, key=hash) == sorted(high, key=hash)
    for threshold in passed:
        assert before < at_amount(ladder, threshold, amount) <= before + more
