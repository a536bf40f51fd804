"""What codecs share for the provider's own usage object: a safe copy, and drift.

The copy keeps numbers and short names and nothing else, so no prompt text can ride along. Drift is
a key that this version does not know: it is a finding, never a silent loss. No I/O, no state.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import Any, Final

from outlay.core.event import MAX_COUNT
from outlay.wire.base import Reading, as_count

MAX_DEPTH: Final = 4
"""Levels of a usage object that are copied."""
MAX_ITEMS: Final = 64
"""Members of one level of a usage object that are kept."""
MAX_DRIFT: Final = 8
"""Unknown keys of one reading that are named."""

MAX_NAME: Final = 64

_NAME: Final = re.compile(r"[A-Za-z0-9_.:/-]+")
# The same few names come with every reply.
_matches: Final = lru_cache(maxsize=1024)(_NAME.fullmatch)


def is_name(text: str) -> bool:
    """Tell whether the text is a short token such as an enum value or a model id."""
    return len(text) <= MAX_NAME and _matches(text) is not None


def numbers_and_names(value: Any, depth: int = 0) -> Any:
    """Copy a usage object with only numbers, booleans and short names, bounded in all directions.

    Members of any other kind, `null` among them, are left out; a value that is nothing of this
    itself becomes `None`.
    """
    if isinstance(value, int | float):  # a boolean is an `int`
        return value
    if isinstance(value, str):
        return value if is_name(value) else None
    if depth >= MAX_DEPTH:
        return None
    if isinstance(value, dict):
        copied: dict[Any, Any] = {}
        for key, item in value.items():
            if not is_name(str(key)):
                continue
            kept = item if type(item) is int else numbers_and_names(item, depth + 1)
            if kept is not None:
                copied[key] = kept
                if len(copied) == MAX_ITEMS:
                    break
        return copied
    if isinstance(value, list):
        copies = (numbers_and_names(item, depth + 1) for item in value[:MAX_ITEMS])
        return [item for item in copies if item is not None]
    return None


def merge_latest(latest: dict[str, Any], update: dict[str, Any]) -> None:
    """Overwrite field by field with what is not null: later counts are cumulative, never added."""
    for key, value in update.items():
        if value is not None and (key in latest or len(latest) < MAX_ITEMS):
            latest[key] = value


def note_drift(
    reading: Reading, usage: dict[str, Any], known: AbstractSet[str], where: str = ""
) -> None:
    """Find `drift:<key>` for keys that carry something and that this version does not know."""
    if usage.keys() <= known:
        return
    for key, value in usage.items():
        if key not in known and value not in (None, 0, "", {}, []):
            drift(reading, f"{where}{key}")


def drift(reading: Reading, what: str) -> None:
    """Find `drift:<what>`, at most `MAX_DRIFT` of them in one reading."""
    if sum(finding.startswith("drift:") for finding in reading.findings) < MAX_DRIFT:
        reading.find(f"drift:{what if is_name(what) else 'unreadable'}")


def count_of(reading: Reading, usage: dict[str, Any], key: str) -> int:
    """Return one counter; one that is too large is found and is 0, and so is what is no number."""
    value = usage.get(key)
    count = as_count(value)
    if not count and value not in (None, 0):
        drift(reading, key)
    if count > MAX_COUNT:
        reading.find(f"too_large:{key}")
        return 0
    return count
