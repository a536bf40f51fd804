"""What an adjustment says: how an event's price changed, line by line, as JSON between stages.

Owns the document that an adjustment event carries in `usage_raw`, and the arithmetic of the
difference between what an event costs now and what it should. Pure; it knows no prices. An
adjustment never edits the event: its lines are added to the event's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from outlay.core import units
from outlay.core.event import VALUES
from outlay.core.ids import RANDOM_BYTES, uuid7, uuid7_unix_ms
from outlay.core.money import MAX_NANOS
from outlay.core.rating import COST_COLUMNS

MAX_LINES: Final = 4096
"""Lines of one adjustment. An event has some dozens, but `segments` of `event.MAX_RAW_BYTES` may
hold more than a thousand; all of them may be reversed and booked anew."""

LineTuple = tuple[str, int, str, int, str]
"""Unit, quantity, rate id, nano-dollars, basis, as in an event's `lines`."""

_COST_BOUND: Final = 2 * MAX_NANOS


@dataclass(frozen=True, slots=True)
class Adjustment:
    """How one event's price changes. Amounts ending in `_change` are added to the event's."""

    was_nanos: int
    now_nanos: int
    lines: tuple[LineTuple, ...]
    list_change: int = 0
    sell_change: int = 0
    credits_change: int = 0
    price_basis: str = ""
    price_confidence: str = ""
    price_model: str | None = None
    """The adjusted event's own, so that both are grouped together."""
    now_model: str | None = None
    """The model whose rates price it now."""
    price_rule: str | None = None
    price_book_hash: str = ""
    priced_late: bool = False
    """The event had no price before."""

    @property
    def cost_change(self) -> int:
        """Nano-dollars added to the event's cost: the sum of the lines."""
        return sum(line[3] for line in self.lines)

    @property
    def changes(self) -> bool:
        """Whether anything is different at all."""
        amounts = (self.cost_change, self.list_change, self.sell_change, self.credits_change)
        return any(amounts) or self.priced_late

    def columns(self) -> dict[str, int]:
        """Return what is added to each of the event's cost columns."""
        sums = dict.fromkeys(COST_COLUMNS, 0)
        for unit, _, _, nanos, _ in self.lines:
            sums[units.cost_group(unit)] += nanos
        return sums

    def to_json(self) -> str:
        """Return the document."""
        said = {name: getattr(self, name) for name in _NAMES}
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Adjustment:
        """Read a document.

        Raises:
            ValueError: it is none, or its amounts do not fit together.
        """
        try:
            values = json.loads(text)
            lines = tuple((str(u), int(q), str(r), int(n), str(b)) for u, q, r, n, b in
                          values.pop("lines"))  # fmt: skip
            made = cls(lines=lines, **values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError("not an adjustment document") from error
        whole = (made.was_nanos, made.now_nanos, made.list_change, made.sell_change,
                 made.credits_change)  # fmt: skip
        if len(lines) > MAX_LINES or any(type(n) is not int or abs(n) > _COST_BOUND for n in whole):
            raise ValueError("an adjustment document holds an amount out of bounds")
        if made.now_nanos - made.was_nanos != made.cost_change:
            raise ValueError("an adjustment's lines do not add up to the change it states")
        if made.price_basis not in VALUES["price_basis"]:
            raise ValueError("an adjustment states no price basis")
        return made


_NAMES: Final = tuple(field.name for field in fields(Adjustment))


def net_lines(
    events: Iterable[Iterable[Mapping[str, Any]]],
) -> dict[tuple[str, str, str], list[int]]:
    """Add up lines by (unit, rate id, basis): an event's own, and those of its adjustments."""
    net: dict[tuple[str, str, str], list[int]] = {}
    for lines in events:
        for line in lines:
            key = (line["unit"], line["rate_id"] or "", line["basis"])
            sums = net.setdefault(key, [0, 0])
            sums[0] += line["quantity"]
            sums[1] += line["nanos"]
    return net


def difference(
    before: Mapping[tuple[str, str, str], Sequence[int]], after: Iterable[Mapping[str, Any]]
) -> tuple[LineTuple, ...]:
    """Return the lines that turn what was booked into what should be: the old reversed, the new."""
    net = {key: [-quantity, -nanos] for key, (quantity, nanos) in before.items()}
    for key, (quantity, nanos) in net_lines([after]).items():
        sums = net.setdefault(key, [0, 0])
        sums[0] += quantity
        sums[1] += nanos
    return tuple(
        (unit, quantity, rate_id, nanos, basis)
        for (unit, rate_id, basis), (quantity, nanos) in net.items()
        if quantity or nanos
    )


def adjustment_id(event_id: str, number: int, document: str) -> str:
    """Return the id of an event's adjustment: the same change, found twice, is one adjustment.

    Args:
        event_id: the adjusted event; its time is taken over, so both lie together.
        number: how many adjustments it has already.
        document: what changes, as `Adjustment.to_json` says it.
    """
    text = f"{event_id}|{number}|{document}"
    return uuid7(uuid7_unix_ms(event_id), hashlib.sha256(text.encode()).digest()[:RANDOM_BYTES])
