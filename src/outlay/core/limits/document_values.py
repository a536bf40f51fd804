"""Reads the single values of a limits document, each with a clear refusal.

No float is ever made: an amount of money is text or a whole number. Every function raises
`BadRequestError` with `where`, the part of the document that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from outlay.core.event import MAX_STRING_BYTES
from outlay.core.limits.limit import MAX_AMOUNT, MAX_SPAN_US, MIN_SPAN_US, PPM
from outlay.core.money import NANOS_PER_USD
from outlay.errors import BadRequestError

_Word = TypeVar("_Word", bound=str)

_ID: Final = re.compile(r"[a-z0-9._-]{1,64}")
_MONEY: Final = re.compile(r"(\d{1,12})(?:\.(\d{1,9}))?")
_WHOLE: Final = re.compile(r"\d{1,19}")
_PERCENT: Final = re.compile(r"(\d{1,4})(?:\.(\d{1,4}))?%")
_SPAN: Final = re.compile(r"(\d{1,8})([smhd])")
_SPAN_UNITS: Final = {"s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
_SHOWN: Final = 60
"""How much of a bad value an error repeats."""


def wrong(message: str, where: str, hint: str | None = None) -> BadRequestError:
    """Return the error of a part of a document."""
    return BadRequestError(message, where=where, hint=hint)


def shown(value: object) -> str:
    """Return a short printable form of a bad value."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def mapping(value: object, known: Collection[str], where: str) -> Mapping[str, Any]:
    """Return a mapping whose keys are all known."""
    if not isinstance(value, Mapping):
        raise wrong(f"{shown(value)} is not a mapping.", where, f"It may have {_listed(known)}.")
    for key in value:
        if key not in known:
            close = get_close_matches(str(key), list(known), n=1, cutoff=0.5)
            near = f" Did you mean `{close[0]}`?" if close else ""
            place = f"{where}.{key}" if where else str(key)
            raise wrong(
                f"{shown(key)} is not known here.{near}", place, f"It may have {_listed(known)}."
            )
    return value


def sequence(value: object, where: str, *, at_most: int) -> list[Any]:
    """Return a list that is neither empty nor too long."""
    if not isinstance(value, (list, tuple)):
        raise wrong(f"{shown(value)} is not a list.", where)
    if not value:
        raise wrong("The list is empty.", where, "Leave it out, or name something.")
    if len(value) > at_most:
        raise wrong(f"There are {len(value):,}; at most {at_most:,} may be listed.", where)
    return list(value)


def text(value: object, where: str, *, at_most: int = MAX_STRING_BYTES) -> str:
    """Return text that is neither blank nor too long nor holds control characters."""
    if not isinstance(value, str):
        raise wrong(f"{shown(value)} is not text.", where, f'Quote it: "{str(value)[:_SHOWN]}".')
    if not value.strip() or value != value.strip():
        raise wrong(f"{shown(value)} is blank, or begins or ends with a blank.", where)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise wrong("The text is not valid Unicode.", where) from None
    if size > at_most:
        raise wrong(f"The text has {size:,} bytes; at most {at_most:,} are allowed.", where)
    if not value.isprintable():
        raise wrong(f"{shown(value)} holds a character that cannot be shown.", where)
    return value


def identifier(value: object, where: str) -> str:
    """Return an id."""
    found = text(value, where)
    if not _ID.fullmatch(found):
        raise wrong(
            f"{shown(found)} is not an id.",
            where,
            "An id is 1 to 64 small letters, digits, dots, dashes and underscores.",
        )
    return found


def word(value: object, known: tuple[_Word, ...], where: str) -> _Word:
    """Return one of some known words."""
    for one in known:
        if value == one:
            return one
    close = get_close_matches(str(value), list(known), n=1, cutoff=0.5)
    near = f" Did you mean `{close[0]}`?" if close else ""
    raise wrong(f"{shown(value)} is not known here.{near}", where, f"It may be {_listed(known)}.")


