"""Where a catalogue is read from: the installed package, its own JSON export, or its publisher.

Only `fetched` uses the network, and only when it is asked to.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from outlay.core.prices import PriceBook, RateRow
from outlay.errors import BadRequestError, UnavailableError
from outlay.store.books.catalogue import PACKAGE, CatalogueReport, installed, read_catalogue
from outlay.store.books.change import rate_key

MAX_CATALOGUE_BYTES: Final = 16 * 1024 * 1024
"""Bound of a catalogue given as a file."""
MAX_CHANGES: Final = 200
"""Changed prices that a comparison spells out; the count is of all."""
FETCH_TIMEOUT_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Source:
    """A catalogue that was read: its rows, what reading them came to, and its name."""

    book: PriceBook
    report: CatalogueReport
    name: str


def from_package() -> Source:
    """Read the installed package. Raises `UnavailableError` if it is not there."""
    book, report = read_catalogue()
    return Source(book, report, f"{PACKAGE} {report.version}")


def from_export(content: bytes, *, day: str) -> Source:
    """Read the package's own JSON export (its `data.json`), with the package's own loader.

    Args:
        content: the file.
        day: the date it is read on, for the source of its rows.

    Raises:
        BadRequestError: it is not such a file.
        UnavailableError: the installed package has no loader for it.
    """
    _, version = installed()
    try:
        from genai_prices.types import _providers_from_raw as load
    except ImportError as error:
        raise UnavailableError(
            f"The installed {PACKAGE} {version} has no loader for its export.",
            hint=f"Install another version of {PACKAGE}.",
        ) from error
    try:
        raw = json.loads(content)
        if not isinstance(raw, list):
            raise TypeError("a list of providers is expected")
        providers = load(raw)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise BadRequestError(
            f"This is not {PACKAGE}'s export of its data.",
            where="body",
            hint="It is the list of providers in `prices/new_data/v2/data.json` of its repository.",
        ) from error
    return _named(providers, f"{version} file {day}")


def fetched(*, day: str) -> Source:
    """Fetch the newest prices from the package's publisher.

    Raises:
        UnavailableError: the network or the publisher does not answer.
    """
    _, version = installed()
    try:
        import httpx2
        from genai_prices import UpdatePrices

        snapshot = UpdatePrices(request_timeout=httpx2.Timeout(FETCH_TIMEOUT_S)).fetch()
    except Exception as error:
        # Whatever the package raises: nothing of it is kept, and the old prices stay.
        raise UnavailableError(
            f"The newest prices could not be fetched ({type(error).__name__}).",
            hint="Without the network, install a newer genai-prices, or give --file.",
        ) from error
    if snapshot is None:
        raise UnavailableError("The publisher gave no prices.")
    return _named(snapshot.providers, f"{version} update {day}")


def differences(before: PriceBook, after: PriceBook) -> list[dict[str, Any]]:
    """Return the keys whose prices two books state differently, as JSON carries them.

    Only validity and price count: a newer version of a catalogue that says the same is no change.
    """
    old, new = _by_key(before.rates), _by_key(after.rates)
    found = []
    for key in (*new, *(key for key in old if key not in new)):
        was, now = old.get(key, []), new.get(key, [])
        if sorted(map(_said, was), key=repr) == sorted(map(_said, now), key=repr):
            continue
        row = (now or was)[-1]
        found.append(
            {
                "provider": row.provider,
                "model": row.model,
                "unit": row.unit,
                "conditions": conditions(row),
                "layer": row.layer,
                "before": [_shown(r) for r in was],
                "after": [_shown(r) for r in now],
            }
        )
    return found


def conditions(row: RateRow) -> dict[str, Any]:
    """Return the conditions that a rate names, those that it leaves open left out."""
    names = (
        "host_class", "region_class", "tier", "batch", "speed", "min_context", "window", "tenant",
        "min_quantity",
    )  # fmt: skip
    return {name: getattr(row, name) for name in names if getattr(row, name)}


def _named(providers: list[Any], version: str) -> Source:
    book, report = read_catalogue(providers, version=version)
    if not book.rates:
        raise BadRequestError("There is no price in this catalogue.", where="body")
    return Source(book, report, f"{PACKAGE} {version}")


def _by_key(rates: Sequence[RateRow]) -> dict[tuple[Any, ...], list[RateRow]]:
    found: dict[tuple[Any, ...], list[RateRow]] = {}
    for row in rates:
        found.setdefault(rate_key(row), []).append(row)
    return found


def _said(row: RateRow) -> tuple[Any, ...]:
    return row.valid_from, row.valid_to, row.nanos_per_million, row.min_quantity


def _shown(row: RateRow) -> dict[str, Any]:
    return {
        "nanos_per_million": row.nanos_per_million,
        "valid_from": row.valid_from,
        "valid_to": row.valid_to,
    }
