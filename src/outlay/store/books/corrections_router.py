"""What the catalogue lacks or has wrong of OpenRouter: as `corrections`, for one seller.

OpenRouter passes the price of the maker on, but for promotions of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from outlay.core import units
from outlay.core.match import FREE_VARIANT, ROUTER, canonical_clause
from outlay.core.prices import ModelRow, RateRow
from outlay.store.books.correction_rows import LAYER, Listed, micros, since_ever, within

SOL: Final = "gpt-5.6-sol"
SOL_UNTIL: Final = micros("2026-08-18T00:00:00+00:00")
SOL_SOURCE: Final = (
    "OpenAI's own price, as two bills of 2026-07-17 say to the last digit; half of it from "
    "2026-08-18 on by a promotion (Portkey-AI/models#899, Kilo-Org/cloud#5934, a bill of "
    "2026-09-17); its first day is inferred, between 2026-08-03 and 2026-08-22"
)

FLASH: Final = "google/gemini-3.6-flash"
FLASH_UNTIL: Final = micros("2026-08-14T00:00:00+00:00")
HALVED_FLASH: Final[Mapping[tuple[str, int], int]] = {
    (units.INPUT, 750_000_000): 1_500_000_000,
    (units.CACHE_READ, 75_000_000): 150_000_000,
    (units.OUTPUT, 3_750_000_000): 7_500_000_000,
}
"""Prices of gemini-3.6-flash in the catalogue, which are introductory, and those before them."""
FLASH_SOURCE: Final = (
    "billed on 2026-08-12 to the last digit; still listed so on 2026-08-13 "
    "(theopenco/llmgateway#3593), halved on 2026-08-14 (linuxarena/control-tower#1380)"
)

SEARCH_NANOS: Final = 10_000_000_000_000
SEARCH_SOURCE: Final = (
    "OpenAI's own search at OpenAI's price of $10 a thousand, as in two bills of 2026-08-11 with "
    "gpt-4.1-mini"
)

FREE_SOURCE: Final = "openrouter.ai/docs/guides/routing/model-variants/free; billed so 2025-11-03"

NAMED: Final = {"qwen/qwen3.8-max": "qwen/qwen3.8-max-0902"}
"""Names that the catalogue lists under a dated one only."""
NAMED_SOURCE: Final = "a bill of 2026-09-04 for qwen/qwen3.8-max agrees to the last digit"


def router_corrections(listed: Listed) -> Iterator[RateRow]:
    """Yield the corrections of OpenRouter's rates."""
    yield from _sol(listed)
    yield from listed.before(ROUTER, FLASH, HALVED_FLASH, FLASH_UNTIL, FLASH_SOURCE)
    models = listed.models(ROUTER)
    for model in models:
        # The open weights that OpenAI gave away have no search of its own.
        if model.startswith("openai/") and ":" not in model and "gpt-oss" not in model:
            unit = units.WEB_SEARCH
            yield from listed.missing(ROUTER, model, unit, SEARCH_NANOS, SEARCH_SOURCE)
    if models:
        for unit in _FREE_UNITS:
            yield from listed.missing(ROUTER, FREE_VARIANT, unit, 0, FREE_SOURCE)


_FREE_UNITS: Final = (
    units.INPUT, units.CACHE_READ, units.CACHE_WRITE, units.OUTPUT,
    *(
        f"{unit}_{modality}"
        for unit in (units.INPUT, units.CACHE_READ, units.OUTPUT)
        for modality in units.MODALITIES
    ),
)  # fmt: skip


def _sol(listed: Listed) -> Iterator[RateRow]:
    """Yield OpenAI's price for the time before the promotion, where the catalogue has its half."""
    for row in listed.standard(ROUTER, f"openai/{SOL}"):
        for made in listed.standard("openai", SOL, row.unit):
            nanos = made.nanos_per_million
            if (
                made.min_context == row.min_context
                and since_ever(row, SOL_UNTIL)
                and row.nanos_per_million != nanos
            ):
                then = (made.valid_from, min(made.valid_to or SOL_UNTIL, SOL_UNTIL))
                yield from within(row, then, SOL_SOURCE, nanos_per_million=nanos)


def router_names(models: Sequence[ModelRow]) -> Iterator[ModelRow]:
    """Yield the names of models that OpenRouter lists under another name only."""
    listed = [row for row in models if row.provider == ROUTER]
    for name, model in NAMED.items():
        known = any(f'"{name}"' in row.match for row in listed)
        if not known and any(row.model == model for row in listed):
            clause = canonical_clause({"equals": name})
            yield ModelRow(ROUTER, model, clause, layer=LAYER, source=NAMED_SOURCE)
