"""Gates that are closed after each test, and a guest that has caught nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from outlay.capture import guard
from outlay.capture.limits import callbacks
from tests.unit.capture.limits.authority import Gates


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    guard.reset()
    callbacks.clear()
    yield
    callbacks.clear()
    assert not guard.counts()


@pytest.fixture
def make() -> Iterator[Gates]:
    made = Gates()
    yield made
    for one in made:
        one.close(1.0)
