"""One batch of operations on holds inside a transaction: lock and load, run the desk, write.

Rows are locked in one order everywhere, so that no two batches wait for each other: holds by id,
then counters by id, then balances of credits. Rows that a batch makes are written last; if another
one made the same meanwhile, the batch is undone and starts again (`RacedError`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import sqlalchemy as sa

from outlay.core.limits.desk import Desk
from outlay.core.limits.holds import (
    Counter,
    Expire,
    Extend,
    Hold,
    Op,
    Outcome,
    Post,
    Reserve,
    Sync,
)
from outlay.store.books.hold_rows import (
    COUNTER_CHANGES,
    COUNTER_ROWS,
    HOLD_CHANGES,
    HOLD_ROWS,
    LINE_CHANGES,
    LINE_ROWS,
    Lines,
    counter_changes,
    counter_of,
    counter_row,
    credit_counters,
    hold_changes,
    hold_of,
    hold_row,
    is_credit,
    lease_line_changes,
    lease_line_of,
    lease_line_row,
    line_of,
    lines_of,
)
from outlay.store.books.postgres import TryAgainError

FAILED: Final = "failed"
"""Status of an operation that could not be applied at all; the others of its batch were."""
MAX_STORED: Final = 2**63 - 1
MAX_ID_CHARACTERS: Final = 128
MAX_HOLD_ID_CHARACTERS: Final = 256


class RacedError(TryAgainError):
    """Another transaction made a row first that this one was about to make."""


class BadOpError(Exception):
    """An operation that cannot be applied; `index` is its place in the batch."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index


@dataclass(slots=True)
class _Wanted:
    """Ids of the rows that a batch touches, as far as the operations tell."""

    holds: set[str] = field(default_factory=set)
    counters: set[str] = field(default_factory=set)
    posted: set[str] = field(default_factory=set)
    """Holds that events are counted for; their owners' leases are needed too."""
    posted_series: dict[str, str] = field(default_factory=dict)
    """By id of a counter that events are counted on."""
    reserved: list[tuple[str, str]] = field(default_factory=list)
    """Ids of holds that the batch may make, with their owners."""
    whole: set[str] = field(default_factory=set)
    """Leases of which every line is needed."""
    at: int = 0


@dataclass(slots=True)
class _Loaded:
    """What was there, by id."""

    counters: dict[str, Counter] = field(default_factory=dict)
    counted_at: dict[str, tuple[int, int]] = field(default_factory=dict)
    """When a counter was touched last, and up to when it had forgotten."""
    holds: dict[str, Hold] = field(default_factory=dict)
    touched_at: dict[str, int] = field(default_factory=dict)
    lines: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """Of leases: the changing values by owner and counter."""


def run(
    connection: sa.Connection, ops: Sequence[Op], bad: Collection[int], *, careful: bool
) -> list[Outcome]:
    """Apply operations and write what they changed.

    Those at the places `bad` are left out, and answered `failed`. With `careful` what each one
    leaves is looked at, and the first that cannot be stored raises `BadOpError`.
    """
    good = [op for index, op in enumerate(ops) if index not in bad] if bad else ops
    wanted = _collect(good)
    loaded = _load(connection, wanted)
    desk = Desk(loaded.counters, loaded.holds)
    outcomes: list[Outcome] = []
    for index, op in enumerate(ops):
        if index in bad:
            outcomes.append(Outcome(FAILED))
        elif not careful:
            outcomes.append(desk.apply(op))
        else:
            outcomes.append(_carefully(desk, op, index))
    _write(connection, desk, loaded, wanted.at)
    return outcomes


def unstorable(ops: Sequence[Op]) -> set[int]:
    """Return the places of operations with an id that no database keeps."""
    return {index for index, op in enumerate(ops) if not _storable(op)}


