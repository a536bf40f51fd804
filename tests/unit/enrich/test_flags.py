"""Which events carry which flag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from outlay.enrich import flags
from outlay.enrich.hop import TenantStat
from tests.unit.enrich.fakes import ints
from tests.unit.stream.events import NOW, SECOND, event, table

RULES = flags.FlagRules(late_after_s=300)


def masks(received_after_s: float, **fields: Any) -> set[str]:
    rows = table([event(1, **fields)])
    started = flags.integers(rows, "started_at")
    received = started + int(received_after_s * SECOND)
    found = flags.masks(rows, received, np.array([False]), RULES)
    return {name for name, mask in found.items() if mask[0]}


def test_a_plain_event_has_no_flags() -> None:
    assert masks(2) == set()


def test_fallback_follows_from_the_model_it_replaced() -> None:
    assert masks(2, fallback_from="gpt-5") == {"fallback"}


def test_late_is_more_than_the_setting_after_the_end() -> None:
    assert masks(301) == set()
    assert masks(301.00001) == {"late"}


def test_clock_skew_is_more_than_two_seconds_before_arrival_or_end() -> None:
    assert masks(-1) == set()  # the call ends one second after it starts
    assert masks(-1.00001) == {"clock_skew"}
    assert masks(60, ended_at=NOW + 58 * SECOND) == {"clock_skew"}


def test_unknown_tenants_are_marked() -> None:
    rows = table([event(1), event(2)])
    found = flags.masks(rows, ints(NOW, NOW), np.array([False, True]), RULES)
    assert found["unknown_tenant"].tolist() == [False, True]


def test_flags_and_price_flags_join_in_order_and_are_never_null() -> None:
    by_flag = {"a": np.array([True, False, True]), "b": np.array([True, False, False])}
    price = pa.array([["unpriced"], [], ["unpriced", "rate_over"]])
    assert flags.flag_lists(3, by_flag, price).to_pylist() == [
        ["a", "b", "unpriced"],
        [],
        ["a", "unpriced", "rate_over"],
    ]
    assert flags.flag_lists(2, {}, None).to_pylist() == [[], []]


def test_a_null_list_of_price_flags_adds_none() -> None:
    price = pa.array([None, ["unpriced"]], pa.list_(pa.string()))
    assert flags.flag_lists(2, {}, price).to_pylist() == [[], ["unpriced"]]


def test_input_totals_count_every_input_unit_and_no_other() -> None:
    rows = table(
        [
            event(1, input=1, input_cache_read=10, input_cache_write_5m=100, output=7),
            event(2, input_cache_write_1h=5, other_units={"input_audio": 20, "web_search": 3}),
            event(3, other_units={}),
            event(4, other_units={"input_image": 1, "input_cache_write": 2}),
        ]
    )
    assert flags.input_totals(rows).tolist() == [111, 25, 0, 3]
    assert flags.input_totals(rows.slice(3, 1)).tolist() == [3]


# -- large prompts -----------------------------------------------------------------------------


def sizes(**stats: tuple[float, int]) -> flags.PromptSizes:
    saved = {name: TenantStat(float(np.log1p(mean)), n) for name, (mean, n) in stats.items()}
    return flags.PromptSizes(saved)


@pytest.mark.parametrize(
    ("tokens", "large"), [(9_999, False), (10_001, True), (2_000, False), (5, False)]
)
def test_a_prompt_is_large_above_the_factor_times_the_tenants_typical(
    tokens: int, large: bool
) -> None:
    found = sizes(acme=(1_000, 20)).large(pa.array(["acme"]), ints(tokens), 10.0)
    assert found.tolist() == [large]


def test_a_small_prompt_is_never_large() -> None:
    found = sizes(acme=(10, 500)).large(pa.array(["acme"] * 2), ints(2_000, 2_001), 10.0)
    assert found.tolist() == [False, True]


def test_nothing_is_large_before_enough_calls_of_that_tenant() -> None:
    known = sizes(young=(100, 19), old=(100, 20))
    found = known.large(pa.array(["young", "old", "new"]), ints(*[10**6] * 3), 10.0)
    assert found.tolist() == [False, True, False]


def test_the_typical_prompt_is_learned_in_any_batching() -> None:
    tokens = np.random.default_rng(1).integers(500, 1_500, 200)
    tenants = pa.array(["acme"] * 200)
    whole, bits = sizes(), sizes()
    whole.apply(whole.learned(tenants, tokens))
    for start in range(0, 200, 10):
        bits.apply(bits.learned(tenants.slice(start, 10), tokens[start : start + 10]))
    one, other = whole.typical("acme"), bits.typical("acme")
    assert one is not None
    assert other == pytest.approx(one, rel=1e-6)
    assert 900 < one < 1_050


def test_one_giant_barely_moves_the_typical_prompt() -> None:
    known = sizes(acme=(1_000, 1_000))
    known.apply(known.learned(pa.array(["acme"]), ints(10**6)))
    assert known.typical("acme") == pytest.approx(1_000, rel=0.05)


def test_the_typical_prompt_follows_a_lasting_change() -> None:
    known = sizes(acme=(1_000, 100_000))
    for _ in range(100):
        known.apply(known.learned(pa.array(["acme"] * 20), ints(*[9_000] * 20)))
    assert known.typical("acme") == pytest.approx(9_000, rel=0.05)


def test_calls_without_a_prompt_teach_nothing() -> None:
    assert sizes().learned(pa.array(["acme"]), ints(0)) == {}


def test_learning_changes_nothing_until_it_is_applied() -> None:
    known = sizes(acme=(1_000, 50))
    known.learned(pa.array(["acme"] * 50), ints(*[9_000] * 50))
    assert known.typical("acme") == pytest.approx(1_000)


def test_tenants_beyond_the_bound_are_forgotten_longest_untouched_first() -> None:
    known = flags.PromptSizes({}, max_tenants=3)
    for name in ("a", "b", "c", "a", "d"):
        changed = known.learned(pa.array([name]), ints(100))
        known.apply(changed)
    assert changed["b"] is None
    assert len(known) == 3
    known.apply(known.learned(pa.array(list("vwxyz")), ints(*[100] * 5)))
    assert len(known) == 3
