"""The enriched log, which also remembers how far enrichment came and every id it has seen.

Appending enriched records, moving the captured offset, remembering event ids and saving processor
state are one SQLite transaction. Delivery into the captured log is at least once; because of this
transaction each event is in the enriched log exactly once, whatever is killed when. It is synced
to disk on each commit: a store may already hold what a reader saw, so nothing may be taken back.
It must not decode or change events.

Ids are kept in one table per day of the time inside the id and dropped as whole tables. That is
safe: ingest refuses an event whose id is older than `max_past_days` at its arrival, so an id in
a dropped table cannot arrive again. The age is measured against the arrival of the records being
consumed, not against the clock, so a worker that lags behind forgets nothing too early.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

import numpy as np
import numpy.typing as npt

from outlay.errors import ConflictError
from outlay.stream.base import Chunk
from outlay.stream.sqlite import BUSY_TIMEOUT_S, SqliteLog

ID_BYTES: Final = 16
SLACK_DAYS: Final = 2
"""Days kept beyond the ingest bound, for clocks that are off and for the running day."""
OTHER_DAY: Final = 0
"""The table of ids outside the window, which only a foreign writer can bring in; never dropped."""
_DAY_MS: Final = 86_400_000
_KEYS: Final = (
    f"WITH RECURSIVE n(at) AS (SELECT 1 UNION ALL SELECT at + {ID_BYTES} FROM n "
    f"WHERE at + {ID_BYTES} <= :size)"
)
"""Positions of the ids in one packed parameter: a parameter or a row for each id would cost twice
the time, and hold the interpreter's lock for all of it."""


@dataclass(frozen=True, slots=True)
class TenantStat:
    """A tenant's running typical prompt: mean of log(1 + input tokens), and calls seen."""

    mean: float
    count: int


@dataclass(frozen=True, slots=True)
class Hop:
    """One step of enrichment: what was read, and what comes of it.

    `after` is the captured offset that the step started from and `consumed` where it ended;
    `received_at` is the arrival of the newest record read and `appended_at` is now, both in
    microseconds UTC; `ids` are the new event ids, 16 bytes each; a statistic of None forgets the
    tenant.
    """

    after: int
    consumed: int
    received_at: int
    appended_at: int
    chunks: Sequence[Chunk] = ()
    ids: Sequence[bytes] = ()
    stats: Mapping[str, TenantStat | None] = field(default_factory=dict)
    duplicates: int = 0
    dead: int = 0


@dataclass(frozen=True, slots=True)
class HopCounts:
    """Totals since the log was made."""

    events: int = 0
    duplicates: int = 0
    dead: int = 0


