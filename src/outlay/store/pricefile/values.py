"""Reads the cells of a price file: exact money, counts, times, names, each with a clear refusal.

Every function raises `ValueError` with a sentence; `rows` puts the line to it. No float is ever
made: an amount that is not whole nano-dollars per million units is refused, never rounded.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

from outlay.store.pricefile.items import shown

PERS: Final = (1, 1000, 1_000_000)
"""How many units a price may be for."""
MAX_WHOLE: Final = 10**18
"""Bound of what is kept: nano-dollars, or micro-credits, per million units."""
MAX_TIME: Final = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(?:\.\d{1,30})?(?:[eE][+-]?\d{1,2})?")
_WHOLE: Final = re.compile(r"\d{1,18}")
_MICROS: Final = re.compile(r"\d{15,18}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BOOLEANS: Final = {
    "true": True, "yes": True, "1": True, "false": False, "no": False, "0": False,
}  # fmt: skip


def number(text: str) -> Fraction:
    """Return an exact decimal number that is not negative."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a decimal number; write only digits, like 1.25.")
    value = Fraction(Decimal(text))
    if value < 0:
        raise ValueError("It must not be negative.")
    return value


def whole(value: Fraction, what: str) -> int:
    """Return an amount that must be whole in the unit that is kept."""
    if value.denominator != 1:
        raise ValueError(f"This is not a whole number of {what}, and is never rounded.")
    if value > MAX_WHOLE:
        raise ValueError("This is more than a price can be; look at `per`.")
    return int(value)


def count(text: str) -> int:
    """Return a whole number from 0 on."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a whole number from 0 on.")
    return int(text)


def per(text: str) -> int:
    """Return for how many units a price is."""
    if text not in {str(known) for known in PERS}:
        raise ValueError(f"`per` is one of {', '.join(map(str, PERS))}, not {shown(text)}.")
    return int(text)


def boolean(text: str) -> bool:
    """Return a truth value."""
    known = _BOOLEANS.get(text.lower())
    if known is None:
        raise ValueError(f"{shown(text)} is neither true nor false.")
    return known


def moment(text: str) -> int:
    """Return a time in microseconds UTC: a date is its midnight in UTC."""
    if _MICROS.fullmatch(text):
        return _bounded(int(text))
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            return _bounded(_micros(datetime(day.year, day.month, day.day, tzinfo=UTC)))
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None or len(text) < len("2026-01-01T00:00Z"):
        raise ValueError(
            f"{shown(text)} is neither a date (2026-10-01) nor a time with its zone "
            f"(2026-10-01T12:00:00Z)."
        )
    return _bounded(_micros(parsed))


def written_moment(micros: int) -> str:
    """Write a time so that `moment` reads it: as a date where it is a midnight."""
    value = _EPOCH + timedelta(microseconds=micros)
    if micros % 86_400_000_000 == 0:
        return value.date().isoformat()
    return value.isoformat().replace("+00:00", "Z")


def written_number(value: int, *, scale: int) -> str:
    """Write `value` divided by ten to the `scale` exactly, without an exponent."""
    text = f"{Decimal(value).scaleb(-scale):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _micros(value: datetime) -> int:
    return (value - _EPOCH) // timedelta(microseconds=1)


def _bounded(micros: int) -> int:
    if not 0 <= micros <= MAX_TIME:
        raise ValueError("The time must lie between 1970 and 9999.")
    return micros
