"""Re-rating: what events would cost with today's price book, and adjustments that make it so.

History is never edited: for every event whose price differs an adjustment is written, which every
report adds to it. Running it twice changes nothing: the second run finds no difference, and the
same adjustment made twice has the same id. A price is never taken away: an event that the book
cannot price any more keeps what it has. It owns no storage and no prices.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from outlay.act.changes import adjustments_of, find_changes
from outlay.core.adjustment import Adjustment
from outlay.core.prices import PriceBook
from outlay.errors import BadRequestError, ConflictError, UnavailableError
from outlay.store.base import Books, EventFilter, OlapStore
from outlay.stream.base import Chunk, Log
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
BEGUN: Final = "prices.rerate.begin"
"""The audit entry that stands before the first adjustment, so that a run which is cut off has its
who and why on record too."""

PriceTable = Callable[[pa.Table, PriceBook], Mapping[str, Any]]


class NotSettledError(UnavailableError):
    """Events are still on their way to the store, so prices cannot be compared yet."""


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
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Let a run end after the step it is in, and no other begin: the server is ending."""
        self._stopping.set()

    def run(
        self,
        which: EventFilter,
        *,
        reason: str,
        actor: str,
        apply: bool,
        max_events: int = MAX_EVENTS,
        wait_s: float = 0.0,
    ) -> Outcome:
        """Compare the events' prices with the book, and write adjustments if `apply`.

        Another run that is going on is waited for, at most `wait_s` seconds.

        Raises:
            BadRequestError: the window is empty or holds too many events, or there is no reason.
            ConflictError: another run is going on.
            NotSettledError: what was captured before cannot be seen yet.
            UnavailableError: a store cannot answer, or the server is ending. What was written
                stays: the same run again does the rest.
        """
        check_order(which, reason)
        if not self._running.acquire(timeout=wait_s):
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
            raise NotSettledError
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
        for events, adjustments in self._olap.scan(which):
            if self._stopping.is_set():
                raise UnavailableError(
                    "The server is ending; what was adjusted so far stays.",
                    hint="Run it again when the server is back: it does the rest.",
                )
            outcome.examined += events.num_rows
            changes = find_changes(events, adjustments, self._price(events, book))
            outcome.still_unpriced += changes.still_unpriced
            for one in changes.found:
                _count(outcome, models, one.event, one.change)
                tenants.add(one.event["tenant_id"])
            if apply and changes.found:
                if not outcome.written:
                    self._note(BEGUN, which, reason, actor, {"book": book.hash})
                self._write(adjustments_of(events, changes.found, reason), outcome)
        outcome.tenants = len(tenants)
        ranked = sorted(models.values(), key=lambda m: -abs(m.now_nanos - m.was_nanos))
        outcome.models = ranked[:MAX_MODELS]
        if outcome.written:
            said = {name: getattr(outcome, name) for name in _AUDITED}
            self._note("prices.rerate", which, reason, actor, said)
            self._settled(SETTLE_S)
        return outcome

    def _write(self, table: pa.Table, outcome: Outcome) -> None:
        for first in range(0, table.num_rows, CHUNK_EVENTS):
            part = table.slice(first, CHUNK_EVENTS).combine_chunks()
            chunk = Chunk(to_ipc(part), part.num_rows)
            self._captured.append([chunk], appended_at=self._clock())
            outcome.written += part.num_rows

    def _note(
        self, action: str, which: EventFilter, reason: str, actor: str, said: Mapping[str, Any]
    ) -> None:
        details = {
            "from": which.start, "to": which.end, "provider": which.provider,
            "model": which.model, "tenant": which.tenant, "unpriced": which.unpriced,
            "reason": reason, **said,
        }  # fmt: skip
        self._books.note(action, said["book"], details, actor=actor, at=self._clock())


_AUDITED: Final = ("book", "written", "was_nanos", "now_nanos")


def check_order(which: EventFilter, reason: str) -> None:
    """Check what is asked of a run.

    Raises:
        BadRequestError: the window is empty, or the reason is missing or no short line.
    """
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
