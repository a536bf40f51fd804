"""Reads a CSV price file into items: one row each, and its `kind` in the first column.

The first line names the columns, in any order; a row leaves those empty that its kind lacks.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Final

from outlay.store.pricefile.items import (
    FIELDS,
    MAX_ITEMS,
    RATE,
    Cell,
    Item,
    Problems,
    shown,
)

KIND: Final = "kind"
_FORMULA: Final = re.compile(r"'*[=+\-@\t\r]")
"""How a cell begins that a spreadsheet would run, or that has been kept from it."""
COLUMNS: Final = (KIND, *dict.fromkeys(name for fields in FIELDS.values() for name in fields))
"""Every column that a CSV price file may have."""


def read_csv(text: str, problems: Problems) -> list[Item]:
    """Return the items of a CSV file, and note what is wrong with its form."""
    rows = _rows(text, problems)
    _, header = next(rows, (1, []))
    names = [name.strip().lower() for name in header]
    if not _check_header(names, problems):
        return []
    items: list[Item] = []
    for line, row in rows:
        if len(items) == MAX_ITEMS:
            problems.add(line, "", f"A price file has at most {MAX_ITEMS} items.")
            break
        if len(row) > len(names):
            problems.add(line, "", f"The row has {len(row)} values for {len(names)} columns.")
            continue
        cells = {
            name: Cell(unguarded(value.strip()), line)
            for name, value in zip(names, row, strict=False)
            if value.strip()
        }
        item = _item(line, cells, problems)
        if item is not None:
            items.append(item)
    return items


def guarded(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula; `unguarded` takes it back."""
    return f"'{text}" if _FORMULA.match(text) else text


def unguarded(text: str) -> str:
    """Return what was written by `guarded`."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text) else text


def _rows(text: str, problems: Problems) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that hold anything, each with its first line."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add(max(line, reader.line_num), "", f"This is not CSV: {error}.")
            return
        if any(value.strip() for value in row):
            yield line, row


def _check_header(names: list[str], problems: Problems) -> bool:
    before = len(problems.found)
    if not names:
        problems.add(1, "", "The file is empty: the first line names the columns.")
    for place, name in enumerate(names):
        if name not in COLUMNS:
            problems.add(
                1,
                name,
                f"{shown(name)} is no column of a price file.{problems.near(name, COLUMNS)}",
            )
        elif name in names[:place]:
            problems.add(1, name, f"The column `{name}` is there twice.")
    return len(problems.found) == before


def _item(line: int, cells: dict[str, Cell], problems: Problems) -> Item | None:
    named = cells.pop(KIND, None)
    kind = RATE if named is None else named.text.lower()
    if kind not in FIELDS:
        problems.add(
            line, KIND, f"{shown(kind)} is no kind: {', '.join(FIELDS)} are."
            f"{problems.near(kind, FIELDS)}",
        )  # fmt: skip
        return None
    for name, cell in cells.items():
        if name not in FIELDS[kind]:
            problems.add(cell.line, name, f"`{name}` is no field of an item of this kind ({kind}).")
    return Item(kind, line, cells)