def _carefully(desk: Desk, op: Op, index: int) -> Outcome:
    try:
        outcome = desk.apply(op)
    except Exception as error:
        raise BadOpError(index) from error
    counts: list[int | None] = []
    for counter in desk.counters.values():
        counts += [counter.used, counter.held, counter.folded, counter.as_of]
        counts += [counter.meter.span_us, counter.meter.amount]
        counts += [counter.key.starts_at, counter.key.ends_at]
    for hold in desk.holds.values():
        counts += [hold.opened_at, hold.expires_at, hold.estimate_nanos, hold.actual_nanos]
        for line in hold.lines.values():
            counts += lease_line_changes(line)
    if any(count is not None and abs(count) > MAX_STORED for count in counts):
        raise BadOpError(index)
    return outcome


def _storable(op: Op) -> bool:
    keys = [need.key for need in _needs(op)]
    if isinstance(op, Post):
        keys = [line.key for line in op.lines]
    ids = [op.owner if isinstance(op, Sync) else op.hold_id]
    texts = [key.scope_key for key in keys]
    if isinstance(op, Reserve):
        ids.append(op.owner)
        texts.append(op.digest)
    short = [text for key in keys for text in (key.counter_id, key.series, key.limit_id)]
    fits = all(len(text) <= MAX_HOLD_ID_CHARACTERS for text in ids)
    fits = fits and all(len(text) <= MAX_ID_CHARACTERS for text in short)
    return fits and all(_is_text(text) for text in (*ids, *short, *texts))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _needs(op: Op) -> Iterable[Any]:
    match op:
        case Reserve() | Extend():
            return op.needs
        case Sync():
            return (want.need for want in op.wants)
        case _:
            return ()


# loading


def _collect(ops: Iterable[Op]) -> _Wanted:
    wanted = _Wanted()
    for op in ops:
        if isinstance(op, Post):
            for line in op.lines:
                wanted.counters.add(line.key.counter_id)
                wanted.posted_series[line.key.counter_id] = line.key.series
                wanted.at = max(wanted.at, line.at)
            if op.hold_id:
                wanted.posted.add(op.hold_id)
            continue
        wanted.at = max(wanted.at, op.at)
        hold_id = op.owner if isinstance(op, Sync) else op.hold_id
        wanted.holds.add(hold_id)
        if isinstance(op, Reserve):
            wanted.reserved.append((hold_id, op.owner))
        if isinstance(op, Expire) or (isinstance(op, Sync) and op.closing):
            wanted.whole.add(hold_id)
        for need in _needs(op):
            wanted.counters.add(need.key.counter_id)
    return wanted


def _load(connection: sa.Connection, wanted: _Wanted) -> _Loaded:
    """Lock and load, in the one order; raises `RacedError` when an owner was not known yet."""
    owners = {owner for hold_id, owner in wanted.reserved if hold_id in wanted.posted}
    if wanted.posted:
        known = HOLD_ROWS.select(connection, hold_id=wanted.posted)
        owners |= {row[1] for row in known}
    asked = wanted.holds | wanted.posted | owners
    loaded = _Loaded()
    stored: dict[str, Lines] = {}
    for row in HOLD_ROWS.select(connection, lock=True, hold_id=asked):
        hold = hold_of(row)
        loaded.holds[hold.hold_id] = hold
        loaded.touched_at[hold.hold_id] = row[11]
        if not hold.lease:
            stored[hold.hold_id] = lines_of(row)
    if any(loaded.holds[one].owner not in asked for one in wanted.posted & loaded.holds.keys()):
        raise RacedError
    leases = {hold.hold_id for hold in loaded.holds.values() if hold.lease}
    lines = _lease_lines(connection, wanted, leases)
    needed = wanted.counters | {line[0] for of in stored.values() for line in of}
    needed |= {row[1] for row in lines}
    _load_counters(connection, needed, loaded)
    for hold_id, of in stored.items():
        hold = loaded.holds[hold_id]
        for one in of:
            counter = loaded.counters.get(one[0])
            if counter is not None:
                hold.lines[one[0]] = line_of(counter.key, one)
    for row in lines:
        counter = loaded.counters.get(row[1])
        if counter is not None:
            loaded.holds[row[0]].lines[row[1]] = lease_line_of(counter.key, row)
            loaded.lines[row[0], row[1]] = row[5:]
    return loaded


