"""Prices as dated rows, and the choice of the rates that one call is priced by.

Owns `RateRow`, `ModelRow` and the order in which rows win. A rate is integer nano-dollars per
million units. Pure: the time of the call is passed in. It finds no models: `core.names` does.

Which row of a unit wins: of those whose conditions, time and context band hold for the call, the
one of the strongest layer; then a tenant's own before the general one; then, one after the other,
the row that names batch, a tier, a speed, a region class, a host class, days of the week, hours
of the day; then the highest context band, the youngest, and last the higher id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final

from outlay.core.windows import Spans, names_days, parse_window, week_time

RATE_ID_CHARACTERS: Final = 16
"""A rate id is this many hex digits of the content's SHA-256."""

CONTRACT: Final = "contract"
LAYERS: Final = ("catalogue", "correction", "override", CONTRACT)
"""Where a row comes from, weakest first; an unknown layer is as weak as the catalogue."""
OWN_LAYERS: Final = frozenset(("override", CONTRACT))
"""Layers that the operator writes."""

STANDARD_TIERS: Final = frozenset(("", "auto", "default", "standard", "on_demand", "unspecified"))
"""Words that providers use for having no special tier."""

_WRITE_AT_INPUT: Final = ("input", "cache_write_at_input_rate")
_AT_TEXT: Final = "modality_at_text_rate"
UNIT_FALLBACKS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "output_reasoning": (("output", ""),),
    "input_cache_read": (("input", "cache_read_at_input_rate"),),
    "input_cache_write": (("input_cache_write_5m", ""), _WRITE_AT_INPUT),
    "input_cache_write_5m": (("input_cache_write", ""), _WRITE_AT_INPUT),
    "input_cache_write_30m": (("input_cache_write", ""), _WRITE_AT_INPUT),
    "input_image": (("input", _AT_TEXT),),
    "input_video": (("input", _AT_TEXT),),
    "input_cache_read_image": (("input_cache_read", _AT_TEXT), ("input", _AT_TEXT)),
    "input_cache_read_video": (("input_cache_read", _AT_TEXT), ("input", _AT_TEXT)),
}
"""What a unit without a rate of its own costs as, in order, and the flag that says so."""


def same_units(unit: str) -> tuple[str, ...]:
    """Return the units that a unit is by definition, so that their price is its price."""
    return tuple(other for other, note in UNIT_FALLBACKS.get(unit, ()) if not note)


