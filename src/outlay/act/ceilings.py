"""What events without a price count for limits, now and when their price arrives.

An event without a price counts its ceiling (`core.ceiling`), so that it cannot slip under a cap as
$0. Once an adjustment prices it, what counts must be its exact cost, so the adjustment has to take
the ceiling back to the nano. Nothing is kept for that: a ceiling follows from the event and from
the book that the event was looked up in, which its `price_book_hash` names; the books give any book
that was ever believed again. Owns the choice of the book; it writes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.calls import call_of
from outlay.core.ceiling import ceiling_nanos
from outlay.core.prices import PriceBook
from outlay.core.rating import UNPRICED
from outlay.core.rollup import PRICED_LATE
from outlay.core.units import EVENT_UNITS
from outlay.store.base import Books, OlapStore

Ints = npt.NDArray[np.int64]

MAX_BOOKS: Final = 4
"""Price books kept; almost every event names the one in force."""
MAX_CHANGES: Final = 1000
"""Changes of prices among which the book of an event is looked for."""
PRICE_ACTIONS: Final = ("prices.change", "prices.save")

CALL_COLUMNS: Final = (
    *EVENT_UNITS, "other_units", "segments", "provider", "operation", "name", "model_requested",
    "model_served", "deployment", "host_class", "region_class", "tier_requested", "tier_served",
    "batch", "speed", "billed", "usage_source", "provider_cost_nanos", "tenant_id", "plan",
    "feature", "started_at", "ended_at", "latency_ms", "max_tokens", "status", "kind",
)  # fmt: skip
"""What `core.calls.call_of` reads of an event."""
_READ: Final = (*CALL_COLUMNS, "received_at", "price_book_hash", "cost_nanos")
COLUMNS: Final = (*_READ, "price_basis", "event_id", "adjusts_event_id", "flags")
"""What is read of events."""


class Ceilings:
    """Tells what to add to the cost of events that have no price, or that just got one.

    `unsure` counts those whose book or event could not be found again: they are reckoned with the
    book in force, or not at all, so that a counter may stand a little too high.
    """

    def __init__(self, books: Books, olap: OlapStore) -> None:
        self._books = books
        self._olap = olap
        self._current: tuple[int, PriceBook] | None = None
        self._kept: OrderedDict[str, PriceBook] = OrderedDict()
        self.unsure = 0

    def lacking(self, table: pa.Table) -> Ints:
        """Return what to add to each event's `cost_nanos` for limits; `COLUMNS` are needed.

        Raises:
            UnavailableError: the books or the live store cannot answer.
        """
        added = np.zeros(table.num_rows, np.int64)
        held = np.flatnonzero(_held(table))
        if len(held):
            added[held] = list(self._missing(table.take(pa.array(held))))
        late = np.flatnonzero(_priced_late(table))
        if len(late):
            added[late] = self._taken_back(table, table.take(pa.array(late)))
        return added

    def _missing(self, events: pa.Table) -> Iterator[int]:
        """Yield what each event without a price lacks: its ceiling, less what is priced of it."""
        for row in _rows(events):
            book = self._book(row["price_book_hash"], row["received_at"])
            yield ceiling_nanos(book, call_of(row, at=row["started_at"])) - row["cost_nanos"]

    def _taken_back(self, table: pa.Table, adjustments: pa.Table) -> Ints:
        """Return what adjustments that bring a price take back of what their events counted."""
        wanted = adjustments.column("adjusts_event_id").to_pylist()
        started = adjustments.column("started_at").cast(pa.int64()).to_numpy()
        known = table.filter(_held(table))
        here = set(known.column("event_id").to_pylist())
        missing = [event_id for event_id in wanted if event_id not in here]
        parts = [known.select(COLUMNS)]
        if missing:
            first, last = int(started.min()), int(started.max())
            found = self._olap.find(missing, start=first, end=last + 1)
            parts.append(found.filter(_held(found)).select(COLUMNS))
        events = pa.concat_tables(parts)
        ids = events.column("event_id").to_pylist()
        places = [place for place, event_id in enumerate(ids) if event_id in set(wanted)]
        counted = dict(
            zip(
                (ids[place] for place in places),
                self._missing(events.take(pa.array(places, pa.int64()))),
                strict=True,
            )
        )
        self.unsure += sum(event_id not in counted for event_id in wanted)
        return np.array([-counted.get(event_id, 0) for event_id in wanted], np.int64)

    # -- books -----------------------------------------------------------------------------

    def _book(self, digest: str | None, received_at: int) -> PriceBook:
        current = self._in_force()
        if not digest or digest == current.hash:
            return current
        book = self._kept.get(digest)
        if book is None:
            book = self._believed(digest, received_at)
            if book is None:
                self.unsure += 1
                book = current
            self._kept[digest] = book
            if len(self._kept) > MAX_BOOKS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(digest)
        return book

    def _in_force(self) -> PriceBook:
        revision = self._books.revision("prices")
        if self._current is None or self._current[0] != revision:
            self._current = (revision, self._books.load_prices())
        return self._current[1]

    def _believed(self, digest: str, received_at: int) -> PriceBook | None:
        """Return the book of a hash: as believed when the event came, or at any change since."""
        changes = {
            entry.at
            for action in PRICE_ACTIONS
            for entry in self._books.audit(limit=MAX_CHANGES, action=action)
        }
        # An event may be priced long after it came, and a change be written just before.
        times = [received_at, *sorted(changes, key=lambda at: abs(at - received_at))]
        for at in times:
            book = self._books.load_prices(known_at=at)
            if book.hash == digest:
                return book
        return None


def _held(table: pa.Table) -> pa.ChunkedArray:
    """Return which events count their ceiling: those that may have been billed and lack a price."""
    usage = pc.equal(table.column("kind"), "usage")
    unpriced = pc.equal(table.column("price_basis"), UNPRICED)
    billed = pc.not_equal(pc.fill_null(table.column("billed"), "yes"), "no")
    return pc.and_(pc.and_(usage, unpriced), billed)


def _priced_late(table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows are adjustments that give an event its first price."""
    adjusting = pc.equal(table.column("kind"), "adjustment").to_numpy()
    if adjusting.any():
        flags = table.column("flags").to_pylist()
        for place in np.flatnonzero(adjusting):
            adjusting[place] = PRICED_LATE in (flags[place] or ())
    return np.asarray(adjusting, np.bool_)


def _rows(events: pa.Table) -> Iterator[Mapping[str, Any]]:
    """Yield events with times as microseconds and maps as mappings."""
    table = events.select(_READ)
    for name in ("started_at", "ended_at", "received_at"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).cast(pa.int64()))
    for row in table.to_pylist():
        row["other_units"] = dict(row["other_units"] or ())
        row["cost_nanos"] = row["cost_nanos"] or 0
        row["received_at"] = row["received_at"] or row["started_at"]
        yield row
