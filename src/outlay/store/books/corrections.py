"""What the catalogue is known to lack or to have wrong, as rows with the source of each fact.

Each correction is worked out from the catalogue's own rows, so that it follows their changes, and
falls away by itself where the catalogue has come to say the same. What is less than certain says
so in its source. What OpenRouter sells is in `corrections_router`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from outlay.core import units
from outlay.core.prices import RateRow
from outlay.store.books.correction_rows import LAYER, Listed, like, micros, within
from outlay.store.books.corrections_router import HALVED_FLASH, router_corrections

A_THOUSAND: Final = 1_000_000_000_000
"""Nano-dollars for a million at a dollar a thousand."""

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

_TOOLS_SOURCE: Final = "docs.x.ai/developers/pricing; exact in every bill of 2026 seen"
ATTACHMENT_SOURCE: Final = (
    "billed at $5 a thousand on 2026-01-14 and 2026-08-15; docs.x.ai/developers/pricing says $10 "
    "(uncertain)"
)
XAI_TOOLS: Final[Mapping[str, tuple[int, str]]] = {
    units.WEB_SEARCH: (5 * A_THOUSAND, _TOOLS_SOURCE),
    units.SOCIAL_SEARCH: (5 * A_THOUSAND, _TOOLS_SOURCE),
    units.CODE_EXECUTION: (5 * A_THOUSAND, _TOOLS_SOURCE),
    units.FILE_SEARCH: (5 * A_THOUSAND // 2, _TOOLS_SOURCE),
    units.ATTACHMENT_SEARCH: (5 * A_THOUSAND, ATTACHMENT_SOURCE),
}
"""What xAI charges for the tools it runs, the same with every model."""

RETIRED: Final = (
    "grok-4-fast-reasoning", "grok-4-fast-non-reasoning", "grok-4-1-fast-reasoning",
    "grok-4-1-fast-non-reasoning", "grok-4-0709", "grok-code-fast-1", "grok-3",
)  # fmt: skip
RETIRED_FROM: Final = micros("2026-05-15T19:00:00+00:00")
"""Noon in California, from when these names are answered and billed as grok-4.3."""
BILLED_RETIRED: Final = ("grok-4-fast-reasoning", "grok-4-fast-non-reasoning")
RETIRED_SOURCE: Final = (
    "docs.x.ai/developers/migration/may-15-retirement: redirected and billed as grok-4.3"
)

AZURE_SOURCE: Final = (
    "Azure serves grok-4-1-fast on under its own name (theopenco/llmgateway#2172); the others, and "
    "that its price stays, are uncertain"
)

GROK_4_5_UNTIL: Final = micros("2026-07-30T00:00:00+00:00")
GROK_4_5_SOURCE: Final = (
    "billed on 2026-07-08 to the last digit; the day of the change by anomalyco/models.dev#3865 "
    "(uncertain)"
)
GROK_4_5_LONG_SOURCE: Final = "twice the price of the lower band, by LiteLLM#36413 (uncertain)"

FLASH_UNTIL: Final = micros("2026-08-13T00:00:00+00:00")
FLASH_SOURCE: Final = (
    "Google's page listed it on 2026-08-08 (openonion/connectonion#745), half of it on 2026-08-13 "
    "(theopenco/llmgateway#3593); genai-prices#564 takes the half for the price from the start "
    "(uncertain)"
)

_BY_SIZE: Final[Mapping[str, tuple[int, int, int]]] = {
    "sonar": (5, 8, 12), "sonar-pro": (6, 10, 14), "sonar-reasoning": (5, 8, 12),
    "sonar-reasoning-pro": (6, 10, 14), "sonar-deep-research": (0, 0, 0),
}  # fmt: skip
"""Perplexity's fee for a thousand requests by the size of the search context: low, medium, high."""
_SONAR_PAGES: Final = "Perplexity's pages of sonar and sonar-pro in 2025"
SONAR_SOURCES: Final[Mapping[str, str]] = {
    "sonar": f"{_SONAR_PAGES}; the low one in three bills of 2025",
    "sonar-pro": f"{_SONAR_PAGES}; no bill of it seen",
    "sonar-deep-research": "Perplexity charges its searches, and nothing for a request",
}
THIRD_PARTIES: Final = "fees as of the model without reasoning, by third parties (uncertain)"

