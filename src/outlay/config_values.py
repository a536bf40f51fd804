"""Single values of settings, from text or as they stand in a file; `config` knows their names.

Standard library only: the guest reads settings inside other people's processes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

MIB: Final = 1024 * 1024

_SIZES: Final = {"kib": 1024, "mib": MIB, "gib": 1024 * MIB}
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")


def parts(text: str) -> list[str]:
    """Return the parts of a list by commas, without those that are empty."""
    return [part.strip() for part in text.split(",") if part.strip()]


def typed(kind: str, raw: Any, *, sizes: bool = False) -> Any:
    """Return a value of a kind: `str`, `bool`, `int`, `float` or `map`.

    Args:
        kind: what it is to be.
        raw: text, which is parsed, or a value that has the type already.
        sizes: a whole number may have KiB, MiB or GiB behind it.

    Raises:
        ValueError, TypeError: it is no such value; the text goes behind "must be".
    """
    match kind:
        case "str":
            if not isinstance(raw, str):
                raise TypeError("text")
            return raw.strip()
        case "bool":
            return _boolean(raw)
        case "int":
            return _integer(raw, sizes=sizes)
        case "float":
            return _number(raw)
        case _:
            return _map(raw)


def _boolean(raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    text = raw.strip().lower() if isinstance(raw, str) else ""
    if text not in _TRUE + _FALSE:
        raise ValueError("true or false")
    return text in _TRUE


def _integer(raw: Any, *, sizes: bool) -> int:
    expected = "a whole number" + (", with KiB, MiB or GiB if you like" if sizes else "")
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw
    if not isinstance(raw, str):
        raise TypeError(expected)
    text, factor = raw.strip().lower().replace("_", ""), 1
    if sizes and text[-3:] in _SIZES:
        text, factor = text[:-3].strip(), _SIZES[text[-3:]]
    # `int` also reads digits of other scripts; a setting is ASCII.
    if not text.isascii() or not text.lstrip("-").isdigit():
        raise ValueError(expected)
    return int(text) * factor


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError("a number")
    try:
        value = float(raw)
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(value):
        raise ValueError("a finite number")
    return value


def _map(raw: Any) -> Mapping[str, str]:
    """Return a map from a mapping, or from text as `a=openai,b=anthropic`."""
    expected = "a map of text to text, as text `a=openai,b=anthropic`"
    if isinstance(raw, str):
        pairs = [pair.partition("=") for pair in raw.split(",") if pair.strip()]
        items = {left.strip(): right.strip() for left, _, right in pairs}
    elif isinstance(raw, Mapping):
        items = {str(left).strip(): right for left, right in raw.items()}
    else:
        raise TypeError(expected)
    if not all(left and right and isinstance(right, str) for left, right in items.items()):
        raise ValueError(expected)
    return MappingProxyType(items)
