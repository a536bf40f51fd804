"""Reads prices of every form into a change, or refuses them whole with every problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from outlay.core.prices import PriceBook
from outlay.store.base import PriceChange
from outlay.store.pricefile.check import change_of, check_values
from outlay.store.pricefile.csv_items import read_csv
from outlay.store.pricefile.items import Item, Problems, decoded
from outlay.store.pricefile.json_items import read_json
from outlay.store.pricefile.rows import PriceFile, read_rows
from outlay.store.pricefile.yaml_items import read_yaml


def read_change(
    content: bytes | Mapping[str, Any],
    form: str,
    book: PriceBook,
    *,
    at: int,
    force: bool = False,
    withdrawn: Sequence[str] = (),
) -> PriceChange:
    """Return the change that a file or a JSON document asks for.

    Args:
        content: the bytes of a file, or a decoded document with `rates`, `aliases` and `sell`.
        form: `yaml`, `csv` or `json`.
        book: what is believed now: the neighbours of the new prices.
        at: now, in microseconds UTC.
        force: take prices that are far off their neighbours.
        withdrawn: ids of rows that are no longer to be believed.

    Raises:
        PriceFileError: anything at all is wrong with it.
    """
    file = read_file(content, form, known={row.unit for row in book.rates})
    problems = Problems()
    if not force:
        check_values(file, book, problems, at=at)
    problems.refuse()
    return change_of(file, book, withdrawn)


def read_file(
    content: bytes | Mapping[str, Any], form: str, *, known: set[str] | None = None
) -> PriceFile:
    """Return the rows of a file on their own, compared with nothing.

    Raises:
        PriceFileError: anything at all is wrong with it.
    """
    problems = Problems()
    items: list[Item]
    if isinstance(content, Mapping):
        items = read_json(content, problems)
    else:
        read = read_csv if form == "csv" else read_yaml
        items = read(decoded(content), problems)
    file = read_rows(items, problems, known=known or ())
    problems.refuse()
    return file
