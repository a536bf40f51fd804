"""The part of `Books` that keeps prices: catalogues, changes by hand, history and findings.

Each mutation is one transaction with its audit entry. What it does to rows is in `pricebook`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from outlay.core.prices import ModelRow, PriceBook, RateRow
from outlay.core.sell import SellRow
from outlay.errors import NotFoundError
from outlay.store.base import Finding, PriceChange
from outlay.store.books import findings, pricebook
from outlay.store.books.checks import check_text
from outlay.store.books.engine import Database
from outlay.store.books.journal import changed, note
from outlay.store.books.price_checks import check_change

MAX_ROWS_LISTED: Final = 10_000
MAX_AUDITED_IDS: Final = 100
"""Ids of rows that an audit entry names; the counts are of all."""


class PriceBooks:
    """The price methods of `store.base.Books`, on `self._database`."""

    _database: Database

    def load_prices(self, *, known_at: int | None = None) -> PriceBook:
        """Return the price book as believed at a time, or now."""
        with self._database.read() as connection:
            return pricebook.load(connection, known_at=known_at)

    def rates(self, rate_ids: Collection[str]) -> dict[str, RateRow]:
        """Return rate rows by id, superseded ones included; unknown ids are left out."""
        with self._database.read() as connection:
            return pricebook.rates(connection, rate_ids)

    def rates_by_hand(self) -> frozenset[str]:
        """Return the ids of the rates believed now that a change wrote, not a catalogue."""
        with self._database.read() as connection:
            return pricebook.rates_by_hand(connection)

    def sells(self, *, known_at: int | None = None) -> list[SellRow]:
        """Return the sell rows as believed at a time, or now."""
        with self._database.read() as connection:
            return pricebook.sells(connection, known_at=known_at)

    def price_history(
        self, provider: str, model: str, *, limit: int = 1000
    ) -> tuple[list[RateRow], list[ModelRow]]:
        """Return every row ever believed of a model, the newest belief first."""
        most = max(0, min(limit, MAX_ROWS_LISTED))
        with self._database.read() as connection:
            return pricebook.history(connection, provider, model, limit=most)

    def save_catalogue(self, book: PriceBook, *, source: str, actor: str, at: int) -> int:
        """Store a catalogue and return how many rows changed.

        New and changed rows get versions, vanished ones are superseded, equal ones stay, also
        where a row of the catalogue differs in nothing but the version it comes from. Rows written
        by hand are never touched. All of it is one transaction.
        """
        with self._database.write() as connection:
            when = pricebook.not_before(connection, at)
            added, ended = pricebook.save(connection, book, at=when)
            if added or ended:
                details = {"source": source, "added": added, "superseded": ended}
                changed(connection, "prices", actor, "prices.save", source, at, details)
        return added + ended

    def change_prices(
        self, change: PriceChange, *, reason: str, actor: str, at: int
    ) -> tuple[int, int]:
        """Write a change and its audit entry; return how many rows were added and superseded.

        A change that is believed already changes nothing, and is not audited again.

        Raises:
            BadRequestError: a row is not valid, two of one key overlap, there is no reason, or a
                row to withdraw is the catalogue's.
            NotFoundError: a row to withdraw is not believed.
        """
        check_text(reason, "reason", required=True)
        check_change(change)
        with self._database.write() as connection:
            when = pricebook.not_before(connection, at)
            added, ended = pricebook.change(connection, change, at=when)
            if added or ended:
                details = {
                    "reason": reason, "added": added, "superseded": ended, **_asked(change)
                }  # fmt: skip
                changed(connection, "prices", actor, "prices.change", reason, at, details)
        return added, ended

    def find(self, found: Sequence[Finding], *, at: int) -> None:
        """Note findings; one that is open already is counted up and keeps its first time."""
        if not found:
            return
        with self._database.write() as connection:
            findings.find(connection, found, at=at)

    def findings(self, *, open_only: bool = True, limit: int = 1000) -> list[Finding]:
        """Return findings, the latest first."""
        most = max(0, min(limit, MAX_ROWS_LISTED))
        with self._database.read() as connection:
            return findings.listed(connection, open_only=open_only, limit=most)

    def resolve_finding(
        self, kind: str, subject: str, *, reason: str, actor: str, at: int
    ) -> Finding:
        """Close a finding, with an audit entry; a closed one stays as it is.

        Raises:
            BadRequestError: there is no reason.
            NotFoundError: there is no such finding.
        """
        check_text(reason, "reason", required=True)
        with self._database.write() as connection:
            found = findings.get(connection, kind, subject)
            if found is None:
                raise NotFoundError("There is no such finding.", where="subject")
            if found.resolved_at is None:
                findings.resolve(connection, kind, subject, at=at)
                details = {"kind": kind, "reason": reason, "times": found.times}
                note(connection, actor, "finding.resolve", subject, at, details)
            resolved = findings.get(connection, kind, subject)
        assert resolved is not None
        return resolved


def _asked(change: PriceChange) -> dict[str, Any]:
    """Return what was asked for, as the audit log keeps it: counts, and the first ids."""
    ids = [*(r.rate_id for r in change.rates), *(s.sell_id for s in change.sells)]
    return {
        "rates": len(change.rates),
        "models": len(change.models),
        "sells": len(change.sells),
        "withdrawn": sorted(change.withdrawn)[:MAX_AUDITED_IDS],
        "ids": ids[:MAX_AUDITED_IDS],
    }
