"""Since when each limit counts events, and what it counted before: kept in the books as seeds.

A *shape* is what decides what a limit counts: scope, metric and window. A limit of a new shape
begins at an offset of the enriched log that is chosen before anything of it can be in use: events
up to there are read from the live store once (`seeding`), those behind it are posted as they come
(`settle`). So no event can be missed or counted twice, however long the reading takes. A new
amount, ladder or mode is no new shape.

The books keep one row per span, `begin|<limit>|<number>|<shape>` with the offset, shape `-` where
the limit was removed, and `seed|<limit>|<number>` once what came before has been counted.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from outlay.core.limits.limit import Limit

REMOVED: Final = "-"
BEGIN: Final = "begin"
SEED: Final = "seed"


@dataclass(frozen=True, slots=True)
class Span:
    """A shape of a limit, and the offset behind which its events are posted."""

    limit_id: str
    number: int
    shape: str
    offset: int
    seeded: bool = False

    @property
    def begin_key(self) -> str:
        """The name of the row that keeps it."""
        return f"{BEGIN}|{self.limit_id}|{self.number}|{self.shape}"

    @property
    def seed_key(self) -> str:
        """The name of the row that tells that what came before was counted."""
        return f"{SEED}|{self.limit_id}|{self.number}"


def shape_of(limit: Limit) -> str:
    """Return what decides what a limit counts, in short."""
    scope = sorted((part.field, sorted(part.values), part.each) for part in limit.scope)
    months = limit.anchor_day if limit.window == "month" else 1
    said = [scope, limit.metric, limit.window, limit.span_us, limit.zone, months]
    return hashlib.blake2b(json.dumps(said).encode(), digest_size=8).hexdigest()


def seeds(limit: Limit) -> bool:
    """Tell whether a limit can have used anything before it was there."""
    countable = limit.metric != "concurrent_calls"
    return countable and limit.window not in ("request", "run", "rate", "none")


def read_spans(rows: Mapping[str, int]) -> dict[str, list[Span]]:
    """Return the spans of each limit, the oldest first, from the rows of the books."""
    spans: dict[str, list[Span]] = {}
    for key, offset in rows.items():
        parts = key.split("|")
        if parts[0] == BEGIN and len(parts) == 4 and parts[2].isdecimal():
            done = f"{SEED}|{parts[1]}|{parts[2]}" in rows
            span = Span(parts[1], int(parts[2]), parts[3], offset, done)
            spans.setdefault(span.limit_id, []).append(span)
    for own in spans.values():
        own.sort(key=lambda span: span.number)
    return spans


def begun(spans: Mapping[str, list[Span]], limits: Iterable[Limit], *, offset: int) -> list[Span]:
    """Return the spans that begin at an offset, now that these are the limits."""
    new = []
    shapes = {limit.limit_id: shape_of(limit) for limit in limits}
    for limit_id, shape in shapes.items():
        own = spans.get(limit_id, [])
        if not own or own[-1].shape != shape:
            new.append(Span(limit_id, own[-1].number + 1 if own else 1, shape, offset))
    for limit_id, own in spans.items():
        if limit_id not in shapes and own[-1].shape != REMOVED:
            new.append(Span(limit_id, own[-1].number + 1, REMOVED, offset))
    return new
