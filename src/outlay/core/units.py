"""The names of everything that can be counted and priced, as disjoint buckets.

A unit belongs to one side (input, output, fee). Buckets never overlap: `input` is uncached input,
`output` is visible output without reasoning. Modality variants append the modality
(`input_audio`, `input_cache_read_image`, `output_audio`). An unknown unit is legal and unpriced.
"""

from __future__ import annotations

from collections.abc import Mapping

INPUT = "input"
CACHE_READ = "input_cache_read"
CACHE_WRITE = "input_cache_write"
"""Cache write whose time to live the provider did not state."""
CACHE_WRITE_5M = "input_cache_write_5m"
CACHE_WRITE_30M = "input_cache_write_30m"
CACHE_WRITE_1H = "input_cache_write_1h"
CACHE_WRITE_12H = "input_cache_write_12h"
OUTPUT = "output"
REASONING = "output_reasoning"

MODALITIES = ("audio", "image", "video")

EVENT_UNITS = (INPUT, CACHE_READ, CACHE_WRITE_5M, CACHE_WRITE_1H, OUTPUT, REASONING)
"""Units with a column of their own in an event; the rest go to `other_units`."""

WEB_SEARCH = "web_search"
WEB_FETCH = "web_fetch"
IMAGES = "images"
"""Images made, where the provider counts no tokens for them."""
VIDEO_SECONDS = "video_seconds"
AUDIO_SECONDS = "audio_seconds"
"""Seconds of audio taken in, rounded up."""
CHARACTERS = "characters"
"""Characters of text to speak."""
PAGES = "pages"
"""Pages read without annotations."""
ANNOTATED_PAGES = "annotated_pages"
REQUESTS = "requests"
"""Requests; where the price goes by how much is searched, its size is appended
(`requests_low`)."""
REQUEST_SIZES = ("low", "medium", "high")
FILE_SEARCH = "file_search"
"""Searches of collections or vector stores."""
ATTACHMENT_SEARCH = "attachment_search"
"""Searches of files that were attached to a message (xAI)."""
SOCIAL_SEARCH = "social_search"
CODE_EXECUTION = "code_execution"
DURATION_MS = "duration_ms"
"""Milliseconds of an attempt: what a model served on one's own machines may be priced by."""
SEARCH_UNITS = "search_units"
CLASSIFICATIONS = "classifications"
TEXT_UNITS = "text_units"
"""Text units that a guardrail read; each policy has a price of its own and is appended
(`text_units_topic`)."""


def counts_requests(unit: str) -> bool:
    """Tell whether the unit counts requests, of any size or of one."""
    return unit == REQUESTS or unit.startswith(f"{REQUESTS}_")


def is_cache_write(unit: str) -> bool:
    """Tell whether the unit counts tokens written to a cache."""
    return unit.startswith(CACHE_WRITE)


def is_cache_read(unit: str) -> bool:
    """Tell whether the unit counts tokens read from a cache."""
    return unit.startswith(CACHE_READ)


def is_input(unit: str) -> bool:
    """Tell whether the unit counts input tokens, cached or not."""
    return unit == INPUT or unit.startswith("input_")


def is_output(unit: str) -> bool:
    """Tell whether the unit counts output tokens, reasoning included."""
    return unit == OUTPUT or unit.startswith("output_")


def cost_group(unit: str) -> str:
    """Name the event's cost column that a unit's price lands in."""
    if is_cache_read(unit):
        return "cost_cache_read_nanos"
    if is_cache_write(unit):
        return "cost_cache_write_nanos"
    if is_input(unit):
        return "cost_input_nanos"
    if is_output(unit):
        return "cost_output_nanos"
    return "cost_other_nanos"


def input_total(usage: Mapping[str, int]) -> int:
    """Sum everything the model read."""
    return sum(n for unit, n in usage.items() if is_input(unit))


def output_total(usage: Mapping[str, int]) -> int:
    """Sum everything the model produced, reasoning included."""
    return sum(n for unit, n in usage.items() if is_output(unit))
