"""Re-rating: what events would cost with today's price book, and adjustments that make it so.

History is never edited: for every event whose price differs an adjustment is written, which every
report adds to it. Running it twice changes nothing: the second run finds no difference, and the
same adjustment made twice has the same id. A price is never taken away: an event that the book
cannot price any more keeps what it has. It owns no storage and no prices.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import pyarrow as pa

from outlay.core.adjustment import Adjustment, adjustment_id, difference, net_lines
from outlay.core.event import CAPTURED
from outlay.core.prices import PriceBook
from outlay.core.rating import UNPRICED
from outlay.errors import BadRequestError, ConflictError, UnavailableError
from outlay.store.base import Books, EventFilter, OlapStore
from outlay.stream.base import Chunk, Log
from outlay.stream.columns import CAPTURED_SCHEMA
from outlay.stream.ipc import to_ipc

MAX_EVENTS: Final = 5_000_000
"""Events that one run looks at; a longer window is done in parts."""
MAX_REASON_CHARACTERS: Final = 200
MAX_MODELS: Final = 200
"""Models that the outcome lists one by one, those that change most first."""
CHUNK_EVENTS: Final = 4_000
"""Adjustments in one record of the log."""
SETTLE_S: Final = 30.0
"""How long a run waits until what was captured before it can be seen."""

PriceTable = Callable[[pa.Table, PriceBook], Mapping[str, Any]]

_AMOUNTS: Final = ("cost_nanos", "list_cost_nanos", "sell_nanos", "credits_micros")
_NOT_TAKEN_OVER: Final = frozenset(
    (
        "event_id", "provider_request_id", "response_id", "fallback_from", "latency_ms", "ttft_ms",
        "input", "input_cache_read", "input_cache_write_5m", "input_cache_write_1h", "output",
        "output_reasoning", "other_units", "usage_raw", "segments", "findings", "tool_calls",
        "provider_cost_nanos", "hold_id", "estimate_nanos", "limit_action", "max_tokens", "kind",
        "adjusts_event_id", "reason",
    )
)  # fmt: skip
"""What an adjustment does not repeat of its event: it used nothing itself."""
_TAKEN_OVER: Final = tuple(f.name for f in CAPTURED if f.name not in _NOT_TAKEN_OVER)


@dataclass(slots=True)
class ModelChange:
    """What changes for one provider and model; amounts in nano-dollars."""

    provider: str
    model: str
    events: int = 0
    was_nanos: int = 0
    now_nanos: int = 0


@dataclass(slots=True)
class Outcome:
    """What a run found, and wrote if it was told to; amounts are sums over the changed events."""

    examined: int = 0
    changed: int = 0
    priced_late: int = 0
    still_unpriced: int = 0
    was_nanos: int = 0
    now_nanos: int = 0
    sell_change_nanos: int = 0
    credits_change_micros: int = 0
    tenants: int = 0
    written: int = 0
    book: str = ""
    models: list[ModelChange] = field(default_factory=list)


class Rerater:
    """Runs one re-rating at a time.

    Args:
        olap: where events are read from.
        captured: the log that adjustments are written to.
        books: where the price book is.
        price: prices a table of events; `enrich.price.price_table`.
        settled: waits until everything captured so far can be read; tells whether it can.
        clock: microseconds UTC.
    """

    def __init__(
        self,
        olap: OlapStore,
        captured: Log,
        books: Books,
        *,
        price: PriceTable,
        settled: Callable[[float], bool],
        clock: Callable[[], int],
    ) -> None:
        self._olap = olap
        self._captured = captured
        self._books = books
        self._price = price
        self._settled = settled
        self._clock = clock
        self._running = threading.Lock()

    def run(
        self,
        which: EventFilter,
        *,
        reason: str,
        actor: str,
        apply: bool,
        max_events: int = MAX_EVENTS,
    ) -> Outcome:
        """Compare the events' prices with the book, and write adjustments if `apply`.

        Raises:
            BadRequestError: the window is empty or holds too many events, or there is no reason.
            ConflictError: another run is going on.
            UnavailableError: what was captured before cannot be seen yet.
        """
        _check(which, reason)
        if not self._running.acquire(blocking=False):
            raise ConflictError(
                "Another re-rating is running.", hint="Try again when it has ended."
            )
        try:
            return self._run(which, reason, actor, apply, max_events)
        finally:
            self._running.release()

    def _run(
        self, which: EventFilter, reason: str, actor: str, apply: bool, max_events: int
    ) -> Outcome:
        if not self._settled(SETTLE_S):
            raise UnavailableError(
                "Events are still on their way to the store, so prices cannot be compared yet."
            )
        found = self._olap.matching(which)
        if found > max_events:
            raise BadRequestError(
                f"The window holds {found:,} events; one run takes {max_events:,}.",
                where="from",
                hint="Choose a shorter window, a model or a tenant.",
            )
        book = self._books.load_prices()
        outcome = Outcome(book=book.hash)
        models: dict[tuple[str, str], ModelChange] = {}
        tenants: set[str] = set()
        waiting: list[dict[str, Any]] = []
        for events, adjustments in self._olap.scan(which):
            outcome.examined += events.num_rows
            for event, number, change in self._changes(events, adjustments, book, outcome):
                _count(outcome, models, event, change)
                tenants.add(event["tenant_id"])
                if apply:
                    waiting.append(_row(event, number, change, reason))
                if len(waiting) >= CHUNK_EVENTS:
                    self._write(waiting, outcome)
        self._write(waiting, outcome)
        outcome.tenants = len(tenants)
        ranked = sorted(models.values(), key=lambda m: -abs(m.now_nanos - m.was_nanos))
        outcome.models = ranked[:MAX_MODELS]
        if outcome.written:
            self._note(which, reason, actor, outcome)
            self._settled(SETTLE_S)
        return outcome

    def _changes(
        self, events: pa.Table, adjustments: pa.Table, book: PriceBook, outcome: Outcome
    ) -> Iterator[tuple[dict[str, Any], int, Adjustment]]:
        """Yield the events whose price differs, how often each was adjusted, and the change."""
        priced = self._price(events, book)
        adjusted = _by_event(adjustments)
        new = pa.table({name: priced[name] for name in (*_AMOUNTS, "price_basis")})
        old = events.select([*_AMOUNTS, "price_basis"])
        suspects = [
            row
            for row, (was, now, key) in enumerate(
                zip(old.to_pylist(), new.to_pylist(), _ids(events), strict=True)
            )
            if key in adjusted or was != now or now["price_basis"] == UNPRICED
        ]
        if not suspects:
            return
        at = pa.array(suspects)
        told = {name: _take(priced[name], at).to_pylist() for name in _PRICED}
        for place, event in enumerate(_plain(events.take(at))):
            now = {name: values[place] for name, values in told.items()}
            before = adjusted.get(event["event_id"], [])
            basis = before[-1]["price_basis"] if before else event["price_basis"]
            if now["price_basis"] == UNPRICED:
                outcome.still_unpriced += basis == UNPRICED
                continue
            change = _change(event, before, now, was_unpriced=basis == UNPRICED)
            if change.changes:
                yield event, len(before), change

    def _write(self, rows: list[dict[str, Any]], outcome: Outcome) -> None:
        if not rows:
            return
        table = pa.Table.from_pylist(rows, schema=CAPTURED_SCHEMA)
        self._captured.append([Chunk(to_ipc(table), len(rows))], appended_at=self._clock())
        outcome.written += len(rows)
        rows.clear()

    def _note(self, which: EventFilter, reason: str, actor: str, outcome: Outcome) -> None:
        details = {
            "from": which.start, "to": which.end, "provider": which.provider,
            "model": which.model, "tenant": which.tenant, "unpriced": which.unpriced,
            "reason": reason, "book": outcome.book, "written": outcome.written,
            "was_nanos": outcome.was_nanos, "now_nanos": outcome.now_nanos,
        }  # fmt: skip
        self._books.note("prices.rerate", outcome.book, details, actor=actor, at=self._clock())


_PRICED: Final = (
    *_AMOUNTS, "lines", "price_basis", "price_confidence", "price_model", "price_rule",
    "price_book_hash",
)  # fmt: skip


def _check(which: EventFilter, reason: str) -> None:
    if which.start >= which.end:
        raise BadRequestError("The window ends before it begins.", where="to")
    if not reason.strip():
        raise BadRequestError(
            "A re-rating needs a reason: it stands on every adjustment.", where="reason"
        )
    if len(reason) > MAX_REASON_CHARACTERS or not reason.isprintable():
        raise BadRequestError(
            f"A reason is one line of at most {MAX_REASON_CHARACTERS} characters.", where="reason"
        )


def _change(
    event: Mapping[str, Any],
    before: Sequence[Mapping[str, Any]],
    now: Mapping[str, Any],
    *,
    was_unpriced: bool,
) -> Adjustment:
    sums = {n: sum(int(e[n] or 0) for e in (event, *before)) for n in _AMOUNTS}
    booked = net_lines(e["lines"] or () for e in (event, *before))
    return Adjustment(
        was_nanos=sums["cost_nanos"],
        now_nanos=now["cost_nanos"],
        lines=difference(booked, now["lines"] or ()),
        list_change=int(now["list_cost_nanos"] or 0) - sums["list_cost_nanos"],
        sell_change=int(now["sell_nanos"] or 0) - sums["sell_nanos"],
        credits_change=int(now["credits_micros"] or 0) - sums["credits_micros"],
        price_basis=now["price_basis"],
        price_confidence=now["price_confidence"] or "",
        price_model=event["price_model"],
        now_model=now["price_model"],
        price_rule=now["price_rule"],
        price_book_hash=now["price_book_hash"] or "",
        priced_late=was_unpriced,
    )


def _count(
    outcome: Outcome,
    models: dict[tuple[str, str], ModelChange],
    event: Mapping[str, Any],
    change: Adjustment,
) -> None:
    outcome.changed += 1
    outcome.priced_late += change.priced_late
    outcome.was_nanos += change.was_nanos
    outcome.now_nanos += change.now_nanos
    outcome.sell_change_nanos += change.sell_change
    outcome.credits_change_micros += change.credits_change
    key = (event["provider"] or "", change.now_model or event["model_served"] or "")
    model = models.setdefault(key, ModelChange(*key))
    model.events += 1
    model.was_nanos += change.was_nanos
    model.now_nanos += change.now_nanos


def _row(event: Mapping[str, Any], number: int, change: Adjustment, reason: str) -> dict[str, Any]:
    """Return the adjustment as a captured event."""
    row = {name: event[name] for name in _TAKEN_OVER}
    made = adjustment_id(str(UUID(bytes=event["event_id"])), number, change)
    row |= {
        "event_id": UUID(made).bytes,
        "kind": "adjustment",
        "adjusts_event_id": event["event_id"],
        "reason": reason,
        "usage_raw": change.to_json(),
    }
    return {**{f.name: f.default for f in CAPTURED}, **row}


def _by_event(adjustments: pa.Table) -> dict[bytes, list[dict[str, Any]]]:
    found: dict[bytes, list[dict[str, Any]]] = {}
    names = ["adjusts_event_id", *_AMOUNTS, "lines", "price_basis"]
    for row in adjustments.select(names).to_pylist():
        found.setdefault(row["adjusts_event_id"], []).append(row)
    return found


def _plain(events: pa.Table) -> list[dict[str, Any]]:
    for name in ("started_at", "ended_at"):
        place = events.schema.get_field_index(name)
        events = events.set_column(place, name, events.column(name).cast(pa.int64()))
    rows: list[dict[str, Any]] = events.to_pylist()
    return rows


def _ids(events: pa.Table) -> list[bytes]:
    ids: list[bytes] = events.column("event_id").to_pylist()
    return ids


def _take(column: Any, at: pa.Array) -> Any:
    return column.take(at)
