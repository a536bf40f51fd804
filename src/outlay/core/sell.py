"""What usage is sold for: rows of markup, price per unit, or credits, and their choice.

Owns `SellRow` and which row wins; `core.selling` applies them to an event. What we pay is
`core.rates`' matter and is never read from here.

Which row of a unit and a kind of charge wins: of those whose conditions and time hold for the
event, the one that names the tenant; then, one after the other, the plan, the feature, the model,
the provider; then the youngest, and last the higher id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from outlay.core.match import canonical_provider
from outlay.core.rates import RATE_ID_CHARACTERS, same_units

Out = Literal["nanos", "credits"]

COST: Final = "cost"
"""The unit of a row that multiplies our cost."""
CALLS: Final = "calls"
"""The unit of a row that charges by billed call."""


@dataclass(frozen=True, slots=True)
class SellRow:
    """What a tenant is charged for usage, under the conditions named; `""` means any.

    `unit` is a name from `core.units`, `cost` (a markup on what the line costs us) or `calls` (a
    fixed amount for each billed call). `out` says what is charged: `nanos` (nano-dollars, into
    `sell_nanos`) or `credits` (micro-credits, into `credits_micros`). `per_million` is the amount
    out for a million of the unit: of tokens, of calls, or of nano-dollars of cost, so a markup of
    1.3 is 1_300_000. Validity and belief are those of `RateRow`.
    """

    sell_id: str
    unit: str
    out: Out
    per_million: int
    tenant: str = ""
    plan: str = ""
    feature: str = ""
    provider: str = ""
    model: str = ""
    valid_from: int | None = None
    valid_to: int | None = None
    source: str = ""
    recorded_at: int | None = None
    superseded_at: int | None = None

    @classmethod
    def make(cls, unit: str, out: Out, per_million: int, **values: Any) -> SellRow:
        """Make a row whose `sell_id` is the hash of its content."""
        row = cls("", unit, out, per_million, **values)
        return replace(row, sell_id=row.content_id())

    def content(self) -> tuple[Any, ...]:
        """Return everything but the id and the times of belief."""
        return (
            self.unit, self.out, self.per_million, self.tenant, self.plan, self.feature,
            self.provider, self.model, self.valid_from, self.valid_to, self.source,
        )  # fmt: skip

    def content_id(self) -> str:
        """Return the id that the content hashes to."""
        text = json.dumps(self.content(), ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:RATE_ID_CHARACTERS]


@dataclass(frozen=True, slots=True)
class SellConditions:
    """Whose event it is and what it used, as far as selling knows.

    `provider` is who is paid, by the name that rates are kept under; `model` the model whose rates
    price the event, or its name where none does; lower case.
    """

    tenant: str = ""
    plan: str = ""
    feature: str = ""
    provider: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class SellSet:
    """The rows that one event is sold by: one for each unit and kind of charge."""

    rows: Mapping[tuple[str, Out], SellRow]

    def sells(self, out: Out) -> bool:
        """Tell whether anything is charged this way."""
        return any(kind == out for _, kind in self.rows)

    def unit(self, unit: str, out: Out) -> SellRow | None:
        """Return the row of a unit of usage, or of the unit that it is by definition.

        Reasoning is output and a short cache write a cache write, as in `RateSet.find`; nothing
        that would be an assumption.
        """
        if unit in (COST, CALLS):
            return None
        found = (self.rows.get((name, out)) for name in (unit, *same_units(unit)))
        return next((row for row in found if row is not None), None)

    def cost(self, out: Out) -> SellRow | None:
        """Return the row that multiplies our cost."""
        return self.rows.get((COST, out))

    def calls(self, out: Out) -> SellRow | None:
        """Return the row that charges by call."""
        return self.rows.get((CALLS, out))


NOTHING_SOLD: Final = SellSet({})


class SellRates:
    """All sell rows, from the least to the most specific, by tenant."""

    def __init__(self, rows: Sequence[SellRow]) -> None:
        self.rows = tuple(rows)
        self._rows: dict[str, list[SellRow]] = {}
        for row in sorted(rows, key=_rank):
            self._rows.setdefault(row.tenant, []).append(row)
        self.tenants = frozenset(row.tenant for row in rows if row.tenant)
        self.plans = frozenset(row.plan for row in rows if row.plan)
        self.features = frozenset(row.feature for row in rows if row.feature)
        self.by_model = any(row.model or row.provider for row in rows)
        ends = (t for row in rows for t in (row.valid_from, row.valid_to))
        self.times = tuple(sorted({t for t in ends if t is not None}))

    def choose(self, said: SellConditions, *, at: int) -> SellSet:
        """Choose one row for each unit and kind of charge; `at` is the event's start."""
        own = self._rows.get(said.tenant, ()) if said.tenant else ()
        rows = {
            (row.unit, row.out): row
            for row in (*self._rows.get("", ()), *own)
            if _holds(row, said, at)
        }
        return SellSet(rows) if rows else NOTHING_SOLD


def _rank(row: SellRow) -> tuple[Any, ...]:
    return (
        row.plan != "", row.feature != "", row.model != "", row.provider != "",
        -1 if row.valid_from is None else row.valid_from, row.sell_id,
    )  # fmt: skip


def _holds(row: SellRow, said: SellConditions, at: int) -> bool:
    return (
        row.plan in ("", said.plan)
        and row.feature in ("", said.feature)
        and (not row.model or row.model.lower() == said.model)
        and (not row.provider or canonical_provider(row.provider) == said.provider)
        and (row.valid_from is None or row.valid_from <= at)
        and (row.valid_to is None or at < row.valid_to)
    )
