"""Compares our rates with a second catalogue: LiteLLM's `model_prices_and_context_window.json`.

Owns the reading of that file (its keys name a unit, a context band and a kind of processing) and
the comparison unit by unit. Floats are read as the decimals they are written as. Pure; only models
that both know are compared, and what one side lacks is listed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from outlay.core import units
from outlay.core.match import canonical_provider
from outlay.core.money import NANOS_PER_USD, RATE_SCALE
from outlay.core.prices import PriceBook, RateRow, Resolution
from outlay.errors import BadRequestError, TooLargeError
from outlay.store.base import Finding

MAX_FILE_BYTES: Final = 16 * 1024 * 1024
MAX_ENTRIES: Final = 50_000
MAX_DOLLARS: Final = 1000
"""Dollars for one of a unit; more is no price."""
KIND: Final = "catalogue_drift"

PROVIDERS: Final[Mapping[str, str]] = {
    "bedrock": "aws",
    "bedrock_converse": "aws",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "voyage": "voyageai",
}
"""LiteLLM's providers under other names than ours; `vertex_ai-…` is Google."""

UNITS: Final[Mapping[str, str]] = {
    "input_cost_per_token": units.INPUT,
    "output_cost_per_token": units.OUTPUT,
    "output_cost_per_reasoning_token": units.REASONING,
    "cache_read_input_token_cost": units.CACHE_READ,
    "cache_creation_input_token_cost": units.CACHE_WRITE_5M,
    "cache_creation_input_token_cost_above_1hr": units.CACHE_WRITE_1H,
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "input_cache_read_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "input_cost_per_character": "characters",
    "ocr_cost_per_page": "pages",
}
"""Keys for one of a unit. Prices of a picture or a second differ in what they count."""

