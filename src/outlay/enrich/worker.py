"""The enrichment worker: captured events in, enriched events out, each exactly once.

It reads the captured log from where the enriched log says it came, drops duplicates, adds the
server's columns and commits everything in one hop. A record or an event that cannot be enriched
is put aside as a dead letter and the stream goes on; an error of storage is tried again for as
long as it lasts, and shows in `state`. It must not price or store by itself.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from outlay.core.event import FIELDS, UNATTRIBUTED
from outlay.core.units import EVENT_UNITS
from outlay.enrich import flags
from outlay.enrich.adjust import price_kinds
from outlay.enrich.business import TenantIndex, initiators
from outlay.enrich.drift import USAGE_DRIFT, DriftBook
from outlay.enrich.drift import mask as drifted
from outlay.enrich.hop import ID_BYTES, Hop, HopLog
from outlay.enrich.loop import STOP_TIMEOUT_S, Loop
from outlay.errors import ConflictError, UnavailableError
from outlay.store.base import Books, DeadLetter
from outlay.stream.base import Chunk, Log, Record
from outlay.stream.columns import CAPTURED_SCHEMA, ENRICHED_SCHEMA
from outlay.stream.ipc import DamagedRecordError, from_ipc, to_ipc

if TYPE_CHECKING:
    from outlay.core.prices import PriceBook

PriceTable = Callable[[pa.Table, "PriceBook"], Mapping[str, Any]]
"""Prices captured events, with their tenants' `plan`: the cost columns by name, and
`price_flags` (lists of flags)."""

MAX_EVENTS: Final = 20_000
"""Events in one hop."""
LINGER_S: Final = 0.02
"""How long a small batch waits for more, so that light traffic makes few commits."""
LINGER_BELOW: Final = 500
WAIT_S: Final = 0.25

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EnricherState:
    """What the worker did and how it stands; counts are since it was made."""

    running: bool = False
    offset: int = 0
    lag_records: int = 0
    batches: int = 0
    events: int = 0
    duplicates: int = 0
    dead: int = 0
    busy_s: float = 0.0
    last_error: str = ""
    last_error_at: int = 0
    failures: int = 0
    """Attempts that failed in a row; 0 when all is well."""


@dataclass(slots=True)
class _Batch:
    """Events on their way through one hop."""

    table: pa.Table
    received_at: flags.Ints
    ids: list[bytes]


class Enricher:
    """Moves events from the captured to the enriched log in a thread of its own.

    `start` and `stop` run the thread; `run_once` does one step in the caller's thread. `price` is
    `enrich.price.price_table`; `clock` gives microseconds UTC.
    """

    def __init__(
        self,
        captured: Log,
        enriched: HopLog,
        books: Books,
        *,
        price: PriceTable,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        rules: flags.FlagRules | None = None,
        max_events: int = MAX_EVENTS,
        linger_s: float = LINGER_S,
    ) -> None:
        self._captured = captured
        self._enriched = enriched
        self._books = books
        self._price = price
        self._clock = clock
        self._rules = rules or flags.FlagRules()
        self._max_events = max_events
        self._linger_s = linger_s
        self._tenants: tuple[int, TenantIndex] | None = None
        self._book: tuple[int, PriceBook] | None = None
        self._sizes: flags.PromptSizes | None = None
        self._lettered: set[str] = set()
        self._drifts = DriftBook(books)
        self._loop = Loop("outlay-enrich", self._turn, self._failed)
        self._step_lock = threading.Lock()
        self._state = EnricherState()

    def start(self) -> None:
        """Begin enriching in a thread."""
        self._loop.start()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """End the thread after the step it is in; tell whether it ended in time."""
        return self._loop.stop(timeout_s)

    def state(self) -> EnricherState:
        """Return the present state; the lag is read from the logs."""
        offset = self._enriched.consumed()
        lag = max(0, self._captured.head() - offset)
        running = self._loop.running
        return replace(self._state, running=running, offset=offset, lag_records=lag)

    def _turn(self) -> None:
        if not self.run_once(linger=True):
            self._captured.wait(self._enriched.consumed(), WAIT_S)

    def _failed(self, error: Exception) -> None:
        failures = self._state.failures + 1
        text, at = f"{type(error).__name__}: {error}", self._clock()
        self._state = replace(self._state, last_error=text, last_error_at=at, failures=failures)
        if failures & (failures - 1) == 0:  # at the 1st, 2nd, 4th, 8th …: visible, not a flood
            _log.warning("enrichment failed %d times in a row: %s", failures, text)

    def run_once(self, *, linger: bool = False) -> int:
        """Do one step and return how many captured records it consumed.

        Raises:
            UnavailableError: if a log or the books cannot answer; nothing is lost or doubled.
        """
        with self._step_lock:
            after = self._enriched.consumed()
            records = self._read(after, linger)
            if not records:
                return 0
            begun = time.perf_counter()
            self._step(after, records)
            took = time.perf_counter() - begun
            self._state = replace(self._state, busy_s=self._state.busy_s + took, failures=0)
            return len(records)

    def _read(self, after: int, linger: bool) -> list[Record]:
        records = self._captured.read(after, max_events=self._max_events)
        if linger and records and sum(r.count for r in records) < LINGER_BELOW:
            self._loop.pause(self._linger_s)
            records = self._captured.read(after, max_events=self._max_events)
        return records

    def _step(self, after: int, records: Sequence[Record]) -> None:
        letters: list[DeadLetter] = []
        batch, duplicates = self._fresh(self._decode(records, letters), records)
        damaged = sum(r.count for r in records) - len(batch.ids) - duplicates
        parts = self._enrich(batch, letters)
        enriched = pa.concat_tables([ENRICHED_SCHEMA.empty_table(), *parts]).combine_chunks()
        # What a damaged record says it holds may be damaged too.
        dead = max(0, damaged) + len(batch.ids) - enriched.num_rows
        sizes = self._prompt_sizes()
        usage = _usage_rows(enriched)
        learned = sizes.learned(_array(usage, "tenant_id"), flags.input_totals(usage))
        self._put_aside(letters)
        chunks = [Chunk(to_ipc(enriched), enriched.num_rows)] if enriched.num_rows else []
        newest = max(record.appended_at for record in records)
        hop = Hop(after, records[-1].offset, newest, self._clock(), chunks, _ids(enriched), learned,
                  duplicates=duplicates, dead=dead)  # fmt: skip
        try:
            self._enriched.commit(hop)
        except ConflictError:
            self._sizes = None  # another worker's statistics are newer than ours
            raise
        sizes.apply(learned)
        self._drifts.tell(enriched, at=hop.appended_at)
        self._lettered.clear()
        self._state = replace(
            self._state,
            batches=self._state.batches + 1,
            events=self._state.events + enriched.num_rows,
            duplicates=self._state.duplicates + duplicates,
            dead=self._state.dead + dead,
        )

    def _decode(self, records: Sequence[Record], letters: list[DeadLetter]) -> _Batch:
        tables: list[pa.Table] = []
        received: list[flags.Ints] = []
        for record in records:
            try:
                table = from_ipc(record.payload, schema=CAPTURED_SCHEMA)
                if table.column("event_id").null_count:
                    raise DamagedRecordError("a record holds events without an id")
            except DamagedRecordError as error:
                detail = {"captured_offset": record.offset, "events": record.count}
                letters.append(self._letter(error.code, error.message, detail))
                continue
            tables.append(table)
            received.append(np.full(table.num_rows, record.appended_at, np.int64))
        joined = pa.concat_tables([CAPTURED_SCHEMA.empty_table(), *tables]).combine_chunks()
        times = np.concatenate([np.zeros(0, np.int64), *received])
        return _Batch(joined, times, _ids(joined))

    def _fresh(self, batch: _Batch, records: Sequence[Record]) -> tuple[_Batch, int]:
        """Drop events whose id came before, in this batch or in any earlier one."""
        newest = max(record.appended_at for record in records)
        seen = self._enriched.seen(batch.ids, received_at=newest)
        if not seen and len(set(batch.ids)) == len(batch.ids):
            return batch, 0
        kept: list[int] = []
        for row, key in enumerate(batch.ids):
            if key not in seen:
                seen.add(key)
                kept.append(row)
        duplicates = len(batch.ids) - len(kept)
        rows = np.array(kept, np.int64)
        ids = [batch.ids[row] for row in kept]
        return _Batch(batch.table.take(pa.array(rows)), batch.received_at[rows], ids), duplicates

    def _enrich(self, batch: _Batch, letters: list[DeadLetter]) -> list[pa.Table]:
        """Enrich a batch; when that fails, halve it until the bad events stand alone."""
        if not batch.ids:
            return []
        tenants, book, sizes = self._tenant_index(), self._price_book(), self._prompt_sizes()
        parts: list[pa.Table] = []
        waiting = [(0, len(batch.ids))]
        while waiting:
            start, end = waiting.pop()
            table = batch.table.slice(start, end - start)
            received = batch.received_at[start:end]
            try:
                who = tenants.attributes(
                    _array(table, "tenant_id"), flags.integers(table, "started_at")
                )
                # What an event is sold for may depend on its tenant's plan.
                planned = table.append_column("plan", who[0]["plan"])
                priced = price_kinds(planned, lambda part: self._price(part, book))
                parts.append(_enriched(table, received, who, priced, sizes, self._rules))
            except (UnavailableError, MemoryError):
                raise
            except Exception as error:
                if end - start > 1:
                    middle = (start + end) // 2
                    waiting += [(middle, end), (start, middle)]
                    continue
                _log.warning("an event cannot be enriched: %s", type(error).__name__)
                detail = {"event_id": batch.ids[start].hex()}
                message = f"enrichment raised {type(error).__name__}"
                letters.append(self._letter("enrich_failed", message, detail))
        return parts

    def _put_aside(self, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters once, however often the commit behind them has to be tried."""
        new = [letter for letter in letters if letter.payload not in self._lettered]
        if new:
            self._books.dead_letter(new)
            self._lettered.update(letter.payload for letter in new)

    def _letter(self, code: str, message: str, detail: Mapping[str, Any]) -> DeadLetter:
        payload = json.dumps(detail, separators=(",", ":"))
        return DeadLetter(self._clock(), "enrich", code, message, payload)

    def _tenant_index(self) -> TenantIndex:
        revision = self._books.revision("tenants")
        if self._tenants is None or self._tenants[0] != revision:
            self._tenants = (revision, TenantIndex(self._books.tenants()))
        return self._tenants[1]

    def _price_book(self) -> PriceBook:
        revision = self._books.revision("prices")
        if self._book is None or self._book[0] != revision:
            self._book = (revision, self._books.load_prices())
        return self._book[1]

    def _prompt_sizes(self) -> flags.PromptSizes:
        if self._sizes is None:
            self._sizes = flags.PromptSizes(self._enriched.stats())
        return self._sizes