def boolean(value: object, where: str) -> bool:
    """Return true or false."""
    if not isinstance(value, bool):
        raise wrong(f"{shown(value)} is neither true nor false.", where)
    return value


def integer(value: object, where: str, *, low: int, high: int) -> int:
    """Return a whole number within bounds."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong(f"{shown(value)} is not a whole number.", where)
    if not low <= value <= high:
        raise wrong(f"{value:,} is not between {low:,} and {high:,}.", where)
    return value


def amount(value: object, metric: str, where: str) -> int:
    """Return an amount of a metric: nano-dollars exactly for `cost`, else a count."""
    if isinstance(value, float):
        hint = f'Quote it: "{value}".' if metric == "cost" else "Write a whole number."
        raise wrong(f"{value!r} is not exact: an amount is never a float.", where, hint)
    number = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    found = _nanos(number, where) if metric == "cost" else _count(number, where)
    if found <= 0:
        raise wrong(
            "The amount is not above zero: everything would be refused.",
            where,
            "To refuse everything, take the right away with an entitlement.",
        )
    if found > MAX_AMOUNT:
        raise wrong("The amount is absurd: above a billion dollars, or 10**18.", where)
    return found


def amount_text(value: int, metric: str) -> str | int:
    """Write an amount as `amount` reads it."""
    if metric != "cost":
        return value
    whole, rest = divmod(value, NANOS_PER_USD)
    return f"{whole}.{f'{rest:09d}'.rstrip('0').ljust(2, '0')}"


def percent(value: object, where: str, *, high_ppm: int) -> int:
    """Return parts per million of a percentage such as `80%` or `99.5%`."""
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong(f"{shown(value)} is not a percentage.", where, "Write it like 80% or 99.5%.")
    ppm = int(found[1]) * (PPM // 100) + int((found[2] or "").ljust(4, "0"))
    if not 0 < ppm <= high_ppm:
        raise wrong(f"{value} is not above 0% and at most {high_ppm * 100 // PPM:,}%.", where)
    return ppm


def percent_text(ppm: int) -> str:
    """Write parts per million as `percent` reads them."""
    whole, rest = divmod(ppm, PPM // 100)
    return f"{whole}.{rest:04d}".rstrip("0") + "%" if rest else f"{whole}%"


def span(value: str, where: str) -> int:
    """Return microseconds of a length of time such as `90s`, `15m`, `24h` or `30d`."""
    found = _SPAN.fullmatch(value)
    if found is None:
        raise wrong(
            f"{shown(value)} is not a length of time.", where, "Write it like 90s, 15m, 24h or 30d."
        )
    span_us = int(found[1]) * _SPAN_UNITS[found[2]]
    if not MIN_SPAN_US <= span_us <= MAX_SPAN_US:
        raise wrong(f"{value} is not between 1s and 366d.", where)
    return span_us


def span_text(span_us: int) -> str:
    """Write a length of time as `span` reads it, in the largest unit that it is whole in."""
    for unit in ("d", "h", "m"):
        count, rest = divmod(span_us, _SPAN_UNITS[unit])
        if count and not rest:
            return f"{count}{unit}"
    return f"{span_us // _SPAN_UNITS['s']}s"


def _nanos(value: object, where: str) -> int:
    found = _MONEY.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise wrong(
            f"{shown(value)} is not an amount of dollars.",
            where,
            'Write dollars with at most 9 decimals and no sign, like "500.00".',
        )
    return int(found[1]) * NANOS_PER_USD + int((found[2] or "").ljust(9, "0"))


def _count(value: object, where: str) -> int:
    if not isinstance(value, str) or not _WHOLE.fullmatch(value):
        raise wrong(
            f"{shown(value)} is not a whole number.", where, "Write all its digits, like 1500000."
        )
    return int(value)


def _listed(names: Collection[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
