"""Counts events on the counters of limits and credits: each event once, whatever crashes.

It reads the enriched log from where the books say events were counted, and posts what they add up
to together with the new offset, in one transaction. Limits are looked at after a piece of the log
was read and before it is posted: what had come in before a limit was there cannot belong to a call
that it held, so that limit begins exactly there (`spans`). Nothing waits for it: meanwhile counters
stand on what holders report. It decides about no call.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa

from outlay.act import ceilings, settle_columns
from outlay.act.ceilings import Ceilings
from outlay.act.settle_rows import Counting
from outlay.act.spans import begun, read_spans
from outlay.core.limits.holds import Post
from outlay.enrich.loop import STOP_TIMEOUT_S, Loop
from outlay.errors import ConflictError, UnavailableError
from outlay.store.base import Books, DeadLetter, OlapStore
from outlay.stream.base import Log, Record
from outlay.stream.columns import ENRICHED_SCHEMA
from outlay.stream.ipc import DamagedRecordError, from_ipc

MAX_EVENTS: Final = 20_000
"""Events posted in one transaction, unless one record holds more."""
WAIT_S: Final = 0.25
LINGER_S: Final = 0.05
"""How long a small batch waits for more, so that light traffic makes few transactions."""
LINGER_BELOW: Final = 500
IDLE_WRITE_S: Final = 1.0
"""How often the offset is written while nothing counts."""
REFUSALS: Final = 3
"""Times the books may refuse events, other than for lack of storage, before they are put aside."""
TOPICS: Final = ("limits", "credits")
COLUMNS: Final = tuple(
    name for name in ENRICHED_SCHEMA.names if name in {*ceilings.COLUMNS, *settle_columns.COLUMNS}
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SettlerState:
    """How it stands against the log; counts are since it was made."""

    running: bool = False
    offset: int = 0
    lag_records: int = 0
    events: int = 0
    posts: int = 0
    skipped: int = 0
    """Events put aside because they could not be read or counted."""
    unsure: int = 0
    """Events without a price whose ceiling could not be found again; see `Ceilings`."""
    busy_s: float = 0.0
    last_error: str = ""
    last_error_at: int = 0
    failures: int = 0
    """Attempts that failed in a row; 0 when all is well."""


class Settler:
    """Posts events in a thread of its own; `run_once` does one step in the caller's thread.

    Args:
        log: the enriched log.
        books: where limits and counters are.
        olap: where events are found again that get a price late.
        clock: microseconds UTC.
        moved: told of the series of counters that events have moved.
        changed: called when a limit has begun to count, so that what it used before is looked up.
    """

    def __init__(
        self,
        log: Log,
        books: Books,
        olap: OlapStore,
        *,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        moved: Callable[[Iterable[str]], None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
        max_events: int = MAX_EVENTS,
    ) -> None:
        self._source = log
        self._books = books
        self._ceilings = Ceilings(books, olap)
        self._clock = clock
        self._moved = moved
        self._changed = changed
        self._max_events = max_events
        self._at = -1
        """Up to where events were looked at; the books may not know yet if none of them counted."""
        self._written = -1
        self._written_s = 0.0
        self._revisions: tuple[int, ...] = ()
        self._counting = Counting(())
        self._refusals = 0
        self._single = 0
        self._state = SettlerState()
        self._loop = Loop("outlay-settle", self._turn, self._failed)
        self._step_lock = threading.Lock()

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to count in a thread."""
        self._loop.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the thread after the step it is in; tell whether it ended in time."""
        return self._loop.stop(timeout_s)

    def offset(self) -> int:
        """Return the log offset up to which events are counted for good.

        Raises:
            UnavailableError: the books cannot answer.
        """
        return self._books.posted() if self._written < 0 else self._written

    def state(self) -> SettlerState:
        """Return the present state; the lag is read from the log."""
        at = max(self._at, 0)
        return replace(
            self._state,
            running=self._loop.running,
            offset=at,
            lag_records=max(0, self._source.head() - at) if self._at >= 0 else 0,
            unsure=self._ceilings.unsure,
        )

    def write_offset(self) -> None:
        """Let the books know up to where no event counted, if they do not yet."""
        with self._step_lock:
            self._flush()

    def _turn(self) -> None:
        if not self.run_once(linger=True):
            self._source.wait(max(self._at, 0), WAIT_S)

    def _failed(self, error: Exception) -> None:
        failures = self._state.failures + 1
        text = f"{type(error).__name__}: {error}" if _storage(error) else type(error).__name__
        self._state = replace(
            self._state, last_error=text, last_error_at=self._clock(), failures=failures
        )
        if failures & (failures - 1) == 0:  # at the 1st, 2nd, 4th, 8th …: visible, not a flood
            _log.warning("counting events failed %d times in a row: %s", failures, text)

    # -- one step --------------------------------------------------------------------------

    def run_once(self, *, linger: bool = False) -> int:
        """Count some records and return how many, 0 when there is none.

        Raises:
            UnavailableError: the log, the books or the live store cannot answer now; nothing was
                counted, try again.
            Exception: what the books raised for these events; after a few times their records go
                one by one, and one that is refused again and again is put aside.
        """
        with self._step_lock:
            if self._at < 0:
                self._at = self._written = self._books.posted()
            records = self._read(linger)
            # After reading: no call that a new limit has let through can be in the records.
            self._look_at_limits()
            if not records:
                self._flush_idle()
                return 0
            begin = time.perf_counter()
            try:
                events = self._step(records)
            except ConflictError:
                self._at = self._written = -1  # somebody else has counted: begin where he is
                raise
            except Exception as error:
                if not _storage(error):
                    self._refused(records)
                raise
            self._refusals = 0
            self._single = max(0, self._single - len(records))
            took = time.perf_counter() - begin
            self._state = replace(
                self._state,
                events=self._state.events + events,
                busy_s=self._state.busy_s + took,
                failures=0,
            )
            return len(records)

    def _read(self, linger: bool) -> list[Record]:
        limit = 1 if self._single else self._max_events
        records = self._source.read(self._at, max_events=limit)
        small = sum(record.count for record in records) < LINGER_BELOW
        if linger and records and small and not self._single and not self._counting.empty:
            self._loop.pause(LINGER_S)
            records = self._source.read(self._at, max_events=limit)
        return records

    def _step(self, records: Sequence[Record]) -> int:
        last = records[-1].offset
        if self._counting.empty:
            self._at = last
            self._flush_idle()
            return 0
        table = self._decode(records)
        posts = self._posts(table)
        if posts:
            self._books.post(posts, after=self._written, offset=last)
            self._at = self._written = last
            self._written_s = time.monotonic()
            self._moved({line.key.series for post in posts for line in post.lines})
        else:
            self._at = last
            self._flush_idle()
        self._state = replace(self._state, posts=self._state.posts + len(posts))
        return int(table.num_rows)

    def _posts(self, table: pa.Table) -> list[Post]:
        extra = self._ceilings.lacking(table) if self._counting.needs_ceilings else None
        return self._counting.posts(table, extra, now=self._clock())

    def _decode(self, records: Sequence[Record]) -> pa.Table:
        tables = [ENRICHED_SCHEMA.empty_table().select(COLUMNS)]
        for record in records:
            try:
                table = from_ipc(record.payload, schema=ENRICHED_SCHEMA, columns=COLUMNS)
                tables.append(table)
            except DamagedRecordError as error:
                # The stores' pumps keep the dead letter of it.
                _log.error("offset %d cannot be counted: %s", record.offset, error.message)
                skipped = self._state.skipped + record.count
                self._state = replace(self._state, skipped=skipped)
        return pa.concat_tables(tables).combine_chunks()

    # -- the offset ------------------------------------------------------------------------

    def _flush_idle(self) -> None:
        if time.monotonic() - self._written_s >= IDLE_WRITE_S:
            self._flush()

    def _flush(self) -> None:
        if self._at > self._written >= 0:
            try:
                self._books.post([], after=self._written, offset=self._at)
            except ConflictError:
                self._at = self._written = -1
                raise
            self._written = self._at
            self._written_s = time.monotonic()

    # -- limits ----------------------------------------------------------------------------

    def _look_at_limits(self) -> None:
        revisions = tuple(self._books.revision(topic) for topic in TOPICS)
        if revisions == self._revisions:
            return
        self._flush()  # what was looked at so far counted by what held until now
        limits = self._books.limits()
        spans = read_spans(self._books.seeded())
        new = begun(spans, limits, offset=self._at)
        for span in new:
            self._books.seed(span.begin_key, (), offset=span.offset, at=self._clock())
        accounts = frozenset(balance.tenant for balance in self._books.balances())
        overrides = [one for one in self._books.overrides() if one.revoked_at is None]
        self._counting = Counting(limits, overrides=overrides, accounts=accounts)
        self._revisions = revisions
        self._changed()

    # -- what the books refuse ---------------------------------------------------------------

    def _refused(self, records: Sequence[Record]) -> None:
        self._refusals += 1
        if self._refusals < REFUSALS:
            return
        self._refusals = 0
        if len(records) > 1:
            self._single = len(records)
            return
        record = records[0]
        _log.error("%d events at offset %d cannot be counted", record.count, record.offset)
        detail = {"enriched_offset": record.offset, "events": record.count}
        letter = DeadLetter(
            self._clock(), "settle", "settle_failed", "the books refused it", json.dumps(detail)
        )
        self._books.dead_letter([letter])
        self._at = record.offset
        self._flush()
        self._single = max(0, self._single - 1)
        self._state = replace(self._state, skipped=self._state.skipped + record.count)


def _storage(error: Exception) -> bool:
    return isinstance(error, (UnavailableError, MemoryError))