IMAGE_MODELS: Final = (
    "gpt-image-1", "gpt-image-1-mini", "gpt-image-2", "gpt-image-2.5-flare",
    "gpt-image-2.5-sunburst",
)  # fmt: skip
IMAGE_SOURCE: Final = (
    "developers.openai.com/api/docs/models: all output of the model is image tokens, at the price "
    "that the catalogue states as output"
)
SPEECH_MODELS: Final = (
    ("openai", "gpt-4o-mini-tts", "developers.openai.com/api/docs/models/gpt-4o-mini-tts"),
    *(
        ("google", model, "ai.google.dev/gemini-api/docs/pricing")
        for model in (
            "gemini-2.5-flash-lite-preview-tts", "gemini-2.5-flash-tts", "gemini-2.5-pro-tts",
            "gemini-3.1-flash-tts-preview", "gemini-3.8-flash-lite-tts", "gemini-3.8-flash-tts",
        )
    ),
)  # fmt: skip
SPEECH_SOURCE: Final = (
    "all output of the model is audio tokens, at the price that the catalogue states as output"
)


def corrections(rates: Sequence[RateRow]) -> Iterator[RateRow]:
    """Yield the corrections of a catalogue's rates."""
    listed = Listed(rates)
    yield from _claude(rates, listed)
    yield from _xai(listed)
    yield from _dated(listed)
    yield from _sonar(listed)
    yield from _media(listed)
    yield from router_corrections(listed)


def _claude(rates: Sequence[RateRow], listed: Listed) -> Iterator[RateRow]:
    google = frozenset(listed.models("google"))
    for row in rates:
        if row.provider == "anthropic":
            yield from _anthropic(row)
            if row.model in REGIONAL_MODELS and row.model not in google:
                # Sold on Vertex at the maker's price; no row of Google's own would say so.
                yield from _dearer(row, REGIONAL_SOURCE, "regional", host_class="vertex")
        elif row.provider == "google" and row.model in REGIONAL_MODELS:
            yield from _dearer(row, REGIONAL_SOURCE, "regional")


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
        yield like(row, source, nanos_per_million=nanos, **where)


def _xai(listed: Listed) -> Iterator[RateRow]:
    """Yield the tools of every model, and what retired names are billed as."""
    for model in listed.models("xai"):
        for unit, (nanos, source) in XAI_TOOLS.items():
            yield from listed.missing("xai", model, unit, nanos, source)
    for model in RETIRED:
        own = listed.standard("xai", model)
        if not own or any(row.valid_from is not None for row in own):
            continue  # the catalogue does not have it, or knows of a change itself
        seen = "; billed so since" if model in BILLED_RETIRED else "; no bill of it seen"
        for row in listed.rows("xai", "grok-4.3"):
            yield from within(row, (RETIRED_FROM, None), RETIRED_SOURCE + seen, model=model)
        for row in own:
            yield like(row, AZURE_SOURCE, host_class="azure", valid_from=RETIRED_FROM)


def _dated(listed: Listed) -> Iterator[RateRow]:
    """Yield what prices were before they changed."""
    short, long = (units.CACHE_READ, 300_000_000), (units.CACHE_READ, 600_000_000)
    for changes, source in (
        ({short: 500_000_000}, GROK_4_5_SOURCE), ({long: 1_000_000_000}, GROK_4_5_LONG_SOURCE),
    ):  # fmt: skip
        yield from listed.before("xai", "grok-4.5", changes, GROK_4_5_UNTIL, source)
    flash = ("google", "gemini-3.6-flash")
    yield from listed.before(*flash, HALVED_FLASH, FLASH_UNTIL, FLASH_SOURCE)


def _sonar(listed: Listed) -> Iterator[RateRow]:
    """Yield what a request costs by how much it searches."""
    for model, fees in _BY_SIZE.items():
        if not listed.rows("perplexity", model):
            continue
        source = SONAR_SOURCES.get(model, THIRD_PARTIES)
        for size, fee in zip(units.REQUEST_SIZES, fees, strict=True):
            unit = f"{units.REQUESTS}_{size}"
            yield from listed.missing("perplexity", model, unit, fee * A_THOUSAND, source)


def _media(listed: Listed) -> Iterator[RateRow]:
    for model in IMAGE_MODELS:
        unit = f"{units.OUTPUT}_image"
        yield from listed.stated_as("openai", model, unit, units.OUTPUT, IMAGE_SOURCE)
    for provider, model, page in SPEECH_MODELS:
        unit, source = f"{units.OUTPUT}_audio", f"{page}: {SPEECH_SOURCE}"
        yield from listed.stated_as(provider, model, unit, units.OUTPUT, source)