@dataclass(frozen=True, slots=True)
class RateRow:
    """What one unit of one model costs, under the conditions named; `""` means any.

    `provider` is who is paid, `model` the catalogue's model id (or a name of the operator's own),
    `unit` a name from `core.units`. `min_context` is the first whole-request input total that the
    rate holds for (the whole request is priced at the band it falls in). `window` is the hours of
    the day, and days of the week, as `core.windows` reads them. `valid_from` (included) and
    `valid_to` (excluded) are microseconds UTC and say when the price holds; `recorded_at` and
    `superseded_at` say when it was believed.
    """

    rate_id: str
    provider: str
    model: str
    unit: str
    nanos_per_million: int
    host_class: str = ""
    region_class: str = ""
    tier: str = ""
    batch: bool = False
    speed: str = ""
    min_context: int = 0
    window: str = ""
    valid_from: int | None = None
    valid_to: int | None = None
    layer: str = "catalogue"
    source: str = ""
    recorded_at: int | None = None
    superseded_at: int | None = None
    tenant: str = ""
    """A contract for one tenant's usage only."""
    min_quantity: int = 0
    """The least number of units that is charged for where any was used."""

    @classmethod
    def make(
        cls, provider: str, model: str, unit: str, nanos_per_million: int, **values: Any
    ) -> RateRow:
        """Make a row whose `rate_id` is the hash of its content."""
        row = cls("", provider, model, unit, nanos_per_million, **values)
        return replace(row, rate_id=row.content_id())

    def content(self) -> tuple[Any, ...]:
        """Return everything but the id and the times of belief.

        Fields that came later are left out while they say nothing, so that ids stay as they were.
        """
        content: tuple[Any, ...] = (
            self.provider, self.model, self.unit, self.nanos_per_million, self.host_class,
            self.region_class, self.tier, self.batch, self.speed, self.min_context, self.window,
            self.valid_from, self.valid_to, self.layer, self.source,
        )  # fmt: skip
        if self.tenant or self.min_quantity:
            content += (self.tenant, self.min_quantity)
        return content

    @classmethod
    def from_content(cls, rate_id: str, content: Sequence[Any]) -> RateRow:
        """Make the row that has this content; the id is taken as it is said.

        Raises:
            TypeError: these are not the values of a content.
        """
        if len(content) not in (_RATE_VALUES, _RATE_VALUES + 2):
            raise TypeError("a rate row has not so many values")
        row, later = cls(rate_id, *content[:_RATE_VALUES]), content[_RATE_VALUES:]
        return replace(row, tenant=later[0], min_quantity=later[1]) if later else row

    def content_id(self) -> str:
        """Return the id that the content hashes to."""
        text = json.dumps(self.content(), ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:RATE_ID_CHARACTERS]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model of a provider and the clause that recognises its names.

    `match` is the canonical JSON text of a match clause (see `core.match`). `family` groups
    models that are versions of each other. A row of the operator's own (layer `override` or
    `contract`) is an alias: it says which model a deployment, a profile, a fine-tuned model or a
    redirected name is, whatever the catalogue makes of that name.
    """

    provider: str
    model: str
    match: str
    family: str = ""
    layer: str = "catalogue"
    source: str = ""
    recorded_at: int | None = None
    superseded_at: int | None = None
    region_class: str = ""
    """What the name says about the region, such as a deployment's type; empty: nothing."""

    def content(self) -> tuple[str, ...]:
        """Return everything but the times of belief; a `region_class` that is empty is left out."""
        content = (self.provider, self.model, self.match, self.family, self.layer, self.source)
        return (*content, self.region_class) if self.region_class else content

    @classmethod
    def from_content(cls, content: Sequence[Any]) -> ModelRow:
        """Make the row that has this content.

        Raises:
            TypeError: these are not the values of a content.
        """
        if len(content) not in (_MODEL_VALUES, _MODEL_VALUES + 1):
            raise TypeError("a model row has not so many values")
        row = cls(*content[:_MODEL_VALUES])
        return row if len(content) == _MODEL_VALUES else replace(row, region_class=content[-1])


_RATE_VALUES: Final = 15
_MODEL_VALUES: Final = 6
"""Values of a row's content that are always there."""


@dataclass(frozen=True, slots=True)
class Found:
    """The rate of a unit, and what was assumed to use it (a flag's name, or empty)."""

    row: RateRow
    note: str = ""


@dataclass(frozen=True, slots=True)
class RateSet:
    """The rates of one call: one row a unit, already chosen for its conditions and its time.

    `notes` are assumptions on all of them: `no_batch_rate`, `no_tier_rate` and `no_speed_rate` say
    that the call was of that kind and no row of the model tells its price, so the standard one is
    used.
    """

    rows: Mapping[str, RateRow]
    notes: tuple[str, ...] = ()

    def find(self, unit: str) -> Found | None:
        """Return the rate of a unit, its own or that of the unit it is defined to cost as.

        Reasoning costs as output. A cache write costs as the model's generic one, unless its time
        to live is an hour or more: those are dearer and need a rate of their own. As in
        genai-prices, a cached token of a model without a cache rate is an input token; and image
        and video input is input. Audio, and output other than text, needs its own rate.
        """
        row = self.rows.get(unit)
        if row is not None:
            return Found(row)
        for other, note in UNIT_FALLBACKS.get(unit, ()):
            row = self.rows.get(other)
            if row is not None:
                return Found(row, note)
        return None


