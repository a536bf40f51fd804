"""The part of `Books` that keeps counters, holds and notices: operations in batches.

A batch is one transaction. On PostgreSQL batches of several threads and processes run beside each
other and wait only for rows that they share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import sqlalchemy as sa

from outlay.core.limits.holds import Counter, Hold, Op, Outcome, Post
from outlay.errors import ConflictError, OutlayError, StorageBusyError
from outlay.store.books import hold_batch, hold_sweep, limit_notices
from outlay.store.books.engine import Database
from outlay.store.books.hold_batch import BadOpError, RacedError
from outlay.store.books.hold_rows import (
    COUNTER_CHANGES,
    COUNTER_ROWS,
    HOLD_ROWS,
    counter_changes,
    counter_of,
    counter_row,
    with_lines,
)
from outlay.store.books.limit_tables import (
    COUNTERS,
    HOLDS,
    LIMIT_SEEDS,
    OPEN_HOLDS,
    SETTLE_OFFSET,
)
from outlay.store.books.postgres import TryAgainError
from outlay.store.limits import Notice, Seed

MAX_ATTEMPTS: Final = 10
"""How often a transaction that another one undid is tried."""
MAX_ROWS_LISTED: Final = 10_000


class SqlHolds:
    """The methods of `store.limits.LimitBooks` on counters, holds and notices."""

    _database: Database

    def apply(self, ops: Sequence[Op]) -> list[Outcome]:
        """Apply operations in order, in one transaction, and return their answers.

        What one of them refuses leaves the others as they are; one that cannot be applied at all
        (its amounts or ids are out of bounds) is left out, with the status `failed`.

        Raises:
            UnavailableError: the database cannot be reached. Whether the batch was applied is then
                not known: the same operations again are answered as they would have been.
            StorageBusyError: others held the rows for too long; nothing was applied.
        """
        return self._batch(ops, lambda _: None) if ops else []

    def posted(self) -> int:
        """Return the enriched-log offset up to which events were counted."""
        with self._database.read() as connection:
            return int(connection.execute(sa.select(SETTLE_OFFSET.c.posted)).scalar_one())

    def post(self, posts: Sequence[Post], *, after: int, offset: int) -> list[Outcome]:
        """Count events and move the offset from `after` to `offset` in the same transaction.

        Raises `ConflictError` when the offset is not at `after`: somebody else has counted them.
        """

        def move(connection: sa.Connection) -> None:
            column = SETTLE_OFFSET.c.posted
            statement = sa.update(SETTLE_OFFSET).where(column == after).values(posted=offset)
            if connection.execute(statement).rowcount != 1:
                raise ConflictError(
                    "Other events were counted meanwhile.", where="after",
                    hint="Read the offset again; only one settler may run at a time.",
                )  # fmt: skip

        return self._batch(posts, move)

    def _batch(self, ops: Sequence[Op], first: Callable[[sa.Connection], None]) -> list[Outcome]:
        bad: set[int] = set()
        careful, attempts = False, 0
        while True:
            try:
                with self._database.rows() as connection:
                    first(connection)
                    return hold_batch.run(connection, ops, bad, careful=careful)
            except TryAgainError as error:
                attempts += 1
                if attempts == MAX_ATTEMPTS:
                    raise StorageBusyError("Other processes hold the same rows.") from error
            except BadOpError as error:
                bad.add(error.index)
            except OutlayError:
                raise
            except Exception:
                if careful:
                    raise
                # One of them cannot be stored: look at each, so that the others are not lost.
                careful, bad = True, hold_batch.unstorable(ops)

    # what counters start with

    def seeded(self) -> dict[str, int]:
        """Return the log offset from which on each seeded limit counts events, by `seed_key`."""
        with self._database.read() as connection:
            rows = connection.execute(sa.select(LIMIT_SEEDS))
            return {row.seed_key: row.from_offset for row in rows}

    def seed(self, seed_key: str, seeds: Sequence[Seed], *, offset: int, at: int) -> None:
        """Give counters what was used before, once per `seed_key`; events count after `offset`."""

        def work(connection: sa.Connection) -> None:
            known = LIMIT_SEEDS.c.seed_key == seed_key
            if connection.scalar(sa.select(LIMIT_SEEDS.c.seed_key).where(known)) is not None:
                return
            row = {"seed_key": seed_key, "from_offset": offset, "at": at}
            connection.execute(sa.insert(LIMIT_SEEDS).values(row))
            _add_seeds(connection, seeds, at)

        self._again(work)

    def _again(self, work: Callable[[sa.Connection], None]) -> None:
        """Do work in a transaction, again where another one undid it."""
        for _ in range(MAX_ATTEMPTS):
            try:
                with self._database.rows() as connection:
                    return work(connection)
            except (TryAgainError, sa.exc.IntegrityError) as error:
                last = error
        raise StorageBusyError("Other processes hold the same rows.") from last

    # looking

    def counters(
        self,
        *,
        limit_id: str = "",
        series: str = "",
        scope_like: str = "",
        at: int | None = None,
        limit: int = 1000,
    ) -> list[Counter]:
        """Return counters, those with most used first; `scope_like` is a part of the scope key.

        With `at` only those whose period that time lies in.
        """
        table = COUNTERS
        order = (table.c.used.desc(), table.c.counter_id)
        statement = sa.select(table).order_by(*order).limit(_bounded(limit))
        if series:
            statement = statement.where(table.c.series == series)
            limit_id = limit_id or series.rpartition("|")[0]
        if limit_id:
            statement = statement.where(table.c.limit_id == limit_id)
        if scope_like:
            # `LIKE` minds case on one database and not on the other.
            without = sa.func.replace(table.c.scope_key, scope_like, "")
            statement = statement.where(without != table.c.scope_key)
        if at is not None:
            ends = table.c.ends_at
            current = sa.and_(table.c.starts_at <= at, ends > at)
            statement = statement.where(sa.or_(ends == 0, current))
        with self._database.read() as connection:
            return [counter_of(tuple(row)) for row in connection.execute(statement)]

    def holds(
        self, *, state: str = "open", owner: str = "", leases: bool | None = None, limit: int = 1000
    ) -> list[Hold]:
        """Return holds with their lines, the newest first; state "" means any.

        A line whose counter was forgotten is left out.
        """
        table = HOLDS
        order = (table.c.opened_at.desc(), table.c.hold_id)
        statement = sa.select(table).order_by(*order).limit(_bounded(limit))
        if state == "open":
            # As the partial index says it.
            statement = statement.where(sa.text(OPEN_HOLDS))
        elif state:
            statement = statement.where(table.c.state == state)
        if owner:
            statement = statement.where(table.c.owner == owner)
        if leases is not None:
            statement = statement.where(table.c.lease.is_(leases))
        with self._database.read() as connection:
            rows = [tuple(row) for row in connection.execute(statement)]
            return list(with_lines(connection, rows))

    def hold(self, hold_id: str) -> Hold | None:
        """Return a hold or lease with all its lines."""
        with self._database.read() as connection:
            rows = HOLD_ROWS.select(connection, hold_id=[hold_id])
            return next(with_lines(connection, rows), None)

    # time

    def due(self, *, at: int, limit: int) -> list[str]:
        """Return ids of open holds and leases whose time is over, the oldest first."""
        table = HOLDS
        statement = (
            sa.select(table.c.hold_id)
            .where(sa.text(OPEN_HOLDS), table.c.expires_at <= at)
            .order_by(table.c.expires_at, table.c.hold_id)
            .limit(_bounded(limit))
        )
        with self._database.read() as connection:
            return list(connection.scalars(statement))

    def forget_holds(self, *, before: int, limit: int) -> int:
        """Drop ended holds and counters of ended periods last touched before a time.

        What their lines count as used stays in the counters. Notices of before that time go too.
        Returns how many rows went, at most `limit` of each kind.
        """
        gone = 0
        for forget in (
            hold_sweep.forget_holds, hold_sweep.forget_counters, limit_notices.forget
        ):  # fmt: skip
            with self._database.rows() as connection:
                gone += forget(connection, before=before, limit=_bounded(limit))
        return gone

    def check_holds(self) -> list[str]:
        """Prove that counters equal their lines: a line of text per difference, empty when equal.

        Held of every counter equals what the lines of open holds hold; used of every counter that
        does not forget equals `folded` plus what lines have booked; nothing is negative.
        """
        with self._database.read() as connection:
            return list(hold_sweep.differences(connection))

    # notices

    def notice(self, notices: Sequence[Notice]) -> list[Notice]:
        """Write notices; return those that were not there before."""
        if not notices:
            return []
        with self._database.rows() as connection:
            return limit_notices.write(connection, notices)

    def notices(
        self, *, limit_id: str = "", tenant: str = "", since: int = 0, limit: int = 1000
    ) -> list[Notice]:
        """Return notices, the newest first."""
        with self._database.read() as connection:
            return limit_notices.listed(
                connection, limit_id=limit_id, tenant=tenant, since=since, limit=_bounded(limit)
            )


def _bounded(limit: int) -> int:
    return max(0, min(limit, MAX_ROWS_LISTED))


def _add_seeds(connection: sa.Connection, seeds: Sequence[Seed], at: int) -> None:
    by_counter: dict[str, list[Seed]] = {}
    for seed in seeds:
        by_counter.setdefault(seed.key.counter_id, []).append(seed)
    found = {
        row[0]: counter_of(row)
        for row in COUNTER_ROWS.select(connection, lock=True, counter_id=by_counter)
    }
    changes, new = [], []
    for counter_id, own in sorted(by_counter.items()):
        counter = found.get(counter_id, Counter(own[0].key, own[0].meter))
        for seed in own:
            _add_seed(counter, seed)
        if counter_id in found:
            changes.append((counter_id, *counter_changes(counter, at)))
        else:
            new.append(counter_row(counter, at))
    COUNTER_ROWS.update(connection, COUNTER_CHANGES, changes)
    if COUNTER_ROWS.insert(connection, new) < len(new):
        raise RacedError


def _add_seed(counter: Counter, seed: Seed) -> None:
    counter.folded += seed.amount
    counter.as_of = max(counter.as_of, seed.at)
    if seed.meter.kind != "rolling":
        counter.used += seed.amount
        return
    for start, amount in seed.buckets.items():
        counter.buckets[start] = counter.buckets.get(start, 0) + amount
        counter.used += amount