def _load_counters(connection: sa.Connection, needed: set[str], loaded: _Loaded) -> None:
    own = [one for one in needed if not is_credit(one)]
    for row in COUNTER_ROWS.select(connection, lock=True, counter_id=own):
        loaded.counters[row[0]] = counter_of(row)
        loaded.counted_at[row[0]] = row[-1], row[12]
    if len(own) < len(needed):
        credit = sorted(one for one in needed if is_credit(one))
        loaded.counters.update(credit_counters(connection, credit, lock=True))


def _lease_lines(
    connection: sa.Connection, wanted: _Wanted, leases: set[str]
) -> list[tuple[Any, ...]]:
    """Return the rows of the lease lines that the operations may touch."""
    rows: dict[tuple[str, str], tuple[Any, ...]] = {}

    def add(found: Iterable[tuple[Any, ...]]) -> None:
        for row in found:
            rows[row[0], row[1]] = row

    whole, others = leases & wanted.whole, leases - wanted.whole
    add(LINE_ROWS.select(connection, owner=whole))
    add(LINE_ROWS.select(connection, owner=others, counter_id=wanted.counters))
    if wanted.posted and others:
        # Events of a period that the lease has no line of go on its latest one of the series.
        series = {
            of
            for counter_id, of in wanted.posted_series.items()
            if not all((lease, counter_id) in rows for lease in others)
        }
        newest: dict[tuple[str, str], tuple[int, tuple[Any, ...]]] = {}
        for row in LINE_ROWS.select(connection, owner=others, series=series):
            starts_at = int(row[1].rpartition("|")[2])
            held = newest.get((row[0], row[2]))
            if held is None or held[0] < starts_at:
                newest[row[0], row[2]] = starts_at, row
        add(row for _, row in newest.values())
    return list(rows.values())


# writing


def _write(connection: sa.Connection, desk: Desk, loaded: _Loaded, at: int) -> None:
    _leave_out(desk, loaded)
    _write_holds(connection, desk, loaded, at)
    new, old, credit = [], [], []
    for counter_id, counter in sorted(desk.counters.items()):
        updated_at, as_of = loaded.counted_at.get(counter_id, (0, counter.as_of))
        if not counter.changed and counter.as_of == as_of:
            continue
        if is_credit(counter_id):
            credit.append(counter)
        elif counter_id in loaded.counters:
            when = max(at, updated_at)
            old.append((counter_id, *counter_changes(counter, when)))
        else:
            new.append(counter_row(counter, at))
    COUNTER_ROWS.update(connection, COUNTER_CHANGES, old)
    if COUNTER_ROWS.insert(connection, new) < len(new):
        raise RacedError
    if credit or desk.bookings:
        from outlay.store.books import credit_accounts

        credit_accounts.save(connection, credit, desk.bookings)


def _leave_out(desk: Desk, loaded: _Loaded) -> None:
    """Take out balances of tenants without an account: nothing bounds them or is charged."""
    missing = [one for one in desk.counters if is_credit(one) and one not in loaded.counters]
    for counter_id in missing:
        del desk.counters[counter_id]
        for hold in desk.holds.values():
            hold.lines.pop(counter_id, None)


def _write_holds(connection: sa.Connection, desk: Desk, loaded: _Loaded, at: int) -> None:
    new, old, new_lines, old_lines = [], [], [], []
    for hold_id, hold in sorted(desk.holds.items()):
        if not hold.changed:
            continue
        if hold_id in loaded.holds:
            old.append((hold_id, *hold_changes(hold, max(at, loaded.touched_at[hold_id]))))
        else:
            new.append(hold_row(hold, at))
        if not hold.lease:
            continue
        for counter_id, line in sorted(hold.lines.items()):
            before, now = loaded.lines.get((hold_id, counter_id)), lease_line_changes(line)
            if before is None:
                new_lines.append(lease_line_row(hold_id, line))
            elif before != now:
                old_lines.append((hold_id, counter_id, *now))
    HOLD_ROWS.update(connection, HOLD_CHANGES, old)
    LINE_ROWS.update(connection, LINE_CHANGES, old_lines)
    # The lease's own row, made or locked above, keeps others from making the same lines.
    if HOLD_ROWS.insert(connection, new) < len(new):
        raise RacedError
    LINE_ROWS.insert(connection, new_lines)