_KEY: Final = re.compile(
    r"(?P<base>[a-z_]+?(?:_above_1hr)?)"
    r"(?:_(?P<kind1>priority|flex|fast|batches))?"
    r"(?:_above_(?P<band>\d{1,4})k_tokens)?"
    r"(?:_(?P<kind2>priority|flex|fast|batches))?"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """One price that the two catalogues state differently; nano-dollars per million units."""

    provider: str
    model: str
    unit: str
    condition: str
    ours: int
    theirs: int
    key: str

    @property
    def percent(self) -> float:
        """How much more than ours theirs is, in percent of ours."""
        return (self.theirs - self.ours) / self.ours * 100 if self.ours else float("inf")

    def subject(self) -> str:
        """Return what a finding about it is called."""
        return " ".join(filter(None, (f"{self.provider}/{self.model}", self.unit, self.condition)))

    def as_dict(self) -> dict[str, Any]:
        """Return the difference as JSON carries it."""
        names = ("provider", "model", "unit", "condition", "ours", "theirs", "key")
        said = {name: getattr(self, name) for name in names}
        return {**said, "percent": round(self.percent, 2) if self.ours else None}


@dataclass(slots=True)
class Comparison:
    """What came of a comparison; names are `provider/model`, prices `provider/model unit`."""

    compared: int = 0
    differences: list[Difference] = field(default_factory=list)
    models_only_theirs: set[str] = field(default_factory=set)
    models_only_ours: set[str] = field(default_factory=set)
    prices_only_theirs: set[str] = field(default_factory=set)

    def findings(self, *, at: int) -> list[Finding]:
        """Return a finding for each difference."""
        return [Finding(KIND, d.subject(), d.as_dict(), at, at) for d in self.differences]


@dataclass(frozen=True, slots=True)
class _Price:
    """One price of theirs, and the conditions that its key names."""

    key: str
    unit: str
    nanos: int
    min_context: int
    kind: str

    def condition(self) -> str:
        """Return the conditions in words."""
        band = f"from {self.min_context} tokens" if self.min_context else ""
        return " ".join(filter(None, (self.kind, band)))


def read_litellm(content: bytes) -> dict[str, Mapping[str, Any]]:
    """Return the entries of LiteLLM's file by their keys.

    Raises:
        BadRequestError: it is not such a file.
        TooLargeError: it has more entries than `MAX_ENTRIES`.
    """
    try:
        found = json.loads(content, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise BadRequestError("The second catalogue is not JSON.", where="body") from error
    entries: dict[str, Mapping[str, Any]] = {
        str(key): entry
        for key, entry in (found.items() if isinstance(found, dict) else ())
        if key != "sample_spec" and isinstance(entry, dict) and "litellm_provider" in entry
    }
    if not entries:
        raise BadRequestError(
            "This is not LiteLLM's file of prices.",
            where="body",
            hint="Give its model_prices_and_context_window.json.",
        )
    if len(entries) > MAX_ENTRIES:
        raise TooLargeError(f"The second catalogue has more than {MAX_ENTRIES} entries.")
    return entries


def compare(
    book: PriceBook, entries: Mapping[str, Mapping[str, Any]], *, at: int, tolerance_percent: float
) -> Comparison:
    """Compare the list prices that hold at a time with a second catalogue's."""
    result = Comparison()
    worst: dict[str, Difference] = {}
    seen: set[tuple[str, str]] = set()
    providers: set[str] = set()
    for key, entry in sorted(entries.items()):
        provider = _provider(str(entry["litellm_provider"]))
        prices = list(_prices(entry))
        name = _name(key, str(entry["litellm_provider"]))
        if not prices or name is None:
            continue
        providers.add(provider)
        found = book.resolve(provider, [name])
        if found is None or found.estimated:
            result.models_only_theirs.add(f"{provider}/{name}")
            continue
        seen.add((found.provider.lower(), found.model.lower()))
        for price in prices:
            row = _ours(book, found, price, at)
            said = " ".join(
                filter(None, (f"{found.provider}/{found.model}", price.unit, price.condition()))
            )
            if row is None:
                result.prices_only_theirs.add(said)
                continue
            result.compared += 1
            apart = Difference(
                found.provider, found.model, price.unit, price.condition(),
                row.nanos_per_million, price.nanos, f"{key}: {price.key}",
            )  # fmt: skip
            if abs(apart.percent) > tolerance_percent:
                known = worst.get(said)
                if known is None or abs(apart.percent) > abs(known.percent):
                    worst[said] = apart
    result.differences = sorted(worst.values(), key=lambda d: (-abs(d.percent), d.subject()))
    result.models_only_ours = {
        f"{row.provider}/{row.model}"
        for row in book.rates
        if row.provider in providers and (row.provider.lower(), row.model.lower()) not in seen
    }
    return result


def _provider(name: str) -> str:
    if name.startswith("vertex_ai"):
        return "google"
    return PROVIDERS.get(name, canonical_provider(name))


def _name(key: str, provider: str) -> str | None:
    """Return the model that a key names; none where it names a region or a size as well."""
    lead = provider.partition("-")[0]
    known = {lead, provider, "gemini", "vertex_ai", "bedrock"}
    head, slash, rest = key.partition("/")
    name = rest if slash and head in known else key
    regional = provider in ("azure", "bedrock", "bedrock_converse", "openai", "azure_ai")
    return None if not name or (regional and "/" in name) else name


def _prices(entry: Mapping[str, Any]) -> Iterator[_Price]:
    """Yield the prices of an entry that we have words for; a zero says nothing."""
    for key, value in entry.items():
        parsed = _KEY.fullmatch(key)
        unit = UNITS.get(parsed["base"]) if parsed else None
        if parsed is None or unit is None or isinstance(value, bool):
            continue
        if not isinstance(value, Decimal | int):
            continue
        dollars = Decimal(value)
        if not dollars.is_finite() or not 0 < dollars < MAX_DOLLARS:
            continue
        nanos = round(dollars * NANOS_PER_USD * RATE_SCALE)
        if not nanos:
            continue
        band = int(parsed["band"] or 0) * 1000
        kind = parsed["kind1"] or parsed["kind2"] or ""
        yield _Price(key, unit, nanos, band + 1 if band else 0, kind)


def _ours(book: PriceBook, found: Resolution, price: _Price, at: int) -> RateRow | None:
    """Return our rate for exactly these conditions; none where only another one would do."""
    batch = price.kind == "batches"
    for said in _ways(price.kind):
        rates = book.rate_set(
            found.provider, found.model, at=at, input_total=price.min_context, list_price=True,
            batch=batch, **said,
        )  # fmt: skip
        chosen = rates.find(price.unit)
        if chosen is None or chosen.note:
            continue
        row = chosen.row
        banded = not price.min_context or row.min_context > 0
        told = all(getattr(row, name) == value for name, value in said.items())
        if banded and told and row.batch == batch:
            return row
    return None


def _ways(kind: str) -> tuple[dict[str, str], ...]:
    """Return how we may say a kind of processing: fast is a tier of some and a speed of others."""
    if kind == "fast":
        return {"tier": kind}, {"speed": kind}
    return ({"tier": kind},) if kind in ("flex", "priority") else ({},)