NO_RATES: Final = RateSet(MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Steps:
    """The values at which a model's rates may change, each ascending."""

    times: tuple[int, ...]
    """Microseconds UTC."""
    week_times: tuple[int, ...]
    """Microseconds after Monday 00:00 UTC."""
    contexts: tuple[int, ...]
    """Input totals."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a call was like, as far as prices know: the same words as in the event."""

    host_class: str = ""
    region_class: str = ""
    tier: str = ""
    batch: bool = False
    speed: str = ""
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A row, how specific it is, and where in the week it holds; `None` is everywhere."""

    row: RateRow
    rank: tuple[Any, ...]
    window: Spans | None


class ModelRates:
    """One model's rows, from the least to the most specific."""

    __slots__ = ("_entries", "steps", "tenants")

    def __init__(self, rows: Sequence[RateRow]) -> None:
        entries = [
            _Entry(row, _rank(row), parse_window(row.window) if row.window else None)
            for row in rows
        ]
        entries.sort(key=lambda entry: entry.rank)
        times = {t for row in rows for t in (row.valid_from, row.valid_to) if t is not None}
        week = {t for entry in entries for span in entry.window or () for t in span}
        contexts = {row.min_context for row in rows if row.min_context > 0}
        self._entries = tuple(entries)
        self.steps = Steps(*(tuple(sorted(values)) for values in (times, week, contexts)))
        self.tenants = frozenset(row.tenant for row in rows if row.tenant)

    def choose(
        self, conditions: Conditions, *, at: int, input_total: int, list_price: bool
    ) -> RateSet:
        """Choose one row a unit: see `PriceBook.rate_set`."""
        entries = [
            entry
            for entry in self._entries
            if entry.row.tenant in ("", conditions.tenant)
            and _holds(entry, at)
            and not (list_price and entry.row.layer == CONTRACT)
        ]
        rows = {
            entry.row.unit: entry.row
            for entry in entries
            if entry.row.min_context <= input_total and _matches(entry.row, conditions)
        }
        return RateSet(MappingProxyType(rows), _assumptions(entries, conditions))


def price_tier(served: str | None, requested: str | None) -> tuple[str, bool]:
    """Return the tier that rates are kept under, and whether it is the batch tier.

    What the response says counts; the request only where the response says nothing.
    """
    tier = (served or requested or "").strip().lower()
    return ("", True) if tier == "batch" else ("" if tier in STANDARD_TIERS else tier, False)


def price_speed(speed: str | None) -> str:
    """Return the speed that rates are kept under: empty for the standard one."""
    lower = (speed or "").strip().lower()
    return "" if lower in STANDARD_TIERS else lower


def layer_rank(layer: str) -> int:
    """Return how strong a layer is; a stronger layer's row wins."""
    return LAYERS.index(layer) if layer in LAYERS else 0


def _rank(row: RateRow) -> tuple[Any, ...]:
    """Order rows from general to specific, as the module's docstring says."""
    return (
        layer_rank(row.layer), row.tenant != "", row.batch, row.tier != "", row.speed != "",
        row.region_class != "", row.host_class != "", names_days(row.window), row.window != "",
        row.min_context, -1 if row.valid_from is None else row.valid_from, row.rate_id,
    )  # fmt: skip


def holds_at(row: RateRow, at: int) -> bool:
    """Tell whether a price is valid at a time, at some hour of the week."""
    begun = row.valid_from is None or row.valid_from <= at
    return begun and (row.valid_to is None or at < row.valid_to)


def _holds(entry: _Entry, at: int) -> bool:
    if not holds_at(entry.row, at):
        return False
    if entry.window is None:
        return True
    time = week_time(at)
    return any(start <= time < end for start, end in entry.window)


def _matches(row: RateRow, said: Conditions) -> bool:
    return (
        row.host_class in ("", said.host_class)
        and row.region_class in ("", said.region_class)
        and row.tier in ("", said.tier)
        and row.speed in ("", said.speed)
        and (said.batch or not row.batch)
    )


def _assumptions(entries: Sequence[_Entry], said: Conditions) -> tuple[str, ...]:
    if not entries:
        return ()
    notes = []
    if said.batch and not any(entry.row.batch for entry in entries):
        notes.append("no_batch_rate")
    if said.tier and not any(entry.row.tier == said.tier for entry in entries):
        notes.append("no_tier_rate")
    if said.speed and not any(entry.row.speed == said.speed for entry in entries):
        notes.append("no_speed_rate")
    return tuple(notes)
