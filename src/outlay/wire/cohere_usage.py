"""Cohere's counters, turned into disjoint buckets: what is billed, and nothing else.

`usage` (v2) and `meta` (v1, embed, rerank, parse) both hold `billed_units`, which are charged, and
`tokens` and `cached_tokens`, which are not: cached tokens are a part of `tokens`, often exceed
what is billed, and are never subtracted from it. Source: cohere 7.3.1, `types/api_meta*`,
`types/usage*`, and a recorded reply (2,928 cached, 2,406 billed of 2,935 tokens).
"""

from __future__ import annotations

from typing import Any, Final

from outlay.core import units
from outlay.wire.base import Reading, as_dict
from outlay.wire.usage_object import count_of, note_drift, numbers_and_names

_KNOWN: Final = frozenset(("billed_units", "tokens", "cached_tokens"))
_KNOWN_META: Final = _KNOWN | {"api_version", "warnings"}
_KNOWN_TOKENS: Final = frozenset(("input_tokens", "output_tokens", "image_tokens", "text_tokens"))

_INPUT_IMAGE: Final = f"{units.INPUT}_image"
_UNITS: Final = {
    "output_tokens": units.OUTPUT,
    "search_units": units.SEARCH_UNITS,
    "classifications": units.CLASSIFICATIONS,
    "pages": units.PAGES,
}
_KNOWN_BILLED: Final = _UNITS.keys() | {"input_tokens", "text_tokens", "image_tokens", "images"}


def fill(reading: Reading, told: dict[str, Any], *, meta: bool, evidence: dict[str, int]) -> bool:
    """Put the buckets of a `usage` or `meta` object into the reading.

    Args:
        reading: what is filled; its `usage_raw` becomes the object with the evidence beside it.
        told: the object.
        meta: it is a `meta` object, which holds things other than counts.
        evidence: counts told elsewhere, kept beside it.

    Returns:
        Whether the object counted anything at all.
    """
    note_drift(reading, told, _KNOWN_META if meta else _KNOWN, "meta." if meta else "")
    counted = {key: told[key] for key in _KNOWN if key in told} if meta else told
    reading.usage_raw = numbers_and_names({**counted, **evidence})
    billed, tokens = as_dict(told.get("billed_units")), as_dict(told.get("tokens"))
    note_drift(reading, billed, _KNOWN_BILLED, "billed_units.")
    note_drift(reading, tokens, _KNOWN_TOKENS, "tokens.")
    if not billed and tokens:
        reading.find("billed_units_missing")
        billed = tokens
    if not billed:
        return False
    _fill_input(reading, billed)
    for key, unit in _UNITS.items():
        reading.put(unit, _count(reading, billed, key))
    if _count(reading, told, "cached_tokens"):
        reading.find("cached_not_subtracted")
    if not reading.usage:
        reading.find("usage_zero")
    reading.usage_source = "provider"
    return True


def _fill_input(reading: Reading, billed: dict[str, Any]) -> None:
    """Put text and images; `input_tokens` holds both only where the sum says so."""
    total, text = _count(reading, billed, "input_tokens"), _count(reading, billed, "text_tokens")
    image = _count(reading, billed, "image_tokens")
    if text and total not in (text, text + image):
        reading.find("identity:input_tokens" if total else "input_from_parts")
    if image and total and not text:
        # Whether they are counted among the input is not told: charging both is the upper bound.
        reading.find("image_tokens_assumed_beside")
    reading.put(units.INPUT, text or total)
    reading.put(_INPUT_IMAGE, image)
    if not image:
        reading.put(units.IMAGES, _count(reading, billed, "images"))


def _count(reading: Reading, counters: dict[str, Any], key: str) -> int:
    count = count_of(reading, counters, key)
    if count < 0:
        reading.find(f"negative:{key}")
    return max(0, count)