def _array(table: pa.Table, name: str) -> pa.Array:
    return table.column(name).combine_chunks()


def _ids(table: pa.Table) -> list[bytes]:
    column = _array(table, "event_id")
    if not len(column):
        return []
    start, size = column.offset * ID_BYTES, len(column) * ID_BYTES
    raw = column.buffers()[1].slice(start, size).to_pybytes()
    return [raw[at : at + ID_BYTES] for at in range(0, len(raw), ID_BYTES)]


def _usage_rows(table: pa.Table) -> pa.Table:
    """Return the columns that tell of a tenant's own prompts, without the rows that do not."""
    known = pc.and_(
        pc.not_equal(table.column("tenant_id"), UNATTRIBUTED),
        pc.equal(table.column("kind"), "usage"),
    )
    return table.select(["tenant_id", *EVENT_UNITS, "other_units"]).filter(known).combine_chunks()


def _enriched(
    table: pa.Table,
    received_at: flags.Ints,
    who: tuple[dict[str, pa.Array], flags.Mask],
    priced: dict[str, Any],
    sizes: flags.PromptSizes,
    rules: flags.FlagRules,
) -> pa.Table:
    """Return captured events with every enriched column; `who` is as from `TenantIndex`."""
    tenant_ids = _array(table, "tenant_id")
    attributes, unknown = who
    by_flag = flags.masks(table, received_at, unknown, rules)
    totals = flags.input_totals(table)
    by_flag[USAGE_DRIFT] = drifted(table)
    by_flag[flags.LARGE_PROMPT] = sizes.large(tenant_ids, totals, rules.large_prompt_factor)
    price_flags = priced.pop("price_flags", None)
    columns: dict[str, Any] = {
        **priced,
        **attributes,
        "received_at": pa.array(received_at).cast(pa.timestamp("us")),
        "initiator": initiators(table),
        "flags": flags.flag_lists(table.num_rows, by_flag, price_flags),
    }
    arrays = []
    for spec, field in zip(FIELDS, ENRICHED_SCHEMA, strict=True):
        if spec.name in columns:
            column = columns[spec.name]
            arrays.append(column if column.type == field.type else column.cast(field.type))
        elif not spec.enriched:
            arrays.append(table.column(spec.name))
        elif spec.default is None:
            arrays.append(pa.nulls(table.num_rows, field.type))
        else:
            arrays.append(pa.repeat(pa.scalar(spec.default, field.type), table.num_rows))
    return pa.Table.from_arrays(arrays, schema=ENRICHED_SCHEMA)
