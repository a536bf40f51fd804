"""Prices at start: the package's, unless a sync has brought newer ones."""

from __future__ import annotations

import io
from importlib.metadata import version
from pathlib import Path

import pytest

from outlay.config import Settings
from outlay.core.prices import PriceBook, RateRow
from outlay.wiring import Server

PACKAGE = f"genai-prices {version('genai-prices')}"
NEWER = PriceBook(rates=(RateRow.make("openai", "gpt-newer", "input", 5),))


def rates_after_start(folder: Path) -> int:
    settings = Settings(data=str(folder), duckdb_memory_mb=256)
    with Server(settings, log_to=io.StringIO()) as server:
        return len(server.books.load_prices().rates)


@pytest.mark.parametrize(
    ("source", "kept"),
    [
        (f"{PACKAGE} update 2026-11-21", True),
        (f"{PACKAGE} file 2026-11-21", True),
        ("genai-prices 0.0.1 update 2026-01-01", False),
        ("genai-prices 0.0.1", False),
    ],
)
def test_a_restart_keeps_what_a_sync_brought_until_the_package_is_newer(
    tmp_path: Path, source: str, kept: bool
) -> None:
    settings = Settings(data=str(tmp_path), duckdb_memory_mb=256)
    with Server(settings, log_to=io.StringIO()) as server:
        now = server.services.clock()
        server.books.save_catalogue(NEWER, source=source, actor="test", at=now)
    count = rates_after_start(tmp_path)
    assert (count == 1) if kept else (count > 5000)
