"""A server for the commands of limits and credits, one for each file of tests."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from outlay.config import Settings
from outlay.wiring import start_in_thread
from tests.unit.cli.limit_commands import Commands


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    folder = tmp_path_factory.mktemp("run")
    settings = Settings(data=str(folder), port=0, duckdb_memory_mb=256)
    with start_in_thread(settings, log_to=io.StringIO()) as served:
        yield Commands(served, folder)
