"""Fixtures of the conformance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from outlay.store.books.sql import SqlBooks
from tests.purse import Purse


@pytest.fixture
def purse(books_url: str) -> Iterator[Purse]:
    """Empty books on each database; at the end they must prove themselves."""
    opened = SqlBooks(books_url)
    purse = Purse(opened)
    yield purse
    assert opened.check_credits() == []
    assert opened.check_holds() == []
    opened.close()
