"""The API's fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outlay.config import Settings
from tests.unit.api.site import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, Settings(max_batch_bytes=64 * 1024, max_batch_events=100))
    yield made
    made.close()
