"""A usage key that nobody knows: seen on its events at once, and told to people once an hour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from outlay.enrich import drift
from outlay.enrich.drift import AGAIN_US, MAX_SUBJECTS, DriftBook, mask
from outlay.errors import StorageBusyError
from outlay.store.base import Finding
from outlay.store.books.sql import SqlBooks
from tests.factory import events_table, one_event

AT = 1_790_000_000_000_000


def events(*findings: list[str] | None) -> pa.Table:
    return events_table(
        *(one_event(findings=found, vendor="openai", surface="openai.chat") for found in findings)
    )


def books(tmp_path: Path) -> Any:
    return SqlBooks(f"sqlite:///{tmp_path / 'books.db'}")


def test_events_with_an_unknown_key_are_marked() -> None:
    table = events(None, ["drift:foo_tokens"], [], ["usage_missing"], ["background", "drift:bar"])
    assert mask(table).tolist() == [False, True, False, False, True]
    assert mask(events(None, None)).tolist() == [False, False]
    assert mask(table.slice(0, 0)).tolist() == []


def test_a_drift_is_a_finding_that_names_who_and_what(tmp_path: Path) -> None:
    store = books(tmp_path)
    DriftBook(store).tell(events(["drift:foo_tokens"], ["drift:foo_tokens"]), at=AT)
    (found,) = store.findings()
    assert (found.kind, found.subject) == ("usage_drift", "openai openai.chat: foo_tokens")
    assert len(found.details["event_id"]) == 32
    assert found.times == 1
    store.close()


def test_it_is_told_again_after_an_hour_and_not_before(tmp_path: Path) -> None:
    store, told = books(tmp_path), events(["drift:foo"])
    book = DriftBook(store)
    for at, times in ((AT, 1), (AT + AGAIN_US - 1, 1), (AT + AGAIN_US, 2)):
        book.tell(told, at=at)
        assert [found.times for found in store.findings()] == [times]
    store.close()


def test_one_batch_tells_a_bounded_number(tmp_path: Path) -> None:
    store = books(tmp_path)
    many = events(*([f"drift:k{n}"] for n in range(MAX_SUBJECTS + 5)))
    book = DriftBook(store)
    book.tell(many, at=AT)
    assert len(store.findings()) == MAX_SUBJECTS
    book.tell(many, at=AT + 1)
    assert len(store.findings()) == MAX_SUBJECTS + 5, "the rest with the next one"
    store.close()


class Busy:
    def __init__(self) -> None:
        self.asked = 0

    def find(self, findings: Sequence[Finding], *, at: int) -> None:
        self.asked += 1
        raise StorageBusyError


def test_books_that_are_busy_stop_nothing_and_are_told_later() -> None:
    busy: Any = Busy()
    book = DriftBook(busy)
    for _ in range(2):
        book.tell(events(["drift:foo"]), at=AT)
    assert busy.asked == 2


def test_what_is_remembered_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(drift, "MAX_KNOWN", 3)

    class Quiet:
        def find(self, findings: Sequence[Finding], *, at: int) -> None:
            pass

    quiet: Any = Quiet()
    book = DriftBook(quiet)
    for n in range(10):
        book.tell(events([f"drift:k{n}"]), at=AT)
        assert len(book._told) <= 3
