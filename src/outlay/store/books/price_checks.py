"""The rules of rows that change prices, as checks with clear errors. No I/O."""

from __future__ import annotations

from typing import Any, Final

from outlay.core.event import MAX_COUNT
from outlay.core.match import compile_clause
from outlay.core.prices import ModelRow, RateRow, parse_window
from outlay.core.sell import SellRow
from outlay.errors import BadRequestError, TooLargeError
from outlay.store.base import PriceChange
from outlay.store.books.change import first_overlap, rate_key, sell_key
from outlay.store.books.checks import check_tenant_id, check_text, check_time

HAND_LAYERS: Final = ("correction", "override", "contract")
"""The layers that a person writes; the catalogue's own is written by its saving."""
MAX_CHANGE_ROWS: Final = 20_000
"""Rows of one change, each kind counted."""
MAX_RATE: Final = 10**18
"""Nano-dollars per million units: a thousand dollars for one unit."""
MAX_CLAUSE_CHARACTERS: Final = 4096
"""Characters of a model row's match clause."""
_RATE_TEXTS: Final = ("host_class", "region_class", "tier", "speed", "tenant", "source")
_SELL_TEXTS: Final = ("plan", "feature", "provider", "model", "source")
_OUTS: Final = ("nanos", "credits")


def check_change(change: PriceChange) -> None:
    """Check every row of a change, and that no two of one key hold at one moment.

    Raises:
        BadRequestError: a row is not valid; `where` names the row and its part.
        TooLargeError: there are more rows than `MAX_CHANGE_ROWS`.
    """
    parts = (change.rates, change.models, change.sells, change.withdrawn)
    count = sum(len(rows) for rows in parts)
    if count > MAX_CHANGE_ROWS:
        raise TooLargeError(f"A change of prices has at most {MAX_CHANGE_ROWS} rows.")
    for place, rate in enumerate(change.rates):
        check_rate(rate, f"rates[{place}]")
    for place, model in enumerate(change.models):
        check_model(model, f"models[{place}]")
    for place, sell in enumerate(change.sells):
        check_sell(sell, f"sells[{place}]")
    pairs = (
        ("rates", first_overlap(change.rates, rate_key)),
        ("sells", first_overlap(change.sells, sell_key)),
    )
    for name, pair in pairs:
        if pair is not None:
            raise BadRequestError(
                f"{name}[{pair[0]}] and {name}[{pair[1]}] price the same at the same time.",
                where=name,
                hint="Let the one end (`valid_to`) where the other begins (`valid_from`).",
            )


def check_rate(row: RateRow, where: str) -> None:
    """Check a rate row."""
    _check_names(row, ("provider", "model", "unit"), where)
    for name in _RATE_TEXTS:
        check_text(getattr(row, name), f"{where}.{name}")
    _check_amount(row.nanos_per_million, f"{where}.price")
    for name in ("min_context", "min_quantity"):
        _check_count(getattr(row, name), f"{where}.{name}")
    if row.window:
        try:
            spans = parse_window(row.window)
        except ValueError as error:
            raise BadRequestError(f"{error}.", where=f"{where}.window") from error
        if not spans:
            raise BadRequestError(
                "The window ends when it begins, so it never holds; a whole day is "
                "00:00:00-24:00:00.",
                where=f"{where}.window",
            )
    _check_layer(row.layer, where)
    if row.tenant:
        check_tenant_id(row.tenant)
        if row.layer != "contract":
            raise BadRequestError(
                "Only a rate of the layer `contract` may be for one tenant.",
                where=f"{where}.tenant",
            )
    _check_span(row, where)
    if row.rate_id != row.content_id():
        raise BadRequestError("The id is not that of the content.", where=f"{where}.rate_id")


def check_model(row: ModelRow, where: str) -> None:
    """Check a model row and its clause."""
    _check_names(row, ("provider", "model"), where)
    for name in ("family", "source", "region_class"):
        check_text(getattr(row, name), f"{where}.{name}")
    _check_layer(row.layer, where)
    if len(row.match) > MAX_CLAUSE_CHARACTERS:
        raise BadRequestError(
            f"A match clause has at most {MAX_CLAUSE_CHARACTERS} characters.",
            where=f"{where}.match",
        )
    try:
        compile_clause(row.match)
    except ValueError as error:
        raise BadRequestError(f"{error}.", where=f"{where}.match") from error


def check_sell(row: SellRow, where: str) -> None:
    """Check a sell row."""
    _check_names(row, ("unit",), where)
    for name in _SELL_TEXTS:
        check_text(getattr(row, name), f"{where}.{name}")
    if row.tenant:
        check_tenant_id(row.tenant)
    if row.out not in _OUTS:
        raise BadRequestError("`out` is `nanos` or `credits`.", where=f"{where}.out")
    _check_amount(row.per_million, f"{where}.per_million")
    _check_span(row, where)
    if row.sell_id != row.content_id():
        raise BadRequestError("The id is not that of the content.", where=f"{where}.sell_id")


def _check_names(row: Any, names: tuple[str, ...], where: str) -> None:
    for name in names:
        check_text(getattr(row, name), f"{where}.{name}", required=True)


def _check_layer(layer: str, where: str) -> None:
    if layer not in HAND_LAYERS:
        raise BadRequestError(
            f"A change writes the layers {', '.join(HAND_LAYERS)}, not {layer!r}.",
            where=f"{where}.layer",
        )


def _check_amount(value: Any, where: str) -> None:
    if type(value) is not int or not 0 <= value <= MAX_RATE:
        raise BadRequestError(
            "A price is whole nano-dollars per million units from 0 to 10^18.", where=where
        )


def _check_count(value: Any, where: str) -> None:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise BadRequestError(
            f"A count is a whole number from 0 to {MAX_COUNT}, as in an event.", where=where
        )


def _check_span(row: RateRow | SellRow, where: str) -> None:
    for name in ("valid_from", "valid_to"):
        value = getattr(row, name)
        if value is not None:
            check_time(value, f"{where}.{name}")
    if row.valid_from is not None and row.valid_to is not None and row.valid_from >= row.valid_to:
        raise BadRequestError("`valid_to` must be after `valid_from`.", where=f"{where}.valid_to")
