"""Writes rows as a price file that reads back as the same rows, in YAML or CSV.

Prices are exact decimal text: token prices for a million, fees for a thousand, calls for one.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from outlay.core import units
from outlay.core.prices import ModelRow, RateRow
from outlay.core.sell import CALLS, COST, SellRow
from outlay.store.pricefile.csv_items import COLUMNS, KIND, guarded
from outlay.store.pricefile.items import ALIAS, FIELDS, RATE, SECTIONS, SELL, UNIT
from outlay.store.pricefile.known_units import is_known
from outlay.store.pricefile.values import written_moment, written_number
from outlay.store.pricefile.yaml_items import CURRENCY, VERSION

Fields = dict[str, str]

_NANO_DIGITS: Final = 9
_MILLION_DIGITS: Final = 6
_BARE: Final = frozenset(
    ("price", "per", "nanos_per_million", "markup", "credits", "min_context", "min_quantity",
     "batch")
)  # fmt: skip
"""Fields whose text is written without quotes."""


def write_file(
    rates: Sequence[RateRow],
    aliases: Sequence[ModelRow],
    sells: Sequence[SellRow],
    *,
    form: str,
) -> str:
    """Return the text of a price file.

    Args:
        rates: rows of the layers that are written by hand.
        aliases: model rows of the layer `override`.
        sells: sell rows.
        form: `yaml` or `csv`.
    """
    used = {row.unit for row in rates} | {row.unit for row in sells}
    own = sorted(unit for unit in used - {COST, CALLS} if not is_known(unit, ()))
    items = {
        UNIT: [{"unit": unit} for unit in own],
        RATE: [_rate(row) for row in rates],
        ALIAS: [_alias(row) for row in aliases],
        SELL: [_sell(row) for row in sells],
    }
    return _csv(items) if form == "csv" else _yaml(items)


def _rate(row: RateRow) -> Fields:
    tokens = units.is_input(row.unit) or units.is_output(row.unit)
    digits = _MILLION_DIGITS if tokens else 3
    price = written_number(row.nanos_per_million, scale=_NANO_DIGITS + _MILLION_DIGITS - digits)
    return _given(
        provider=row.provider,
        model=row.model,
        unit=row.unit,
        price=price,
        per=str(10**digits),
        host_class=row.host_class,
        region_class=row.region_class,
        tier=row.tier,
        batch="true" if row.batch else "",
        speed=row.speed,
        min_context=str(row.min_context) if row.min_context else "",
        window=row.window,
        tenant=row.tenant,
        min_quantity=str(row.min_quantity) if row.min_quantity else "",
        layer=row.layer,
        **_when(row),
    )


def _alias(row: ModelRow) -> Fields:
    clause = json.loads(row.match)
    simple = list(clause) == ["equals"]
    return _given(
        provider=row.provider,
        name=clause["equals"] if simple else "",
        match="" if simple else row.match,
        model=row.model,
        region_class=row.region_class,
        source=row.source,
    )


def _sell(row: SellRow) -> Fields:
    amount, credit = row.per_million, row.out == "credits"
    values: Fields = {"unit": row.unit}
    if row.unit == COST:
        name, scale = ("credits", 3) if credit else ("markup", _MILLION_DIGITS)
        values[name] = written_number(amount, scale=scale)
    else:
        digits = 0 if row.unit == CALLS else _MILLION_DIGITS
        kept = _MILLION_DIGITS if credit else _NANO_DIGITS
        name = "credits" if credit else "price"
        values[name] = written_number(amount, scale=kept + _MILLION_DIGITS - digits)
        values["per"] = str(10**digits)
    rest = _given(
        tenant=row.tenant, plan=row.plan, feature=row.feature, provider=row.provider,
        model=row.model, **_when(row),
    )  # fmt: skip
    return values | rest


def _when(row: RateRow | SellRow) -> Fields:
    moments = {"valid_from": row.valid_from, "valid_to": row.valid_to}
    said = {name: written_moment(at) for name, at in moments.items() if at is not None}
    return {**said, "source": row.source}


def _given(**values: str) -> Fields:
    return {name: value for name, value in values.items() if value}


def _yaml(items: dict[str, list[Fields]]) -> str:
    lines = [f"version: {VERSION}", f"currency: {CURRENCY}"]
    for section, kind in SECTIONS.items():
        if not items[kind]:
            continue
        lines.append(f"{section}:")
        if kind == UNIT:
            lines.extend(f"  - {_quoted(item['unit'])}" for item in items[kind])
        else:
            for item in items[kind]:
                lines.extend(_block(item, FIELDS[kind]))
    return "\n".join(lines) + "\n"


def _block(item: Fields, order: Iterable[str]) -> Iterator[str]:
    lead = "  - "
    for name in order:
        if name in item:
            value = item[name] if name in _BARE else _quoted(item[name])
            yield f"{lead}{name}: {value}"
            lead = "    "


def _quoted(text: str) -> str:
    """Write a text as a double-quoted scalar: the books keep printable text only."""
    return json.dumps(text, ensure_ascii=False)


def _csv(items: dict[str, list[Fields]]) -> str:
    used = {name for rows in items.values() for item in rows for name in item}
    columns = [name for name in COLUMNS if name == KIND or name in used]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for kind in (UNIT, RATE, ALIAS, SELL):
        for item in items[kind]:
            writer.writerow({KIND: kind, **{name: guarded(text) for name, text in item.items()}})
    return out.getvalue()
