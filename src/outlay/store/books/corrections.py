"""What the catalogue is known to lack or to have wrong, as rows with the source of each fact.

Each correction is worked out from the catalogue's own rows, so that it follows their changes, and
falls away by itself where the catalogue has come to say the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from outlay.core import units
from outlay.core.prices import RateRow
from outlay.store.books.change import Span, overlap, span

LAYER: Final = "correction"

US_ONLY_MODELS: Final = (
    "claude-fable-5", "claude-fable-5-1", "claude-fable-5-2", "claude-haiku-5-5",
    "claude-mythos-5-2", "claude-opus-4-6", "claude-opus-4-7", "claude-opus-4-8", "claude-opus-5",
    "claude-opus-5-5", "claude-sonnet-4-6", "claude-sonnet-5", "claude-sonnet-5-5",
)  # fmt: skip
"""Anthropic's models from Opus 4.6 and Sonnet 4.6 on: `inference_geo: us` costs 1.1 times."""
US_ONLY_SOURCE: Final = "platform.claude.com/docs/en/build-with-claude/data-residency"

REGIONAL_MODELS: Final = (
    "claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4-5", *US_ONLY_MODELS,
)  # fmt: skip
"""Claude models from Sonnet 4.5 on: on Vertex, any endpoint but the global one costs 1.1 times."""
REGIONAL_SOURCE: Final = "platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai"
ELEVEN_TENTHS: Final = (11, 10)

WEB_FETCH_SOURCE: Final = "platform.claude.com/docs/en/agents-and-tools/tool-use/web-fetch-tool"

SOL: Final = "gpt-5.6-sol"
SOL_SOURCE: Final = (
    "OpenRouter passes OpenAI's price on, as billed in August 2026; the catalogue's row is flex"
)
"""Seen: 8 + 4012 written + 5 out were billed $0.025265, which is 5 / 6.25 / 30 a million."""


def corrections(rates: Sequence[RateRow]) -> Iterator[RateRow]:
    """Yield the corrections of a catalogue's rates."""
    listed = frozenset(row.model for row in rates if row.provider == "google")
    for row in rates:
        if row.provider == "anthropic":
            yield from _anthropic(row)
            if row.model in REGIONAL_MODELS and row.model not in listed:
                # Sold on Vertex at the maker's price; no row of Google's own would say so.
                yield from _dearer(row, REGIONAL_SOURCE, "regional", host_class="vertex")
        elif row.provider == "google" and row.model in REGIONAL_MODELS:
            yield from _dearer(row, REGIONAL_SOURCE, "regional")
    yield from _openrouter(rates)


def _anthropic(row: RateRow) -> Iterator[RateRow]:
    """Yield free fetches, and inference that stays in the US."""
    if row.unit == units.WEB_SEARCH:
        yield RateRow.make(
            row.provider, row.model, units.WEB_FETCH, 0, layer=LAYER, source=WEB_FETCH_SOURCE
        )
    elif row.model in US_ONLY_MODELS:
        yield from _dearer(row, US_ONLY_SOURCE, "us")


def _dearer(
    row: RateRow, source: str, region_class: str, *, host_class: str = ""
) -> Iterator[RateRow]:
    """Yield a token rate of a region, a tenth dearer, where that is a whole number of nanos."""
    up, down = ELEVEN_TENTHS
    nanos, rest = divmod(row.nanos_per_million * up, down)
    if rest == 0 and (units.is_input(row.unit) or units.is_output(row.unit)):
        where = {"region_class": region_class, "host_class": host_class or row.host_class}
        yield _like(row, row.provider, row.model, nanos, source, span(row), **where)


def _openrouter(rates: Sequence[RateRow]) -> Iterator[RateRow]:
    """Yield OpenAI's price where OpenRouter's row is its half, the price of the flex tier."""
    makers = [r for r in rates if (r.provider, r.model) == ("openai", SOL) and _standard(r)]
    for row in rates:
        if (row.provider, row.model) != ("openrouter", f"openai/{SOL}") or not _standard(row):
            continue
        for made in makers:
            same = (row.unit, row.min_context) == (made.unit, made.min_context)
            half = 2 * row.nanos_per_million == made.nanos_per_million
            if same and overlap(span(row), span(made)) and (half or _flex(row, rates)):
                shared = _shared(span(row), span(made))
                nanos = made.nanos_per_million
                yield _like(row, row.provider, row.model, nanos, SOL_SOURCE, shared)


def _standard(row: RateRow) -> bool:
    return not (row.tier or row.batch or row.speed or row.window or row.region_class)


def _flex(row: RateRow, rates: Sequence[RateRow]) -> bool:
    """Tell whether a row says what OpenAI's flex tier costs."""
    return any(
        (r.provider, r.model, r.tier, r.unit, r.min_context)
        == ("openai", SOL, "flex", row.unit, row.min_context)
        and r.nanos_per_million == row.nanos_per_million
        for r in rates
    )


def _shared(one: Span, other: Span) -> Span:
    starts = [start for start in (one[0], other[0]) if start is not None]
    ends = [end for end in (one[1], other[1]) if end is not None]
    return max(starts, default=None), min(ends, default=None)


def _like(
    row: RateRow, provider: str, model: str, nanos: int, source: str, valid: Span, **where: Any
) -> RateRow:
    conditions: dict[str, Any] = {
        "host_class": row.host_class, "region_class": row.region_class, "tier": row.tier,
        "batch": row.batch, "speed": row.speed, "min_context": row.min_context,
        "window": row.window, "valid_from": valid[0], "valid_to": valid[1],
    }  # fmt: skip
    return RateRow.make(
        provider, model, row.unit, nanos, layer=LAYER, source=source, **{**conditions, **where}
    )
