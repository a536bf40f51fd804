"""Counters, holds and lease lines as rows, and back.

A call's hold carries its lines as JSON, each a list that leaves out what is still zero at its end.
A line names its counter by id: the rest of its key comes from the counter's row, and a line whose
counter was forgotten is left out. A balance of credits comes from the credits' own tables.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from outlay.core.limits.holds import Counter, CounterKey, Hold, Line, Meter
from outlay.core.limits.limit import CREDITS
from outlay.store.books.bulk import Bulk
from outlay.store.books.limit_tables import COUNTERS, HOLDS, LEASE_LINES

COUNTER_ROWS: Final = Bulk(COUNTERS)
HOLD_ROWS: Final = Bulk(HOLDS)
LINE_ROWS: Final = Bulk(LEASE_LINES)

COUNTER_CHANGES: Final = (
    "kind", "span_us", "amount", "used", "held", "folded", "as_of", "buckets", "updated_at",
)  # fmt: skip
HOLD_CHANGES: Final = (
    "state", "expires_at", "actual_nanos", "digest", "late", "lines", "touched_at",
)  # fmt: skip
LINE_CHANGES: Final = ("granted", "reported", "calls", "evented", "events", "booked", "short")

CREDIT_SERIES: Final = f"{CREDITS}|"
NO_BUCKETS: Final = "[]"

Lines = list[list[Any]]
"""The lines of a call's hold as they are stored."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


def is_credit(counter_id: str) -> bool:
    """Tell whether a counter is a balance of credits, by its id."""
    return counter_id.startswith(CREDIT_SERIES)


# counters


def counter_of(row: tuple[Any, ...]) -> Counter:
    """Return the counter of a row of `counters`, all columns in their order."""
    counter_id, series, limit_id, scope_key, starts_at, ends_at = row[:6]
    kind, span_us, amount, used, held, folded, as_of, buckets, _ = row[6:]
    return Counter(
        CounterKey(counter_id, series, limit_id, scope_key, starts_at, ends_at),
        Meter(kind, span_us, amount), used, held, folded, as_of,
        {} if buckets == NO_BUCKETS else dict(_decode(buckets)),
    )  # fmt: skip


def counter_changes(counter: Counter, at: int) -> tuple[Any, ...]:
    """Return the values of `COUNTER_CHANGES`."""
    meter = counter.meter
    buckets = NO_BUCKETS
    if counter.buckets:
        buckets = _encode(sorted(counter.buckets.items())).decode()
    return (
        meter.kind, meter.span_us, meter.amount, counter.used, counter.held, counter.folded,
        counter.as_of, buckets, at,
    )  # fmt: skip


def counter_row(counter: Counter, at: int) -> tuple[Any, ...]:
    """Return the whole row of a counter."""
    key = counter.key
    identity = (
        key.counter_id, key.series, key.limit_id, key.scope_key, key.starts_at, key.ends_at,
    )  # fmt: skip
    return (*identity, *counter_changes(counter, at))


# holds


def hold_of(row: tuple[Any, ...]) -> Hold:
    """Return the hold of a row of `holds`, without its lines."""
    hold_id, owner, lease, state, opened_at, expires_at, estimate, actual, digest, late = row[:10]
    return Hold(
        hold_id, owner, bool(lease), state, opened_at, expires_at, estimate, actual, digest,
        {}, bool(late),
    )  # fmt: skip


def hold_row(hold: Hold, at: int) -> tuple[Any, ...]:
    """Return the whole row of a hold."""
    return (
        hold.hold_id, hold.owner, hold.lease, hold.state, hold.opened_at, hold.expires_at,
        hold.estimate_nanos, hold.actual_nanos, hold.digest, hold.late, _lines_text(hold), at,
    )  # fmt: skip


def hold_changes(hold: Hold, at: int) -> tuple[Any, ...]:
    """Return the values of `HOLD_CHANGES`."""
    return (
        hold.state, hold.expires_at, hold.actual_nanos, hold.digest, hold.late, _lines_text(hold),
        at,
    )  # fmt: skip


def lines_of(row: tuple[Any, ...]) -> Lines:
    """Return the stored lines in a row of `holds`."""
    lines: Lines = _decode(row[10])
    return lines


def line_of(key: CounterKey, stored: list[Any]) -> Line:
    """Return the line that was stored, of the counter that it names."""
    _, metric, gauge, *amounts = stored
    line = Line(key, metric, *amounts)
    line.gauge = bool(gauge)
    return line


def stored_line(counter_id: str, stored: list[Any]) -> Line:
    """Return a stored line whose counter is known by its id only."""
    return line_of(CounterKey(counter_id, "", "", ""), stored)


