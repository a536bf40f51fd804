"""Money: integers only, one half-even rounding, and text for people that loses nothing it shows."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.core.money import (
    NANOS_PER_USD,
    RATE_SCALE,
    format_usd,
    line_nanos,
    nanos_from_usd,
    usd_from_nanos,
)

counts = st.integers(0, 10**15)
rates = st.integers(-(10**15), 10**15)


@given(counts, rates)
def test_a_line_is_the_exact_product_rounded_half_to_even(count: int, rate: int) -> None:
    exact = Decimal(count * rate).scaleb(-6)
    assert line_nanos(count, rate) == int(exact.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


@pytest.mark.parametrize(
    ("product", "nanos"),
    [(500_000, 0), (1_500_000, 2), (2_500_000, 2), (500_001, 1), (-500_000, 0), (-1_500_000, -2)],
)
def test_a_half_goes_to_the_even_neighbour(product: int, nanos: int) -> None:
    assert line_nanos(1, product) == nanos


@given(counts, counts, st.integers(0, 10**15))
def test_more_units_never_cost_less(a: int, b: int, rate: int) -> None:
    low, high = sorted((a, b))
    assert line_nanos(low, rate) <= line_nanos(high, rate)


@given(counts, rates)
def test_a_line_is_an_integer_within_half_a_nano_of_the_exact_price(count: int, rate: int) -> None:
    nanos = line_nanos(count, rate)
    assert type(nanos) is int
    assert abs(2 * (nanos * RATE_SCALE - count * rate)) <= RATE_SCALE


@given(st.integers(-(2**63), 2**63 - 1))
def test_dollars_and_nanos_convert_without_loss(nanos: int) -> None:
    assert nanos_from_usd(usd_from_nanos(nanos)) == nanos
    assert nanos_from_usd(str(usd_from_nanos(nanos))) == nanos


def test_dollars_finer_than_a_nano_are_rounded_half_to_even() -> None:
    assert nanos_from_usd("0.0000000005") == 0
    assert nanos_from_usd("0.0000000015") == 2
    assert nanos_from_usd(3) == 3 * NANOS_PER_USD


def test_a_float_is_never_money() -> None:
    with pytest.raises(TypeError, match="never a float"):
        nanos_from_usd(0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "abc", "1,5", "NaN", "Infinity", "-inf"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="amount of money"):
        nanos_from_usd(text)


@pytest.mark.parametrize(
    ("nanos", "text"),
    [
        (0, "$0.00"),
        (12_340_000_000, "$12.34"),
        (1_234_567_890_000_000, "$1,234,567.89"),
        (25_265_000, "$0.0253"),
        (104_350, "$0.000104350"),
        (-2_500_000_000, "-$2.50"),
    ],
)
def test_amounts_are_written_with_the_digits_that_matter(nanos: int, text: str) -> None:
    assert format_usd(nanos) == text


def test_a_stated_number_of_places_is_kept() -> None:
    assert format_usd(1_500_000_000, places=0) == "$2"
    assert format_usd(25_265_000, places=6) == "$0.025265"
