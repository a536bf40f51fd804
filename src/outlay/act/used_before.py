"""What a limit's scopes had used when the log was at an offset: from the live store and the log.

The live store answers up to the end of a batch of its own; what came between there and the offset
is read from the log. Both together are exactly the events up to the offset. It writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.act.ceilings import Ceilings
from outlay.act.settle_columns import Ints
from outlay.act.settle_rows import Counting
from outlay.core.limits.counting import bucket_us
from outlay.core.limits.holds import CounterKey, Post, PostLine
from outlay.core.limits.limit import Limit
from outlay.core.limits.period import counter_key, meter_of, period
from outlay.core.limits.subject import ANY, Subject, matches, needs_field, scope_key
from outlay.core.rollup import DAY_US
from outlay.store.base import EventFilter, OlapStore
from outlay.stream.base import Log
from outlay.stream.columns import ENRICHED_SCHEMA
from outlay.stream.ipc import DamagedRecordError, from_ipc

LOG_EVENTS: Final = 20_000
"""Events read from the log at once."""
COST: Final = "cost"


class MissingRecordsError(Exception):
    """The log has forgotten records that were not in the live store's answer."""


@dataclass(slots=True)
class Used:
    """What one counter had used; by step of time where its window forgets."""

    key: CounterKey
    amount: int
    buckets: dict[int, int]


class UsedBefore:
    """Looks up what was used. Thread-safe as its parts are."""

    def __init__(self, log: Log, olap: OlapStore, ceilings: Ceilings) -> None:
        self._log = log
        self._olap = olap
        self._ceilings = ceilings

    def of(self, limit: Limit, *, at: int, offset: int) -> dict[str, Used]:
        """Return what a limit's counters of the period of a time had used, by counter id.

        Args:
            limit: with a calendar or rolling window.
            at: microseconds UTC.
            offset: of the enriched log; the live store must have come at least as far.

        Raises:
            UnavailableError: the live store, the books or the log cannot answer.
            MissingRecordsError: it cannot be told exactly any more.
        """
        found: dict[str, Used] = {}
        tally = _Tally(limit, at, found)
        stored = self._olap.stored_up_to(offset)
        which = EventFilter(*_window(limit, at), tenant=_only_tenant(limit), up_to=stored)
        if "billing_unit" in needs_field(limit):
            for events, adjustments in self._olap.scan(which):
                both = pa.concat_tables([events, adjustments])
                tally.posts(both, self._lacking(limit, both))
        else:
            self._sums(limit, which, tally)
        for table in self._behind(stored, offset):
            started = table.column("started_at").cast(pa.int64())
            inside = pc.and_(pc.greater_equal(started, which.start), pc.less(started, which.end))
            part = table.filter(inside)
            tally.posts(part, self._lacking(limit, part))
        return {one: used for one, used in found.items() if used.amount or used.buckets}

    def _sums(self, limit: Limit, which: EventFilter, tally: _Tally) -> None:
        fields = needs_field(limit)
        table = self._olap.spent(which, fields, step_us=tally.step_us)
        columns = [table.column(name).to_pylist() for name in fields]
        amounts = _amounts(limit, table)
        steps = table.column("at").to_pylist() if tally.step_us else [0] * len(amounts)
        for *values, amount, step in zip(*columns, amounts, steps, strict=True):
            subject = Subject(**dict(zip(fields, values, strict=True)))
            if amount and matches(limit, subject):
                tally.add(scope_key(limit, subject), amount, step)
        if limit.metric != COST:
            return
        unpriced = EventFilter(
            which.start, which.end, tenant=which.tenant, unpriced=True, up_to=which.up_to
        )
        for events, _ in self._olap.scan(unpriced):
            # Their own cost, of what has a price in them, is in the sums already.
            place = events.schema.get_field_index("cost_nanos")
            zeros = pa.array(np.zeros(events.num_rows, np.int64))
            tally.posts(
                events.set_column(place, ENRICHED_SCHEMA.field(place), zeros),
                self._ceilings.lacking(events),
            )

    def _lacking(self, limit: Limit, table: pa.Table) -> Ints | None:
        return self._ceilings.lacking(table) if limit.metric == COST else None

    def _behind(self, after: int, offset: int) -> Iterator[pa.Table]:
        """Yield the events of the log's records behind one offset up to another."""
        while after < offset:
            records = self._log.read(after, max_events=LOG_EVENTS)
            if not records or records[0].offset != after + 1:
                raise MissingRecordsError
            for record in records:
                if record.offset > offset:
                    return
                after = record.offset
                try:
                    yield from_ipc(record.payload, schema=ENRICHED_SCHEMA)
                except DamagedRecordError:
                    continue  # nobody can count it


class _Tally:
    """Adds up by counter, of the period of one time only."""

    def __init__(self, limit: Limit, at: int, found: dict[str, Used]) -> None:
        self._limit = limit
        self._at = at
        self._found = found
        self._counting = Counting([limit])
        rolling = limit.window == "rolling"
        self.step_us = bucket_us(meter_of(limit, limit.amount)) if rolling else 0

    def add(self, scope: str, amount: int, at: int) -> None:
        key = counter_key(self._limit, scope, self._at)
        used = self._found.setdefault(key.counter_id, Used(key, 0, {}))
        used.amount += amount
        if self.step_us:
            step = at - at % self.step_us
            used.buckets[step] = used.buckets.get(step, 0) + amount

    def posts(self, table: pa.Table, extra: Ints | None) -> None:
        for line in _lines(self._counting.posts(table, extra, now=self._at)):
            key = counter_key(self._limit, line.key.scope_key, self._at)
            if line.key.counter_id == key.counter_id:
                self.add(line.key.scope_key, line.amount, line.at)


def _lines(posts: Iterable[Post]) -> Iterator[PostLine]:
    for post in posts:
        yield from post.lines


def _window(limit: Limit, at: int) -> tuple[int, int]:
    """Return the start and end of what counts: clocks of callers may be ahead."""
    if limit.window == "rolling":
        return at - limit.span_us - bucket_us(meter_of(limit, limit.amount)), at + DAY_US
    return period(limit, at)


def _only_tenant(limit: Limit) -> str:
    """Return the one tenant that a limit is about, or ""."""
    for part in limit.scope:
        if part.field == "tenant" and len(part.values) == 1 and not part.values[0].endswith(ANY):
            return part.values[0]
    return ""


def _amounts(limit: Limit, table: pa.Table) -> list[int]:
    if limit.metric == COST:
        return list(table.column("cost_nanos").to_pylist())
    if limit.metric == "tokens":
        both = pc.add(table.column("input_tokens"), table.column("output_tokens"))
        return list(both.to_pylist())
    return list(table.column(limit.metric).to_pylist())