def _lines_text(hold: Hold) -> str:
    if hold.lease or not hold.lines:
        return "[]"
    return _encode([_stored(line) for line in hold.lines.values()]).decode()


def _stored(line: Line) -> list[Any]:
    counter_id, metric, gauge = line.key.counter_id, line.metric, int(line.gauge)
    if line.calls or line.events or line.reported or line.evented or line.booked or line.short:
        return [
            counter_id, metric, gauge, line.granted, line.reported, line.calls, line.evented,
            line.events, line.booked, line.short,
        ]  # fmt: skip
    return [counter_id, metric, gauge, line.granted]


# lease lines


def lease_line_of(key: CounterKey, row: tuple[Any, ...]) -> Line:
    """Return the line of a row of `lease_lines`."""
    _, _, _, metric, gauge, *amounts = row
    line = Line(key, metric, *amounts)
    line.gauge = bool(gauge)
    return line


def lease_line_changes(line: Line) -> tuple[int, ...]:
    """Return the values of `LINE_CHANGES`."""
    return (
        line.granted, line.reported, line.calls, line.evented, line.events, line.booked,
        line.short,
    )  # fmt: skip


def lease_line_row(owner: str, line: Line) -> tuple[Any, ...]:
    """Return the whole row of a lease's line."""
    key = line.key
    fixed = (owner, key.counter_id, key.series, line.metric, line.gauge)
    return (*fixed, *lease_line_changes(line))


# reading with no lock


def with_lines(connection: sa.Connection, rows: Iterable[tuple[Any, ...]]) -> Iterator[Hold]:
    """Yield the holds of rows with all their lines, in the order given."""
    rows = list(rows)
    leases: dict[str, list[tuple[Any, ...]]] = {row[0]: [] for row in rows if row[2]}
    for found in LINE_ROWS.select(connection, owner=leases):
        leases[found[0]].append(found)
    stored = {row[0]: lines_of(row) for row in rows if not row[2]}
    ids = {line[0] for lines in stored.values() for line in lines}
    ids |= {line[1] for lines in leases.values() for line in lines}
    keys = keys_of(connection, ids)
    for row in rows:
        hold = hold_of(row)
        if hold.lease:
            known = (line for line in leases[hold.hold_id] if line[1] in keys)
            hold.lines = {line[1]: lease_line_of(keys[line[1]], line) for line in known}
        else:
            lines = (line for line in stored[hold.hold_id] if line[0] in keys)
            hold.lines = {line[0]: line_of(keys[line[0]], line) for line in lines}
        yield hold


def keys_of(connection: sa.Connection, counter_ids: Iterable[str]) -> Mapping[str, CounterKey]:
    """Return the keys of the counters that are there."""
    ids = sorted(counter_ids)
    own = [one for one in ids if not is_credit(one)]
    rows = COUNTER_ROWS.select(connection, counter_id=own)
    keys = {row[0]: CounterKey(*row[:6]) for row in rows}
    credit = [one for one in ids if is_credit(one)]
    if credit:
        found = credit_counters(connection, credit, lock=False)
        keys.update({counter_id: counter.key for counter_id, counter in found.items()})
    return keys


def credit_counters(
    connection: sa.Connection, counter_ids: list[str], *, lock: bool
) -> dict[str, Counter]:
    """Return the balances of credits that are there, as counters."""
    from outlay.store.books import credit_accounts

    return credit_accounts.load(connection, counter_ids, lock=lock)


def held_and_short(connection: sa.Connection) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return what open holds and leases hold, and what lines could not charge, by counter id."""
    held: defaultdict[str, int] = defaultdict(int)
    short: defaultdict[str, int] = defaultdict(int)
    for line, is_open in every_line(connection):
        held[line.key.counter_id] += line.held() if is_open else 0
        short[line.key.counter_id] += line.short
    return held, short


def every_line(connection: sa.Connection) -> Iterator[tuple[Line, bool]]:
    """Yield every line, its key by id only, and whether its hold is open."""
    statement = sa.select(HOLDS.c.state, HOLDS.c.lines).where(HOLDS.c.lease.is_(sa.false()))
    streamed = connection.execution_options(yield_per=1000)
    for state, text in streamed.execute(statement):
        for stored in _decode(text):
            yield stored_line(stored[0], stored), state == "open"
    leases = sa.select(*LEASE_LINES.c, HOLDS.c.state).join_from(
        LEASE_LINES, HOLDS, LEASE_LINES.c.owner == HOLDS.c.hold_id
    )
    for row in streamed.execute(leases):
        key = CounterKey(row[1], row[2], "", "")
        yield lease_line_of(key, tuple(row)[:-1]), row[-1] == "open"
