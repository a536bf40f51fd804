"""Fixtures for every test: the books' databases, a real PostgreSQL among them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres as real

DATABASES = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[real.Postgres]:
    """A real PostgreSQL, started at its first use; it does not survive being killed."""
    if real.find() is None:
        pytest.skip("PostgreSQL")
    with real.server(durable=False) as running:
        yield running


@pytest.fixture(params=DATABASES)
def books_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of empty books, on each database that books can lie in."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'books.db'}"
    running: real.Postgres = request.getfixturevalue("postgres")
    return running.clean_books()