class HopLog(SqliteLog):
    """The enriched log with its exactly-once bookkeeping, in one SQLite file."""

    APPLICATION_ID: ClassVar[int] = 0x4F_48_4F_50
    TABLES: ClassVar[tuple[str, ...]] = (
        *SqliteLog.TABLES,
        """CREATE TABLE progress (
            consumed INTEGER NOT NULL, events INTEGER NOT NULL,
            duplicates INTEGER NOT NULL, dead INTEGER NOT NULL) STRICT""",
        "INSERT INTO progress VALUES (0, 0, 0, 0)",
        """CREATE TABLE tenant_stat (
            tenant_id TEXT PRIMARY KEY, mean REAL NOT NULL, count INTEGER NOT NULL,
            touched INTEGER NOT NULL) STRICT, WITHOUT ROWID""",
    )

    def __init__(
        self,
        path: str | Path,
        *,
        max_past_days: int = 35,
        max_bytes: int | None = None,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
    ) -> None:
        super().__init__(path, max_bytes=max_bytes, busy_timeout_s=busy_timeout_s)
        self._kept_days = max_past_days + SLACK_DAYS

    def consumed(self) -> int:
        """Return the captured offset whose events are wholly in this log."""
        with self._reading() as reader:
            return int(reader.execute("SELECT consumed FROM progress").fetchone()[0])

    def counts(self) -> HopCounts:
        """Return how many events came through, were dropped as duplicates, or were put aside."""
        with self._reading() as reader:
            row = reader.execute("SELECT events, duplicates, dead FROM progress").fetchone()
            return HopCounts(*row)

    def stats(self) -> dict[str, TenantStat]:
        """Return the saved tenant statistics, the longest untouched first."""
        with self._reading() as reader:
            rows = reader.execute("SELECT tenant_id, mean, count FROM tenant_stat ORDER BY touched")
            return {tenant: TenantStat(mean, count) for tenant, mean, count in rows}

    def seen(self, ids: Sequence[bytes], *, received_at: int) -> set[bytes]:
        """Return those of the ids that an earlier hop brought in.

        `received_at` is the arrival of the newest record consumed, microseconds UTC.
        """
        found: set[bytes] = set()
        with self._reading() as reader:
            tables = _day_tables(reader)
            for day, group in self._by_day(ids, received_at).items():
                if day not in tables:
                    continue
                rows = reader.execute(
                    f"{_KEYS} SELECT id FROM (SELECT substr(:ids, at, {ID_BYTES}) AS key FROM n) "
                    f"CROSS JOIN seen_{day} ON id = key",
                    _packed(group),
                )
                found.update(row[0] for row in rows)
        return found

    def commit(self, hop: Hop) -> int:
        """Make a step durable as a whole, or not at all; return the last enriched offset.

        Raises:
            ConflictError: if another worker moved the captured offset since; read it again.
            StorageFullError: if there is no space; nothing was written.
            StorageBusyError: if another process holds the file; nothing was written.
        """

        def work(db: sqlite3.Connection) -> int:
            moved = db.execute(
                "UPDATE progress SET consumed = ?, events = events + ?, "
                "duplicates = duplicates + ?, dead = dead + ? WHERE consumed = ?",
                (hop.consumed, len(hop.ids), hop.duplicates, hop.dead, hop.after),
            )
            if moved.rowcount != 1:
                raise ConflictError(
                    "another worker enriches the same log",
                    where=str(self._path),
                    hint="Run one enrichment worker per data directory.",
                )
            self._remember(db, hop)
            _save_stats(db, hop)
            return self._insert(db, hop.chunks, hop.appended_at)

        last = self._transact(work)
        self._announce(last)
        return last

    def _remember(self, db: sqlite3.Connection, hop: Hop) -> None:
        tables = _day_tables(db)
        for day, group in self._by_day(hop.ids, hop.received_at).items():
            if day not in tables:
                db.execute(f"CREATE TABLE seen_{day} (id BLOB PRIMARY KEY) STRICT, WITHOUT ROWID")
            # Sorted keys fill pages in order; a plain INSERT fails loudly on an id seen twice.
            db.execute(
                f"{_KEYS} INSERT INTO seen_{day} SELECT substr(:ids, at, {ID_BYTES}) FROM n",
                _packed(sorted(group)),
            )
        oldest = self._oldest_day(hop.received_at)
        for day in tables:
            if OTHER_DAY < day < oldest:
                db.execute(f"DROP TABLE seen_{day}")

    def _oldest_day(self, received_at: int) -> int:
        return received_at // (_DAY_MS * 1000) - self._kept_days

    def _by_day(self, ids: Sequence[bytes], received_at: int) -> dict[int, list[bytes]]:
        if not ids:
            return {}
        days = id_days(ids)
        oldest, newest = self._oldest_day(received_at), received_at // (_DAY_MS * 1000) + SLACK_DAYS
        days = np.where((days < oldest) | (days > newest), OTHER_DAY, days)
        first = int(days[0])
        if (days == first).all():
            return {first: list(ids)}
        groups: dict[int, list[bytes]] = {}
        for day, key in zip(days.tolist(), ids, strict=True):
            groups.setdefault(day, []).append(key)
        return groups


def id_days(ids: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Return the day number since 1970 of the time inside each version 7 id."""
    raw = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, ID_BYTES)
    wide = np.zeros((len(ids), 8), np.uint8)
    wide[:, 2:] = raw[:, :6]
    days: npt.NDArray[np.int64] = wide.view(">u8").reshape(-1).astype(np.int64) // _DAY_MS
    return days


def _packed(ids: Sequence[bytes]) -> dict[str, bytes | int]:
    packed = b"".join(ids)
    return {"ids": packed, "size": len(packed)}


def _day_tables(db: sqlite3.Connection) -> set[int]:
    rows: Iterable[tuple[str]] = db.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'seen_*'"
    )
    return {int(name.removeprefix("seen_")) for (name,) in rows}


def _save_stats(db: sqlite3.Connection, hop: Hop) -> None:
    kept = [(t, s.mean, s.count, hop.consumed) for t, s in hop.stats.items() if s is not None]
    db.executemany("INSERT OR REPLACE INTO tenant_stat VALUES (?, ?, ?, ?)", kept)
    gone = [(tenant,) for tenant, stat in hop.stats.items() if stat is None]
    db.executemany("DELETE FROM tenant_stat WHERE tenant_id = ?", gone)
