"""The units that a price file may price without naming them first."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from outlay.core import units

_FEES: Final = (
    "requests", "web_search", "web_fetch", "file_search", "social_search", "code_execution",
    "attachment_search", *(f"{units.REQUESTS}_{size}" for size in units.REQUEST_SIZES),
    "text_messages", "images", "characters", "audio_seconds", "video_seconds", "pages",
    "annotated_pages", "search_units", "classifications", "text_units", "duration_ms",
    "gpu_seconds", "tool_calls", "vector_queries", "container_sessions",
)  # fmt: skip
_TOKENS: Final = (
    units.INPUT, units.CACHE_READ, units.CACHE_WRITE, units.CACHE_WRITE_5M, units.CACHE_WRITE_30M,
    units.CACHE_WRITE_1H, units.CACHE_WRITE_12H, units.OUTPUT,
)  # fmt: skip
UNITS: Final = (
    *_TOKENS,
    *(f"{unit}_{modality}" for unit in _TOKENS for modality in units.MODALITIES),
    units.REASONING,
    "output_citation",
    *_FEES,
)
"""Units that outlay counts itself; a file says under `units` what else it prices."""


def is_known(unit: str, named: Collection[str]) -> bool:
    """Tell whether a unit is one of outlay's, or named by the file or the book."""
    return unit in UNITS or unit in named or unit.startswith(f"{units.TEXT_UNITS}_")
