"""Money as integer nano-dollars, and the one rounding rule.

A rate is nano-dollars per million units. One rounding (half to even) per priced line; a total is
the sum of its lines. No float ever holds money.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

NANOS_PER_USD = 1_000_000_000
RATE_SCALE = 1_000_000
"""Rates are per this many units."""

MAX_NANOS = 2**63 - 1


def line_nanos(quantity: int, nanos_per_million: int) -> int:
    """Price `quantity` units at a rate in nano-dollars per million units, rounded half to even."""
    whole, rest = divmod(quantity * nanos_per_million, RATE_SCALE)
    twice = 2 * rest
    if twice > RATE_SCALE or (twice == RATE_SCALE and whole & 1):
        whole += 1
    return whole


def nanos_from_usd(amount: Decimal | str | int) -> int:
    """Turn an exact dollar amount into nano-dollars, rounded half to even.

    Floats are refused: write the amount as a string.

    Raises:
        TypeError: if given a float.
        ValueError: if the text is not a finite decimal number.
    """
    if isinstance(amount, float):
        raise TypeError("an amount of money is never a float: pass a string or a Decimal")
    try:
        value = Decimal(amount)
    except ArithmeticError as error:
        raise ValueError(f"not an amount of money: {amount!r}") from error
    if not value.is_finite():
        raise ValueError(f"not a finite amount of money: {amount!r}")
    return int((value * NANOS_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))


def usd_from_nanos(nanos: int) -> Decimal:
    """Return the exact dollar amount."""
    return Decimal(nanos).scaleb(-9)


def format_usd(nanos: int, *, places: int | None = None) -> str:
    """Write nano-dollars for people: `$12.34`, and small amounts with the digits that matter.

    With `places`, exactly that many decimals.
    """
    sign = "-" if nanos < 0 else ""
    size = abs(nanos)
    if places is None:
        places = 2 if size >= NANOS_PER_USD or size == 0 else 4 if size >= 1_000_000 else 9
    quantum = Decimal(1).scaleb(-places)
    value = usd_from_nanos(size).quantize(quantum, rounding=ROUND_HALF_EVEN)
    return f"{sign}${value:,f}"
