"""Forgetting ended holds and counters, and the proof that counters equal their lines.

Works inside the caller's transaction; locks in the order of `hold_batch`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from outlay.core.limits.counting import forget
from outlay.store.books import credit_accounts
from outlay.store.books.hold_rows import (
    COUNTER_CHANGES,
    COUNTER_ROWS,
    HOLD_ROWS,
    LINE_ROWS,
    counter_changes,
    counter_of,
    every_line,
    is_credit,
    lines_of,
    stored_line,
)
from outlay.store.books.limit_tables import COUNTERS, HOLDS


def forget_holds(connection: sa.Connection, *, before: int, limit: int) -> int:
    """Drop ended holds with their lines; what they booked is folded into their counters."""
    table = HOLDS
    statement = (
        sa.select(table.c.hold_id)
        .where(
            table.c.opened_at < before, table.c.touched_at < before, table.c.state != "open"
        )
        .order_by(table.c.opened_at)
        .limit(limit)
    )  # fmt: skip
    candidates = connection.scalars(statement).all()
    rows = [
        row
        for row in HOLD_ROWS.select(connection, lock=True, hold_id=candidates)
        if row[3] != "open" and row[11] < before
    ]
    booked: defaultdict[str, int] = defaultdict(int)
    short: defaultdict[str, int] = defaultdict(int)
    leases = [row[0] for row in rows if row[2]]
    for row in rows:
        if not row[2]:
            for stored in lines_of(row):
                line = stored_line(stored[0], stored)
                booked[stored[0]] += line.booked
                short[stored[0]] += line.short
    for lease_line in LINE_ROWS.select(connection, owner=leases):
        booked[lease_line[1]] += lease_line[10]
        short[lease_line[1]] += lease_line[11]
    own = [counter_id for counter_id in booked if not is_credit(counter_id)]
    changes = []
    for row in COUNTER_ROWS.select(connection, lock=True, counter_id=own):
        counter = counter_of(row)
        counter.folded += booked[row[0]]
        changes.append((row[0], *counter_changes(counter, row[-1])))
    COUNTER_ROWS.update(connection, COUNTER_CHANGES, changes)
    credit_accounts.loosen(connection, {one: lost for one, lost in short.items() if lost})
    LINE_ROWS.delete(connection, owner=leases)
    return HOLD_ROWS.delete(connection, hold_id=[row[0] for row in rows])


def forget_counters(connection: sa.Connection, *, before: int, limit: int) -> int:
    """Drop counters that hold nothing and were last touched before a time.

    Of those that end, the ended ones; of those that forget, what has forgotten everything; the
    counters of a request or a run are over when nothing touches them any more.
    """
    table = COUNTERS
    statement = (
        sa.select(table.c.counter_id)
        .where(table.c.updated_at < before, table.c.held == 0, table.c.ends_at < before)
        .order_by(table.c.updated_at)
        .limit(limit)
    )
    candidates = connection.scalars(statement).all()
    gone = [
        row[0]
        for row in COUNTER_ROWS.select(connection, lock=True, counter_id=candidates)
        if row[-1] < before and _is_over(row, before)
    ]
    LINE_ROWS.delete(connection, counter_id=gone)
    return COUNTER_ROWS.delete(connection, counter_id=gone)


def _is_over(row: tuple[Any, ...], before: int) -> bool:
    counter = counter_of(row)
    if counter.held:
        return False
    forget(counter, before)
    return counter.meter.kind not in ("rolling", "rate") or counter.used == 0


def differences(connection: sa.Connection) -> Iterable[str]:
    """Yield a line of text for each counter that does not equal its lines."""
    held: defaultdict[str, int] = defaultdict(int)
    booked: defaultdict[str, int] = defaultdict(int)
    for line, is_open in every_line(connection):
        counter_id = line.key.counter_id
        if is_credit(counter_id):
            continue
        booked[counter_id] += line.booked
        if is_open:
            held[counter_id] += line.held()
    streamed = connection.execution_options(yield_per=1000)
    for row in streamed.execute(sa.select(COUNTERS).order_by(COUNTERS.c.counter_id)):
        counter = counter_of(tuple(row))
        name = counter.key.counter_id
        lines_hold = held.pop(name, 0)
        if counter.held != lines_hold:
            yield f"{name}: holds {counter.held}, its open lines hold {lines_hold}"
        expected = counter.folded + booked[name]
        if counter.meter.kind == "sum" and counter.used != expected:
            yield f"{name}: used {counter.used}, its lines and what is folded make {expected}"
        if counter.meter.kind == "rolling" and counter.used != sum(counter.buckets.values()):
            yield f"{name}: used {counter.used}, its steps make {sum(counter.buckets.values())}"
        for what, amount in (("used", counter.used), ("held", counter.held)):
            if amount < 0:
                yield f"{name}: {what} is {amount}"
    for name, amount in sorted(held.items()):
        if amount:
            yield f"{name}: open lines hold {amount} of a counter that is not there"
