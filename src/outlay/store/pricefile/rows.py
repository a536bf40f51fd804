"""Turns the items of a price file into rows, and notes everything that is wrong with them.

Owns what a field means: exact prices, normalised conditions, aliases as match clauses, sell
amounts. It compares nothing with the book: `check` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from outlay.core.match import canonical_clause, canonical_provider
from outlay.core.money import NANOS_PER_USD, RATE_SCALE
from outlay.core.prices import CONTRACT, ModelRow, RateRow, price_speed, price_tier
from outlay.core.sell import CALLS, COST, SellRow
from outlay.errors import BadRequestError
from outlay.store.books.change import rate_key, sell_key
from outlay.store.books.checks import check_tenant_id, check_text
from outlay.store.books.price_checks import HAND_LAYERS, check_model, check_rate, check_sell
from outlay.store.pricefile import values
from outlay.store.pricefile.items import (
    ALIAS,
    RATE,
    UNIT,
    Item,
    Problems,
    shown,
)
from outlay.store.pricefile.known_units import UNITS, is_known
from outlay.store.pricefile.spans import note_overlaps
from outlay.store.pricefile.yaml_items import CURRENCY

OVERRIDE: Final = "override"
MICRO: Final = 1_000_000
"""Credits are kept in millionths."""
SELL_UNITS: Final = (COST, CALLS)

R = TypeVar("R", RateRow, SellRow, ModelRow)


@dataclass(frozen=True, slots=True)
class Placed:
    """A row and the item that it comes from."""

    row: Any
    item: Item


@dataclass(frozen=True, slots=True)
class PriceFile:
    """What a file asks for: rows with their places."""

    rates: tuple[Placed, ...] = ()
    aliases: tuple[Placed, ...] = ()
    sells: tuple[Placed, ...] = ()


class _Reader:
    """One item on its way to a row; what is wrong goes to the problems."""

    def __init__(self, item: Item, problems: Problems) -> None:
        self.item = item
        self.problems = problems
        self._before = len(problems.found)

    @property
    def good(self) -> bool:
        """Whether nothing has been wrong so far."""
        return len(self.problems.found) == self._before

    def wrong(self, name: str, message: str) -> None:
        """Note a problem at the line of a field, or of the item."""
        cell = self.item.cells.get(name)
        line = self.item.line if cell is None else cell.line
        self.problems.add(line, name, message, self.item.place)

    def text(self, name: str, *, required: bool = False) -> str:
        """Return a text that the books can keep."""
        cell = self.item.cells.get(name)
        value = "" if cell is None else cell.text.strip()
        try:
            return check_text(value, name, required=required)
        except BadRequestError as error:
            self.wrong(name, f"`{name}` is missing." if cell is None else error.message)
            return ""

    def value(self, name: str, read: Callable[[str], Any], default: Any) -> Any:
        """Return what a cell means, or the default where there is none."""
        cell = self.item.cells.get(name)
        if cell is None or cell.text.strip() == "":
            return default
        try:
            return read(cell.text.strip())
        except ValueError as error:
            self.wrong(name, str(error))
            return default

    def has(self, name: str) -> bool:
        """Tell whether a field is given."""
        return name in self.item.cells


def read_rows(items: Sequence[Item], problems: Problems, *, known: Iterable[str] = ()) -> PriceFile:
    """Return the rows of a file, and note what is wrong with them.

    Args:
        items: what the file holds.
        problems: where problems go.
        known: units that the book prices already, besides outlay's own.
    """
    named = set(known)
    named.update(i.cells["unit"].text for i in items if i.kind == UNIT and "unit" in i.cells)
    rates, aliases, sells = [], [], []
    for item in items:
        reader = _Reader(item, problems)
        if item.kind == RATE:
            rates.append(_placed(reader, _rate(reader, named), check_rate))
        elif item.kind == ALIAS:
            aliases.append(_placed(reader, _alias(reader), check_model))
        elif item.kind == UNIT:
            reader.text("unit", required=True)
        else:
            sells.append(_placed(reader, _sell(reader, named), check_sell))
    file = PriceFile(*(tuple(p for p in some if p) for some in (rates, aliases, sells)))
    note_overlaps(file.rates, rate_key, "rate", problems)
    note_overlaps(file.sells, sell_key, "sell row", problems)
    _note_twice(file.aliases, problems)
    return file


def _placed(reader: _Reader, row: R | None, check: Callable[[R, str], None]) -> Placed | None:
    """Put a row in its place when it is whole and the books would take it."""
    if row is None or not reader.good:
        return None
    try:
        check(row, "row")
    except BadRequestError as error:
        name = (error.where or "").rpartition(".")[2]
        reader.wrong(name, error.message)
        return None
    return Placed(row, reader.item)


def _rate(reader: _Reader, named: Collection[str]) -> RateRow | None:
    provider = canonical_provider(reader.text("provider", required=True))
    model, unit = reader.text("model", required=True), _unit(reader, named)
    nanos = _rate_amount(reader)
    tier, batch = _tier(reader)
    layer = reader.text("layer") or OVERRIDE
    if layer not in HAND_LAYERS:
        reader.wrong(
            "layer", f"`layer` is one of {', '.join(HAND_LAYERS)}, not {shown(layer)}."
            f"{reader.problems.near(layer, HAND_LAYERS)}",
        )  # fmt: skip
    rest = {
        "host_class": reader.text("host_class"),
        "region_class": reader.text("region_class"),
        "tier": tier,
        "batch": batch,
        "speed": price_speed(reader.text("speed")),
        "min_context": reader.value("min_context", values.count, 0),
        "window": reader.text("window"),
        "tenant": _tenant(reader),
        "min_quantity": reader.value("min_quantity", values.count, 0),
        "layer": layer,
        **_validity(reader),
    }
    if rest["tenant"] and layer != CONTRACT:
        reader.wrong("tenant", "Only a rate of the layer `contract` may be for one tenant.")
    if nanos is None or not reader.good:
        return None
    return RateRow.make(provider, model, unit, nanos, **rest)


def _unit(reader: _Reader, named: Collection[str], extra: tuple[str, ...] = ()) -> str:
    unit = reader.text("unit", required=True)
    if unit and unit not in extra and not is_known(unit, named):
        near = reader.problems.near(unit, sorted({*UNITS, *named, *extra}))
        reader.wrong(
            "unit",
            f"{shown(unit)} is no unit that is known.{near}"
            " A unit of your own is listed under `units`.",
        )
    return unit


def _rate_amount(reader: _Reader) -> int | None:
    """Return nano-dollars per million units."""
    _currency(reader)
    given = [name for name in ("price", "nanos_per_million") if reader.has(name)]
    if len(given) != 1:
        reader.wrong("price", "A rate has one of `price` and `nanos_per_million`.")
        return None
    if given == ["nanos_per_million"]:
        if reader.has("per"):
            reader.wrong("per", "`per` goes with `price`; `nanos_per_million` says it already.")
        found: int | None = reader.value("nanos_per_million", _whole_nanos, None)
        return found
    return _scaled(reader, "price", NANOS_PER_USD, "nano-dollars per million units")


def _whole_nanos(text: str) -> int:
    return values.whole(values.number(text), "nano-dollars per million units")


def _scaled(reader: _Reader, name: str, scale: int, what: str) -> int | None:
    """Return an amount for `per` units as a whole amount for a million of them."""
    per = reader.value("per", values.per, RATE_SCALE)
    found: int | None = reader.value(
        name, lambda text: values.whole(values.number(text) * scale * RATE_SCALE / per, what), None
    )
    if found is None and reader.good:
        reader.wrong(name, f"`{name}` is missing.")
    return found


def _currency(reader: _Reader) -> None:
    currency = reader.text("currency") or CURRENCY
    if currency != CURRENCY:
        reader.wrong("currency", f"Prices are in {CURRENCY}, not {shown(currency)}.")


def _tier(reader: _Reader) -> tuple[str, bool]:
    batch = reader.value("batch", values.boolean, default=False)
    tier, is_batch = price_tier(reader.text("tier"), None)
    if is_batch:
        reader.wrong("tier", "Batch is no tier: write `batch: true`.")
    return tier, batch


def _tenant(reader: _Reader) -> str:
    tenant = reader.text("tenant")
    if tenant:
        try:
            check_tenant_id(tenant)
        except BadRequestError as error:
            reader.wrong("tenant", error.message)
    return tenant


def _validity(reader: _Reader) -> dict[str, Any]:
    start = reader.value("valid_from", values.moment, None)
    end = reader.value("valid_to", values.moment, None)
    if start is not None and end is not None and start >= end:
        reader.wrong("valid_to", "`valid_to` must be after `valid_from`.")
    return {"valid_from": start, "valid_to": end, "source": reader.text("source")}


def _alias(reader: _Reader) -> ModelRow | None:
    provider = canonical_provider(reader.text("provider", required=True))
    model = reader.text("model", required=True)
    if reader.has("name") == reader.has("match"):
        reader.wrong("name", "An alias has one of `name` and `match`.")
        return None
    if reader.has("name"):
        clause: Any = {"equals": reader.text("name", required=True).lower()}
    else:
        clause = reader.value("match", _json, {})
    if not reader.good:
        return None
    try:
        match = canonical_clause(clause)
    except ValueError as error:
        reader.wrong("match", f"{error}.")
        return None
    return ModelRow(
        provider, model, match, layer=OVERRIDE, source=reader.text("source"),
        region_class=reader.text("region_class"),
    )  # fmt: skip


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("`match` is a clause in JSON.") from error


def _sell(reader: _Reader, named: Collection[str]) -> SellRow | None:
    unit = _unit(reader, named, SELL_UNITS)
    _currency(reader)
    given = [name for name in ("markup", "price", "credits") if reader.has(name)]
    allowed = ("markup", "credits") if unit == COST else ("price", "credits")
    if len(given) != 1 or given[0] not in allowed:
        reader.wrong(
            given[0] if given else "price",
            f"A sell row of the unit `{unit}` has one of {' and '.join(allowed)}.",
        )
        return None
    amount, name = None, given[0]
    if unit == COST and reader.has("per"):
        reader.wrong("per", "A markup, or credits for our cost, are for each dollar: no `per`.")
    elif name == "markup":
        amount = reader.value("markup", _markup, None)
    elif unit == COST:
        amount = reader.value("credits", _credits_per_dollar, None)
    elif name == "price":
        amount = _scaled(reader, "price", NANOS_PER_USD, "nano-dollars per million units")
    else:
        amount = _scaled(reader, "credits", MICRO, "micro-credits per million units")
    rest = {
        "tenant": _tenant(reader),
        "plan": reader.text("plan"),
        "feature": reader.text("feature"),
        "provider": canonical_provider(reader.text("provider")),
        "model": reader.text("model"),
        **_validity(reader),
    }
    if amount is None or not reader.good:
        return None
    return SellRow.make(unit, "credits" if name == "credits" else "nanos", amount, **rest)


def _markup(text: str) -> int:
    return values.whole(values.number(text) * RATE_SCALE, "millionths of our cost")


def _credits_per_dollar(text: str) -> int:
    per_million = values.number(text) * MICRO * RATE_SCALE / NANOS_PER_USD
    return values.whole(per_million, "thousandths of a credit for each dollar")


def _note_twice(aliases: Sequence[Placed], problems: Problems) -> None:
    seen: dict[tuple[str, str], Item] = {}
    for alias in aliases:
        first = seen.setdefault((alias.row.provider, alias.row.match), alias.item)
        if first is not alias.item:
            at = first.place or f"line {first.line}"
            problems.add(
                alias.item.line, "name", f"The same name is an alias already at {at}.",
                alias.item.place,
            )  # fmt: skip
