"""What a price file holds before it means anything: items of cells, each with its line.

Owns the bounds of a file, the names of its parts, and the error that lists all that is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Final

from outlay.errors import BadRequestError

MAX_FILE_BYTES: Final = 4 * 1024 * 1024
MAX_ITEMS: Final = 20_000
MAX_PROBLEMS: Final = 100
"""Problems that are listed; when there are more, only their number is told."""
_SHOWN_PROBLEMS: Final = 10
"""Problems that the message itself spells out."""

RATE, ALIAS, SELL, UNIT = "rate", "alias", "sell", "unit"
SECTIONS: Final[Mapping[str, str]] = {"rates": RATE, "aliases": ALIAS, "sell": SELL, "units": UNIT}
"""The lists of a YAML or JSON file, and the kind of their items."""

_WHEN: Final = ("valid_from", "valid_to", "source")
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    RATE: (
        "provider", "model", "unit", "price", "per", "nanos_per_million", "currency",
        "host_class", "region_class", "tier", "batch", "speed", "min_context", "window", "tenant",
        "min_quantity", "layer", *_WHEN,
    ),
    ALIAS: ("provider", "name", "match", "model", "region_class", "source"),
    SELL: (
        "unit", "markup", "price", "credits", "per", "currency", "tenant", "plan", "feature",
        "provider", "model", *_WHEN,
    ),
    UNIT: ("unit",),
}  # fmt: skip
"""The fields that an item of each kind may have."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A value as text, and the line it stands on."""

    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Item:
    """One rate, alias, sell row or unit. `place` names it where a file has no lines."""

    kind: str
    line: int
    cells: Mapping[str, Cell]
    place: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, and what. A line of 0 is none; `place` names the item."""

    line: int
    field: str
    message: str
    place: str = ""

    def where(self) -> str:
        """Return where it is, for people."""
        return self.place or f"line {self.line}"

    def as_dict(self) -> dict[str, Any]:
        """Return the problem as the API's answer carries it."""
        said: dict[str, Any] = {"field": self.field, "message": self.message}
        return {"item": self.place, **said} if self.place else {"line": self.line, **said}


class PriceFileError(BadRequestError):
    """The prices are refused as a whole; `problems` says why, line by line."""

    code = "bad_prices"
    hint = "Correct every place that is named and send all of it again; nothing was taken."

    def __init__(self, problems: Sequence[Problem]) -> None:
        ordered = sorted(problems, key=lambda p: p.line)
        self.problems = ordered[:MAX_PROBLEMS]
        count = len(ordered)
        said = [f"{p.where()}: {p.message}" for p in ordered[:_SHOWN_PROBLEMS]]
        more = f" … and {count - _SHOWN_PROBLEMS} more." if count > _SHOWN_PROBLEMS else ""
        what = "1 problem" if count == 1 else f"{count} problems"
        super().__init__(
            f"The prices are refused: {what}. {' '.join(said)}{more}", where=ordered[0].where()
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the error as the API's JSON body carries it, with its problems."""
        body = super().as_dict()
        body["error"]["problems"] = [problem.as_dict() for problem in self.problems]
        return body


@dataclass(slots=True)
class Problems:
    """Problems as they are found."""

    found: list[Problem] = field(default_factory=list)

    def add(self, line: int, name: str, message: str, place: str = "") -> None:
        """Note a problem."""
        self.found.append(Problem(line, name, message, place))

    def near(self, name: str, known: Iterable[str]) -> str:
        """Suggest the nearest known name, as a sentence with a blank before it, or nothing.

        Problems that are no longer listed get no suggestion: it would cost more than reading.
        """
        if len(self.found) >= MAX_PROBLEMS:
            return ""
        close = get_close_matches(name, list(known), n=1, cutoff=0.6)
        return f" Did you mean `{close[0]}`?" if close else ""

    def refuse(self) -> None:
        """Refuse the file if anything is wrong with it.

        Raises:
            PriceFileError: there is a problem.
        """
        if self.found:
            raise PriceFileError(self.found)


def shown(text: str) -> str:
    """Return a value for an error, cut to what helps to find it."""
    return repr(text if len(text) <= 60 else text[:59] + "…")


def decoded(body: bytes) -> str:
    """Return the text of a file.

    Raises:
        PriceFileError: it is too large, or not UTF-8.
    """
    problems = Problems()
    text = ""
    if len(body) > MAX_FILE_BYTES:
        problems.add(1, "", f"The file is larger than {MAX_FILE_BYTES} bytes.")
    else:
        try:
            text = body.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            problems.add(1 + body.count(b"\n", 0, error.start), "", "The file is not UTF-8.")
    problems.refuse()
    return text
