"""Units are disjoint buckets; each belongs to one side and one cost column."""

from __future__ import annotations

import pytest

from outlay.core import units


@pytest.mark.parametrize(
    ("unit", "input_side", "output_side", "column"),
    [
        ("input", True, False, "cost_input_nanos"),
        ("input_audio", True, False, "cost_input_nanos"),
        ("input_cache_read", True, False, "cost_cache_read_nanos"),
        ("input_cache_read_image", True, False, "cost_cache_read_nanos"),
        ("input_cache_write", True, False, "cost_cache_write_nanos"),
        ("input_cache_write_1h", True, False, "cost_cache_write_nanos"),
        ("output", False, True, "cost_output_nanos"),
        ("output_reasoning", False, True, "cost_output_nanos"),
        ("web_search", False, False, "cost_other_nanos"),
        ("requests", False, False, "cost_other_nanos"),
    ],
)
def test_each_unit_has_one_side_and_one_column(
    unit: str, input_side: bool, output_side: bool, column: str
) -> None:
    assert units.is_input(unit) is input_side
    assert units.is_output(unit) is output_side
    assert units.cost_group(unit) == column


def test_totals_sum_disjoint_buckets_and_leave_fees_out() -> None:
    usage = {
        "input": 8,
        "input_cache_read": 4012,
        "output": 4,
        "output_reasoning": 1,
        "web_search": 3,
    }
    assert units.input_total(usage) == 4020
    assert units.output_total(usage) == 5
