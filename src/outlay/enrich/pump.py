"""Feeds one store from the enriched log, at the pace of that store.

One pump per sink, each with the sink's own committed offset: a slow store never holds up another.
It also owns the forgetting of old log records (`trim_logs`). It must not change events.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import pyarrow as pa

from outlay.enrich.hop import HopLog
from outlay.enrich.loop import STOP_TIMEOUT_S, Loop
from outlay.errors import UnavailableError
from outlay.store.base import Books, DeadLetter, Sink
from outlay.stream.base import Log, Record
from outlay.stream.columns import ENRICHED_SCHEMA
from outlay.stream.ipc import DamagedRecordError, from_ipc

MIN_EVENTS: Final = 2_000
MAX_EVENTS: Final = 50_000
MIN_INTERVAL_S: Final = 0.05
WAIT_S: Final = 0.25
REFUSALS: Final = 3
"""Times a sink may refuse a record, other than for lack of storage, before it is skipped."""
_DAY_US: Final = 86_400_000_000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PumpState:
    """How a sink stands against the log; counts are since the pump was made."""

    name: str
    running: bool = False
    offset: int = 0
    lag_records: int = 0
    lag_events: int = 0
    """An estimate: records behind, times the mean events of a record so far."""
    writes: int = 0
    events: int = 0
    skipped: int = 0
    """Events put aside because the sink refused them."""
    busy_s: float = 0.0
    batch_events: int = 0
    last_error: str = ""
    last_error_at: int = 0
    failures: int = 0
    """Attempts that failed in a row; 0 when all is well."""


class SinkPump:
    """Writes the enriched log into one sink, in a thread of its own.

    Batches grow while the sink is behind and shrink to `min_events` near the head, so that fresh
    events show early. `min_interval_s` spaces writes out for a sink that makes a file of each;
    such a sink wants large batches near the head too.
    `clock` gives microseconds UTC.
    """

    def __init__(
        self,
        log: Log,
        sink: Sink,
        *,
        books: Books | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        min_events: int = MIN_EVENTS,
        max_events: int = MAX_EVENTS,
        min_interval_s: float = MIN_INTERVAL_S,
    ) -> None:
        self._source = log
        self._sink = sink
        self._books = books
        self._clock = clock
        self._max_events = max_events
        self._min_interval_s = min_interval_s
        self._min_events = min(min_events, max_events)
        self._batch_events = self._min_events
        self._passed = 0
        self._aside: set[int] = set()
        self._refusals = 0
        self._single = 0
        self._records = 0
        self._state = PumpState(sink.name)
        self._loop = Loop(f"outlay-pump-{sink.name}", self._turn, self._failed)
        self._step_lock = threading.Lock()

    # -- life ------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin feeding the sink in a thread."""
        self._loop.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the thread after the write it is in; tell whether it ended in time."""
        return self._loop.stop(timeout_s)

    def state(self) -> PumpState:
        """Return the present state; the lag is read from log and sink."""
        offset = self._offset()
        lag = max(0, self._source.head() - offset)
        mean = self._state.events / self._records if self._records else 1.0
        return replace(
            self._state,
            running=self._loop.running,
            offset=offset,
            lag_records=lag,
            lag_events=round(lag * mean),
            batch_events=self._batch_events,
        )

    def _turn(self) -> None:
        if not self.run_once():
            self._source.wait(self._offset(), WAIT_S)
        elif self._near_head():
            self._loop.pause(self._min_interval_s)

    def _failed(self, error: Exception) -> None:
        failures = self._state.failures + 1
        text = f"{type(error).__name__}: {error}" if _storage(error) else type(error).__name__
        self._state = replace(
            self._state, last_error=text, last_error_at=self._clock(), failures=failures
        )
        if failures & (failures - 1) == 0:  # at the 1st, 2nd, 4th, 8th …: visible, not a flood
            _log.warning("%s failed %d times in a row: %s", self._sink.name, failures, text)

    def _offset(self) -> int:
        # A skipped record at the very end may be passed here before the sink can commit that.
        return max(self._sink.offset(), self._passed)

    def _near_head(self) -> bool:
        return self._batch_events <= self._min_events

    # -- one step --------------------------------------------------------------------------

    def run_once(self) -> int:
        """Write one batch and return how many records it took, 0 when there is none.

        Raises:
            UnavailableError: if log or sink cannot answer now; try again.
            Exception: what the sink raised for this batch; after a few times its records go one
                by one, and one that is refused again and again is put aside.
        """
        with self._step_lock:
            after = self._offset()
            limit = 1 if self._single else self._batch_events
            records = self._source.read(after, max_events=limit)
            if not records:
                return 0
            begun = time.perf_counter()
            try:
                written = self._write(records)
            except Exception as error:
                if not _storage(error):
                    self._refused(records, error)
                raise
            took = time.perf_counter() - begun
            self._refusals = 0
            self._single = max(0, self._single - len(records))
            self._adapt(records[-1].offset)
            self._records += len(records)
            state = self._state
            self._state = replace(
                state,
                writes=state.writes + 1,
                events=state.events + written,
                busy_s=state.busy_s + took,
                failures=0,
            )
            return len(records)

    def _write(self, records: Sequence[Record]) -> int:
        tables = []
        for record in records:
            try:
                tables.append(from_ipc(record.payload, schema=ENRICHED_SCHEMA))
            except DamagedRecordError as error:
                self._put_aside(record, error.code, error.message)
        table = pa.concat_tables([ENRICHED_SCHEMA.empty_table(), *tables]).combine_chunks()
        self._sink.write(table, offset=records[-1].offset)
        self._aside.clear()
        return int(table.num_rows)

    def _adapt(self, last: int) -> None:
        # A slow sink that is behind needs larger batches too: its cost is mostly per write.
        if self._source.head() > last:
            self._batch_events = min(2 * self._batch_events, self._max_events)
        else:
            self._batch_events = max(self._min_events, self._batch_events // 2)

    # -- refusals --------------------------------------------------------------------------

    def _refused(self, records: Sequence[Record], error: Exception) -> None:
        self._refusals += 1
        if self._refusals < REFUSALS:
            return
        self._refusals = 0
        if len(records) > 1:
            self._single = len(records)
            return
        record = records[0]
        self._put_aside(record, "sink_refused", f"the sink raised {type(error).__name__}")
        self._single = max(0, self._single - 1)
        try:
            self._sink.write(ENRICHED_SCHEMA.empty_table(), offset=record.offset)
        except Exception as second:
            _log.warning("%s cannot pass a skipped record: %s", self._sink.name, type(second))
        self._passed = record.offset

    def _put_aside(self, record: Record, code: str, message: str) -> None:
        if record.offset in self._aside:
            return  # the write behind it is being tried again
        _log.error(
            "%s skips %d events at offset %d: %s",
            self._sink.name, record.count, record.offset, message,
        )  # fmt: skip
        detail = {"enriched_offset": record.offset, "events": record.count}
        if self._books is not None:
            letter = DeadLetter(
                self._clock(), f"sink:{self._sink.name}", code, message, json.dumps(detail)
            )
            self._books.dead_letter([letter])
        self._aside.add(record.offset)
        self._state = replace(self._state, skipped=self._state.skipped + record.count)


def _storage(error: Exception) -> bool:
    return isinstance(error, (UnavailableError, MemoryError))


@dataclass(frozen=True, slots=True)
class Trimmed:
    """How many records each log forgot."""

    captured: int
    enriched: int


class Reader(Protocol):
    """Whoever reads the enriched log and keeps how far it came: a sink, or what counts events."""

    def offset(self) -> int:
        """Return the last offset that it has no need of any more."""


def trim_logs(
    captured: Log, enriched: HopLog, readers: Sequence[Reader], *, retention_days: int, now: int
) -> Trimmed:
    """Forget records that everyone has read and that are older than the retention.

    The captured log goes up to what is enriched, the enriched one up to the slowest reader; `now`
    is microseconds UTC. Without readers the enriched log is kept.
    """
    before = now - retention_days * _DAY_US
    slowest = min((reader.offset() for reader in readers), default=0)
    return Trimmed(
        captured=captured.trim(enriched.consumed(), appended_before=before),
        enriched=enriched.trim(slowest, appended_before=before),
    )
