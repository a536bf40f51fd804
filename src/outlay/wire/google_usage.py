"""Google's `usageMetadata`, turned into disjoint buckets by modality.

`promptTokenCount` includes cached tokens and excludes what server-side tools fed back;
`candidatesTokenCount` excludes thoughts. Details by modality may be absent or partial: text and
whatever is not named stays in the plain unit. Pure functions over decoded JSON; they never raise.
"""

from __future__ import annotations

import re
from typing import Any, Final

from outlay.core import units
from outlay.wire.base import Reading, as_count, as_dict, as_list, as_text
from outlay.wire.usage_object import count_of, drift, note_drift

_MODALITIES: Final = {
    "AUDIO": "_audio",
    "IMAGE": "_image",
    "DOCUMENT": "_image",
    "VIDEO": "_video",
    "TEXT": "",
    "MODALITY_UNSPECIFIED": "",
}
"""The unit's suffix for each modality; documents are priced as images."""

_SUFFIXES: Final = ("", "_audio", "_image", "_video")

_DETAILS: Final = {
    "promptTokenCount": "promptTokensDetails",
    "cachedContentTokenCount": "cacheTokensDetails",
    "candidatesTokenCount": "candidatesTokensDetails",
    "toolUsePromptTokenCount": "toolUsePromptTokensDetails",
}
_KNOWN_KEYS: Final = frozenset(
    (
        *_DETAILS, *_DETAILS.values(), "thoughtsTokenCount", "thoughtsTokensDetails",
        "totalTokenCount", "serviceTier", "trafficType",
    )
)  # fmt: skip
_ADDENDS: Final = (
    "promptTokenCount", "candidatesTokenCount", "toolUsePromptTokenCount", "thoughtsTokenCount",
)  # fmt: skip

_TIERS: Final = {
    "STANDARD": "standard",
    "UNSPECIFIED": "standard",
    "FLEX": "flex",
    "PRIORITY": "priority",
    "ON_DEMAND": "standard",
    "TRAFFIC_TYPE_UNSPECIFIED": "standard",
    "ON_DEMAND_FLEX": "flex",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_OFFPEAK": "offpeak",
    "PROVISIONED_THROUGHPUT": "provisioned",
}

_BY_PROMPT: Final = re.compile(r"gemini-(?:[a-z]+-)*[12]\.")
"""Models whose grounding with Google Search is charged by grounded prompt: Gemini 2.5 and older."""


def searches_charged(model: str | None, queries: int) -> int:
    """Return the searches that are charged: each query, or one for all with an older model.

    Source: ai.google.dev/gemini-api/docs/google-search (pricing).
    """
    return min(queries, 1) if model is not None and _BY_PROMPT.search(model) else queries


def search_queries(told: dict[str, Any]) -> int:
    """Return the queries of a candidate's grounding; empty and repeated ones are not charged."""
    queries = as_list(as_dict(told.get("groundingMetadata")).get("webSearchQueries"))
    return len({query for query in queries if as_text(query) is not None})


def merge_metadata(latest: dict[str, Any], update: dict[str, Any]) -> None:
    """Take a later `usageMetadata`: each count at its last value, with its own details.

    Counts are cumulative and never summed. A count that comes again without details voids the
    details of its earlier value.
    """
    for count, details in _DETAILS.items():
        if update.get(count) is not None:
            latest.pop(details, None)
    for key, value in update.items():
        if value is not None and (key in latest or key in _KNOWN_KEYS or len(latest) < 64):
            latest[key] = value


def served_tier(usage: dict[str, Any]) -> str | None:
    """Return the tier the provider says it served, or `None` when it says nothing."""
    for key in ("trafficType", "serviceTier"):
        value = as_text(usage.get(key))
        if value is not None:
            return _TIERS.get(value.upper(), value.lower()[:64])
    return None


def metadata_buckets(reading: Reading, usage: dict[str, Any]) -> dict[str, int]:
    """Return the disjoint token counts; oddities become findings."""
    note_drift(reading, usage, _KNOWN_KEYS)
    cached = _split(reading, usage, "cachedContentTokenCount")
    uncached = _subtract(_split(reading, usage, "promptTokenCount"), cached)
    if uncached is None:
        reading.find("identity:cache_read")
        uncached = {}
    tool = _split(reading, usage, "toolUsePromptTokenCount")
    output = _split(reading, usage, "candidatesTokenCount")
    counts: dict[str, int] = {}
    for suffix in _SUFFIXES:
        counts[units.INPUT + suffix] = uncached.get(suffix, 0) + tool.get(suffix, 0)
        counts[units.CACHE_READ + suffix] = cached.get(suffix, 0)
        counts[units.OUTPUT + suffix] = output.get(suffix, 0)
    counts[units.REASONING] = _count(reading, usage, "thoughtsTokenCount")
    total = usage.get("totalTokenCount")
    if total is not None and as_count(total) != sum(as_count(usage.get(key)) for key in _ADDENDS):
        reading.find("identity:total")
    return {unit: count for unit, count in counts.items() if count > 0}


def _count(reading: Reading, usage: dict[str, Any], key: str) -> int:
    count = count_of(reading, usage, key)
    if count < 0:
        reading.find(f"negative:{key}")
    return max(0, count)


def _split(reading: Reading, usage: dict[str, Any], key: str) -> dict[str, int]:
    """Split one counter by modality; the parts sum to the counter, whatever the details say."""
    rest = _count(reading, usage, key)
    parts = dict.fromkeys(_SUFFIXES, 0)
    for detail in map(as_dict, as_list(usage.get(_DETAILS[key]))):
        modality = (as_text(detail.get("modality")) or "").upper()
        suffix = _MODALITIES.get(modality)
        if suffix is None:
            drift(reading, f"modality.{modality}")
            continue
        count = as_count(detail.get("tokenCount"))
        if not suffix or count <= 0:
            continue
        if count > rest:
            reading.find("details_exceed_count")
        count = min(count, rest)
        parts[suffix] += count
        rest -= count
    parts[""] = rest
    return parts


def _subtract(whole: dict[str, int], part: dict[str, int]) -> dict[str, int] | None:
    """Take a part out of a whole modality by modality, or `None` when the part is larger.

    What a modality cannot cover is taken from text first, then from the others in order, so the
    sum always comes out right.
    """
    owed = sum(part.values())
    if owed > sum(whole.values()):
        return None
    left: dict[str, int] = {}
    for suffix in _SUFFIXES:
        taken = min(whole[suffix], part[suffix])
        left[suffix] = whole[suffix] - taken
        owed -= taken
    for suffix in _SUFFIXES:
        taken = min(left[suffix], owed)
        left[suffix] -= taken
        owed -= taken
    return left
